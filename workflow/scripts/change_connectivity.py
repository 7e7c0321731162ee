from snakemake.script import snakemake

from msimaging.steps.change_connectivity import change_connectivity
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    change_connectivity(
        matrices=snakemake.params.matrices,
        variances=snakemake.params.variances,
        networks=snakemake.params.networks,
        strengths=snakemake.params.files["strengths"],
        scans=snakemake.params.scans,
        grades=snakemake.params.grades,
        sessions=snakemake.params.sessions,
        repeatability=snakemake.input.repeatability,
        atlases=snakemake.params.atlases,
        months=snakemake.params.months,
        confidence=snakemake.params.confidence,
        out_matrices=snakemake.output.matrices,
        out_errors=snakemake.output.errors,
        out_tables=snakemake.output.tables,
        out_strengths=snakemake.params.files["out_strengths"],
    )
