from snakemake.script import snakemake

from msimaging.steps.fit_tensor import fit_visit_tensor
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    fit_visit_tensor(
        image=snakemake.input.image,
        bval=snakemake.params.files["bval"],
        bvec=snakemake.params.files["bvec"],
        mask=snakemake.params.files["mask"],
        weights=snakemake.params.files["weights"],
        series_quality=snakemake.params.files["series_quality"],
        method=snakemake.params.method,
        out_tensor=snakemake.output.tensor,
        out_maps=snakemake.params.files["maps"],
        out_quality=snakemake.params.files["quality"],
    )
