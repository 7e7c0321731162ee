from snakemake.script import snakemake

from msimaging.steps.fit_tensor import fit_visit_tensor
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    fit_visit_tensor(
        image=snakemake.input.image,
        bval=snakemake.input.bval,
        bvec=snakemake.input.bvec,
        mask=snakemake.input.mask,
        weights=snakemake.input.weights,
        series_quality=snakemake.input.series_quality,
        method=snakemake.params.method,
        out_tensor=snakemake.output.tensor,
        out_maps=dict(zip(snakemake.params.names, snakemake.output.maps, strict=True)),
        out_quality=snakemake.output.quality,
    )
