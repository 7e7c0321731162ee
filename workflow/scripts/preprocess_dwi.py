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
        out_bval=snakemake.params.beside["bval"],
        out_bvec=snakemake.params.beside["bvec"],
        out_reference=snakemake.params.beside["reference"],
        out_mask=snakemake.params.beside["mask"],
        out_weights=snakemake.params.beside["weights"],
        out_quality=snakemake.params.beside["series_quality"],
        out_confounds=snakemake.params.beside["confounds"],
        out_orientation=snakemake.params.beside["orientation"],
    )
