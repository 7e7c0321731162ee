"""The numbers of the flow diagram, counted in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalitySteps:
    """Steps whose success marks a patient's way through one modality.

    Attributes
    ----------
    measured : str
        Step that is done for a visit that passed quality.
    compared : str
        Step that is done for a pair of visits.
    """

    measured: str
    compared: str


def flow_numbers(
    ledger: pd.DataFrame, *, enrolled: Sequence[str], modalities: Mapping[str, ModalitySteps]
) -> pd.DataFrame:
    """Count patients from enrolled to analysed, with the reasons for those left behind.

    Parameters
    ----------
    ledger : DataFrame
        ``step participant_id session_id state reason``; what never became a job stands under its
        modality with the state ``absent``, ``excluded`` or ``unpaired``.
    enrolled : sequence of str
        All patients.
    modalities : mapping of str to ModalitySteps
        Steps of each modality.

    Returns
    -------
    DataFrame
        ``stage modality n n_lost reasons``: one row per box of the diagram.
    """
    everyone = list(dict.fromkeys(enrolled))
    scanned_of = {name: _scanned(ledger, everyone, name, s) for name, s in modalities.items()}
    anyhow = [p for p in everyone if any(p in scanned for scanned in scanned_of.values())]
    rows: list[dict[str, object]] = [
        _box("Enrolled", "", everyone, everyone, ledger),
        _box("Scanned", "", anyhow, everyone, ledger),
    ]
    for name, steps in modalities.items():
        own = ledger[_belongs(ledger, name, steps)]
        stages = _stages(own, scanned_of[name], steps)
        before = anyhow
        for stage, patients in stages:
            rows.append(_box(stage, name, patients, before, own))
            before = patients
    order = {stage: place for place, stage in enumerate(_STAGES)}
    rows.sort(key=lambda row: order[str(row["stage"])])
    return pd.DataFrame(rows)


_STAGES = ("Enrolled", "Scanned", "Scan at hand", "Passed quality", "Paired", "Analysed")


def _belongs(ledger: pd.DataFrame, modality: str, steps: ModalitySteps) -> pd.Series[bool]:
    words = ledger["step"].astype(str)
    return words.isin([modality, steps.measured, steps.compared]) | words.str.endswith(
        f" {modality}"
    )


def _scanned(
    ledger: pd.DataFrame, patients: Iterable[str], modality: str, steps: ModalitySteps
) -> list[str]:
    """Return the patients with any scan of a modality: more in the ledger than its absence."""
    own = ledger[_belongs(ledger, modality, steps) & (ledger["state"] != "absent")]
    seen = set(own["participant_id"])
    return [patient for patient in patients if patient in seen]


def _stages(
    own: pd.DataFrame, scanned: list[str], steps: ModalitySteps
) -> list[tuple[str, list[str]]]:
    measured = own[(own["step"] == steps.measured) & (own["state"] == "done")]
    visits = measured.groupby("participant_id")["session_id"].nunique()
    compared = own[(own["step"] == steps.compared) & (own["state"] == "done")]
    passed = [p for p in scanned if visits.get(p, 0) >= 1]
    paired = [p for p in passed if visits.get(p, 0) >= 2]
    analysed = [p for p in paired if p in set(compared["participant_id"])]
    return [
        ("Scan at hand", scanned),
        ("Passed quality", passed),
        ("Paired", paired),
        ("Analysed", analysed),
    ]


def _box(
    stage: str, modality: str, kept: list[str], before: list[str], ledger: pd.DataFrame
) -> dict[str, object]:
    lost = [patient for patient in before if patient not in set(kept)]
    return {
        "stage": stage,
        "modality": modality,
        "n": len(kept),
        "n_lost": len(lost),
        "reasons": _reasons(ledger, lost),
    }


def _reasons(ledger: pd.DataFrame, lost: list[str]) -> str:
    """Return the reasons that the ledger gives for these patients, most frequent first."""
    told = ledger[ledger["participant_id"].isin(lost) & ledger["reason"].fillna("").ne("")]
    counts = told.drop_duplicates(["participant_id", "reason"])["reason"].value_counts()
    return "; ".join(f"{reason} ({count})" for reason, count in counts.items())
