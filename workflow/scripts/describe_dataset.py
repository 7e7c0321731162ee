from snakemake.script import snakemake

from msimaging.steps.describe_dataset import describe_dataset
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    describe_dataset(
        bids_dir=snakemake.params.bids_dir,
        derivatives=snakemake.params.derivatives,
        patients=snakemake.params.patients,
        out_description=snakemake.output.description,
        out_participants=snakemake.output.participants,
    )
