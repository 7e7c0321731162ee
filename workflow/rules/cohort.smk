rule collect_measures:
    input:
        measured=later(PLAN.measured),
        connected=later(PLAN.connected),
    output:
        table=output("measures"),
    log:
        log("collect_measures"),
    benchmark:
        benchmark("collect_measures")
    threads: 1
    resources:
        mem_mb=memory("collect_measures"),
        runtime=minutes("collect_measures"),
    params:
        code=code("collect_measures"),
        diffusion=later(PLAN.visit_rows, "dwi", PLAN.diffusion_atlases),
        regions=later(
            PLAN.of_all_visits, "dwi", "tensor_regions", atlas=PLAN.diffusion_atlases
        ),
        functional=later(PLAN.visit_rows, "bold", PLAN.functional_atlases),
        networks=later(
            PLAN.of_all_visits,
            "bold",
            "network_means",
            task=TASK,
            atlas=PLAN.functional_atlases,
        ),
    script:
        "../scripts/collect_measures.py"


rule collect_changes:
    input:
        diffusion=later(PLAN.changed, "dwi"),
        functional=later(PLAN.changed, "bold"),
    output:
        table=output("changes"),
    log:
        log("collect_changes"),
    benchmark:
        benchmark("collect_changes")
    threads: 1
    resources:
        mem_mb=memory("collect_changes"),
        runtime=minutes("collect_changes"),
    params:
        code=code("collect_changes"),
        diffusion=later(PLAN.pair_rows, "dwi", PLAN.diffusion_atlases),
        regions=later(
            PLAN.of_all_pairs,
            "dwi",
            "tensor_region_change",
            atlas=PLAN.diffusion_atlases,
        ),
        networks=later(
            PLAN.of_all_pairs,
            "bold",
            "network_change",
            task=TASK,
            atlas=PLAN.functional_atlases,
        ),
        functional=later(PLAN.pair_rows, "bold", PLAN.functional_atlases),
    script:
        "../scripts/collect_changes.py"


rule collect_specifications:
    input:
        connected=later(PLAN.connected),
    output:
        table=output("specifications"),
    log:
        log("collect_specifications"),
    benchmark:
        benchmark("collect_specifications")
    threads: 1
    resources:
        mem_mb=memory("collect_specifications"),
        runtime=minutes("collect_specifications"),
    params:
        code=code("collect_specifications"),
        networks=later(PLAN.network_means_of_all),
        visits=lambda _: [
            (v.participant_id, v.session_id) for v in PLAN.visits_with("bold")
        ],
        pairs=later(PLAN.bold_pairs),
        strategies=PLAN.strategies,
        atlases=PLAN.functional_atlases,
        confidence=SETTINGS["statistics"]["confidence"],
    script:
        "../scripts/collect_specifications.py"


rule collect_fits:
    input:
        regions=later(
            PLAN.of_all_visits,
            "dwi",
            "tensor_regions_by_fit",
            atlas=PLAN.diffusion_atlases,
        ),
    output:
        table=output("fits"),
    log:
        log("collect_fits"),
    benchmark:
        benchmark("collect_fits")
    threads: 1
    resources:
        mem_mb=memory("collect_fits"),
        runtime=minutes("collect_fits"),
    params:
        code=code("collect_fits"),
        visits=lambda _: [
            (v.participant_id, v.session_id) for v in PLAN.visits_with("dwi")
        ],
        pairs=later(PLAN.pair_rows, "dwi", [""]),
        atlases=PLAN.diffusion_atlases,
    script:
        "../scripts/collect_fits.py"


rule collect_qcfc:
    input:
        connected=later(PLAN.connected),
        drawn=later(PLAN.drawn, "bold"),
        atlases=atlas_files(PLAN.functional_atlases),
    output:
        table=output("qcfc"),
    log:
        log("collect_qcfc"),
    benchmark:
        benchmark("collect_qcfc")
    threads: 1
    resources:
        mem_mb=memory("collect_qcfc"),
        runtime=minutes("collect_qcfc"),
    params:
        code=code("collect_qcfc"),
        matrices=later(
            PLAN.of_all_visits,
            "bold",
            "connectivity",
            task=TASK,
            atlas=PLAN.functional_atlases,
            stat="pearsoncorrelation",
        ),
        qualities=later(PLAN.of_all_visits, "bold", "bold_quality", task=TASK),
        visits=[(v.participant_id, v.session_id) for v in PLAN.visits_with("bold")],
        pairs=later(PLAN.bold_pairs),
        atlases=PLAN.functional_atlases,
        own=SETTINGS["atlases"]["files"],
    script:
        "../scripts/collect_qcfc.py"


rule test_changes:
    input:
        changes=rules.collect_changes.output.table,
        models=TRIAL.model_parts("results"),
    output:
        table=output("results"),
    log:
        log("test_changes"),
    benchmark:
        benchmark("test_changes")
    threads: 1
    resources:
        mem_mb=memory("test_changes"),
        runtime=minutes("test_changes"),
    params:
        code=code("test_changes"),
        adjustment=SETTINGS["statistics"]["adjustment"],
        families=SETTINGS["statistics"]["families"],
        confidence=SETTINGS["statistics"]["confidence"],
        seed=SETTINGS["seed"],
    script:
        "../scripts/test_changes.py"


rule describe_dataset:
    output:
        description=output("dataset_description"),
        participants=output("participants"),
    log:
        log("describe_dataset"),
    benchmark:
        benchmark("describe_dataset")
    threads: 1
    resources:
        mem_mb=memory("describe_dataset"),
        runtime=minutes("describe_dataset"),
    params:
        code=code("describe_dataset"),
        bids_dir=SETTINGS["bids_dir"],
        derivatives=SETTINGS["derivatives"],
        patients=list(PLAN.visits.patients),
    script:
        "../scripts/describe_dataset.py"


rule write_ledger:
    input:
        later(PLAN.results),
        TRIAL.results(),
    output:
        table=output("ledger"),
    log:
        log("write_ledger"),
    benchmark:
        benchmark("write_ledger")
    threads: 1
    resources:
        mem_mb=memory("write_ledger"),
        runtime=minutes("write_ledger"),
    params:
        code=code("write_ledger"),
        settings=SETTINGS,
        # a scan that is left out is nobody's input, yet a new reason must reach the ledger
        left_out=lambda _: [str(each) for each in left_out(Path.cwd(), PLAN)],
    script:
        "../scripts/write_ledger.py"
