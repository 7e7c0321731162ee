from snakemake.script import snakemake

from msimaging.steps.fit_further_models import fit_visit_kurtosis
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    fit_visit_kurtosis(
        image=snakemake.input.image,
        bval=snakemake.params.beside["bval"],
        bvec=snakemake.params.beside["bvec"],
        mask=snakemake.params.beside["mask"],
        out_maps=dict(zip(snakemake.params.names, snakemake.output.maps, strict=True)),
    )
