from snakemake.script import snakemake

from msimaging.steps.measure_patient import measure_patient
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    measure_patient(
        visits=snakemake.params.visits,
        tissue=snakemake.input.tissue,
        atlases=snakemake.params.atlases,
        own=snakemake.params.own,
        measure_in=snakemake.params.measure_in,
        n_samples=snakemake.params.n_samples,
        seed=snakemake.params.seed,
        settings=snakemake.params.made_by["settings"],
        resolution=snakemake.params.resolution,
        out_list=snakemake.output.measured,
    )
