from snakemake.script import snakemake

from msimaging.steps.records import job_log
from msimaging.steps.write_ledger import write_ledger

with job_log(snakemake.log[0]):
    write_ledger(
        study=".",
        settings=snakemake.params.settings,
        out_table=snakemake.output.table,
    )
