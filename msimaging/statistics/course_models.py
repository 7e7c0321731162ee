"""Models of several visits over true months: slopes, mixed model, Friedman."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from msimaging.errors import ComputationError, InputError
from msimaging.statistics.groups import friedman
from msimaging.statistics.mixed import MixedModel, mixed_model
from msimaging.statistics.slopes import patient_slopes
from msimaging.statistics.trial_data import ModelResult, ModelSettings, TrialData, group_of
from msimaging.statistics.trial_rows import (
    base_flags,
    comparison,
    design_notes,
    floor_flags,
    floor_note,
    identity,
    limits_note,
    not_tested,
    numbers,
)

#: Patients below which a mixed model gets its p-values from a parametric bootstrap by default.
SMALL_SAMPLE = 20
BOOTSTRAP_SAMPLES = 499


def courses(settings: ModelSettings, data: TrialData) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the visits of every label: ``participant_id session_id months value``.

    Parameters
    ----------
    settings : ModelSettings
        The model.
    data : TrialData
        Of the trial.

    Yields
    ------
    label : str
        Empty for clinical outcomes.
    visits : DataFrame
        One row per patient and visit that has a value.
    """
    rows = data.values[data.values["measure"] == settings.outcome]
    if settings.atlas:
        rows = rows[rows["atlas"] == settings.atlas]
    if settings.labels:
        rows = rows[rows["label"].isin(settings.labels)]
    rows = rows.dropna(subset=["value", "months"])
    keys = ["participant_id", "session_id"]
    if settings.summary != "none":
        table = rows.pivot_table(
            index=[*keys, "months"], columns=["atlas", "label"], values="value"
        )
        known = table.notna()
        common = known.columns[known[known.mean(axis=1) > 0.5].all()]
        values = getattr(table[common].dropna(), settings.summary)(axis=1)
        yield f"{settings.summary} over labels", values.rename("value").reset_index()
        return
    for label, group in rows.groupby(rows["label"].fillna(""), sort=False):
        yield str(label), group[[*keys, "months", "value"]]


def fit_slopes(settings: ModelSettings, data: TrialData) -> ModelResult:
    """Test the mean of the patients' own slopes, with t(n - 1) and by exact sign flips.

    Parameters
    ----------
    settings : ModelSettings
        With ``knot``, where visits lie on both sides of the treatment.
    data : TrialData
        Of the trial.

    Returns
    -------
    ModelResult
        A row per label.
    """
    result = ModelResult()
    design_notes(settings, data, result, compares_arms=False)
    limits_note(result, data, settings.outcome)
    bend = "" if settings.knot is None else f", change at month {settings.knot:g}"
    what = f"slope per month{bend}"
    n_all = len(data.patients)
    for label, visits in courses(settings, data):
        try:
            found = patient_slopes(visits, outcome="value", knot=settings.knot, level=data.level)
        except InputError as error:
            row = not_tested(settings, label, what=what, n=0, n_excluded=n_all, reason=str(error))
            result.rows.append(row)
            continue
        result.add(_slope_row(settings, data, label, found, what))
        result.patients += _slope_patients(settings, data, label, found, what)
    return result


def _slope_row(
    settings: ModelSettings, data: TrialData, label: str, found: Any, what: str
) -> ModelResult:
    result = ModelResult()
    effect, flips = found.effect, found.flips
    flags = base_flags(settings, data, compares_arms=False) + floor_flags(flips.p_floor, flips.p)
    if effect.reason:
        flags.append("no-t-test")
        result.note("no t-test", f"{what} of {settings.outcome} {label}: {effect.reason}.")
    kind = "exact" if flips.exact else "random"
    row = {
        **identity(settings, label, what=what),
        "n": effect.n,
        "n_excluded": len(data.patients) - effect.n,
        "estimate": effect.estimate,
        "ci_low": effect.ci_low,
        "ci_high": effect.ci_high,
        "effect": effect.hedges_g,
        "effect_name": "hedges_g",
        "test": f"{kind} sign-flip of slopes, {flips.n_flips} flips",
        "statistic": effect.statistic,
        "p": flips.p,
        "p_floor": flips.p_floor,
        "flags": ";".join(flags),
    }
    floor_note(result, test="exact sign-flip test", n=effect.n, p_floor=flips.p_floor)
    if found.left_out:
        names = ", ".join(map(str, found.left_out))
        result.note(
            "missing", f"{what} of {settings.outcome}: too few visits for a slope: {names}."
        )
    result.rows.append(row)
    result.tests.append(
        comparison(
            row, f"t of slopes, {effect.df:g} df", effect.p, statistic=effect.statistic,
            p_floor=0.0, remark=effect.reason or "assumes normal slopes",
        )
    )  # fmt: skip
    return result


