rule change_diffusion:
    input:
        tables=of_pair("dwi", "tensor_regions", each=("atlas", PLAN.diffusion_atlases)),
        maps=of_pair("dwi", "tensor_map_template", each=("param", TENSOR_MEASURES)),
        sidecars=of_pair("dwi", "dwi_sidecar"),
    output:
        tables=[
            output("tensor_region_change", atlas=atlas)
            for atlas in PLAN.diffusion_atlases
        ],
        maps=[output("tensor_map_change", param=param) for param in TENSOR_MEASURES],
    log:
        log("change_diffusion", "sub", "pair"),
    benchmark:
        benchmark("change_diffusion", "sub", "pair")
    threads: 1
    resources:
        mem_mb=memory("change_diffusion", "dwi"),
        runtime=minutes("change_diffusion", "dwi"),
    params:
        code=code("change_diffusion"),
        measures=TENSOR_MEASURES,
        months=months_of_pair("dwi"),
        confidence=SETTINGS["statistics"]["confidence"],
        rescan_cov_percent=SETTINGS["statistics"]["rescan_cov_percent"],
    script:
        "../scripts/change_diffusion.py"


rule change_connectivity:
    input:
        matrices=of_pair(
            "bold",
            "connectivity",
            each=("atlas", PLAN.functional_atlases),
            task=TASK,
            stat="pearsoncorrelation",
        ),
        variances=of_pair(
            "bold",
            "connectivity_variance",
            each=("atlas", PLAN.functional_atlases),
            task=TASK,
        ),
        networks=of_pair(
            "bold", "network_means", each=("atlas", PLAN.functional_atlases), task=TASK
        ),
        sidecars=of_pair("bold", "bold_sidecar", task=TASK),
    output:
        errors=[
            output("connectivity_change_error", task=TASK, atlas=atlas)
            for atlas in PLAN.functional_atlases
        ],
        matrices=[
            output("connectivity_change", task=TASK, atlas=atlas)
            for atlas in PLAN.functional_atlases
        ],
        tables=[
            output("network_change", task=TASK, atlas=atlas)
            for atlas in PLAN.functional_atlases
        ],
    log:
        log("change_connectivity", "sub", "pair"),
    benchmark:
        benchmark("change_connectivity", "sub", "pair")
    threads: 1
    resources:
        mem_mb=memory("change_connectivity", "bold"),
        runtime=minutes("change_connectivity", "bold"),
    params:
        code=code("change_connectivity"),
        sessions=sessions_of_pair("bold"),
        months=months_of_pair("bold"),
        confidence=SETTINGS["statistics"]["confidence"],
    script:
        "../scripts/change_connectivity.py"
