"""Model of the time to a confirmed worsening or improvement."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from msimaging.errors import InputError
from msimaging.statistics.edss import progression_events
from msimaging.statistics.proportions import wilson_interval
from msimaging.statistics.survival import SurvivalCurve, time_to_event
from msimaging.statistics.trial_data import ModelResult, ModelSettings, TrialData, group_of
from msimaging.statistics.trial_rows import (
    base_flags,
    comparison,
    design_notes,
    floor_flags,
    identity,
    missing_note,
    not_tested,
)


def patient_events(settings: ModelSettings, data: TrialData) -> pd.DataFrame:
    """Return each patient's confirmed events of EDSS.

    Parameters
    ----------
    settings : ModelSettings
        With ``rule``, ``confirmation_weeks`` and ``reference``.
    data : TrialData
        Of the trial.

    Returns
    -------
    DataFrame
        Indexed by participant: ``worsened improved months_to_worsening months_to_improvement
        n_unconfirmed reason``.
    """
    rows = data.values[data.values["measure"] == settings.outcome].dropna(subset=["months"])
    weeks = 12 if settings.confirmation_weeks is None else settings.confirmation_weeks
    found: dict[str, dict[str, Any]] = {}
    for name in data.patients["participant_id"]:
        own = rows[rows["participant_id"] == name].drop_duplicates("months")
        if len(own) < 2:
            found[name] = {"reason": "fewer than two visits"}
            continue
        course = progression_events(
            own["months"] - own["months"].min(),
            own["value"],
            rule=settings.rule or "kragt",  # type: ignore[arg-type] # the schema allows no other
            confirmation_weeks=weeks,
            reference=settings.reference,
        )
        found[name] = {
            "worsened": float(course.worsened),
            "improved": float(course.improved),
            "months_to_worsening": course.months_to_worsening,
            "months_to_improvement": course.months_to_improvement,
            "n_unconfirmed": len(course.unconfirmed),
            "reason": "",
        }
    columns = [
        "worsened",
        "improved",
        "months_to_worsening",
        "months_to_improvement",
        "n_unconfirmed",
        "reason",
    ]
    return pd.DataFrame.from_dict(found, orient="index", columns=columns)


def fit_time_to_event(settings: ModelSettings, data: TrialData) -> ModelResult:
    """Estimate the time to the first confirmed worsening or improvement of EDSS.

    Parameters
    ----------
    settings : ModelSettings
        With ``event``, ``rule``, ``confirmation_weeks``, ``reference`` and ``group``.
    data : TrialData
        Of the trial.

    Returns
    -------
    ModelResult
        One row, the curves among the counts, and each patient's time.
    """
    result = ModelResult()
    by_arm = settings.group == "arm"
    design_notes(settings, data, result, compares_arms=by_arm)
    events = patient_events(settings, data)
    status = events["worsened" if settings.event == "worsening" else "improved"]
    months = events[f"months_to_{settings.event}"]
    weeks = 12 if settings.confirmation_weeks is None else settings.confirmation_weeks
    what = f"time to {settings.event} confirmed at {weeks:g} weeks, {settings.reference} reference"
    missing_note(result, events["reason"], what=what)
    group = group_of(settings, data).reindex(events.index) if settings.group else None
    known = status.notna() if group is None else status.notna() & group.notna()
    try:
        found = time_to_event(
            months[known], status[known],
            group=None if group is None else group[known].astype(str),
            seed=data.seed, level=data.level,
        )  # fmt: skip
    except InputError as error:
        row = not_tested(settings, "", what=what, n=0, n_excluded=len(events), reason=str(error))
        result.rows.append(row)
        return result
    k = int(status[known].sum())
    share = wilson_interval(k, int(known.sum()), level=data.level)
    compared = not np.isnan(found.p)
    row = {
        **identity(settings, "", what=what),
        "n": found.n,
        "n_excluded": len(events) - found.n,
        "estimate": share.estimate,
        "ci_low": share.ci_low,
        "ci_high": share.ci_high,
        "effect": share.estimate,
        "effect_name": "share with the event, Wilson interval",
        "test": "log-rank, permuted labels" if compared else "none: one group or no event",
        "statistic": found.statistic,
        "p": found.p,
        "p_floor": found.p_floor,
    }
    flags = base_flags(settings, data, compares_arms=by_arm) + floor_flags(found.p_floor, found.p)
    row["flags"] = ";".join(flags)
    result.rows.append(row)
    if compared:
        result.tests.append(
            comparison(row, "log-rank chi-square", found.p_chi2, statistic=found.statistic)
        )
    unconfirmed = int(events["n_unconfirmed"].fillna(0).sum())
    result.note(
        "confirmation", f"{what}: {k} events; {unconfirmed} changes were seen but not confirmed."
    )
    for curve in found.curves:
        result.counts += _curve_rows(settings, curve)
    return result


def _curve_rows(settings: ModelSettings, curve: SurvivalCurve) -> list[dict[str, Any]]:
    return [
        {
            "model": settings.name,
            "table": "survival",
            "measure": settings.outcome,
            "rule": settings.rule or "kragt",
            "group": curve.name,
            "outcome": f"without {settings.event}",
            "months": month,
            "k": np.nan,
            "n": at_risk,
            "share": estimate,
            "ci_low": low,
            "ci_high": high,
        }
        for month, at_risk, estimate, low, high in zip(
            curve.months, curve.n_at_risk, curve.estimate, curve.ci_low, curve.ci_high, strict=True
        )
    ]
