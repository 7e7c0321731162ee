from snakemake.script import snakemake

from msimaging.steps.look_at_bold import look_at_bold
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    look_at_bold(
        image=snakemake.input.image,
        reference=snakemake.input.reference,
        mask=snakemake.input.mask,
        confounds=snakemake.input.confounds,
        denoised=snakemake.input.denoised,
        coverage=snakemake.input.coverage,
        matrix=snakemake.input.matrix,
        midpoint=snakemake.input.midpoint,
        to_template=snakemake.input.to_template,
        session=snakemake.wildcards.ses,
        atlas=snakemake.params.atlas,
        own=snakemake.params.own,
        min_coverage=snakemake.params.min_coverage,
        style=snakemake.params.style,
        out_quality=snakemake.output.quality,
        out_tsnr=snakemake.output.tsnr,
        out_pictures=dict(snakemake.output.items()),
    )
