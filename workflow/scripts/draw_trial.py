from snakemake.script import snakemake

from msimaging.steps.draw_trial import draw_trial
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    draw_trial(
        figure=snakemake.params.figure,
        tables=dict(snakemake.input.items()),
        settings=snakemake.params.settings,
        style=snakemake.params.style,
        out_figure=snakemake.output.figure,
    )
