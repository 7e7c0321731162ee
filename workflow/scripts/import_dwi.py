from snakemake.script import snakemake

from msimaging.steps.import_dwi import import_dwi
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    import_dwi(
        image=snakemake.input.image,
        bval=snakemake.input.bval,
        bvec=snakemake.input.bvec,
        mask=snakemake.input.mask,
        confounds=list(snakemake.input.get("confounds", [])),
        sidecars=list(snakemake.input.get("sidecars", [])),
        pipeline=snakemake.params.pipeline,
        gradients=snakemake.params.gradients,
        out_image=snakemake.output.image,
        out_bval=snakemake.params.beside["bval"],
        out_bvec=snakemake.params.beside["bvec"],
        out_reference=snakemake.params.beside["reference"],
        out_mask=snakemake.params.beside["mask"],
        out_weights=snakemake.params.beside["weights"],
        out_quality=snakemake.params.beside["series_quality"],
        out_confounds=snakemake.params.beside["confounds"],
    )
