from snakemake.script import snakemake

from msimaging.steps.records import job_log
from msimaging.steps.write_report import write_report

with job_log(snakemake.log[0]):
    write_report(
        settings=snakemake.params.settings,
        patients=snakemake.params.patients,
        scans=snakemake.params.scans,
        comparisons=snakemake.params.comparisons,
        ledger=snakemake.input.ledger,
        measures=snakemake.input.measures,
        changes=snakemake.input.changes,
        results=snakemake.input.results,
        quality=snakemake.input.quality,
        quality_tests=snakemake.input.quality_tests,
        figures=snakemake.params.figures,
        maps=snakemake.params.maps,
        strengths=snakemake.params.strengths,
        strength_rows=snakemake.params.strength_rows,
        more=snakemake.params.more,
        out_page=snakemake.output.page,
    )
