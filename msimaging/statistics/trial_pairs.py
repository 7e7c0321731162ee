"""Two visits of every patient side by side, with the reason where one of them is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from msimaging.statistics.trial_data import ModelSettings, TrialData

LAST = "last"
_PAIR_COLUMNS = ("baseline_value", "follow_up_value", "change")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which measure, and which visits of it."""

    measure: str
    atlas: str = ""
    labels: tuple[str, ...] = ()
    summary: str = "none"
    baseline: str = ""


def choice_of(settings: ModelSettings) -> Choice:
    """Return the outcome of a model."""
    return Choice(
        measure=settings.outcome,
        atlas=settings.atlas,
        labels=settings.labels,
        summary=settings.summary,
        baseline=settings.baseline,
    )


def second_choice_of(settings: ModelSettings) -> Choice:
    """Return the second measure of an association."""
    return Choice(
        measure=settings.with_,
        atlas=settings.with_atlas,
        labels=settings.with_labels,
        summary="mean" if settings.summary == "none" else settings.summary,
        baseline=settings.baseline,
    )


def follow_ups(choice: Choice, data: TrialData, wanted: str) -> list[str]:
    """Return the follow-up sessions of a measure, in the order of time.

    Parameters
    ----------
    choice : Choice
        The measure.
    data : TrialData
        Of the trial.
    wanted : str
        A session, "last", or "all".

    Returns
    -------
    list of str
        For "all" every session but each patient's baseline.
    """
    if wanted != "all":
        return [wanted]
    if data.is_clinical(choice.measure):
        rows = data.values[data.values["measure"] == choice.measure]
        later = rows[rows["session_id"] != rows["participant_id"].map(_baselines(data, choice))]
        return _in_time(later["session_id"], later["months"])
    rows = _chosen(data.changes, choice)
    return _in_time(rows["follow_up"], rows["months"])


def _in_time(sessions: pd.Series[str], months: pd.Series[float]) -> list[str]:
    table = pd.DataFrame({"session": sessions, "months": months.astype(float)})
    middle = table.groupby("session")["months"].median()
    return [str(name) for name in sorted(middle.index, key=lambda name: (middle[name], name))]


def paired_values(choice: Choice, data: TrialData, follow_up: str) -> dict[str, pd.DataFrame]:
    """Return both values and their change for every patient and label.

    Parameters
    ----------
    choice : Choice
        The measure.
    data : TrialData
        Of the trial.
    follow_up : str
        A session, or "last".

    Returns
    -------
    dict
        From label (empty for clinical outcomes) to a frame indexed by all patients of the trial:
        ``baseline_value follow_up_value change reason``; the reason tells why there is no change.
    """
    patients = [str(name) for name in data.patients["participant_id"]]
    if data.is_clinical(choice.measure):
        return {"": _clinical_pairs(choice, data, follow_up, patients)}
    rows = _chosen(data.changes, choice)
    if choice.baseline:
        rows = rows[rows["baseline"] == choice.baseline]
    if follow_up == LAST:
        rows = rows.sort_values("months", kind="stable")
        rows = rows.drop_duplicates(["participant_id", "atlas", "label"], keep="last")
    else:
        rows = rows[rows["follow_up"] == follow_up]
    if choice.summary != "none":
        return {f"{choice.summary} over labels": _summarised(rows, choice.summary, patients)}
    return {
        str(label): _with_reasons(group.set_index("participant_id"), patients, follow_up)
        for label, group in rows.groupby("label", sort=False)
    }


