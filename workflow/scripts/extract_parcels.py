from snakemake.script import snakemake

from msimaging.steps.extract_parcels import extract_parcels
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    extract_parcels(
        image=snakemake.input.image,
        sidecar=snakemake.input.sidecar,
        mask=snakemake.input.mask,
        motion=snakemake.input.motion,
        given_confounds=list(snakemake.input.get("given_confounds", [])),
        midpoint=snakemake.input.midpoint,
        to_template=snakemake.input.to_template,
        session=snakemake.wildcards.ses,
        sessions=snakemake.params.sessions,
        lesions=snakemake.input.lesions,
        poses=snakemake.input.poses,
        atlases=snakemake.params.atlases,
        own=snakemake.params.own,
        min_coverage=snakemake.params.min_coverage,
        out_confounds=snakemake.output.confounds,
        out_series=snakemake.output.series,
        out_coverage=snakemake.output.coverage,
    )
