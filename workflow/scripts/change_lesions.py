from snakemake.script import snakemake

from msimaging.steps.change_lesions import change_lesions
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    change_lesions(
        lesions=snakemake.input.lesions,
        midpoints=snakemake.params.midpoints,
        template=snakemake.params.beside["template"],
        sessions=snakemake.params.sessions,
        out_table=snakemake.output.table,
    )
