from snakemake.script import snakemake

from msimaging.steps.draw_patient_bold import draw_patient_bold
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    draw_patient_bold(
        scans=snakemake.params.scans,
        pairs=snakemake.params.pairs,
        atlas=snakemake.params.atlas,
        own=snakemake.params.own,
        min_coverage=snakemake.params.min_coverage,
        confidence=snakemake.params.confidence,
        style=snakemake.params.style,
        out_pictures=snakemake.output.pictures,
    )
