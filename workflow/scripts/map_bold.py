from snakemake.script import snakemake

from msimaging.steps.map_bold import map_bold
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    map_bold(
        image=snakemake.input.image,
        mask=snakemake.params.mask,
        confounds=snakemake.params.confounds,
        volumes=snakemake.params.volumes,
        dropped=snakemake.params.dropped,
        session=snakemake.wildcards.ses,
        strategy=snakemake.params.strategy,
        own_strategies=snakemake.params.own_strategies,
        high_pass=snakemake.params.high_pass,
        low_pass=snakemake.params.low_pass,
        out_alff=snakemake.output.alff,
        out_falff=snakemake.output.falff,
        out_reho=snakemake.output.reho,
    )
