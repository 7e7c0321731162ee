from snakemake.script import snakemake

from msimaging.steps.collect_changes import collect_changes
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    collect_changes(
        diffusion=snakemake.params.regions,
        functional=snakemake.params.networks,
        diffusion_rows=snakemake.params.diffusion,
        functional_rows=snakemake.params.functional,
        out_table=snakemake.output.table,
    )
