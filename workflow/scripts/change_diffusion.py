from snakemake.script import snakemake

from msimaging.steps.change_diffusion import change_diffusion
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    change_diffusion(
        tables=snakemake.params.files["tables"],
        maps=snakemake.params.files["maps"],
        scans=snakemake.params.scans,
        grades=snakemake.params.grades,
        directions=snakemake.input.measured,
        repeatability=snakemake.input.repeatability,
        measures=snakemake.params.measures,
        atlases=snakemake.params.atlases,
        own=snakemake.params.own,
        months=snakemake.params.months,
        confidence=snakemake.params.confidence,
        rescan_cov_percent=snakemake.params.rescan_cov_percent,
        out_tables=snakemake.params.files["out_tables"],
        out_maps=snakemake.params.files["out_maps"],
        out_direction=snakemake.output.direction,
    )
