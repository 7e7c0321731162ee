"""Rows that every model of the trial writes, and the flags and sentences that guard them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.statistics.inputs import LEVEL
from msimaging.statistics.trial_data import B_CELL_DRUGS, ModelResult, ModelSettings, TrialData

UNCONTROLLED = (
    "Exploratory, uncontrolled: without a control arm a change after treatment is not a change by "
    "treatment."
)


def identity(settings: ModelSettings, label: str, *, what: str) -> dict[str, Any]:
    """Return the first columns of a row of ``results.tsv``.

    Parameters
    ----------
    settings : ModelSettings
        The model.
    label : str
        Region, pair of networks, or empty.
    what : str
        What was asked, for example "paired change to ses-month06".

    Returns
    -------
    dict
        ``model family measure label``.
    """
    return {
        "model": f"{settings.name}: {what}",
        "family": settings.family,
        "atlas": settings.atlas,
        "label": label,
        "measure": settings.outcome,
    }


def not_tested(
    settings: ModelSettings, label: str, *, what: str, n: int, n_excluded: int, reason: str
) -> dict[str, Any]:
    """Return the row of a model that these patients do not allow, with the reason."""
    plain = " ".join(reason.replace(";", ",").replace("\t", " ").split())
    return {
        **identity(settings, label, what=what),
        "n": n,
        "n_excluded": n_excluded,
        "p": np.nan,
        "flags": f"not-tested: {plain}",
    }


def base_flags(settings: ModelSettings, data: TrialData, *, compares_arms: bool) -> list[str]:
    """Return the flags that the design gives to every row of a model."""
    flags = []
    if not (compares_arms and data.controlled):
        flags.append("uncontrolled")
    if data.entry_criterion == "worsening" and not (compares_arms and data.controlled):
        flags.append("regression-to-the-mean")
    if _by_treatments(settings):
        flags.append("survivor-bias")
    if b_cell_patients(settings, data):
        flags.append("concomitant-b-cell-depletion")
    return flags


def floor_flags(p_floor: float, p: float) -> list[str]:
    """Return the flag of a test that could not reach the usual level."""
    if np.isnan(p) or p_floor <= LEVEL:
        return []
    return [f"p-cannot-reach-{LEVEL}"]


def _by_treatments(settings: ModelSettings) -> bool:
    return "n_treatments" in {settings.group, settings.with_}


def b_cell_patients(settings: ModelSettings, data: TrialData) -> dict[str, str]:
    """Return the patients whose other drugs deplete B cells, where B cells are the outcome.

    Parameters
    ----------
    settings : ModelSettings
        The model.
    data : TrialData
        With the column ``concomitant`` of the patients.

    Returns
    -------
    dict
        From participant to drugs; empty for other outcomes.
    """
    measures = [data.declared.get(name) for name in (settings.outcome, settings.with_)]
    if not any(declared is not None and declared.counts_b_cells for declared in measures):
        return {}
    taken = data.patients.set_index("participant_id")["concomitant"].fillna("").astype(str)
    found = {
        str(name): ", ".join(drug for drug in B_CELL_DRUGS if drug in text.lower())
        for name, text in taken.items()
    }
    return {name: drugs for name, drugs in found.items() if drugs}


def design_notes(
    settings: ModelSettings, data: TrialData, result: ModelResult, *, compares_arms: bool
) -> None:
    """Add the sentences that the design asks for.

    Parameters
    ----------
    settings : ModelSettings
        The model.
    data : TrialData
        Of the trial.
    result : ModelResult
        Gets the notes.
    compares_arms : bool
        Whether the model compares arms of the trial.
    """
    flags = base_flags(settings, data, compares_arms=compares_arms)
    if "uncontrolled" in flags:
        result.note("control", UNCONTROLLED)
    if "regression-to-the-mean" in flags:
        result.note(
            "regression to the mean",
            "Patients had to worsen before they could enter: a part of them is expected to improve "
            "without any treatment (regression to the mean).",
        )
    if "survivor-bias" in flags:
        result.note(
            "survivor bias",
            "Patients who do well go on to further treatments: more treatments may be the "
            "consequence of a good course and not its cause (immortal time). This asks for a "
            "landmark or time-varying analysis, not for a two-by-two table.",
        )
    drugs = b_cell_patients(settings, data)
    if drugs:
        told = ", ".join(f"{name} ({given})" for name, given in drugs.items())
        result.note(
            "concomitant treatment",
            f"{len(drugs)} of {len(data.patients)} patients took drugs that deplete B cells: "
            f"{told}. A fall of B cells cannot be credited to the treatment under study.",
        )
    declared = data.declared.get(settings.outcome)
    if declared is not None and declared.type == "edss":
        result.note(
            "scale", "EDSS is ordinal; its mean change is given for comparison with other reports."
        )


def missing_note(result: ModelResult, reasons: pd.Series[str], *, what: str) -> None:
    """Tell how many patients a row leaves out, and why."""
    left = reasons[reasons != ""]
    if left.empty:
        return
    told = "; ".join(f"{reason}: {', '.join(rows)}" for reason, rows in _grouped(left).items())
    result.note("missing", f"{what}: {len(left)} of {len(reasons)} patients left out. {told}.")


def _grouped(left: pd.Series[str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, reason in left.items():
        grouped.setdefault(str(reason), []).append(str(name))
    return grouped


def floor_note(result: ModelResult, *, test: str, n: int, p_floor: float) -> None:
    """Tell the smallest p that a test could have given, where it keeps the usual level away."""
    if p_floor > LEVEL:
        result.note(
            "floor",
            f"With {n} patients the {test} cannot give a p below {p_floor:.4g}: p < {LEVEL:g} is "
            "out of reach whatever the data.",
        )
    elif LEVEL // p_floor * p_floor < 0.8 * LEVEL:
        reach = 100 * (LEVEL // p_floor) * p_floor
        result.note(
            "floor",
            f"With {n} patients the {test} goes by steps of {p_floor:.4g}: where nothing changes "
            f"it gives p <= {LEVEL:g} in {reach:.2g} % of trials and not in 5 %.",
        )


def limits_note(result: ModelResult, data: TrialData, measure: str) -> None:
    """Tell how many values of an outcome were outside the assay."""
    if "limit" not in data.values:
        return
    rows = data.values[data.values["measure"] == measure]
    for side, counted in (("below", "half of the limit"), ("above", "the limit")):
        n = int((rows["limit"] == side).sum())
        if n:
            result.note(
                "assay",
                f"{n} of {len(rows)} values of {measure} were {side} the limit of the "
                f"assay and count as {counted}.",
            )


def comparison(
    row: dict[str, Any], test: str, p: float, *, statistic: float = np.nan,
    p_floor: float = np.nan, remark: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Return a row of the labelled alternatives beside a result."""
    return {
        **{key: row[key] for key in ("model", "family", "atlas", "label", "measure", "n")},
        "test": test,
        "statistic": statistic,
        "p": p,
        "p_floor": p_floor,
        "remark": remark,
    }


def numbers(column: pd.Series[Any]) -> NDArray[np.float64]:
    """Return a column as floats, NaN where it holds none."""
    return np.asarray(pd.to_numeric(column, errors="coerce"), dtype=np.float64)
