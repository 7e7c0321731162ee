"""The ledger: what was done for each patient and visit, what was not, and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from msimaging.bids.anatomical import why_directly
from msimaging.bids.job_records import DIRECTLY, END, FAILURE
from msimaging.bids.jobs import Job, jobs_of
from msimaging.bids.layout import output
from msimaging.bids.plan import Plan
from msimaging.bids.rows import read_rows
from msimaging.bids.shells import FURTHER_MODELS
from msimaging.bids.visits import (
    MODALITIES,
    UNDECIDED,
    Modality,
    Visit,
    is_decided,
    pair_name,
    read_visits,
)

State = Literal["done", "stale", "failed", "pending", "excluded", "absent", "unpaired"]
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
        ``absent`` (what it
        needs was not scanned) or ``unpaired``.
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


def read_ledger(
    study: Path,
    plan: Plan,
    *,
    outdated: Mapping[str, str] = MappingProxyType({}),
    running: bool = False,
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
    running : bool
        Whether a run may be at work: a job whose log has no end is then pending, else it failed.

    Returns
    -------
    list of Entry
        Patients in the order of the table, cohort last.
    """
    entries = [
        entry for job in jobs_of(plan) for entry in _entries(study, job, outdated, running=running)
    ]
    told = [*left_out(study, plan), *too_little_data(study, plan)]
    return [*told, *entries, *_corrections(study, entries, plan), *_without_models(plan)]


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


def _corrections(study: Path, entries: Iterable[Entry], plan: Plan) -> Iterator[Entry]:
    """Tell of each scan whether it was corrected and how aligned, by the job that does it."""
    diffusion, functional = (plan.settings[name] for name in ("diffusion", "functional"))
    steps: dict[str, tuple[tuple[str, Any, Callable[[str], str]], ...]] = {
        "preprocess_dwi": (
            ("correct_distortion", diffusion["distortion"], partial(plan.why_distorted, "dwi")),
            ("correct_dwi_motion", diffusion["motion"], plan.why_moving),
        ),
        "preprocess_bold": (
            (
                "correct_bold_distortion",
                functional["distortion"],
                partial(plan.why_distorted, "bold"),
            ),
        ),
        "build_bold_space": (
            # where no patient has a T1w, none is missing
            (
                "register_over_t1w",
                functional["anatomical"] if any(v.anat for v in plan.visits.rows) else "none",
                partial(_why_directly, study, plan),
            ),
        ),
    }
    for entry in entries:
        for step, setting, why_not in steps.get(entry.step, ()):
            if setting not in {False, "none"}:
                why, told = why_not(entry.participant_id), replace(entry, step=step)
                yield replace(told, state="absent", reason=why) if why else told


def _why_directly(study: Path, plan: Plan, sub: str) -> str:
    """Tell why a patient's runs take no T1w: by the study's tables, or by the step that looked."""
    why = why_directly(plan, sub)
    task = plan.settings["functional"]["task"]
    sidecar = (study / output("bold_to_template", sub=sub, task=task)).with_suffix(".json")
    if why or not sidecar.exists():
        return why
    over = str(json.loads(sidecar.read_text(encoding="utf-8")).get("RegistrationOver", ""))
    return over.removeprefix(DIRECTLY) if over.startswith(DIRECTLY) else ""


def _without_models(plan: Plan) -> Iterator[Entry]:
    """Tell which visits go without a further model although the settings want it where possible."""
    for setting, model in FURTHER_MODELS.items():
        if not plan.settings["diffusion"][setting]:
            continue
        for visit in plan.visits_with("dwi"):
            why = plan.why_without_model(setting, visit.participant_id)
            if why:
                yield Entry(
                    step=model.rule,
                    participant_id=visit.participant_id,
                    session_id=visit.session_id,
                    state="absent",
                    reason=why,
                )


def _entries(
    study: Path, job: Job, outdated: Mapping[str, str], *, running: bool
) -> Iterator[Entry]:
    """Tell of a job, or of each visit or pair that it works on."""
    entry = _entry(study, job, outdated, running=running)
    yield from (replace(entry, session_id=part) for part in job.parts)
    if not job.parts:
        yield entry


def _entry(study: Path, job: Job, outdated: Mapping[str, str], *, running: bool) -> Entry:
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
        session_id=job.ses or job.pair or job.name,
        state=state,
        reason=reason,
        log=job.log,
    )


def failure_in(path: Path) -> str:
    """Return the reasons that a job's log gives for its failure.

    Parameters
    ----------
    path : Path
        The log; may be missing.

    Returns
    -------
    str
        Joined by ``; ``; empty when the job came to its end, or never began: Snakemake leaves empty
        logs of jobs that a cluster refused, and of those that wait in a group for one that failed.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    if not lines:
        return ""
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
    visits = read_visits(study / "visits.tsv").rows
    # where nobody was scanned, no scan is missing
    scanned = visits if any(v.scan(m) for v in visits for m in MODALITIES) else ()
    for visit in scanned:
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
    for patient, listed in plan.visits.by_patient().items():
        for modality in MODALITIES:
            sessions = plan.sessions(modality, patient)
            if len(sessions) == 1:
                reason = f"only {sessions[0]} has usable {modality}; {len(listed)} visit(s) listed"
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
            if is_decided(mask):
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
