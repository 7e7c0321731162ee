from snakemake.script import snakemake

from msimaging.steps.preprocess_bold import preprocess_bold
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    preprocess_bold(
        image=snakemake.input.image,
        sidecars=list(snakemake.input.get("sidecars", [])),
        opposite=list(snakemake.input.get("opposite", [])),
        matched=list(snakemake.input.get("matched", [])),
        why_distorted=snakemake.params.why_distorted,
        bias=snakemake.params.bias,
        seed=snakemake.params.seed,
        out_image=snakemake.output.image,
        out_reference=snakemake.params.beside["reference"],
        out_mask=snakemake.params.beside["mask"],
        out_motion=snakemake.params.beside["motion"],
    )
