from snakemake.script import snakemake

from msimaging.steps.draw_patient_dwi import draw_patient_dwi
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    draw_patient_dwi(
        scans=snakemake.params.scans,
        pairs=snakemake.params.pairs,
        measures=snakemake.params.measures,
        style=snakemake.params.style,
        out_pictures=snakemake.output.pictures,
    )
