from snakemake.script import snakemake

from msimaging.steps.records import job_log
from msimaging.steps.test_changes import test_changes

with job_log(snakemake.log[0]):
    test_changes(
        changes=snakemake.input.changes,
        models=snakemake.input.models,
        families=snakemake.params.families,
        adjustment=snakemake.params.adjustment,
        confidence=snakemake.params.confidence,
        seed=snakemake.params.seed,
        out_table=snakemake.output.table,
    )
