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


rule write_report:
    input:
        ledger=output("ledger"),
        changes=output("changes"),
        results=output("results"),
        measures=output("measures"),
        figures=PLAN.figures(),
        maps=PLAN.viewer_maps(),
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
    script:
        "../scripts/write_report.py"
