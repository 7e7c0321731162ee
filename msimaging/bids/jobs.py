"""Every job of the workflow as a table: which rules there are, and what each is done for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from msimaging.bids.layout import log, output
from msimaging.bids.plan import TENSOR_MEASURES, Plan
from msimaging.bids.shells import FURTHER_MODELS
from msimaging.bids.visits import Modality
from msimaging.bids.ways_in import WaysIn


@dataclass(frozen=True, slots=True)
class Step:
    """A rule of the workflow: what its jobs are one for, and a file that stands for its results.

    ``wildcards`` are those of the rule's log; ``exists`` tells whether there is a
    job at all, ``applies`` whether there is one for these values. A job for a patient that works
    on visit after visit, or pair after pair, names what it does so as its ``parts``. Every rule has
    a line in `STEPS` (a test holds that).
    """

    rule: str
    modality: Modality | None
    wildcards: tuple[str, ...]
    output: str
    exists: Callable[[Plan], object] = lambda plan: plan
    applies: Callable[[Plan, Mapping[str, str]], object] = lambda plan, _case: plan
    parts: Literal["visits", "pairs", ""] = ""


def _joins(modality: Modality) -> Callable[[Plan, Mapping[str, str]], object]:
    return lambda plan, case: case["ses"] not in plan.founders(modality, case["sub"])


def _has_pairs(modality: Modality) -> Callable[[Plan, Mapping[str, str]], object]:
    return lambda plan, case: plan.pairs_of(modality, case["sub"])


def _has_lesions(plan: Plan, case: Mapping[str, str]) -> object:
    return plan.lesion_masks("dwi", case["sub"])


def _asked(setting: str) -> Callable[[Plan], object]:
    return lambda plan: plan.settings["diffusion"][setting]


def _has_shells(setting: str) -> Callable[[Plan, Mapping[str, str]], object]:
    return lambda plan, case: not plan.why_without_model(setting, case["sub"])


def _counted(plan: Plan) -> list[str]:
    return plan.trial.responder_models


_VISIT, _PATIENT, _PAIR = ("sub", "ses"), ("sub",), ("sub", "pair")
_LAST_PARAM = {model.rule: [*model.measures.values()][-1] for model in FURTHER_MODELS.values()}
STEPS = (
    Step("preprocess_dwi", "dwi", _VISIT, "dwi"),
    Step("import_dwi", "dwi", _VISIT, "dwi"),
    Step("fit_tensor", "dwi", _VISIT, "tensor"),
    *(
        Step(
            model.rule,
            "dwi",
            _VISIT,
            model.output,
            exists=_asked(setting),
            applies=_has_shells(setting),
        )
        for setting, model in FURTHER_MODELS.items()
    ),
    Step("measure_diffusion", "dwi", _PATIENT, "dwi_measured", parts="visits"),
    Step("measure_fits", "dwi", _VISIT, "tensor_regions_by_fit", lambda plan: plan.other_fits()),
    Step("build_dwi_space", "dwi", _PATIENT, "dwi_from_template"),
    Step("join_dwi_space", "dwi", _VISIT, "dwi_pose", applies=_joins("dwi")),
    Step("warp_dwi_visit", "dwi", _VISIT, "dwi_log_jacobian", lambda plan: plan.warped),
    Step("split_tissue", "dwi", _PATIENT, "lesion_tissue", applies=_has_lesions),
    Step("change_lesions", "dwi", _PAIR, "lesion_change", applies=_has_lesions),
    Step(
        "change_diffusion",
        "dwi",
        _PATIENT,
        "dwi_changed",
        applies=_has_pairs("dwi"),
        parts="pairs",
    ),
    Step("draw_patient_dwi", "dwi", _PATIENT, "patient_pictures"),
    Step("preprocess_bold", "bold", _VISIT, "bold"),
    Step("import_bold", "bold", _VISIT, "bold"),
    Step("extract_parcels", "bold", _PATIENT, "bold_extracted", parts="visits"),
    Step("connect_parcels", "bold", _PATIENT, "bold_connected"),
    Step("map_bold", "bold", _VISIT, "bold_reho", lambda plan: plan.voxel_maps()),
    Step("map_seeds", "bold", _VISIT, "seed_map", lambda plan: plan.seed_results()),
    Step("build_bold_space", "bold", _PATIENT, "bold_from_template"),
    Step("adopt_bold_space", "bold", _PATIENT, "bold_from_template"),
    Step("join_bold_space", "bold", _VISIT, "bold_pose", applies=_joins("bold")),
    Step(
        "change_connectivity",
        "bold",
        _PATIENT,
        "bold_changed",
        applies=_has_pairs("bold"),
        parts="pairs",
    ),
    Step("change_seeds", "bold", _PAIR, "seed_change", lambda plan: plan.seed_results()),
    Step("draw_patient_bold", "bold", _PATIENT, "patient_pictures"),
    Step("connect_group", "bold", (), "connectivity", lambda plan: plan.group_matrices()),
    Step("measure_repeatability", None, (), "repeatability", lambda plan: plan.repeatability()),
    Step("collect_measures", None, (), "measures"),
    Step("collect_changes", None, (), "changes"),
    Step("collect_specifications", None, (), "specifications"),
    Step("collect_fits", "dwi", (), "fits", lambda plan: plan.other_fits()),
    Step("collect_qcfc", "bold", (), "qcfc", lambda plan: plan.qcfc()),
    Step("test_changes", None, (), "results"),
    Step("draw_regions", "dwi", ("atlas", "param"), "forest_figure", lambda p: p.pairs("dwi")),
    Step(
        "draw_cohort_connectivity",
        "bold",
        ("atlas",),
        "cohort_connectivity_figure",
        lambda plan: plan.pairs("bold"),
    ),
    Step("collect_outcomes", None, (), "outcomes", lambda plan: plan.trial.wanted),
    Step("fit_model", None, ("model",), "model_part", lambda plan: plan.trial.models),
    Step("collect_models", None, (), "model_notes", lambda plan: plan.trial.models),
    Step("plan_next_trial", None, (), "next_trial", lambda plan: plan.trial.planned_model),
    Step("vary_analysis", None, (), "specification_curve", lambda plan: plan.trial.primary_model),
    Step("draw_trial", None, ("figure",), "trial_figure", lambda plan: plan.trial.figures),
    Step("draw_responders", None, ("model",), "responders_figure", _counted),
    Step("collect_quality", None, (), "quality"),
    Step("draw_cohort_maps", "dwi", ("param",), "glass_change_figure", lambda p: p.pairs("dwi")),
    Step("draw_detection", "dwi", (), "detection_figure", lambda plan: plan.pairs("dwi")),
    Step("describe_dataset", None, (), "dataset_description"),
    Step("write_ledger", None, (), "ledger"),
    Step("write_report", None, (), "report"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job of the workflow, done or not.

    Attributes
    ----------
    step : str
        Its rule.
    modality : {"dwi", "bold"} or None
        None for what both have a part in.
    sub, ses, pair : str
        Patient, visit, pair of visits; empty where the job is for more than one.
    name : str
        Model or figure of the trial; empty for other jobs.
    log : str
        Below the study folder.
    outputs : tuple of str
        Files that stand for its results.
    parts : tuple of str
        Visits or pairs that it works on one after the other; empty where that is nobody's concern.
    """

    step: str
    modality: Modality | None
    sub: str
    ses: str
    pair: str
    name: str
    log: str
    outputs: tuple[str, ...]
    parts: tuple[str, ...] = ()


