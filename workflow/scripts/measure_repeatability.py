from snakemake.script import snakemake

from msimaging.steps.measure_repeatability import measure_repeatability
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    measure_repeatability(
        diffusion=snakemake.params.regions,
        functional=snakemake.params.networks,
        strengths=snakemake.params.strengths,
        diffusion_rows=snakemake.params.diffusion,
        functional_rows=snakemake.params.functional,
        confidence=snakemake.params.confidence,
        out_table=snakemake.output.table,
    )
