from snakemake.script import snakemake

from msimaging.steps.build_space import join_space
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    join_space(
        image=snakemake.params.image,
        mask=snakemake.params.mask,
        template=snakemake.params.beside["template"],
        session=snakemake.wildcards.ses,
        seed=snakemake.params.seed,
        out_pose=snakemake.output.pose,
    )