def _chosen(table: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    kept = table["measure"] == choice.measure
    if choice.atlas:
        kept &= table["atlas"] == choice.atlas
    if choice.labels:
        kept &= table["label"].isin(choice.labels)
    return table[kept]


def _baselines(data: TrialData, choice: Choice) -> dict[str, str]:
    """Return each patient's baseline session: the declared one, or the first of the trial."""
    ordered = data.values.sort_values("months", kind="stable")
    first = ordered.drop_duplicates("participant_id")
    found = dict(zip(first["participant_id"], first["session_id"], strict=True))
    return dict.fromkeys(found, choice.baseline) if choice.baseline else found


def _clinical_pairs(
    choice: Choice, data: TrialData, follow_up: str, patients: Sequence[str]
) -> pd.DataFrame:
    rows = data.values[data.values["measure"] == choice.measure]
    rows = rows.sort_values(["participant_id", "months"], kind="stable")
    baselines = _baselines(data, choice)
    table = []
    for name in patients:
        own = rows[rows["participant_id"] == name]
        before = own[own["session_id"] == baselines.get(name)]
        start = float(before["months"].iloc[0]) if len(before) else -np.inf
        later = own[(own["months"] > start) & (own["session_id"] != baselines.get(name))]
        after = later.tail(1) if follow_up == LAST else own[own["session_id"] == follow_up]
        values = [float(part["value"].iloc[0]) if len(part) else np.nan for part in (before, after)]
        table.append([*values, values[1] - values[0]])
    frame = pd.DataFrame(table, index=list(patients), columns=list(_PAIR_COLUMNS))
    return _with_reasons(frame, patients, follow_up)


def _summarised(rows: pd.DataFrame, summary: str, patients: Sequence[str]) -> pd.DataFrame:
    """Take one number over the labels that every patient has at both visits."""
    wide = {
        column: rows.pivot_table(
            index="participant_id", columns=["atlas", "label"], values=column, dropna=False
        )
        for column in _PAIR_COLUMNS
    }
    known = wide["change"].notna()
    # a patient whose scan lacks many labels must not decide which ones all others are judged by
    usable = known[known.mean(axis=1) > 0.5]
    common = usable.columns[usable.all()]
    frame = pd.DataFrame(
        {column: getattr(table[common], summary)(axis=1) for column, table in wide.items()}
    )
    frame.attrs["n_labels"] = len(common)
    frame.loc[~known[common].all(axis=1)] = np.nan
    return _with_reasons(frame, patients, "")


def _with_reasons(frame: pd.DataFrame, patients: Sequence[str], follow_up: str) -> pd.DataFrame:
    n_labels = frame.attrs.get("n_labels")
    table = frame.reindex(list(patients))[list(_PAIR_COLUMNS)].astype(float)
    before, after = table["baseline_value"].isna(), table["follow_up_value"].isna()
    at_visit = f"at {follow_up}" if follow_up and follow_up != LAST else "at follow-up"
    reasons = np.select(
        [before & after, before, after, table["change"].isna()],
        ["no value at either visit", "no value at baseline", f"no value {at_visit}", "no change"],
        "",
    )
    table["reason"] = reasons
    table.attrs["n_labels"] = n_labels
    return table


def motion_change(data: TrialData, choice: Choice, follow_up: str) -> pd.Series[float]:
    """Return each patient's change in mean framewise displacement between the two scans.

    Parameters
    ----------
    data : TrialData
        With ``motion``.
    choice : Choice
        The imaging measure; its modality tells which scans.
    follow_up : str
        A session, or "last".

    Returns
    -------
    Series
        mm, by participant.
    """
    rows = _chosen(data.changes, choice)
    if choice.baseline:
        rows = rows[rows["baseline"] == choice.baseline]
    if follow_up == LAST:
        rows = rows.sort_values("months", kind="stable")
    else:
        rows = rows[rows["follow_up"] == follow_up]
    rows = rows.drop_duplicates("participant_id", keep="last")
    keys = ["participant_id", "session_id", "modality"]
    moved = data.motion.set_index(keys)["fd_mean"]
    found = {}
    for row in rows.to_dict("records"):
        ends = [
            moved.get((row["participant_id"], row[end], row["modality"]), np.nan)
            for end in ("baseline", "follow_up")
        ]
        found[str(row["participant_id"])] = float(ends[1]) - float(ends[0])
    return pd.Series(found, dtype=float)
