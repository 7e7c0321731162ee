from snakemake.script import snakemake

from msimaging.steps.draw_connectivity import draw_cohort_connectivity
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    draw_cohort_connectivity(
        baselines=snakemake.params.baselines,
        follow_ups=snakemake.params.follow_ups,
        atlas=snakemake.params.atlas,
        own=snakemake.params.own,
        confidence=snakemake.params.confidence,
        style=snakemake.params.style,
        out_figures=snakemake.output.figures,
        out_blocks=snakemake.output.blocks,
        out_glass=snakemake.output.glass,
    )
