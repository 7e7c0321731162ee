from snakemake.script import snakemake

from msimaging.steps.connect_parcels import connect_parcels
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    connect_parcels(
        series=snakemake.input.series,
        confounds=snakemake.input.confounds,
        volumes=snakemake.input.volumes,
        dropped=snakemake.input.dropped,
        session=snakemake.wildcards.ses,
        atlases=snakemake.params.atlases,
        own=snakemake.params.own,
        strategies=snakemake.params.strategies,
        own_strategies=snakemake.params.own_strategies,
        high_pass=snakemake.params.high_pass,
        low_pass=snakemake.params.low_pass,
        kinds=snakemake.params.kinds,
        out_denoised=snakemake.output.denoised,
        out_variances=snakemake.output.variances,
        out_networks=snakemake.output.networks,
        out_matrices=snakemake.output.matrices,
    )