def _slope_patients(
    settings: ModelSettings, data: TrialData, label: str, found: Any, what: str
) -> list[dict[str, Any]]:
    slopes = dict(zip(found.patients, found.slopes, strict=True))
    name = identity(settings, label, what=what)
    return [
        {
            **{key: name[key] for key in ("model", "atlas", "label", "measure")},
            "participant_id": patient,
            "used": patient in slopes,
            "reason": "" if patient in slopes else "too few visits",
            "value": slopes.get(patient, np.nan),
        }
        for patient in data.patients["participant_id"]
    ]


def fit_mixed(settings: ModelSettings, data: TrialData) -> ModelResult:
    """Fit a linear mixed model over true months.

    Parameters
    ----------
    settings : ModelSettings
        With ``knot``, ``group``, ``covariates``, ``random_slope`` and ``bootstrap``.
    data : TrialData
        Of the trial.

    Returns
    -------
    ModelResult
        A row per label: the slope, its bend at the knot, or its product with the group.
    """
    result = ModelResult()
    by_arm = settings.group == "arm"
    design_notes(settings, data, result, compares_arms=by_arm)
    limits_note(result, data, settings.outcome)
    for label, visits in courses(settings, data):
        result.add(_mixed_row(settings, data, label, visits))
    return result


def _mixed_row(
    settings: ModelSettings, data: TrialData, label: str, visits: pd.DataFrame
) -> ModelResult:
    result = ModelResult()
    table = _with_patients(settings, data, visits)
    by = "group" if settings.group else None
    n = int(table["participant_id"].nunique())
    n_bootstrap = settings.bootstrap
    if n_bootstrap is None:
        n_bootstrap = BOOTSTRAP_SAMPLES if n < SMALL_SAMPLE else 0
    most = int(table.groupby("participant_id").size().max()) if len(table) else 0
    slopes = settings.random_slope if settings.random_slope is not None else most > 2
    try:
        found = mixed_model(
            table, outcome="value", covariates=settings.covariates, by=by, knot=settings.knot,
            random_slope=slopes, n_bootstrap=n_bootstrap, seed=data.seed, level=data.level,
        )  # fmt: skip
    except (InputError, ComputationError) as error:
        n_out = len(data.patients) - n
        row = not_tested(
            settings, label, what="mixed model", n=n, n_excluded=n_out, reason=str(error)
        )
        result.rows.append(row)
        return result
    asked = "months after knot" if settings.knot is not None else "months"
    asked = "months x group" if by else asked
    result.rows.append(_mixed_result(settings, data, label, found, asked))
    row = result.rows[0]
    result.tests += [
        comparison(
            row, f"term {term.name}", term.p, statistic=term.statistic, p_floor=term.p_floor,
            remark=f"{term.estimate:.4g} ({term.ci_low:.4g} to {term.ci_high:.4g})",
        )
        for term in found.terms
    ]  # fmt: skip
    if found.singular or not found.converged:
        state = (
            "did not converge" if not found.converged else "has a random effect without variance"
        )
        result.note("fit", f"mixed model of {settings.outcome} {label}: the fit {state}.")
    if found.n_missing:
        result.note(
            "missing",
            f"mixed model of {settings.outcome}: {found.n_missing} visits without a value.",
        )
    return result


