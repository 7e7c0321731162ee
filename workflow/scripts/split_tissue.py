from snakemake.script import snakemake

from msimaging.steps.records import job_log
from msimaging.steps.split_tissue import split_tissue

with job_log(snakemake.log[0]):
    split_tissue(
        lesions=snakemake.input.lesions,
        midpoints=snakemake.params.midpoints,
        template=snakemake.params.beside["template"],
        sessions=snakemake.params.sessions,
        rim_mm=snakemake.params.rim_mm,
        out_image=snakemake.output.image,
    )
