from snakemake.script import snakemake

from msimaging.steps.collect_models import collect_models
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    collect_models(
        tests=snakemake.input.tests,
        contributions=snakemake.input.contributions,
        notes=snakemake.input.notes,
        counts=snakemake.input.counts,
        out_tests=snakemake.output.tests,
        out_contributions=snakemake.output.contributions,
        out_notes=snakemake.output.notes,
        out_counts=snakemake.output.counts,
    )
