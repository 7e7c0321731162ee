rule preprocess_bold:
    input:
        unpack(raw_bold),
    output:
        image=output("bold", task=TASK),
    log:
        log("preprocess_bold", "sub", "ses"),
    benchmark:
        benchmark("preprocess_bold", "sub", "ses")
    wildcard_constraints:
        sub=WAYS_IN.pattern("bold", "raw", "preprocessed"),
    threads: 1
    resources:
        mem_mb=memory("preprocess_bold", "bold"),
        runtime=minutes("preprocess_bold", "bold"),
    params:
        code=code("preprocess_bold"),
        beside=for_visit(bold_series_files),
        why_distorted=why_distorted("bold"),
        bias=SETTINGS["functional"]["bias"],
        seed=SETTINGS["seed"],
    script:
        "../scripts/preprocess_bold.py"


rule import_bold:
    input:
        unpack(raw_bold),
    output:
        image=output("bold", task=TASK),
    log:
        log("import_bold", "sub", "ses"),
    benchmark:
        benchmark("import_bold", "sub", "ses")
    wildcard_constraints:
        sub=WAYS_IN.pattern("bold", "preprocessed", "raw"),
    threads: 1
    resources:
        mem_mb=memory("import_bold", "bold"),
        runtime=minutes("import_bold", "bold"),
    params:
        code=code("import_bold"),
        beside=for_visit(bold_series_files),
        pipeline=pipeline_of("bold"),
    script:
        "../scripts/import_bold.py"


rule build_bold_space:
    input:
        runs=of_founders("bold", "bold", task=TASK),
        lesions=lesions_of_founders("bold"),
        anatomical=anatomical_of_patient,
    output:
        from_template=output("bold_from_template", task=TASK),
    log:
        log("build_bold_space", "sub"),
    benchmark:
        benchmark("build_bold_space", "sub")
    wildcard_constraints:
        sub=WAYS_IN.pattern("bold", "in own space", "in template space"),
    threads: 1
    resources:
        mem_mb=memory("build_space", "bold"),
        runtime=minutes("build_space", "bold"),
    params:
        code=code("build_space"),
        beside=space_of_patient("bold"),
        images=of_founders("bold", "bold_reference", task=TASK),
        masks=of_founders("bold", "bold_mask", task=TASK),
        sessions=founders("bold"),
        contrast="bright fluid",
        anatomical_session=anatomical_session,
        working_resolution=SETTINGS["spatial"]["working_resolution"],
        seed=SETTINGS["seed"],
    script:
        "../scripts/build_space.py"


rule adopt_bold_space:
    input:
        runs=of_patient("bold", "bold", task=TASK),
    output:
        from_template=output("bold_from_template", task=TASK),
    log:
        log("adopt_bold_space", "sub"),
    benchmark:
        benchmark("adopt_bold_space", "sub")
    wildcard_constraints:
        sub=WAYS_IN.pattern("bold", "in template space", "in own space"),
    threads: 1
    resources:
        mem_mb=memory("adopt_space", "bold"),
        runtime=minutes("adopt_space", "bold"),
    params:
        code=code("adopt_space"),
        beside=space_of_patient("bold"),
        images=of_patient("bold", "bold_reference", task=TASK),
        sessions=sessions_of_patient("bold"),
        working_resolution=SETTINGS["spatial"]["working_resolution"],
    script:
        "../scripts/adopt_space.py"


rule join_bold_space:
    input:
        run=output("bold", task=TASK),
        space=output("bold_from_template", task=TASK),
    output:
        pose=output("bold_pose", task=TASK),
    log:
        log("join_bold_space", "sub", "ses"),
    benchmark:
        benchmark("join_bold_space", "sub", "ses")
    threads: 1
    resources:
        mem_mb=memory("join_space", "bold"),
        runtime=minutes("join_space", "bold"),
    params:
        code=code("build_space"),
        beside=space_of_patient("bold"),
        image=of_visit("bold_reference", task=TASK),
        mask=output("bold_mask", task=TASK),
        seed=SETTINGS["seed"],
    script:
        "../scripts/join_space.py"


rule extract_parcels:
    input:
        runs=of_patient("bold", "bold", task=TASK),
        given_confounds=given_confounds,
        ways=ways_of_patient("bold", task=TASK),
        lesions=lesions_of_patient("bold"),
        atlases=atlas_files(PLAN.functional_atlases),
    output:
        extracted=output("bold_extracted", task=TASK),
    log:
        log("extract_parcels", "sub"),
    benchmark:
        benchmark("extract_parcels", "sub")
    threads: 1
    resources:
        mem_mb=memory("extract_parcels", "bold"),
        runtime=minutes("extract_parcels", "bold"),
    params:
        code=code("extract_patient"),
        visits=for_patient(extracted_visits),
        sessions=sessions_of_patient("bold"),
        poses=poses_of_patient("bold", task=TASK),
        atlases=PLAN.functional_atlases,
        own=SETTINGS["atlases"]["files"],
        min_coverage=SETTINGS["functional"]["min_coverage"],
    script:
        "../scripts/extract_parcels.py"


