from snakemake.script import snakemake

from msimaging.steps.fit_model import fit_model
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    fit_model(
        name=snakemake.wildcards.model,
        settings=snakemake.params.settings,
        outcomes=snakemake.input.outcomes,
        patients=snakemake.input.patients,
        measures=snakemake.input.measures,
        changes=snakemake.input.changes,
        motion=snakemake.params.motion_files,
        motion_rows=snakemake.params.motion,
        edges=snakemake.params.edge_files,
        edge_rows=snakemake.params.edges,
        out_results=snakemake.output.results,
        out_tests=snakemake.output.tests,
        out_patients=snakemake.output.contributions,
        out_notes=snakemake.output.notes,
        out_counts=snakemake.output.counts,
    )
