from snakemake.script import snakemake

from msimaging.steps.draw_patient_maps import draw_patient_maps
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    draw_patient_maps(
        maps=snakemake.input.maps,
        changes=snakemake.input.changes,
        measures=snakemake.params.measures,
        visits=snakemake.params.visits,
        style=snakemake.params.style,
        out_maps=snakemake.output.maps,
        out_changes=snakemake.output.changes,
        out_compared=snakemake.output.compared,
    )
