from snakemake.script import snakemake

from msimaging.steps.plan_next_trial import plan_next_trial
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    plan_next_trial(
        name=snakemake.params.name,
        settings=snakemake.params.settings,
        next_trial=snakemake.params.next_trial,
        outcomes=snakemake.input.outcomes,
        patients=snakemake.input.patients,
        measures=snakemake.input.measures,
        changes=snakemake.input.changes,
        contributions=snakemake.input.contributions,
        out_plan=snakemake.output.plan,
        out_curves=snakemake.output.curves,
    )
