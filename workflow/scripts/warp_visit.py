from snakemake.script import snakemake

from msimaging.steps.records import job_log
from msimaging.steps.warp_visit import warp_visit

with job_log(snakemake.log[0]):
    warp_visit(
        image=snakemake.params.image,
        mask=snakemake.params.mask,
        midpoint=snakemake.params.midpoint,
        template=snakemake.params.beside["template"],
        lesions=snakemake.input.lesions,
        poses=snakemake.params.poses,
        session=snakemake.wildcards.ses,
        sessions=snakemake.params.sessions,
        out_to_visit=snakemake.output.to_visit,
        out_from_visit=snakemake.output.from_visit,
        out_log_jacobian=snakemake.output.log_jacobian,
    )
