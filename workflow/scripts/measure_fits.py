from snakemake.script import snakemake

from msimaging.steps.measure_fits import measure_fits
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    measure_fits(
        image=snakemake.input.image,
        bval=snakemake.input.bval,
        bvec=snakemake.input.bvec,
        mask=snakemake.input.mask,
        weights=snakemake.input.weights,
        midpoint=snakemake.input.midpoint,
        to_template=snakemake.input.to_template,
        session=snakemake.wildcards.ses,
        atlases=snakemake.params.atlases,
        own=snakemake.params.own,
        methods=snakemake.params.methods,
        out_tables=snakemake.output.tables,
    )
