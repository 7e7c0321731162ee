rule collect_outcomes:
    input:
        tables=TRIAL.table_files(),
        visits="visits.tsv",
    output:
        outcomes=output("outcomes"),
        patients=output("patients"),
        treatments=output("treatments"),
        events=output("adverse_events"),
        safety=output("safety"),
    log:
        log("collect_outcomes"),
    benchmark:
        benchmark("collect_outcomes")
    threads: 1
    resources:
        mem_mb=memory("collect_outcomes"),
        runtime=minutes("collect_outcomes"),
    params:
        code=code("collect_outcomes"),
        settings=TRIAL.clinical_settings(),
    script:
        "../scripts/collect_outcomes.py"


rule fit_model:
    input:
        outcomes=output("outcomes"),
        patients=output("patients"),
        measures=output("measures"),
        changes=output("changes"),
        motion=motion_of_model,
        edges=edges_of_model,
    output:
        results=output("model_part", part="results"),
        tests=output("model_part", part="tests"),
        contributions=output("model_part", part="contributions"),
        notes=output("model_part", part="notes"),
        counts=output("model_part", part="counts"),
    log:
        log("fit_model", "model"),
    benchmark:
        benchmark("fit_model", "model")
    threads: 1
    resources:
        mem_mb=memory("fit_model"),
        runtime=minutes("fit_model"),
    params:
        code=code("fit_model"),
        settings=lambda wildcards: TRIAL.model_settings(wildcards.model),
        motion_files=motion_files_of_model,
        motion=motion_rows_of_model,
        edge_files=edge_files_of_model,
        edges=edge_rows_of_model,
    script:
        "../scripts/fit_model.py"


rule collect_models:
    input:
        tests=TRIAL.model_parts("tests"),
        contributions=TRIAL.model_parts("contributions"),
        notes=TRIAL.model_parts("notes"),
        counts=TRIAL.model_parts("counts"),
    output:
        tests=output("model_tests"),
        contributions=output("model_patients"),
        notes=output("model_notes"),
        counts=output("model_counts"),
    log:
        log("collect_models"),
    benchmark:
        benchmark("collect_models")
    threads: 1
    resources:
        mem_mb=memory("collect_models"),
        runtime=minutes("collect_models"),
    params:
        code=code("collect_models"),
    script:
        "../scripts/collect_models.py"


rule plan_next_trial:
    input:
        outcomes=output("outcomes"),
        patients=output("patients"),
        measures=output("measures"),
        changes=output("changes"),
        contributions=output(
            "model_part", model=TRIAL.planned_model, part="contributions"
        ),
    output:
        plan=output("next_trial"),
        curves=output("power_curves"),
    log:
        log("plan_next_trial"),
    benchmark:
        benchmark("plan_next_trial")
    threads: 1
    resources:
        mem_mb=memory("plan_next_trial"),
        runtime=minutes("plan_next_trial"),
    params:
        code=code("plan_next_trial"),
        name=TRIAL.planned_model,
        settings=planned_settings,
        next_trial=SETTINGS["next_trial"],
    script:
        "../scripts/plan_next_trial.py"


rule vary_analysis:
    input:
        outcomes=output("outcomes"),
        patients=output("patients"),
        measures=output("measures"),
        changes=output("changes"),
        specifications=output("specifications"),
        fits=PLAN.fits(),
    output:
        table=output("specification_curve"),
    log:
        log("vary_analysis"),
    benchmark:
        benchmark("vary_analysis")
    threads: 1
    resources:
        mem_mb=memory("vary_analysis"),
        runtime=minutes("vary_analysis"),
    params:
        code=code("vary_analysis"),
        name=TRIAL.primary_model,
        settings=primary_settings,
        fit=SETTINGS["diffusion"]["fit"],
    script:
        "../scripts/vary_analysis.py"


rule draw_trial:
    input:
        unpack(tables_of_figure),
    output:
        figure=drawn("trial_figure", "Cohort", {"figure": "{figure}"}, caption="trial"),
    log:
        log("draw_trial", "figure"),
    benchmark:
        benchmark("draw_trial", "figure")
    threads: 1
    resources:
        mem_mb=memory("draw_trial"),
        runtime=minutes("draw_trial"),
    params:
        code=code("draw_trial"),
        figure=lambda wildcards: wildcards.figure,
        settings={"power": SETTINGS["next_trial"]["power"]},
        style=FIGURE_STYLE,
    script:
        "../scripts/draw_trial.py"


rule draw_responders:
    input:
        counts=output("model_part", part="counts"),
    output:
        figure=drawn(
            "responders_figure",
            "Cohort",
            {"figure": "responders, {model}"},
            caption="trial",
        ),
    log:
        log("draw_responders", "model"),
    benchmark:
        benchmark("draw_responders", "model")
    threads: 1
    resources:
        mem_mb=memory("draw_responders"),
        runtime=minutes("draw_responders"),
    params:
        code=code("draw_trial"),
        figure="responders",
        settings=lambda wildcards: {
            "placebo_rate": SETTINGS["trial"]["placebo_rate"],
            "rule": SETTINGS["models"][wildcards.model].get("rule", ""),
        },
        style=FIGURE_STYLE,
    script:
        "../scripts/draw_trial.py"
