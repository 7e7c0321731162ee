from snakemake.script import snakemake

from msimaging.steps.map_seeds import map_seeds
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    map_seeds(
        image=snakemake.input.image,
        mask=snakemake.params.mask,
        confounds=snakemake.params.confounds,
        volumes=snakemake.params.volumes,
        dropped=snakemake.params.dropped,
        midpoint=snakemake.params.midpoint,
        from_template=snakemake.params.from_template,
        to_template=snakemake.params.to_template,
        session=snakemake.wildcards.ses,
        seeds=snakemake.params.seeds,
        own=snakemake.params.own,
        min_coverage=snakemake.params.min_coverage,
        strategy=snakemake.params.strategy,
        own_strategies=snakemake.params.own_strategies,
        high_pass=snakemake.params.high_pass,
        low_pass=snakemake.params.low_pass,
        smoothing=snakemake.params.smoothing,
        resolution=snakemake.params.resolution,
        out_maps=snakemake.output.maps,
    )
