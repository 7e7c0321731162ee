from snakemake.script import snakemake

from msimaging.steps.change_seeds import change_seeds
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    change_seeds(
        maps=snakemake.input.maps,
        networks=snakemake.params.networks,
        names=snakemake.params.names,
        scans=snakemake.params.scans,
        grades=snakemake.params.grades,
        sessions=snakemake.params.sessions,
        out_maps=snakemake.output.maps,
    )
