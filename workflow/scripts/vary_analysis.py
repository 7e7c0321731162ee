from snakemake.script import snakemake

from msimaging.steps.records import job_log
from msimaging.steps.vary_analysis import vary_analysis

with job_log(snakemake.log[0]):
    vary_analysis(
        name=snakemake.params.name,
        settings=snakemake.params.settings,
        outcomes=snakemake.input.outcomes,
        patients=snakemake.input.patients,
        measures=snakemake.input.measures,
        changes=snakemake.input.changes,
        specifications=snakemake.input.specifications,
        fit=snakemake.params.fit,
        fits=snakemake.input.fits,
        out_table=snakemake.output.table,
    )
