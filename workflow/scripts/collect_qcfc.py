from snakemake.script import snakemake

from msimaging.steps.collect_qcfc import collect_qcfc
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    collect_qcfc(
        matrices=snakemake.params.matrices,
        qualities=snakemake.params.qualities,
        visits=snakemake.params.visits,
        pairs=snakemake.params.pairs,
        atlases=snakemake.params.atlases,
        own=snakemake.params.own,
        out_table=snakemake.output.table,
    )