def _with_patients(settings: ModelSettings, data: TrialData, visits: pd.DataFrame) -> pd.DataFrame:
    """Put covariates and group, as numbers, beside every visit."""
    table = visits[["participant_id", "months", "value"]].copy()
    patients = data.patients.set_index("participant_id")
    for name in settings.covariates:
        column = pd.Series(numbers(patients[name]), index=patients.index)
        table[name] = table["participant_id"].map(column)
    if settings.group:
        table["group"] = table["participant_id"].map(_coded_group(settings, data))
    return table


def _coded_group(settings: ModelSettings, data: TrialData) -> pd.Series[float]:
    group = group_of(settings, data)
    as_numbers = pd.Series(numbers(group), index=group.index)
    if settings.group != "arm" and settings.more_than is None and as_numbers.notna().any():
        return as_numbers
    names = sorted(str(name) for name in group.dropna().unique())
    reference = data.control if settings.group == "arm" and data.control else names[0]
    return (group.astype(str) != reference).astype(float).where(group.notna())


def _mixed_result(
    settings: ModelSettings, data: TrialData, label: str, found: MixedModel, asked: str
) -> dict[str, Any]:
    term = found.term(asked)
    by_arm = settings.group == "arm"
    flags = base_flags(settings, data, compares_arms=by_arm) + floor_flags(term.p_floor, term.p)
    if found.singular:
        flags.append("singular-fit")
    if not found.converged:
        flags.append("not-converged")
    if found.n < SMALL_SAMPLE and not found.n_bootstrap:
        flags.append("few-patients-for-a-mixed-model")
    return {
        **identity(settings, label, what=f"mixed model, {asked}"),
        "n": found.n,
        "n_excluded": len(data.patients) - found.n,
        "estimate": term.estimate,
        "ci_low": term.ci_low,
        "ci_high": term.ci_high,
        "effect": term.estimate / np.sqrt(found.residual_variance),
        "effect_name": "estimate / residual SD",
        "test": f"mixed model of {found.n_visits} visits, {found.p_method}",
        "statistic": term.statistic,
        "p": term.p,
        "p_floor": term.p_floor,
        "flags": ";".join(flags),
    }


def fit_friedman(settings: ModelSettings, data: TrialData) -> ModelResult:
    """Test by ranks within patients whether the sessions differ; complete patients only.

    Parameters
    ----------
    settings : ModelSettings
        The model.
    data : TrialData
        Of the trial.

    Returns
    -------
    ModelResult
        A row per label.
    """
    result = ModelResult()
    design_notes(settings, data, result, compares_arms=False)
    for label, visits in courses(settings, data):
        table = visits.pivot_table(index="participant_id", columns="session_id", values="value")
        table = table.reindex(data.patients["participant_id"])
        what = f"Friedman over {table.shape[1]} sessions"
        try:
            found = friedman(table.to_numpy(dtype=float), seed=data.seed)
        except InputError as error:
            row = not_tested(
                settings, label, what=what, n=0, n_excluded=len(table), reason=str(error)
            )
            result.rows.append(row)
            continue
        flags = base_flags(settings, data, compares_arms=False)
        row = {
            **identity(settings, label, what=what),
            "n": found.n,
            "n_excluded": found.n_missing,
            "estimate": found.estimate,
            "effect": found.estimate,
            "effect_name": "Kendall W",
            "test": f"Friedman, {'exact' if found.exact else 'random'} permutations",
            "statistic": found.statistic,
            "p": found.p,
            "p_floor": found.p_floor,
            "flags": ";".join(flags + floor_flags(found.p_floor, found.p)),
        }
        result.rows.append(row)
        result.tests.append(
            comparison(row, f"Friedman chi-square, {found.df:g} df", found.p_chi2,
                       statistic=found.statistic, p_floor=0.0, remark="asymptotic")
        )  # fmt: skip
        if found.n_missing:
            lacking = ", ".join(table.index[table.isna().any(axis=1)].astype(str))
            result.note("missing", f"{what} of {settings.outcome}: incomplete patients: {lacking}.")
    return result
