rule preprocess_dwi:
    input:
        unpack(raw_dwi),
    output:
        image=output("dwi"),
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
        beside=for_visit(dwi_series_files),
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
        beside=for_visit(dwi_series_files),
        pipeline=pipeline_of("dwi"),
        gradients=SETTINGS["diffusion"]["gradients"],
    script:
        "../scripts/import_dwi.py"


rule fit_tensor:
    input:
        image=output("dwi"),
    output:
        tensor=output("tensor"),
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
        files=for_visit(fit_files),
        method=SETTINGS["diffusion"]["fit"],
    script:
        "../scripts/fit_tensor.py"


rule fit_free_water:
    input:
        image=output("dwi"),
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
        beside=for_visit(dwi_series_files),
        names=list(FURTHER_MODELS["free_water"].measures.values()),
    script:
        "../scripts/fit_free_water.py"


rule fit_kurtosis:
    input:
        image=output("dwi"),
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
        beside=for_visit(dwi_series_files),
        names=list(FURTHER_MODELS["kurtosis"].measures.values()),
    script:
        "../scripts/fit_kurtosis.py"


rule build_dwi_space:
    input:
        tensors=of_founders("dwi", "tensor"),
        lesions=lesions_of_founders("dwi"),
    output:
        from_template=output("dwi_from_template"),
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
        beside=space_of_patient("dwi"),
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
        space=rules.build_dwi_space.output.from_template,
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
        beside=space_of_patient("dwi"),
        image=of_visit("tensor_map", param="fa"),
        mask=output("dwi_mask"),
        seed=SETTINGS["seed"],
    script:
        "../scripts/join_space.py"


rule warp_dwi_visit:
    input:
        tensor=output("tensor"),
        ways=ways_of_patient("dwi"),
        lesions=lesions_of_patient("dwi"),
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
        beside=space_of_patient("dwi"),
        midpoint=pose("dwi"),
        poses=poses_of_patient("dwi"),
        image=of_visit("tensor_map", param="fa"),
        mask=of_visit("dwi_mask"),
        sessions=sessions_of_patient("dwi"),
    script:
        "../scripts/warp_visit.py"


rule split_tissue:
    input:
        lesions=lesions_of_patient("dwi"),
        ways=ways_of_patient("dwi"),
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
        beside=space_of_patient("dwi"),
        midpoints=poses_of_patient("dwi"),
        sessions=sessions_of_patient("dwi"),
        rim_mm=SETTINGS["spatial"]["lesion_rim_mm"],
    script:
        "../scripts/split_tissue.py"


rule measure_diffusion:
    input:
        tensors=of_patient("dwi", "tensor"),
        further=further_of_patient,
        ways=ways_of_patient("dwi"),
        lesions=lesions_of_patient("dwi"),
        tissue=tissue_of_patient,
        warps=warps_of_patient,
        atlases=atlas_files(PLAN.diffusion_atlases),
    output:
        measured=output("dwi_measured"),
    log:
        log("measure_diffusion", "sub"),
    benchmark:
        benchmark("measure_diffusion", "sub")
    threads: 1
    resources:
        mem_mb=memory("measure_diffusion", "dwi"),
        runtime=minutes("measure_diffusion", "dwi"),
    params:
        code=code("measure_patient"),
        visits=for_patient(measured_visits),
        atlases=PLAN.diffusion_atlases,
        own=SETTINGS["atlases"]["files"],
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
        ways=ways_of_visit("dwi"),
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
        beside=for_visit(dwi_series_files),
        to_template=output("dwi_to_template"),
        midpoint=pose("dwi"),
        atlases=PLAN.diffusion_atlases,
        own=SETTINGS["atlases"]["files"],
        methods=PLAN.other_fits(),
    script:
        "../scripts/measure_fits.py"
