from snakemake.script import snakemake

from msimaging.steps.records import job_log
from msimaging.steps.write_report import write_report

with job_log(snakemake.log[0]):
    write_report(
        study=".",
        settings=snakemake.params.settings,
        figures=snakemake.input.figures,
        out_page=snakemake.output.page,
    )
