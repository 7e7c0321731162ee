from snakemake.script import snakemake

from msimaging.steps.build_space import build_space
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    build_space(
        images=snakemake.params.images,
        masks=snakemake.params.masks,
        sessions=snakemake.params.sessions,
        lesions=snakemake.input.lesions,
        contrast=snakemake.params.contrast,
        working_resolution=snakemake.params.working_resolution,
        seed=snakemake.params.seed,
        anatomical=[snakemake.input.anatomical] if snakemake.input.get("anatomical") else [],
        anatomical_session=snakemake.params.get("anatomical_session", ""),
        out_midpoint=snakemake.params.beside["midpoint"],
        out_template=snakemake.params.beside["template"],
        out_from_template=snakemake.output.from_template,
        out_to_template=snakemake.params.beside["to_template"],
    )
