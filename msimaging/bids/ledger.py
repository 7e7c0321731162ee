"""The ledger: what was done for each patient and visit, what was not, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from msimaging.bids.layout import log, output
from msimaging.bids.plan import TENSOR_MEASURES, Plan
from msimaging.bids.rows import read_rows
from msimaging.bids.visits import (
    MODALITIES,
    UNDECIDED,
    Modality,
    Visit,
    pair_name,
    read_visits,
)
from msimaging.bids.ways_in import WaysIn

State = Literal["done", "stale", "failed", "pending", "excluded", "absent", "unpaired"]
#: Begins the one line of a log that tells why a step failed.
FAILURE = "FAILED because: "
#: Begins the last line of the log of a job that came to its end.
END = "done in "
_SILENT = "the job ended without a word: killed, out of memory or out of time"
COLUMNS = ("step", "participant_id", "session_id", "state", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the ledger.

    Attributes
    ----------
    step : str
        Rule, or the modality for what never became a job.
    participant_id, session_id : str
        Session or pair; empty for the cohort.
    state : str
        ``done``, ``stale`` (a run would compute it again), ``failed``, ``pending``, ``excluded``,
        ``absent`` (not scanned) or ``unpaired``.
    reason : str
        Why it is not done or not up to date; empty when it is.
    log : str
        The job's log below the study folder.
    """

    step: str
    participant_id: str
    session_id: str
    state: State
    reason: str
    log: str = ""


@dataclass(frozen=True, slots=True)
class _Step:
    """A rule of the workflow: what its jobs are one for, and a file that stands for its results.

    ``wildcards`` are those of the rule's log; ``exists`` tells whether there is a
    job at all, ``applies`` whether there is one for these values. Every rule has a line in
    `STEPS` (a test holds that).
    """

    rule: str
    modality: Modality | None
    wildcards: tuple[str, ...]
    output: str
    exists: Callable[[Plan], object] = lambda plan: plan
    applies: Callable[[Plan, Mapping[str, str]], object] = lambda plan, _case: plan


def _joins(modality: Modality) -> Callable[[Plan, Mapping[str, str]], object]:
    return lambda plan, case: case["ses"] not in plan.founders(modality, case["sub"])


def _has_lesions(plan: Plan, case: Mapping[str, str]) -> object:
    return plan.lesion_masks("dwi", case["sub"])


