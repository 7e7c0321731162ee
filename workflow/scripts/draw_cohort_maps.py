from snakemake.script import snakemake

from msimaging.steps.draw_cohort_maps import draw_cohort_maps
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    draw_cohort_maps(
        changes=snakemake.params.changes,
        measure=snakemake.params.measure,
        confidence=snakemake.params.confidence,
        style=snakemake.params.style,
        out_figure=snakemake.output.figures,
    )
