from snakemake.script import snakemake

from msimaging.steps.preprocess_dwi import preprocess_dwi
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    preprocess_dwi(
        image=snakemake.input.image,
        bval=snakemake.input.bval,
        bvec=snakemake.input.bvec,
        sidecars=list(snakemake.input.get("sidecars", [])),
        opposite=list(snakemake.input.get("opposite", [])),
        why_distorted=snakemake.params.why_distorted,
        why_moving=snakemake.params.why_moving,
        denoise=snakemake.params.denoise,
        unring=snakemake.params.unring,
        outliers=snakemake.params.outliers,
        bias=snakemake.params.bias,
        gradients=snakemake.params.gradients,
        out_image=snakemake.output.image,
        out_bval=snakemake.output.bval,
        out_bvec=snakemake.output.bvec,
        out_reference=snakemake.output.reference,
        out_mask=snakemake.output.mask,
        out_weights=snakemake.output.weights,
        out_quality=snakemake.output.quality,
        out_confounds=snakemake.output.confounds,
        out_orientation=snakemake.output.orientation,
    )
