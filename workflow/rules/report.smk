rule draw_patient_maps:
    input:
        maps=of_pair("dwi", "tensor_map_template", each=("param", MEASURES_DRAWN)),
        changes=[output("tensor_map_change", param=param) for param in MEASURES_DRAWN],
    output:
        maps=drawn(
            "patient_maps_figure",
            "Patients",
            {"patient": "{sub}", "figure": "tensor maps", "visits": "{pair}"},
            caption="maps",
        ),
        changes=drawn(
            "patient_change_figure",
            "Patients",
            {"patient": "{sub}", "figure": "change maps", "visits": "{pair}"},
            caption="changes",
        ),
        compared=PLAN.comparison_pictures(),
    log:
        log("draw_patient_maps", "sub", "pair"),
    benchmark:
        benchmark("draw_patient_maps", "sub", "pair")
    threads: 1
    resources:
        mem_mb=memory("draw_patient_maps", "dwi"),
        runtime=minutes("draw_patient_maps", "dwi"),
    params:
        code=code("draw_patient_maps"),
        measures=MEASURES_DRAWN,
        visits=visits_of_pair("dwi"),
        style=FIGURE_STYLE,
    script:
        "../scripts/draw_patient_maps.py"


rule draw_patient_connectivity:
    input:
        matrices=lambda wildcards: of_pair(
            "bold",
            "connectivity",
            task=TASK,
            atlas=wildcards.atlas,
            stat="pearsoncorrelation",
        )(wildcards),
        change=output("connectivity_change", task=TASK),
        error=output("connectivity_change_error", task=TASK),
        atlases=atlas_files(PLAN.functional_atlases),
    output:
        figures=drawn(
            "patient_connectivity_figure",
            "Patients",
            {
                "patient": "{sub}",
                "figure": "connectivity, {atlas}",
                "visits": "{pair}",
            },
            caption="figures",
        ),
    log:
        log("draw_patient_connectivity", "sub", "pair", "atlas"),
    benchmark:
        benchmark("draw_patient_connectivity", "sub", "pair", "atlas")
    threads: 1
    resources:
        mem_mb=memory("draw_patient_connectivity", "bold"),
        runtime=minutes("draw_patient_connectivity", "bold"),
    params:
        code=code("draw_connectivity"),
        atlas=lambda wildcards: wildcards.atlas,
        own=SETTINGS["atlases"]["files"],
        visits=visits_of_pair("bold"),
        confidence=SETTINGS["statistics"]["confidence"],
        style=FIGURE_STYLE,
    script:
        "../scripts/draw_patient_connectivity.py"


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
        baselines=of_all_pairs("baseline", "connectivity", stat="pearsoncorrelation"),
        follow_ups=of_all_pairs("follow_up", "connectivity", stat="pearsoncorrelation"),
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
        own=SETTINGS["atlases"]["files"],
        confidence=SETTINGS["statistics"]["confidence"],
        style=FIGURE_STYLE,
    script:
        "../scripts/draw_cohort_connectivity.py"


rule look_at_dwi:
    input:
        bval=output("dwi_bval"),
        bvec=output("dwi_bvec"),
        confounds=output("dwi_confounds"),
        reference=output("dwi_reference"),
        mask=output("dwi_mask"),
        residual=output("tensor_map", param="residual"),
    output:
        **PLAN.scan_pictures("dwi"),
    log:
        log("look_at_dwi", "sub", "ses"),
    benchmark:
        benchmark("look_at_dwi", "sub", "ses")
    threads: 1
    resources:
        mem_mb=memory("look_at_dwi", "dwi"),
        runtime=minutes("look_at_dwi", "dwi"),
    params:
        code=code("look_at_dwi"),
        style=FIGURE_STYLE,
    script:
        "../scripts/look_at_dwi.py"


rule look_at_bold:
    input:
        image=output("bold", task=TASK),
        reference=output("bold_reference", task=TASK),
        mask=output("bold_mask", task=TASK),
        confounds=output("bold_confounds", task=TASK),
        denoised=output("denoised", task=TASK, atlas=FIRST_ATLAS),
        coverage=output("coverage", task=TASK, atlas=FIRST_ATLAS),
        matrix=output(
            "connectivity", task=TASK, atlas=FIRST_ATLAS, stat="pearsoncorrelation"
        ),
        midpoint=pose("bold", task=TASK),
        to_template=output("bold_to_template", task=TASK),
        atlases=atlas_files(PLAN.functional_atlases),
    output:
        **PLAN.scan_pictures("bold"),
        quality=output("bold_quality", task=TASK),
        tsnr=output("bold_tsnr", task=TASK),
    log:
        log("look_at_bold", "sub", "ses"),
    benchmark:
        benchmark("look_at_bold", "sub", "ses")
    threads: 1
    resources:
        mem_mb=memory("look_at_bold", "bold"),
        runtime=minutes("look_at_bold", "bold"),
    params:
        code=code("look_at_bold"),
        atlas=FIRST_ATLAS,
        own=SETTINGS["atlases"]["files"],
        min_coverage=SETTINGS["functional"]["min_coverage"],
        style=FIGURE_STYLE,
    script:
        "../scripts/look_at_bold.py"


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
        pictures=later(PLAN.all_scan_pictures),
        compared=lambda _: [
            path for row in PLAN.comparisons() for path in row["pictures"]
        ],
        figures=later(PLAN.drawn_figures),
        maps=later(PLAN.viewer_maps),
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
        settings=SETTINGS,
        patients=list(PLAN.visits.patients),
        scans=later(PLAN.scan_rows),
        comparisons=later(PLAN.comparisons),
        more={key: output(key) for key in TRIAL.reported()},
    script:
        "../scripts/write_report.py"
