from snakemake.script import snakemake

from msimaging.steps.extract_parcels import extract_parcels
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    extract_parcels(
        image=snakemake.input.image,
        sidecar=snakemake.params.files["sidecar"],
        mask=snakemake.params.files["mask"],
        motion=snakemake.params.files["motion"],
        given_confounds=list(snakemake.input.get("given_confounds", [])),
        midpoint=snakemake.params.files["midpoint"],
        to_template=snakemake.params.files["to_template"],
        session=snakemake.wildcards.ses,
        sessions=snakemake.params.sessions,
        lesions=snakemake.input.lesions,
        poses=snakemake.params.files["poses"],
        atlases=snakemake.params.atlases,
        own=snakemake.params.own,
        min_coverage=snakemake.params.min_coverage,
        out_confounds=snakemake.output.confounds,
        out_series=snakemake.params.files["series"],
        out_coverage=snakemake.params.files["coverage"],
    )
