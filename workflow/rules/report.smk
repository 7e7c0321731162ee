rule draw_patient_dwi:
    input:
        tensors=of_patient("dwi", "tensor"),
        changes=changes_of_patient("dwi"),
    output:
        pictures=output("patient_pictures", modality="dwi"),
        figures=drawn_of_patient("dwi", "maps"),
    log:
        log("draw_patient_dwi", "sub"),
    benchmark:
        benchmark("draw_patient_dwi", "sub")
    threads: 1
    resources:
        mem_mb=memory("draw_patient_dwi", "dwi"),
        runtime=minutes("draw_patient_dwi", "dwi"),
    params:
        code=code("draw_patient_dwi"),
        scans=for_patient(drawn_dwi_scans),
        pairs=for_patient(drawn_dwi_pairs),
        measures=MEASURES_DRAWN,
        style=FIGURE_STYLE,
    script:
        "../scripts/draw_patient_dwi.py"


rule draw_patient_bold:
    input:
        connected=output("bold_connected", task=TASK),
        changes=changes_of_patient("bold"),
        atlases=atlas_files(PLAN.functional_atlases),
    output:
        pictures=output("patient_pictures", modality="bold"),
        figures=drawn_of_patient("bold", "connectivity"),
    log:
        log("draw_patient_bold", "sub"),
    benchmark:
        benchmark("draw_patient_bold", "sub")
    threads: 1
    resources:
        mem_mb=memory("draw_patient_bold", "bold"),
        runtime=minutes("draw_patient_bold", "bold"),
    params:
        code=code("draw_patient_bold"),
        scans=for_patient(drawn_bold_scans),
        pairs=for_patient(drawn_bold_pairs),
        atlas=FIRST_ATLAS,
        own=SETTINGS["atlases"]["files"],
        min_coverage=SETTINGS["functional"]["min_coverage"],
        confidence=SETTINGS["statistics"]["confidence"],
        style=FIGURE_STYLE,
    script:
        "../scripts/draw_patient_bold.py"


rule draw_regions:
    input:
        changes=rules.collect_changes.output.table,
        results=rules.test_changes.output.table,
    output:
        slopes=drawn(
            "region_slopes_figure",
            "Cohort",
            {"figure": "{param} slopes, {atlas}"},
            caption="slopes",
        ),
        forest=drawn(
            "forest_figure",
            "Cohort",
            {"figure": "{param} forest, {atlas}"},
            caption="forest",
        ),
        agreement=drawn(
            "agreement_figure",
            "Cohort",
            {"figure": "{param} agreement, {atlas}"},
            caption="agreement",
        ),
    log:
        log("draw_regions", "atlas", "param"),
    benchmark:
        benchmark("draw_regions", "atlas", "param")
    threads: 1
    resources:
        mem_mb=memory("draw_regions", "dwi"),
        runtime=minutes("draw_regions", "dwi"),
    params:
        code=code("draw_regions"),
        atlas=lambda wildcards: wildcards.atlas,
        measure=lambda wildcards: wildcards.param,
        style=FIGURE_STYLE,
    script:
        "../scripts/draw_regions.py"


rule draw_cohort_maps:
    input:
        compared=later(PLAN.changed, "dwi"),
    output:
        figures=drawn(
            "glass_change_figure",
            "Cohort",
            {"figure": "{param} change, glass brain"},
            caption="figures",
        ),
    log:
        log("draw_cohort_maps", "param"),
    benchmark:
        benchmark("draw_cohort_maps", "param")
    threads: 1
    resources:
        mem_mb=memory("draw_cohort_maps", "dwi"),
        runtime=minutes("draw_cohort_maps", "dwi"),
    params:
        code=code("draw_cohort_maps"),
        changes=lambda wildcards: PLAN.of_first_pair(
            "dwi", "tensor_map_change", param=wildcards.param
        ),
        measure=lambda wildcards: wildcards.param,
        confidence=SETTINGS["statistics"]["confidence"],
        style=FIGURE_STYLE,
    script:
        "../scripts/draw_cohort_maps.py"


