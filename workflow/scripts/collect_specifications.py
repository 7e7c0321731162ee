from snakemake.script import snakemake

from msimaging.steps.collect_specifications import collect_specifications
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    collect_specifications(
        networks=snakemake.params.networks,
        visits=snakemake.params.visits,
        pairs=snakemake.params.pairs,
        strategies=snakemake.params.strategies,
        atlases=snakemake.params.atlases,
        confidence=snakemake.params.confidence,
        out_table=snakemake.output.table,
    )
