from snakemake.script import snakemake

from msimaging.steps.map_visit import map_visit
from msimaging.steps.records import job_log

with job_log(snakemake.log[0]):
    map_visit(
        image=snakemake.params.files["image"],
        bval=snakemake.params.files["bval"],
        bvec=snakemake.params.files["bvec"],
        mask=snakemake.params.files["mask"],
        tensor=snakemake.input.tensor,
        maps=snakemake.params.files["measured"],
        further=snakemake.params.further,
        midpoint=snakemake.input.midpoint,
        to_template=snakemake.params.files["to_template"],
        from_template=snakemake.params.files["from_template"],
        warps=snakemake.input.warps,
        session=snakemake.wildcards.ses,
        lesions=snakemake.input.lesions,
        tissue=snakemake.input.tissue,
        atlases=snakemake.params.atlases,
        own=snakemake.params.own,
        measure_in=snakemake.params.measure_in,
        resolution=snakemake.params.resolution,
        n_samples=snakemake.params.n_samples,
        seed=snakemake.params.seed,
        settings=snakemake.params.made_by["settings"],
        out_tables=snakemake.params.files["regions"],
        out_maps=snakemake.params.files["template_maps"],
        out_tensor=snakemake.params.files["template_tensor"],
        out_direction=snakemake.output.direction,
    )