def jobs_of(plan: Plan) -> Iterator[Job]:
    """List every job that a study asks for, without asking the workflow.

    Parameters
    ----------
    plan : Plan
        The study.

    Yields
    ------
    Job
        Rule by rule, in the order of `STEPS`.
    """
    ways_in = WaysIn.of(plan)
    for step in STEPS:
        if not step.exists(plan):
            continue
        for case in _cases(plan, step):
            sub = case.get("sub", "")
            if step.modality and sub and not ways_in.does(step.modality, step.rule, sub):
                continue
            yield Job(
                step=step.rule,
                modality=step.modality,
                sub=sub,
                ses=case.get("ses", ""),
                pair=case.get("pair", ""),
                name=case.get("model", case.get("figure", "")),
                log=_filled(log(step.rule, *step.wildcards), case),
                outputs=tuple(_outputs(plan, step, case)),
                parts=tuple(_parts(plan, step, sub)),
            )


def _parts(plan: Plan, step: Step, sub: str) -> list[str]:
    """Return the visits or pairs of a patient that one job works on."""
    if not step.modality or not step.parts:
        return []
    if step.parts == "visits":
        return plan.sessions(step.modality, sub)
    return [pair.name for pair in plan.pairs_of(step.modality, sub)]


def _cases(plan: Plan, step: Step) -> Iterator[dict[str, str]]:
    """Yield the wildcards of every job of a rule."""
    cases: list[dict[str, str]] = [{}]
    if step.modality and "ses" in step.wildcards:
        visits = plan.visits_with(step.modality)
        cases = [{"sub": v.participant_id, "ses": v.session_id} for v in visits]
    elif step.modality and "pair" in step.wildcards:
        pairs = plan.pairs(step.modality)
        cases = [{"sub": pair.participant_id, "pair": pair.name} for pair in pairs]
    elif step.modality and "sub" in step.wildcards:
        patients = dict.fromkeys(v.participant_id for v in plan.visits_with(step.modality))
        cases = [{"sub": name} for name in patients]
    models = _counted(plan) if step.rule == "draw_responders" else plan.trial.models
    for name, values in (
        ("atlas", _atlases(plan, step)),
        ("param", _drawn(plan)),
        ("model", models),
        ("figure", plan.trial.figures),
    ):
        if name in step.wildcards:
            cases = [{**case, name: value} for case in cases for value in values]
    yield from (case for case in cases if step.applies(plan, case))


def _atlases(plan: Plan, step: Step) -> list[str]:
    return plan.diffusion_atlases if step.modality == "dwi" else plan.functional_atlases


def _drawn(plan: Plan) -> list[str]:
    return list(plan.settings["figures"]["measures"])


def _outputs(plan: Plan, step: Step, case: Mapping[str, str]) -> Iterator[str]:
    """Yield the files that stand for a job's results, one for every atlas."""
    if step.rule == "connect_group":
        yield from plan.group_matrices()
        return
    fixed = {
        "task": plan.settings["functional"]["task"],
        "ext": plan.settings["figures"]["formats"][0],
        "param": _LAST_PARAM.get(step.rule, TENSOR_MEASURES[-1]),
        "part": "results",
        "modality": step.modality or "",
        "stat": next(iter(plan.stats(tangent=False)), ""),
        "seed": plan.seeds[0]["name"] if plan.seeds else "",
        **case,
    }
    path = _filled(output(step.output), fixed)
    if "{atlas}" not in path:
        yield path
        return
    for name in _atlases(plan, step):
        yield path.replace("{atlas}", name)


def _filled(path: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value)
    return path
