from snakemake.script import snakemake

from msimaging.steps.collect_outcomes import collect_outcomes
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    collect_outcomes(
        study=".",
        settings=snakemake.params.settings,
        tables=snakemake.input.tables,
        out_outcomes=snakemake.output.outcomes,
        out_patients=snakemake.output.patients,
        out_treatments=snakemake.output.treatments,
        out_events=snakemake.output.events,
        out_safety=snakemake.output.safety,
    )