_VISIT, _PATIENT, _PAIR = ("sub", "ses"), ("sub",), ("sub", "pair")
STEPS = (
    _Step("preprocess_dwi", "dwi", _VISIT, "dwi"),
    _Step("import_dwi", "dwi", _VISIT, "dwi"),
    _Step("fit_tensor", "dwi", _VISIT, "tensor"),
    _Step("measure_diffusion", "dwi", _VISIT, "tensor_regions"),
    _Step("normalise_maps", "dwi", _VISIT, "tensor_map_template"),
    _Step("build_dwi_space", "dwi", _PATIENT, "dwi_from_template"),
    _Step("join_dwi_space", "dwi", _VISIT, "dwi_pose", applies=_joins("dwi")),
    _Step("split_tissue", "dwi", _PATIENT, "lesion_tissue", applies=_has_lesions),
    _Step("change_lesions", "dwi", _PAIR, "lesion_change", applies=_has_lesions),
    _Step("change_diffusion", "dwi", _PAIR, "tensor_map_change"),
    _Step("draw_patient_maps", "dwi", _PAIR, "patient_maps_figure"),
    _Step("preprocess_bold", "bold", _VISIT, "bold"),
    _Step("import_bold", "bold", _VISIT, "bold"),
    _Step("extract_parcels", "bold", _VISIT, "time_series"),
    _Step("equalise_visits", "bold", _PATIENT, "bold_dropped"),
    _Step("connect_parcels", "bold", _VISIT, "denoised"),
    _Step("build_bold_space", "bold", _PATIENT, "bold_from_template"),
    _Step("adopt_bold_space", "bold", _PATIENT, "bold_from_template"),
    _Step("join_bold_space", "bold", _VISIT, "bold_pose", applies=_joins("bold")),
    _Step("change_connectivity", "bold", _PAIR, "connectivity_change"),
    _Step("draw_patient_connectivity", "bold", (*_PAIR, "atlas"), "patient_connectivity_figure"),
    _Step("connect_group", "bold", (), "connectivity", lambda plan: plan.group_matrices()),
    _Step("collect_measures", None, (), "measures"),
    _Step("collect_changes", None, (), "changes"),
    _Step("collect_specifications", None, (), "specifications"),
    _Step("test_changes", None, (), "results"),
    _Step("draw_regions", "dwi", ("atlas", "param"), "forest_figure", lambda p: p.pairs("dwi")),
    _Step(
        "draw_cohort_connectivity",
        "bold",
        ("atlas",),
        "cohort_connectivity_figure",
        lambda plan: plan.pairs("bold"),
    ),
    _Step("describe_dataset", None, (), "dataset_description"),
    _Step("write_ledger", None, (), "ledger"),
    _Step("write_report", None, (), "report"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    step: str
    sub: str
    part: str
    log: str
    outputs: tuple[str, ...]


def read_ledger(
    study: Path, plan: Plan, *, outdated: Mapping[str, str] = MappingProxyType({})
) -> list[Entry]:
    """Tell the state of every step of a study from its files and logs.

    Parameters
    ----------
    study : Path
        Study folder.
    plan : Plan
        What the study asks for.
    outdated : mapping, optional
        From results that a run would compute again to the reason, as the workflow tells it.

    Returns
    -------
    list of Entry
        Patients in the order of the table, cohort last.
    """
    running = any((study / ".snakemake" / "locks").glob("*.lock"))
    entries = [_entry(study, job, outdated, running=running) for job in _jobs(plan)]
    return [*left_out(study, plan), *too_little_data(study, plan), *entries]


def too_little_data(study: Path, plan: Plan) -> Iterator[Entry]:
    """Tell which BOLD runs are measured but left out of statistics.

    Parameters
    ----------
    study : Path
        Study folder.
    plan : Plan
        What the study asks for.

    Yields
    ------
    Entry
        ``excluded``, with the reason under the primary denoising strategy.
    """
    task = plan.settings["functional"]["task"]
    visits = [(v.participant_id, v.session_id) for v in plan.visits_with("bold")]
    for patient in dict.fromkeys(patient for patient, _ in visits):
        path = study / output("bold_dropped", sub=patient, task=task)
        for row in read_rows(path) if path.exists() else ():
            run = row["what"] == "run" and row["strategy"] == plan.strategies[0]
            if run and (patient, row["session_id"]) in visits:
                yield Entry(
                    step="statistics of bold",
                    participant_id=patient,
                    session_id=row["session_id"],
                    state="excluded",
                    reason=row["reason"],
                )


def _jobs(plan: Plan) -> Iterator[_Job]:
    ways_in = WaysIn.of(plan)
    for step in STEPS:
        if not step.exists(plan):
            continue
        for case in _cases(plan, step):
            sub = case.get("sub", "")
            if step.modality and sub and not ways_in.does(step.modality, step.rule, sub):
                continue
            yield _Job(
                step=step.rule,
                sub=sub,
                part=case.get("ses", case.get("pair", "")),
                log=_filled(log(step.rule, *step.wildcards), case),
                outputs=tuple(_outputs(plan, step, case)),
            )


def _cases(plan: Plan, step: _Step) -> Iterator[dict[str, str]]:
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
    for name, values in (("atlas", _atlases(plan, step)), ("param", _drawn(plan))):
        if name in step.wildcards:
            cases = [{**case, name: value} for case in cases for value in values]
    yield from (case for case in cases if step.applies(plan, case))


def _atlases(plan: Plan, step: _Step) -> list[str]:
    return plan.diffusion_atlases if step.modality == "dwi" else plan.functional_atlases


def _drawn(plan: Plan) -> list[str]:
    return list(plan.settings["figures"]["measures"])


def _outputs(plan: Plan, step: _Step, case: Mapping[str, str]) -> Iterator[str]:
    """Yield the files that stand for a job's results, one for every atlas."""
    if step.rule == "connect_group":
        yield from plan.group_matrices()
        return
    fixed = {
        "task": plan.settings["functional"]["task"],
        "ext": plan.settings["figures"]["formats"][0],
        "param": TENSOR_MEASURES[-1],
        "stat": next(iter(plan.stats(tangent=False)), ""),
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


def _entry(study: Path, job: _Job, outdated: Mapping[str, str], *, running: bool) -> Entry:
    done = all((study / name).exists() for name in job.outputs)
    outdated_by = next((outdated[name] for name in job.outputs if name in outdated), "")
    state: State = "stale" if done and outdated_by else "done" if done else "pending"
    reason = outdated_by if done else failure_in(study / job.log)
    if not done and reason == _SILENT and running:
        reason = "running"
    elif not done and reason:
        state = "failed"
    return Entry(
        step=job.step,
        participant_id=job.sub,
        session_id=job.part,
        state=state,
        reason=reason,
        log=job.log,
    )


def failure_in(path: Path) -> str:
    """Return the reasons that a job's log gives for its failure, empty when it came to its end.

    Parameters
    ----------
    path : Path
        The log; may be missing.

    Returns
    -------
    str
        Joined by ``; ``.
    """
    if not path.exists():
        return ""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    reasons = [line.removeprefix(FAILURE) for line in lines if line.startswith(FAILURE)]
    if not reasons and not any(line.startswith(END) for line in lines[-1:]):
        return _SILENT
    return "; ".join(reasons)


def left_out(study: Path, plan: Plan) -> Iterator[Entry]:
    """Tell which scans never become a job, and which patients have no pair.

    Parameters
    ----------
    study : Path
        Study folder.
    plan : Plan
        What the study asks for.

    Yields
    ------
    Entry
        ``excluded``, ``absent`` or ``unpaired``, with the reason.
    """
    refused = _refused(study / "exclusions.tsv")
    for key, rating in plan.ratings.items():
        if rating.verdict == "exclude":
            refused[key] = "; ".join(filter(None, (refused.get(key), rating.reason)))
    for visit in read_visits(study / "visits.tsv").rows:
        for modality in MODALITIES:
            found = _why_left_out(visit, modality, refused)
            if found:
                state, reason = found
                yield Entry(
                    step=modality,
                    participant_id=visit.participant_id,
                    session_id=visit.session_id,
                    state=state,
                    reason=reason,
                )
    for (patient, baseline, follow_up, modality_name), reason in plan.incomparable.items():
        yield Entry(
            step=f"change of {modality_name}",
            participant_id=patient,
            session_id=pair_name(baseline, follow_up),
            state="excluded",
            reason=reason,
        )
    yield from _without_masks(plan)
    for patient, visits in plan.visits.by_patient().items():
        for modality in MODALITIES:
            sessions = plan.sessions(modality, patient)
            if len(sessions) == 1:
                reason = f"only {sessions[0]} has usable {modality}; {len(visits)} visit(s) listed"
                yield Entry(
                    step=f"change of {modality}",
                    participant_id=patient,
                    session_id=sessions[0],
                    state="unpaired",
                    reason=reason,
                )


def _without_masks(plan: Plan) -> Iterator[Entry]:
    """Tell why lesions of a patient are not used although some visits have a mask."""
    named: dict[str, dict[str, str]] = {}
    for visit in plan.visits_with("dwi"):
        mask = plan.scans[str(visit.scan("dwi"))].lesions or ""
        named.setdefault(visit.participant_id, {})[visit.session_id] = mask
    for patient, masks in named.items():
        if not any(masks.values()):
            continue
        for ses, mask in masks.items():
            if mask and UNDECIDED not in mask:
                continue
            found = f"{len(mask.split(UNDECIDED))} lesion masks" if mask else "no lesion mask"
            reason = (
                f"{found} at this visit; lesions are used only when each visit has one "
                "(choose among several with select: lesion in config.yaml, then index again)"
            )
            yield Entry(
                step="lesions",
                participant_id=patient,
                session_id=ses,
                state="excluded",
                reason=reason,
            )


def _refused(path: Path) -> dict[tuple[str, str, str], str]:
    if not path.exists():
        return {}
    reasons: dict[tuple[str, str, str], str] = {}
    for row in read_rows(path):
        key = (row["participant_id"], row["session_id"], row["modality"])
        reasons[key] = "; ".join(filter(None, (reasons.get(key), row["reason"])))
    return reasons


def _why_left_out(
    visit: Visit, modality: Modality, refused: dict[tuple[str, str, str], str]
) -> tuple[State, str] | None:
    if visit.exclude:
        return "excluded", visit.exclude
    scan = visit.scan(modality)
    if scan is None:
        return "absent", f"no {modality} scan in visits.tsv"
    key = (visit.participant_id, visit.session_id, modality)
    if key in refused:
        return "excluded", refused[key]
    if UNDECIDED in scan:
        return "excluded", f"{len(scan.split(UNDECIDED))} scans and no choice in visits.tsv"
    return None
