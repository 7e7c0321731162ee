rule preprocess_dwi:
    input:
        unpack(raw_dwi),
    output:
        image=output("dwi"),
        bval=output("dwi_bval"),
        bvec=output("dwi_bvec"),
        sidecar=output("dwi_sidecar"),
        reference=output("dwi_reference"),
        mask=output("dwi_mask"),
        weights=output("dwi_weights"),
        quality=output("dwi_series_quality"),
        confounds=output("dwi_confounds"),
        orientation=output("dwi_orientation"),
    log:
        log("preprocess_dwi", "sub", "ses"),
    benchmark:
        benchmark("preprocess_dwi", "sub", "ses")
    wildcard_constraints:
        sub=WAYS_IN.pattern("dwi", "raw", "preprocessed"),
    threads: 1
    resources:
        mem_mb=memory("preprocess_dwi", "dwi"),
        runtime=minutes("preprocess_dwi", "dwi"),
    params:
        code=code("preprocess_dwi"),
        denoise=SETTINGS["diffusion"]["denoise"],
        unring=SETTINGS["diffusion"]["unring"],
        outliers=SETTINGS["diffusion"]["outliers"],
        bias=SETTINGS["diffusion"]["bias"],
        why_distorted=why_distorted("dwi"),
        why_moving=why_moving,
        gradients=SETTINGS["diffusion"]["gradients"],
    script:
        "../scripts/preprocess_dwi.py"


rule import_dwi:
    input:
        unpack(raw_dwi),
    output:
        image=output("dwi"),
        bval=output("dwi_bval"),
        bvec=output("dwi_bvec"),
        sidecar=output("dwi_sidecar"),
        reference=output("dwi_reference"),
        mask=output("dwi_mask"),
        weights=output("dwi_weights"),
        quality=output("dwi_series_quality"),
        confounds=output("dwi_confounds"),
    log:
        log("import_dwi", "sub", "ses"),
    benchmark:
        benchmark("import_dwi", "sub", "ses")
    wildcard_constraints:
        sub=WAYS_IN.pattern("dwi", "preprocessed", "raw"),
    threads: 1
    resources:
        mem_mb=memory("import_dwi", "dwi"),
        runtime=minutes("import_dwi", "dwi"),
    params:
        code=code("import_dwi"),
        pipeline=pipeline_of("dwi"),
        gradients=SETTINGS["diffusion"]["gradients"],
    script:
        "../scripts/import_dwi.py"


rule fit_tensor:
    input:
        image=output("dwi"),
    output:
        tensor=output("tensor"),
        quality=output("dwi_quality"),
    log:
        log("fit_tensor", "sub", "ses"),
    benchmark:
        benchmark("fit_tensor", "sub", "ses")
    threads: 1
    resources:
        mem_mb=memory("fit_tensor", "dwi"),
        runtime=minutes("fit_tensor", "dwi"),
    params:
        code=code("fit_tensor"),
        files=for_visit(dwi_files),
        method=SETTINGS["diffusion"]["fit"],
    script:
        "../scripts/fit_tensor.py"


rule fit_free_water:
    input:
        image=output("dwi"),
        bval=output("dwi_bval"),
        bvec=output("dwi_bvec"),
        mask=output("dwi_mask"),
    output:
        maps=[
            output("free_water_map", param=param)
            for param in FURTHER_MODELS["free_water"].measures.values()
        ],
    log:
        log("fit_free_water", "sub", "ses"),
    benchmark:
        benchmark("fit_free_water", "sub", "ses")
    threads: 1
    resources:
        mem_mb=memory("fit_free_water", "dwi"),
        runtime=minutes("fit_free_water", "dwi"),
    params:
        code=code("fit_further_models"),
        names=list(FURTHER_MODELS["free_water"].measures.values()),
    script:
        "../scripts/fit_free_water.py"


rule fit_kurtosis:
    input:
        image=output("dwi"),
        bval=output("dwi_bval"),
        bvec=output("dwi_bvec"),
        mask=output("dwi_mask"),
    output:
        maps=[
            output("kurtosis_map", param=param)
            for param in FURTHER_MODELS["kurtosis"].measures.values()
        ],
    log:
        log("fit_kurtosis", "sub", "ses"),
    benchmark:
        benchmark("fit_kurtosis", "sub", "ses")
    threads: 1
    resources:
        mem_mb=memory("fit_kurtosis", "dwi"),
        runtime=minutes("fit_kurtosis", "dwi"),
    params:
        code=code("fit_further_models"),
        names=list(FURTHER_MODELS["kurtosis"].measures.values()),
    script:
        "../scripts/fit_kurtosis.py"


