"""What the next trial needs, planned on effects that this one does not flatter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.errors import ComputationError, InputError
from msimaging.statistics.design import (
    Design,
    detectable_effect,
    planning_effect,
    power_curve,
    sample_size,
    slope_effect,
)
from msimaging.statistics.effects import paired_effect
from msimaging.statistics.mixed import mixed_model
from msimaging.statistics.slopes import patient_slopes

#: Effects that a trial may be sized on, from the most cautious.
PLANNED_ON = ("lower limit of 95 %", "lower limit of 60 %", "shrunken")
SIZES = np.unique(np.round(np.geomspace(4, 400, 40)).astype(np.int64))


def plan_next_trial(
    changes: pd.DataFrame,
    visits: pd.DataFrame,
    *,
    target: float,
    alpha: float,
    attrition: float,
    months: NDArray[np.float64],
    level: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Size paired, two-arm and slope designs.

    Parameters
    ----------
    changes : DataFrame
        ``baseline_value follow_up_value`` of every patient of the model that is planned on.
    visits : DataFrame
        ``participant_id months value`` of the same outcome; the slope design is left out where
        there are fewer than three visits.
    target, alpha, attrition : float
        Power asked for, significance level, expected loss to follow-up.
    months : ndarray, shape (T,)
        Planned visits of the slope design.
    level : float
        Of the intervals.

    Returns
    -------
    plan : DataFrame
        A row per design and effect; the observed effect is told and never sized on.
    curves : DataFrame
        ``n effect power``, for the paired and the two-arm design.
    """
    both = changes[["baseline_value", "follow_up_value"]].dropna()
    before, after = (both[name].to_numpy(dtype=float) for name in both)
    effect = paired_effect(before, after, level=level)
    if effect.reason or effect.n < 3:
        reason = effect.reason or f"{effect.n} patients: a plan needs 3 or more"
        return pd.DataFrame([{"design": "none", "remark": reason}]), pd.DataFrame()
    settings: dict[str, Any] = {"target": target, "alpha": alpha, "attrition": attrition}
    planned = planning_effect(effect.statistic, effect.n)
    effects = dict(
        zip(PLANNED_ON, (planned.lower_limit, planned.safeguard, planned.shrunken), strict=True)
    )
    correlation = _correlation(before, after)
    spread = float(np.std(before, ddof=1))
    per_arm = effect.sd / spread if spread > 0 else np.nan
    rows = [_observed(effect.dz, effect.n)]
    rows += [_sized("paired", name, dz, 0.0, settings) for name, dz in effects.items()]
    if np.isfinite(per_arm):
        rows += [
            _sized("two-arm", name, dz * per_arm, correlation, settings)
            for name, dz in effects.items()
        ]
    rows += _slope_rows(visits, months, settings, level)
    rows += _detectable(effect.n, correlation, target, alpha)
    curves = _curves(effects, per_arm, correlation, alpha)
    return pd.DataFrame(rows), curves


def _correlation(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    if np.ptp(before) == 0 or np.ptp(after) == 0:
        return 0.0
    return float(np.clip(np.corrcoef(before, after)[0, 1], 0.0, 0.95))


def _observed(dz: float, n: int) -> dict[str, Any]:
    return {
        "design": "paired",
        "planned_on": "observed",
        "effect_name": "dz",
        "effect": abs(dz),
        "n_present": n,
        "remark": "not sized on: an effect found in a small trial is too large on average",
    }


_EFFECT_NAME = {"paired": "dz", "two-arm": "difference / SD at baseline"}


def _sized(
    design: Design, planned_on: str, effect: float, correlation: float, settings: dict[str, Any]
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "design": "paired" if design == "paired" else "two arms, ANCOVA",
        "planned_on": planned_on,
        "effect_name": _EFFECT_NAME[design],
        "effect": effect,
        "alpha": settings["alpha"],
        "attrition": settings["attrition"],
        "correlation": correlation if design == "two-arm" else np.nan,
    }
    # an effect of this size would need more than a million patients
    if effect < 0.005:
        return row | {"remark": "not sized: these data do not exclude that there is no effect"}
    found = sample_size(effect, design=design, correlation=correlation, **settings)
    floor = "" if found.exact_attainable else f"; exact tests cannot go below {found.p_floor:.3g}"
    placebo = "; no change in the control arm assumed" if design == "two-arm" else ""
    return row | {
        "n_per_arm": found.n,
        "n_total": found.n_total,
        "n_enrolled": found.n_enrolled,
        "power": found.power,
        "remark": f"two-sided{placebo}{floor}",
    }


def _slope_rows(
    visits: pd.DataFrame, months: NDArray[np.float64], settings: dict[str, Any], level: float
) -> list[dict[str, Any]]:
    """Size a two-arm trial with the planned visits by the difference of slopes."""
    try:
        slopes = patient_slopes(visits, outcome="value", level=level)
        model = mixed_model(visits, outcome="value", level=level)
        if slopes.effect.reason or slopes.effect.n < 3:
            return []
        planned = planning_effect(slopes.effect.statistic, slopes.effect.n)
        slope_sd = float(np.sqrt(model.random_covariance[-1, -1]))
        effects = (planned.lower_limit, planned.safeguard, planned.shrunken)
        rows = []
        for name, dz in zip(PLANNED_ON, effects, strict=True):
            effect = slope_effect(
                dz * slopes.effect.sd,
                slope_sd=slope_sd,
                residual_sd=float(np.sqrt(model.residual_variance)),
                months=months,
            )
            row = _sized("two-arm", name, effect, 0.0, settings)
            times = ", ".join(f"{month:g}" for month in months)
            own = {"design": f"two arms, mixed model, months {times}", "correlation": np.nan}
            rows.append(row | own | {"effect_name": "difference of slopes / their SD"})
    except (InputError, ComputationError):
        # too few visits for slopes: the designs of two visits stand alone
        return []
    return rows


def _detectable(n: int, correlation: float, target: float, alpha: float) -> list[dict[str, Any]]:
    designs: tuple[tuple[Design, float], ...] = (("paired", 0.0), ("two-arm", correlation))
    rows = []
    for design, shared in designs:
        found = detectable_effect(n, design=design, target=target, correlation=shared, alpha=alpha)
        rows.append(
            {
                "design": "paired" if design == "paired" else "two arms, ANCOVA",
                "planned_on": "smallest effect that the present number of patients finds",
                "effect_name": _EFFECT_NAME[design],
                "effect": found.effect,
                "n_present": n,
                "n_per_arm": n,
                "n_total": found.n_total,
                "power": target,
                "alpha": alpha,
                "correlation": shared if design == "two-arm" else np.nan,
                "remark": ""
                if found.exact_attainable
                else f"exact tests cannot go below {found.p_floor:.3g} at this number",
            }
        )
    return rows


def _curves(
    effects: dict[str, float], per_arm: float, correlation: float, alpha: float
) -> pd.DataFrame:
    frames = []
    designs: tuple[tuple[Design, str, float, float], ...] = (
        ("paired", "one group", 1.0, 0.0),
        ("two-arm", "per arm", per_arm, correlation),
    )
    for design, told, scale, shared in designs:
        for name, dz in effects.items():
            if not np.isfinite(scale) or dz * scale < 0.005:
                continue
            power = power_curve(dz * scale, SIZES, design=design, correlation=shared, alpha=alpha)
            label = f"{told}, {name}"
            frames.append(pd.DataFrame({"n": SIZES, "effect": label, "power": power}))
    columns = ["n", "effect", "power"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)
