from snakemake.script import snakemake

from msimaging.steps.connect_group import connect_group
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    connect_group(
        series=snakemake.params.series,
        n_atlases=snakemake.params.n_atlases,
        patients=snakemake.params.patients,
        reference=snakemake.params.reference,
        estimator=snakemake.params.estimator,
        out_matrices=snakemake.output.matrices,
    )
