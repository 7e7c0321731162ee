from snakemake.script import snakemake

from msimaging.steps.extract_patient import extract_patient
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    extract_patient(
        visits=snakemake.params.visits,
        sessions=snakemake.params.sessions,
        lesions=snakemake.input.lesions,
        poses=snakemake.params.poses,
        atlases=snakemake.params.atlases,
        own=snakemake.params.own,
        min_coverage=snakemake.params.min_coverage,
        out_list=snakemake.output.extracted,
    )
