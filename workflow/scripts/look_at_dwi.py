from snakemake.script import snakemake

from msimaging.steps.look_at_dwi import look_at_dwi
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    look_at_dwi(
        bval=snakemake.input.bval,
        bvec=snakemake.input.bvec,
        confounds=snakemake.input.confounds,
        reference=snakemake.input.reference,
        mask=snakemake.input.mask,
        residual=snakemake.input.residual,
        style=snakemake.params.style,
        out_pictures=dict(snakemake.output.items()),
    )
