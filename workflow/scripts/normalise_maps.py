from snakemake.script import snakemake

from msimaging.steps.normalise_maps import normalise_maps
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    normalise_maps(
        maps=snakemake.input.maps,
        measures=snakemake.params.measures,
        tensor=snakemake.input.tensor,
        mask=snakemake.input.mask,
        midpoint=snakemake.input.midpoint,
        from_template=snakemake.input.from_template,
        session=snakemake.wildcards.ses,
        resolution=snakemake.params.resolution,
        out_maps=snakemake.output.maps,
        out_tensor=snakemake.output.tensor,
        out_direction=snakemake.output.direction,
    )
