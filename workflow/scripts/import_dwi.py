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
        out_bval=snakemake.output.bval,
        out_bvec=snakemake.output.bvec,
        out_reference=snakemake.output.reference,
        out_mask=snakemake.output.mask,
        out_weights=snakemake.output.weights,
        out_quality=snakemake.output.quality,
        out_confounds=snakemake.output.confounds,
    )
