rule measure_repeatability:
    input:
        measured=later(PLAN.measured_repeats),
        connected=later(PLAN.connected_repeats),
    output:
        table=output("repeatability"),
    log:
        log("measure_repeatability"),
    benchmark:
        benchmark("measure_repeatability")
    threads: 1
    resources:
        mem_mb=memory("measure_repeatability"),
        runtime=minutes("measure_repeatability"),
    params:
        code=code("measure_repeatability"),
        diffusion=later(PLAN.repeat_rows, "dwi", PLAN.diffusion_atlases),
        regions=later(
            PLAN.of_repeats, "dwi", "tensor_regions", atlas=PLAN.diffusion_atlases
        ),
        functional=later(PLAN.repeat_rows, "bold", PLAN.functional_atlases),
        networks=later(
            PLAN.of_repeats,
            "bold",
            "network_means",
            atlas=PLAN.functional_atlases,
            task=TASK,
        ),
        strengths=later(
            PLAN.of_repeats,
            "bold",
            "strength",
            atlas=PLAN.functional_atlases,
            task=TASK,
        ),
        confidence=SETTINGS["statistics"]["confidence"],
    script:
        "../scripts/measure_repeatability.py"


rule change_diffusion:
    input:
        measured=output("dwi_measured"),
        atlases=atlas_files(PLAN.diffusion_atlases),
        repeatability=PLAN.repeatability(),
    output:
        changed=output("dwi_changed"),
    log:
        log("change_diffusion", "sub"),
    benchmark:
        benchmark("change_diffusion", "sub")
    threads: 1
    resources:
        mem_mb=memory("change_diffusion", "dwi"),
        runtime=minutes("change_diffusion", "dwi"),
    params:
        code=code("change_patient_diffusion"),
        pairs=for_patient(dwi_changes),
        grades=SETTINGS["comparability"],
        measures=TENSOR_MEASURES,
        atlases=PLAN.diffusion_atlases,
        own=SETTINGS["atlases"]["files"],
        confidence=SETTINGS["statistics"]["confidence"],
        rescan_cov_percent=SETTINGS["statistics"]["rescan_cov_percent"],
    script:
        "../scripts/change_diffusion.py"


rule change_lesions:
    input:
        lesions=lesions_of_pair,
        ways=ways_of_pair("dwi"),
    output:
        table=output("lesion_change"),
    log:
        log("change_lesions", "sub", "pair"),
    benchmark:
        benchmark("change_lesions", "sub", "pair")
    threads: 1
    resources:
        mem_mb=memory("change_lesions", "dwi"),
        runtime=minutes("change_lesions", "dwi"),
    params:
        code=code("change_lesions"),
        beside=space_of_patient("dwi"),
        midpoints=poses_of_pair("dwi"),
        sessions=sessions_of_pair("dwi"),
    script:
        "../scripts/change_lesions.py"


rule change_seeds:
    input:
        maps=of_pair(
            "bold",
            "seed_map",
            each=("seed", [s["name"] for s in PLAN.seeds]),
            task=TASK,
        ),
        connected=output("bold_connected", task=TASK),
    output:
        maps=PLAN.by_seed("seed_change")
        or output("seed_change", task=TASK, seed="none"),
    log:
        log("change_seeds", "sub", "pair"),
    benchmark:
        benchmark("change_seeds", "sub", "pair")
    threads: 1
    resources:
        mem_mb=memory("change_seeds", "bold"),
        runtime=minutes("change_seeds", "bold"),
    params:
        code=code("change_seeds"),
        names=[seed["name"] for seed in PLAN.seeds],
        networks=of_pair("bold", "network_means", task=TASK, atlas=FIRST_ATLAS),
        sessions=sessions_of_pair("bold"),
        scans=scans_of_pair("bold"),
        grades=SETTINGS["comparability"],
    script:
        "../scripts/change_seeds.py"


rule change_connectivity:
    input:
        connected=output("bold_connected", task=TASK),
        repeatability=PLAN.repeatability(),
    output:
        changed=output("bold_changed", task=TASK),
    log:
        log("change_connectivity", "sub"),
    benchmark:
        benchmark("change_connectivity", "sub")
    threads: 1
    resources:
        mem_mb=memory("change_connectivity", "bold"),
        runtime=minutes("change_connectivity", "bold"),
    params:
        code=code("change_patient_connectivity"),
        pairs=for_patient(bold_changes),
        atlases=PLAN.functional_atlases,
        grades=SETTINGS["comparability"],
        confidence=SETTINGS["statistics"]["confidence"],
    script:
        "../scripts/change_connectivity.py"
