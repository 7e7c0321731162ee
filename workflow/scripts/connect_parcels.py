from snakemake.script import snakemake

from msimaging.steps.connect_patient import connect_patient
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    connect_patient(
        visits=snakemake.params.visits,
        atlases=snakemake.params.atlases,
        own=snakemake.params.own,
        strategies=snakemake.params.strategies,
        own_strategies=snakemake.params.own_strategies,
        high_pass=snakemake.params.high_pass,
        low_pass=snakemake.params.low_pass,
        kinds=snakemake.params.kinds,
        matching=snakemake.params.matching,
        min_coverage=snakemake.params.min_coverage,
        min_minutes=snakemake.params.min_minutes,
        min_volumes=snakemake.params.min_volumes,
        seed=snakemake.params.seed,
        out_dropped=snakemake.params.dropped,
        out_volumes=snakemake.params.volumes,
        out_list=snakemake.output.connected,
    )
