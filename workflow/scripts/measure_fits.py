from snakemake.script import snakemake

from msimaging.steps.measure_fits import measure_fits
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    measure_fits(
        image=snakemake.input.image,
        bval=snakemake.params.beside["bval"],
        bvec=snakemake.params.beside["bvec"],
        mask=snakemake.params.beside["mask"],
        weights=snakemake.params.beside["weights"],
        midpoint=snakemake.params.midpoint,
        to_template=snakemake.params.to_template,
        session=snakemake.wildcards.ses,
        atlases=snakemake.params.atlases,
        own=snakemake.params.own,
        methods=snakemake.params.methods,
        out_tables=snakemake.output.tables,
    )
