from snakemake.script import snakemake

from msimaging.steps.collect_quality import collect_quality
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    collect_quality(
        scans=snakemake.params.scans,
        pairs=snakemake.params.pairs,
        confidence=snakemake.params.confidence,
        seed=snakemake.params.seed,
        out_table=snakemake.output.table,
        out_tests=snakemake.output.tests,
    )