rule draw_detection:
    output:
        figures=drawn(
            "detection_figure",
            "Cohort",
            {"figure": "detection rates of the method"},
            caption="figures",
        ),
    log:
        log("draw_detection"),
    benchmark:
        benchmark("draw_detection")
    threads: 1
    resources:
        mem_mb=memory("draw_detection"),
        runtime=minutes("draw_detection"),
    params:
        code=code("draw_detection"),
        style=FIGURE_STYLE,
    script:
        "../scripts/draw_detection.py"


rule draw_cohort_connectivity:
    input:
        connected=later(PLAN.connected),
        atlases=atlas_files(PLAN.functional_atlases),
    output:
        figures=drawn(
            "cohort_connectivity_figure",
            "Cohort",
            {"figure": "connectivity, {atlas}"},
            caption="figures",
        ),
        blocks=drawn(
            "network_blocks_figure",
            "Cohort",
            {"figure": "networks, {atlas}"},
            caption="blocks",
        ),
        glass=drawn(
            "glass_connectome_figure",
            "Cohort",
            {"figure": "glass brain, {atlas}"},
            caption="glass",
        ),
    log:
        log("draw_cohort_connectivity", "atlas"),
    benchmark:
        benchmark("draw_cohort_connectivity", "atlas")
    threads: 1
    resources:
        mem_mb=memory("draw_cohort_connectivity", "bold"),
        runtime=minutes("draw_cohort_connectivity", "bold"),
    params:
        code=code("draw_connectivity"),
        atlas=lambda wildcards: wildcards.atlas,
        baselines=of_all_pairs("baseline", "connectivity", stat="pearsoncorrelation"),
        follow_ups=of_all_pairs("follow_up", "connectivity", stat="pearsoncorrelation"),
        own=SETTINGS["atlases"]["files"],
        confidence=SETTINGS["statistics"]["confidence"],
        style=FIGURE_STYLE,
    script:
        "../scripts/draw_cohort_connectivity.py"


rule collect_quality:
    input:
        tables=later(PLAN.quality_tables),
    output:
        table=output("quality"),
        tests=output("quality_tests"),
    log:
        log("collect_quality"),
    benchmark:
        benchmark("collect_quality")
    threads: 1
    resources:
        mem_mb=memory("collect_quality"),
        runtime=minutes("collect_quality"),
    params:
        code=code("collect_quality"),
        scans=later(PLAN.scan_rows),
        pairs=lambda _: [
            {**row, "modality": modality}
            for modality in ("dwi", "bold")
            for row in PLAN.pair_rows(modality, [""])
        ],
        confidence=SETTINGS["statistics"]["confidence"],
        seed=SETTINGS["seed"],
    script:
        "../scripts/collect_quality.py"


rule write_report:
    input:
        **{key: output(key) for key in TRIAL.reported()},
        ledger=output("ledger"),
        changes=output("changes"),
        results=output("results"),
        measures=output("measures"),
        quality=output("quality"),
        quality_tests=output("quality_tests"),
        drawn=lambda _: PLAN.drawn("dwi") + PLAN.drawn("bold"),
        cohort=later(PLAN.drawn_for_cohort),
    output:
        page=output("report"),
    log:
        log("write_report"),
    benchmark:
        benchmark("write_report")
    threads: 1
    resources:
        mem_mb=memory("write_report"),
        runtime=minutes("write_report"),
    params:
        code=code("write_report"),
        figures=later(PLAN.drawn_figures),
        maps=later(PLAN.viewer_maps),
        strengths=later(
            PLAN.of_all_pairs,
            "bold",
            "strength_change",
            task=TASK,
            atlas=PLAN.functional_atlases,
        ),
        strength_rows=later(PLAN.pair_rows, "bold", PLAN.functional_atlases),
        settings=SETTINGS,
        patients=list(PLAN.visits.patients),
        scans=later(PLAN.scan_rows),
        comparisons=later(PLAN.comparisons),
        more={key: output(key) for key in TRIAL.reported()},
    script:
        "../scripts/write_report.py"
