from snakemake.script import snakemake

from msimaging.steps.draw_regions import draw_regions
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    draw_regions(
        changes=snakemake.input.changes,
        results=snakemake.input.results,
        atlas=snakemake.params.atlas,
        measure=snakemake.params.measure,
        style=snakemake.params.style,
        out_slopes=snakemake.output.slopes,
        out_forest=snakemake.output.forest,
        out_agreement=snakemake.output.agreement,
    )
