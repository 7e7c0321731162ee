from snakemake.script import snakemake

from msimaging.steps.import_bold import import_bold
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    import_bold(
        image=snakemake.input.image,
        mask=snakemake.input.mask,
        confounds=list(snakemake.input.get("confounds", [])),
        sidecars=list(snakemake.input.get("sidecars", [])),
        pipeline=snakemake.params.pipeline,
        out_image=snakemake.output.image,
        out_reference=snakemake.params.beside["reference"],
        out_mask=snakemake.params.beside["mask"],
        out_motion=snakemake.params.beside["motion"],
    )
