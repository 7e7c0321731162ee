from snakemake.script import snakemake

from msimaging.steps.change_patient_connectivity import change_patient_connectivity
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    change_patient_connectivity(
        pairs=snakemake.params.pairs,
        grades=snakemake.params.grades,
        repeatability=snakemake.input.repeatability,
        atlases=snakemake.params.atlases,
        confidence=snakemake.params.confidence,
        out_list=snakemake.output.changed,
    )
