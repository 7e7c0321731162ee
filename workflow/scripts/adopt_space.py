from snakemake.script import snakemake

from msimaging.steps.adopt_space import adopt_space
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    adopt_space(
        images=snakemake.params.images,
        sessions=snakemake.params.sessions,
        working_resolution=snakemake.params.working_resolution,
        out_midpoint=snakemake.params.beside["midpoint"],
        out_template=snakemake.params.beside["template"],
        out_from_template=snakemake.output.from_template,
        out_to_template=snakemake.params.beside["to_template"],
    )
