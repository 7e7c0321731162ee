"""Model of the change between two visits, with what a single patient does to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from msimaging.statistics.inference import (
    bootstrap_interval,
    hodges_lehmann,
    leave_one_out,
    max_t_test,
    paired_effect,
    sign_flip_test,
    signed_rank_test,
)
from msimaging.statistics.resampling import MIN_BOOTSTRAP_PATIENTS
from msimaging.statistics.trial_data import ModelResult, ModelSettings, TrialData
from msimaging.statistics.trial_pairs import (
    choice_of,
    follow_ups,
    paired_values,
)
from msimaging.statistics.trial_rows import (
    base_flags,
    comparison,
    design_notes,
    floor_flags,
    floor_note,
    identity,
    limits_note,
    missing_note,
    not_tested,
)

#: Labels up to which each row also gets its p without each patient in turn.
MAX_LEFT_OUT_LABELS = 12


def fit_paired(settings: ModelSettings, data: TrialData) -> ModelResult:
    """Test the mean change from baseline to each follow-up.

    Parameters
    ----------
    settings : ModelSettings
        The model.
    data : TrialData
        Of the trial.

    Returns
    -------
    ModelResult
        A row per follow-up and label.
    """
    result = ModelResult()
    design_notes(settings, data, result, compares_arms=False)
    limits_note(result, data, settings.outcome)
    choice = choice_of(settings)
    for follow_up in follow_ups(choice, data, settings.follow_up):
        pairs = paired_values(choice, data, follow_up)
        what = f"paired change to {follow_up}"
        found = ModelResult()
        for label, table in pairs.items():
            found.add(
                _paired_row(
                    settings, data, label, table, what, leave=len(pairs) <= MAX_LEFT_OUT_LABELS
                )
            )
        if settings.adjustment == "max-t":
            _adjust_by_max_t(settings, data, found, pairs)
        result.add(found)
    return result


def _paired_row(
    settings: ModelSettings,
    data: TrialData,
    label: str,
    table: pd.DataFrame,
    what: str,
    *,
    leave: bool,
) -> ModelResult:
    result = ModelResult()
    used = table["change"].notna()
    missing_note(result, table["reason"], what=f"{what} of {settings.outcome} {label}".strip())
    if not used.any():
        row = not_tested(
            settings, label, what=what, n=0, n_excluded=len(table), reason="no patient has both"
        )
        result.rows.append(row)
        return result
    changes = table["change"].to_numpy(dtype=float)
    effect = paired_effect(table["baseline_value"], table["follow_up_value"], level=data.level)
    flips = sign_flip_test(changes, alternative=settings.alternative, seed=data.seed)
    kind = "exact" if flips.exact else "random"
    flags = base_flags(settings, data, compares_arms=False) + floor_flags(flips.p_floor, flips.p)
    if effect.reason:
        flags.append("no-t-test")
        result.note("no t-test", f"{what} of {settings.outcome} {label}: {effect.reason}.")
    row = {
        **identity(settings, label, what=what),
        "n": effect.n,
        "n_excluded": effect.n_missing,
        "estimate": effect.estimate,
        "ci_low": effect.ci_low,
        "ci_high": effect.ci_high,
        "effect": effect.hedges_g,
        "effect_name": "hedges_g",
        "test": f"{kind} sign-flip, {flips.n_flips} flips, {settings.alternative}",
        "statistic": effect.statistic,
        "p": flips.p,
        "p_floor": flips.p_floor,
    }
    floor_note(result, test="exact sign-flip test", n=flips.n - flips.n_zero, p_floor=flips.p_floor)
    result.rows.append(row)
    result.tests += _alternatives(row, table, effect, settings, data)
    result.patients += _patients(row, table, leave=leave, seed_p=flips.p)
    if effect.n > 1 and not leave_keeps_sign(changes):
        flags.append("one-patient-turns-the-sign")
    if leave and _depends_on_one(result.patients, flips.p):
        flags.append("depends-on-one-patient")
    row["flags"] = ";".join(flags)
    return result


def leave_keeps_sign(changes: np.ndarray) -> bool:
    """Return whether no single patient turns the direction of the mean change."""
    known = changes[~np.isnan(changes)]
    without = (known.sum() - known) / (known.size - 1)
    return bool((np.sign(without) == np.sign(known.mean())).all())


def _alternatives(
    row: dict[str, Any],
    table: pd.DataFrame,
    effect: Any,
    settings: ModelSettings,
    data: TrialData,
) -> list[dict[str, Any]]:
    changes = table["change"].to_numpy(dtype=float)
    wilcoxon = signed_rank_test(changes, alternative=settings.alternative)
    pratt = signed_rank_test(changes, alternative=settings.alternative, zero_method="pratt")
    shift = hodges_lehmann(changes, level=data.level)
    middle = (
        f"Hodges-Lehmann shift {shift.estimate:.4g} ({shift.ci_low:.4g} to {shift.ci_high:.4g})"
    )
    median = f"median change {np.nanmedian(changes):.4g}"
    spread = f"dz {effect.dz:.3g} ({effect.dz_low:.3g} to {effect.dz_high:.3g})"
    rows = [
        comparison(
            row, "paired t", effect.p, statistic=effect.statistic, p_floor=0.0,
            remark=effect.reason or f"{spread}; assumes normal changes, two-sided",
        ),
        comparison(
            row, "Wilcoxon signed-rank, exact", wilcoxon.p, statistic=wilcoxon.statistic,
            p_floor=wilcoxon.p_floor, remark=f"{wilcoxon.n_zero} zeros dropped; {median}; {middle}",
        ),
        comparison(
            row, "Wilcoxon signed-rank, exact, Pratt", pratt.p, statistic=pratt.statistic,
            p_floor=pratt.p_floor, remark=f"{pratt.n_zero} zeros ranked, then dropped",
        ),
    ]  # fmt: skip
    known = changes[~np.isnan(changes)]
    if known.size >= MIN_BOOTSTRAP_PATIENTS and np.ptp(known) > 0:
        interval = bootstrap_interval(known, level=data.level, seed=data.seed)
        remark = f"interval {interval.ci_low:.4g} to {interval.ci_high:.4g}, no test"
        rows.append(comparison(row, "bootstrap-t interval", np.nan, remark=remark))
    return rows


def _patients(
    row: dict[str, Any], table: pd.DataFrame, *, leave: bool, seed_p: float
) -> list[dict[str, Any]]:
    changes = table["change"].to_numpy(dtype=float)
    able = leave and np.isfinite(changes).sum() > 1 and not np.isnan(seed_p)
    without = leave_one_out(changes) if able else None
    return [
        {
            **{key: row[key] for key in ("model", "atlas", "label", "measure")},
            "participant_id": name,
            "used": not np.isnan(record["change"]),
            "reason": record["reason"],
            "baseline_value": record["baseline_value"],
            "follow_up_value": record["follow_up_value"],
            "value": record["change"],
            "estimate_without": without.estimates[place] if without else np.nan,
            "p_without": without.p[place] if without else np.nan,
        }
        for place, (name, record) in enumerate(table.to_dict("index").items())
    ]


def _depends_on_one(patients: list[dict[str, Any]], p: float) -> bool:
    others = [row["p_without"] for row in patients if not np.isnan(row["p_without"])]
    return bool(others) and p <= 0.05 < max(others)


def _adjust_by_max_t(
    settings: ModelSettings, data: TrialData, found: ModelResult, pairs: dict[str, pd.DataFrame]
) -> None:
    matrix = np.column_stack([table["change"].to_numpy(dtype=float) for table in pairs.values()])
    there = ~np.isnan(matrix).all(axis=1)
    if not there.any():
        return
    tested = max_t_test(matrix[there], alternative=settings.alternative, seed=data.seed)
    n_tests = int(tested.tested.sum())
    for row, p in zip(found.rows, tested.p_adjusted, strict=True):
        row["p_adjusted"] = p
        row["adjustment"] = f"max-t over {n_tests} labels of this model"
