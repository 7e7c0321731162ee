"""Models over patients: what goes with a change, and arms at equal baseline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from msimaging.errors import InputError
from msimaging.statistics.association import association
from msimaging.statistics.groups import ancova
from msimaging.statistics.trial_data import ModelResult, ModelSettings, TrialData, group_of
from msimaging.statistics.trial_pairs import (
    choice_of,
    follow_ups,
    motion_change,
    paired_values,
    second_choice_of,
)
from msimaging.statistics.trial_rows import (
    base_flags,
    comparison,
    design_notes,
    floor_flags,
    floor_note,
    identity,
    missing_note,
    not_tested,
    numbers,
)


def fit_association(settings: ModelSettings, data: TrialData) -> ModelResult:
    """Correlate the change of one measure with that of another, or with a number of each patient.

    Parameters
    ----------
    settings : ModelSettings
        With ``with_``: a declared outcome, a measure, or a column of the patients such as
        ``n_treatments``.
    data : TrialData
        Of the trial.

    Returns
    -------
    ModelResult
        A row per follow-up and label.
    """
    result = ModelResult()
    design_notes(settings, data, result, compares_arms=False)
    choice = choice_of(settings)
    for follow_up in follow_ups(choice, data, settings.follow_up):
        what = f"association of change to {follow_up} with {settings.with_}"
        other = _other_side(settings, data, follow_up)
        nuisance = _covariates(settings, data, follow_up)
        for label, table in paired_values(choice, data, follow_up).items():
            sides = pd.concat([table, nuisance.reindex(table.index)], axis=1)
            sides["other"] = other.reindex(table.index)
            result.add(_association_row(settings, data, label, sides, what))
    return result


def _other_side(settings: ModelSettings, data: TrialData, follow_up: str) -> pd.Series[Any]:
    if settings.with_ in data.patients and not data.is_clinical(settings.with_):
        column = data.patients.set_index("participant_id")[settings.with_]
        return pd.Series(numbers(column), index=column.index)
    pairs = paired_values(second_choice_of(settings), data, follow_up)
    return next(iter(pairs.values()))["change"] if pairs else pd.Series(dtype=float)


def _covariates(settings: ModelSettings, data: TrialData, follow_up: str) -> pd.DataFrame:
    patients = data.patients.set_index("participant_id")
    columns = {}
    for name in settings.covariates:
        if name == "motion":
            imaging = (
                choice_of(settings)
                if not data.is_clinical(settings.outcome)
                else second_choice_of(settings)
            )
            columns[name] = motion_change(data, imaging, follow_up).reindex(patients.index)
        else:
            columns[name] = pd.Series(numbers(patients[name]), index=patients.index)
    return pd.DataFrame(columns, index=patients.index)


def _association_row(
    settings: ModelSettings, data: TrialData, label: str, sides: pd.DataFrame, what: str
) -> ModelResult:
    result = ModelResult()
    extra = sides[list(settings.covariates)]
    reasons = _first_reason(
        sides["reason"],
        (sides["other"].isna(), f"no {settings.with_}"),
        (extra.isna().any(axis=1), "no covariate"),
    )
    missing_note(result, reasons, what=f"{what} {label}".strip())
    given = f", given {', '.join(settings.covariates)}" if settings.covariates else ""
    try:
        found = association(
            sides["change"], sides["other"],
            covariates=extra.to_numpy() if settings.covariates else None,
            method=settings.method, seed=data.seed, level=data.level,
        )  # fmt: skip
    except InputError as error:
        n = int((reasons == "").sum())
        row = not_tested(
            settings, label, what=what + given, n=n, n_excluded=len(sides) - n, reason=str(error)
        )
        result.rows.append(row)
        return result
    kind = "all" if found.exact else "random"
    flags = base_flags(settings, data, compares_arms=False) + floor_flags(found.p_floor, found.p)
    row = {
        **identity(settings, label, what=what + given),
        "n": found.n,
        "n_excluded": found.n_missing,
        "estimate": found.estimate,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "effect": found.estimate,
        "effect_name": "r" if settings.method == "pearson" else "rho",
        "test": f"permutation of {settings.method}, {kind} {found.n_permutations} orders",
        "statistic": found.statistic,
        "p": found.p,
        "p_floor": found.p_floor,
        "flags": ";".join(flags),
    }
    floor_note(result, test="permutation test", n=found.n, p_floor=found.p_floor)
    result.rows.append(row)
    result.tests.append(
        comparison(row, "t of the correlation", found.p_t, statistic=found.statistic, p_floor=0.0)
    )
    return result


def _first_reason(reasons: pd.Series[str], *further: tuple[pd.Series[bool], str]) -> pd.Series[str]:
    for missing, reason in further:
        reasons = reasons.mask((reasons == "") & missing, reason)
    return reasons


def fit_ancova(settings: ModelSettings, data: TrialData) -> ModelResult:
    """Compare follow-up between arms at equal baseline.

    Parameters
    ----------
    settings : ModelSettings
        With ``group``: ``arm`` by default.
    data : TrialData
        Of the trial.

    Returns
    -------
    ModelResult
        A row per follow-up, label and arm beyond the reference.
    """
    result = ModelResult()
    by_arm = settings.group in {"", "arm"}
    design_notes(settings, data, result, compares_arms=by_arm)
    choice = choice_of(settings)
    for follow_up in follow_ups(choice, data, settings.follow_up):
        for label, table in paired_values(choice, data, follow_up).items():
            result.add(_ancova_rows(settings, data, label, table, follow_up))
    return result


def _ancova_rows(
    settings: ModelSettings, data: TrialData, label: str, table: pd.DataFrame, follow_up: str
) -> ModelResult:
    result = ModelResult()
    what = f"ANCOVA at {follow_up}"
    by_arm = settings.group in {"", "arm"}
    arm = data.patients.set_index("participant_id")["arm"] if by_arm else group_of(settings, data)
    arm = arm.reindex(table.index)
    extra = _covariates(settings, data, follow_up).reindex(table.index)
    reasons = table["reason"].where(
        table["reason"] != "", arm.isna().map({True: "no arm", False: ""})
    )
    missing_note(result, reasons, what=f"{what} {label}".strip())
    kept = arm.notna()
    try:
        found = ancova(
            table.loc[kept, "baseline_value"], table.loc[kept, "follow_up_value"],
            arm[kept].astype(str), reference=data.control or None if by_arm else None,
            covariates=extra[kept].to_numpy() if settings.covariates else None, level=data.level,
        )  # fmt: skip
    except InputError as error:
        n = int((reasons == "").sum())
        result.rows.append(
            not_tested(
                settings, label, what=what, n=n, n_excluded=len(table) - n, reason=str(error)
            )
        )
        return result
    for contrast in found.contrasts:
        row = {
            **identity(settings, label, what=f"{what}, {contrast.name}"),
            "n": found.n,
            "n_excluded": len(table) - found.n,
            "estimate": contrast.estimate,
            "ci_low": contrast.ci_low,
            "ci_high": contrast.ci_high,
            "effect": contrast.estimate / found.residual_sd if found.residual_sd > 0 else np.nan,
            "effect_name": "estimate / residual SD",
            "test": f"ANCOVA, t with {contrast.df:g} df",
            "statistic": contrast.statistic,
            "p": contrast.p,
            "p_floor": 0.0,
            "flags": ";".join(base_flags(settings, data, compares_arms=by_arm)),
        }
        result.rows.append(row)
    sizes = ", ".join(f"{name} {n}" for name, n in found.n_per_arm.items())
    result.note("arms", f"{what}: patients per arm: {sizes}.")
    if len(found.n_per_arm) == 2 and result.rows:
        result.tests += _rank_comparison(result.rows[0], table[kept], arm[kept].astype(str))
    return result


def _rank_comparison(
    row: dict[str, Any], table: pd.DataFrame, arm: pd.Series[str]
) -> list[dict[str, Any]]:
    known = table["change"].notna()
    groups = [table.loc[known & (arm == name), "change"] for name in sorted(set(arm))]
    if min(map(len, groups)) < 2:
        return []
    ranked = stats.mannwhitneyu(*groups)
    welch = stats.ttest_ind(*groups, equal_var=False)
    return [
        comparison(
            row,
            "Mann-Whitney of the changes",
            float(ranked.pvalue),
            statistic=float(ranked.statistic),
        ),
        comparison(
            row, "Welch t of the changes", float(welch.pvalue), statistic=float(welch.statistic)
        ),
    ]
