from snakemake.script import snakemake

from msimaging.steps.measure_diffusion import measure_diffusion
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    measure_diffusion(
        image=snakemake.input.image,
        bval=snakemake.input.bval,
        bvec=snakemake.input.bvec,
        mask=snakemake.input.mask,
        maps=dict(zip(snakemake.params.measures, snakemake.input.maps, strict=True)),
        further=dict(zip(snakemake.params.further, snakemake.input.further, strict=True)),
        midpoint=snakemake.input.midpoint,
        to_template=snakemake.input.to_template,
        session=snakemake.wildcards.ses,
        lesions=snakemake.input.lesions,
        tissue=snakemake.input.tissue,
        atlases=snakemake.params.atlases,
        own=snakemake.params.own,
        n_samples=snakemake.params.n_samples,
        seed=snakemake.params.seed,
        settings=snakemake.params.made_by["settings"],
        out_tables=snakemake.output.tables,
    )
