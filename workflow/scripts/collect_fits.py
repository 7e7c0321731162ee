from snakemake.script import snakemake

from msimaging.steps.collect_fits import collect_fits
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    collect_fits(
        regions=snakemake.input.regions,
        visits=snakemake.params.visits,
        pairs=snakemake.params.pairs,
        atlases=snakemake.params.atlases,
        out_table=snakemake.output.table,
    )