rule build_dwi_space:
    input:
        tensors=of_founders("dwi", "tensor"),
        lesions=lesions_of_founders("dwi"),
    output:
        midpoint=output("dwi_midpoint"),
        template=output("dwi_template"),
        from_template=output("dwi_from_template"),
        to_template=output("dwi_to_template"),
    log:
        log("build_dwi_space", "sub"),
    benchmark:
        benchmark("build_dwi_space", "sub")
    threads: 1
    resources:
        mem_mb=memory("build_space", "dwi"),
        runtime=minutes("build_space", "dwi"),
    params:
        code=code("build_space"),
        images=of_founders("dwi", "tensor_map", param="fa"),
        masks=of_founders("dwi", "dwi_mask"),
        sessions=founders("dwi"),
        contrast="white matter",
        working_resolution=SETTINGS["spatial"]["working_resolution"],
        seed=SETTINGS["seed"],
    script:
        "../scripts/build_space.py"


rule join_dwi_space:
    input:
        tensor=output("tensor"),
        template=rules.build_dwi_space.output.template,
    output:
        pose=output("dwi_pose"),
    log:
        log("join_dwi_space", "sub", "ses"),
    benchmark:
        benchmark("join_dwi_space", "sub", "ses")
    threads: 1
    resources:
        mem_mb=memory("join_space", "dwi"),
        runtime=minutes("join_space", "dwi"),
    params:
        code=code("build_space"),
        image=of_visit("tensor_map", param="fa"),
        mask=output("dwi_mask"),
        seed=SETTINGS["seed"],
    script:
        "../scripts/join_space.py"


rule warp_dwi_visit:
    input:
        tensor=output("tensor"),
        midpoint=pose("dwi"),
        template=rules.build_dwi_space.output.template,
        lesions=lesions_of_patient("dwi"),
        poses=poses_of_patient("dwi"),
    output:
        to_visit=output("dwi_warp_to_visit"),
        from_visit=output("dwi_warp_from_visit"),
        log_jacobian=output("dwi_log_jacobian"),
    log:
        log("warp_dwi_visit", "sub", "ses"),
    benchmark:
        benchmark("warp_dwi_visit", "sub", "ses")
    threads: 1
    resources:
        mem_mb=memory("warp_visit", "dwi"),
        runtime=minutes("warp_visit", "dwi"),
    params:
        code=code("warp_visit"),
        image=of_visit("tensor_map", param="fa"),
        mask=of_visit("dwi_mask"),
        sessions=sessions_of_patient("dwi"),
    script:
        "../scripts/warp_visit.py"


rule split_tissue:
    input:
        lesions=lesions_of_patient("dwi"),
        midpoints=poses_of_patient("dwi"),
        template=rules.build_dwi_space.output.template,
    output:
        image=output("lesion_tissue"),
    log:
        log("split_tissue", "sub"),
    benchmark:
        benchmark("split_tissue", "sub")
    threads: 1
    resources:
        mem_mb=memory("split_tissue", "dwi"),
        runtime=minutes("split_tissue", "dwi"),
    params:
        code=code("split_tissue"),
        sessions=sessions_of_patient("dwi"),
        rim_mm=SETTINGS["spatial"]["lesion_rim_mm"],
    script:
        "../scripts/split_tissue.py"


rule measure_diffusion:
    input:
        tensor=rules.fit_tensor.output.tensor,
        further=with_signature(lambda wildcards: list(further_maps(wildcards).values())),
        midpoint=pose("dwi"),
        lesions=lesion_of_visit("dwi"),
        tissue=tissue_of_patient,
        warps=warps_of_visit,
        atlases=atlas_files(PLAN.diffusion_atlases),
    output:
        direction=output("direction_template"),
    log:
        log("measure_diffusion", "sub", "ses"),
    benchmark:
        benchmark("measure_diffusion", "sub", "ses")
    threads: 1
    resources:
        mem_mb=memory("measure_diffusion", "dwi"),
        runtime=minutes("measure_diffusion", "dwi"),
    params:
        code=code("map_visit"),
        files=for_visit(dwi_files),
        atlases=PLAN.diffusion_atlases,
        own=SETTINGS["atlases"]["files"],
        further=further_maps,
        measure_in=SETTINGS["spatial"]["measure_in"],
        n_samples=SETTINGS["diffusion"]["bootstrap_samples"],
        seed=SETTINGS["seed"],
        made_by=made_by("diffusion"),
        resolution=SETTINGS["spatial"]["map_resolution"],
    script:
        "../scripts/measure_diffusion.py"


rule measure_fits:
    input:
        image=output("dwi"),
        bval=output("dwi_bval"),
        bvec=output("dwi_bvec"),
        mask=output("dwi_mask"),
        weights=output("dwi_weights"),
        midpoint=pose("dwi"),
        to_template=rules.build_dwi_space.output.to_template,
        atlases=atlas_files(PLAN.diffusion_atlases),
    output:
        tables=[
            output("tensor_regions_by_fit", atlas=atlas)
            for atlas in PLAN.diffusion_atlases
        ],
    log:
        log("measure_fits", "sub", "ses"),
    benchmark:
        benchmark("measure_fits", "sub", "ses")
    threads: 1
    resources:
        mem_mb=memory("measure_fits", "dwi"),
        runtime=minutes("measure_fits", "dwi"),
    params:
        code=code("measure_fits"),
        atlases=PLAN.diffusion_atlases,
        own=SETTINGS["atlases"]["files"],
        methods=PLAN.other_fits(),
    script:
        "../scripts/measure_fits.py"
