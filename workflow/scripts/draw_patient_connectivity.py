from snakemake.script import snakemake

from msimaging.steps.draw_connectivity import draw_patient_connectivity
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    draw_patient_connectivity(
        matrices=snakemake.input.matrices,
        change=snakemake.input.change,
        error=snakemake.input.error,
        atlas=snakemake.params.atlas,
        own=snakemake.params.own,
        visits=snakemake.params.visits,
        confidence=snakemake.params.confidence,
        style=snakemake.params.style,
        out_figures=snakemake.output.figures,
    )
