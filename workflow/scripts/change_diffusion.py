from snakemake.script import snakemake

from msimaging.steps.change_patient_diffusion import change_patient_diffusion
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    change_patient_diffusion(
        pairs=snakemake.params.pairs,
        grades=snakemake.params.grades,
        repeatability=snakemake.input.repeatability,
        measures=snakemake.params.measures,
        atlases=snakemake.params.atlases,
        own=snakemake.params.own,
        confidence=snakemake.params.confidence,
        rescan_cov_percent=snakemake.params.rescan_cov_percent,
        out_list=snakemake.output.changed,
    )
