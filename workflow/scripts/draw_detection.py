from snakemake.script import snakemake

from msimaging.steps.draw_detection import draw_detection
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    draw_detection(
        style=snakemake.params.style,
        out_figure=snakemake.output.figures,
    )