rule connect_parcels:
    input:
        extracted=rules.extract_parcels.output.extracted,
        atlases=atlas_files(PLAN.functional_atlases),
    output:
        connected=output("bold_connected", task=TASK),
    log:
        log("connect_parcels", "sub"),
    benchmark:
        benchmark("connect_parcels", "sub")
    threads: 1
    resources:
        mem_mb=memory("connect_parcels", "bold"),
        runtime=minutes("connect_parcels", "bold"),
    params:
        code=code("connect_patient"),
        dropped=output("bold_dropped", task=TASK),
        volumes=output("bold_volumes", task=TASK),
        made_by=made_by("functional"),
        visits=for_patient(connected_visits),
        atlases=PLAN.functional_atlases,
        own=SETTINGS["atlases"]["files"],
        strategies=PLAN.strategies,
        own_strategies=SETTINGS["functional"]["own_strategies"],
        high_pass=SETTINGS["functional"]["high_pass"],
        low_pass=SETTINGS["functional"]["low_pass"],
        kinds=PLAN.kinds(tangent=False),
        matching=SETTINGS["functional"]["matching"],
        min_coverage=SETTINGS["functional"]["min_coverage"],
        min_minutes=SETTINGS["functional"]["min_minutes"],
        min_volumes=SETTINGS["functional"]["min_volumes"],
        seed=SETTINGS["seed"],
    script:
        "../scripts/connect_parcels.py"


rule map_bold:
    input:
        image=output("bold", task=TASK),
        connected=rules.connect_parcels.output.connected,
    output:
        alff=output("bold_alff", task=TASK),
        falff=output("bold_falff", task=TASK),
        reho=output("bold_reho", task=TASK),
    log:
        log("map_bold", "sub", "ses"),
    benchmark:
        benchmark("map_bold", "sub", "ses")
    threads: 1
    resources:
        mem_mb=memory("map_bold", "bold"),
        runtime=minutes("map_bold", "bold"),
    params:
        code=code("map_bold"),
        mask=output("bold_mask", task=TASK),
        confounds=output("bold_confounds", task=TASK),
        dropped=output("bold_dropped", task=TASK),
        volumes=output("bold_volumes", task=TASK),
        strategy=PLAN.strategies[0],
        own_strategies=SETTINGS["functional"]["own_strategies"],
        high_pass=SETTINGS["functional"]["high_pass"],
        low_pass=SETTINGS["functional"]["low_pass"],
    script:
        "../scripts/map_bold.py"


rule map_seeds:
    input:
        image=output("bold", task=TASK),
        connected=rules.connect_parcels.output.connected,
        ways=ways_of_visit("bold", task=TASK),
        atlases=atlas_files([seed.get("atlas", "") for seed in PLAN.seeds]),
    output:
        maps=PLAN.by_seed("seed_map") or output("seed_map", task=TASK, seed="none"),
    log:
        log("map_seeds", "sub", "ses"),
    benchmark:
        benchmark("map_seeds", "sub", "ses")
    threads: 1
    resources:
        mem_mb=memory("map_seeds", "bold"),
        runtime=minutes("map_seeds", "bold"),
    params:
        code=code("map_seeds"),
        mask=output("bold_mask", task=TASK),
        confounds=output("bold_confounds", task=TASK),
        dropped=output("bold_dropped", task=TASK),
        volumes=output("bold_volumes", task=TASK),
        midpoint=pose("bold", task=TASK),
        from_template=output("bold_from_template", task=TASK),
        to_template=output("bold_to_template", task=TASK),
        seeds=PLAN.seeds,
        own=SETTINGS["atlases"]["files"],
        min_coverage=SETTINGS["functional"]["min_coverage"],
        strategy=PLAN.strategies[0],
        own_strategies=SETTINGS["functional"]["own_strategies"],
        high_pass=SETTINGS["functional"]["high_pass"],
        low_pass=SETTINGS["functional"]["low_pass"],
        smoothing=SETTINGS["functional"]["smoothing_mm"],
        resolution=SETTINGS["spatial"]["map_resolution"],
    script:
        "../scripts/map_seeds.py"


rule connect_group:
    input:
        connected=later(PLAN.connected),
    output:
        matrices=PLAN.group_matrices(),
    log:
        log("connect_group"),
    benchmark:
        benchmark("connect_group")
    threads: 1
    resources:
        mem_mb=memory("connect_group", "bold"),
        runtime=minutes("connect_group", "bold"),
    params:
        code=code("connect_group"),
        series=later(
            PLAN.of_all_visits,
            "bold",
            "denoised",
            task=TASK,
            atlas=PLAN.functional_atlases,
        ),
        n_atlases=len(PLAN.functional_atlases),
        patients=[visit.participant_id for visit in PLAN.visits_with("bold")],
        reference=SETTINGS["functional"]["tangent_reference"],
        estimator=SETTINGS["functional"]["kinds"].get("tangent"),
    script:
        "../scripts/connect_group.py"
