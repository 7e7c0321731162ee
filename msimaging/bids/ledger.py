"""The ledger: what was done for each patient and visit, what was not, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msimaging.bids.layout import log, output
from msimaging.bids.plan import TENSOR_MEASURES, Plan
from msimaging.bids.rows import read_rows
from msimaging.bids.visits import MODALITIES, UNDECIDED, Modality, Visit, read_visits

State = Literal["done", "failed", "pending", "excluded", "absent", "unpaired"]
#: Begins the one line of a log that tells why a step failed.
FAILURE = "FAILED because: "
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
        ``done``, ``failed``, ``pending``, ``excluded``, ``absent`` (not scanned) or ``unpaired``.
    reason : str
        Why it is not done; empty when it is.
    log : str
        The job's log below the study folder.
    """

    step: str
    participant_id: str
    session_id: str
    state: State
    reason: str
    log: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    step: str
    sub: str
    part: str
    outputs: tuple[str, ...]


def read_ledger(study: Path, plan: Plan) -> list[Entry]:
    """Tell the state of every step of a study from its files and logs.

    Parameters
    ----------
    study : Path
        Study folder.
    plan : Plan
        What the study asks for.

    Returns
    -------
    list of Entry
        Patients in the order of the table, cohort last.
    """
    entries = [_entry(study, job) for job in _jobs(plan)]
    return [*left_out(study, plan), *entries]


def _jobs(plan: Plan) -> Iterator[_Job]:
    task = plan.settings["functional"]["task"]
    modalities: tuple[tuple[Modality, tuple[tuple[str, str], ...], str, str, str], ...] = (
        (
            "dwi",
            (
                ("preprocess_dwi", output("dwi")),
                ("fit_tensor", output("tensor")),
                ("measure_diffusion", output("tensor_regions", atlas=_first(plan, "dwi"))),
                ("normalise_maps", output("tensor_map_template", param=TENSOR_MEASURES[-1])),
            ),
            "build_dwi_space",
            output("dwi_from_template"),
            "change_diffusion",
        ),
        (
            "bold",
            (
                ("preprocess_bold", output("bold", task=task)),
                ("extract_parcels", output("time_series", task=task, atlas=_first(plan, "bold"))),
                ("connect_parcels", output("denoised", task=task, atlas=_first(plan, "bold"))),
            ),
            "build_bold_space",
            output("bold_from_template", task=task),
            "change_connectivity",
        ),
    )
    for modality, per_visit, space, space_output, change in modalities:
        change_key = "tensor_map_change" if modality == "dwi" else "connectivity_change"
        change_output = output(
            change_key, param=TENSOR_MEASURES[-1], task=task, atlas=_first(plan, modality)
        )
        for visit in plan.visits_with(modality):
            sub, ses = visit.participant_id, visit.session_id
            for step, path in per_visit:
                yield _Job(step=step, sub=sub, part=ses, outputs=(_fill(path, sub, ses=ses),))
        for sub in dict.fromkeys(v.participant_id for v in plan.visits_with(modality)):
            yield _Job(step=space, sub=sub, part="", outputs=(_fill(space_output, sub),))
        for pair in plan.pairs(modality):
            sub = pair.participant_id
            path = _fill(change_output, sub, pair=pair.name)
            yield _Job(step=change, sub=sub, part=pair.name, outputs=(path,))
    for step in ("measures", "changes", "results"):
        rule = "test_changes" if step == "results" else f"collect_{step}"
        yield _Job(step=rule, sub="", part="", outputs=(output(step),))


def _first(plan: Plan, modality: Modality) -> str:
    names = plan.diffusion_atlases if modality == "dwi" else plan.functional_atlases
    return names[0] if names else ""


def _fill(path: str, sub: str, *, ses: str = "", pair: str = "") -> str:
    return path.replace("{sub}", sub).replace("{ses}", ses).replace("{pair}", pair)


def _entry(study: Path, job: _Job) -> Entry:
    parts = [part for part in (job.sub, job.part) if part]
    path = log(job.step).replace("cohort", "_".join(parts) or "cohort")
    reason = failure_in(study / path)
    done = all((study / name).exists() for name in job.outputs)
    state: State = "failed" if reason and not done else "done" if done else "pending"
    return Entry(
        step=job.step,
        participant_id=job.sub,
        session_id=job.part,
        state=state,
        reason=reason if state == "failed" else "",
        log=path,
    )


def failure_in(path: Path) -> str:
    """Return the reasons that a job's log gives for its failure, empty when there are none.

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
