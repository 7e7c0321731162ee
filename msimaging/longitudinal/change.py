"""Change between two visits with the uncertainty that the scans themselves give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from msimaging.errors import Finding, InputError, raise_on_errors

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What changed from one visit to the other; every field has the shape of the input.

    Attributes
    ----------
    estimate : ndarray
        Follow-up minus baseline, in the measure's unit.
    percent_change : ndarray
        Per cent of the mean of both visits; NaN where that mean is 0 or per cent has no meaning.
    annualised : ndarray
        Estimate per year; NaN without an interval.
    standard_error : ndarray
        Of the estimate; NaN where unknown.
    ci_low, ci_high : ndarray
        Confidence limits of the estimate; NaN where the standard error is unknown.
    detectable : bool ndarray
        Whether the limits exclude 0: more than the noise of these two scans. It does not say that
        an untreated rescan would not have shown as much. False where unknown.
    """

    estimate: Values
    percent_change: Values
    annualised: Values
    standard_error: Values
    ci_low: Values
    ci_high: Values
    detectable: NDArray[np.bool_]


def visit_change(
    baseline: ArrayLike,
    follow_up: ArrayLike,
    *,
    baseline_se: ArrayLike | None = None,
    follow_up_se: ArrayLike | None = None,
    months: float | None = None,
    confidence: float = 0.95,
) -> Change:
    """Subtract two visits; exchanging them negates the result exactly.

    Parameters
    ----------
    baseline, follow_up : array_like, one shape
        The measure at both visits (regions, voxels, or one number). NaN where missing.
    baseline_se, follow_up_se : array_like, optional
        Standard errors at each visit from independent scans; both or neither.
    months : float, optional
        True interval between the visits, above 0.
    confidence : float
        Level of the limits, in (0, 1); normal quantiles.

    Returns
    -------
    Change
        NaN wherever either visit is NaN.

    Raises
    ------
    InputError
        For shapes that differ, one standard error without the other, negative standard errors, an
        interval that is not positive or a level outside (0, 1).
    """
    first, second = _floats(baseline), _floats(follow_up)
    errors = _paired_errors(baseline_se, follow_up_se, first.shape)
    raise_on_errors(_faults(first, second, *errors, months=months, confidence=confidence))
    mean = (first + second) / 2
    difference = second - first
    percent = 100 * difference / np.where(mean == 0, np.nan, mean)
    return _with_limits(difference, np.hypot(*errors), percent, months, confidence)


def connectivity_change(
    baseline_r: ArrayLike,
    follow_up_r: ArrayLike,
    *,
    baseline_var_r: ArrayLike,
    follow_up_var_r: ArrayLike,
    months: float | None = None,
    confidence: float = 0.95,
) -> Change:
    """Subtract two sets of correlations on Fisher's z scale.

    Parameters
    ----------
    baseline_r, follow_up_r : array_like, one shape, for example (P, P)
        Pearson correlations; NaN where missing. Entries of 1 or -1 (the diagonal) become NaN.
    baseline_var_r, follow_up_var_r : array_like, same shape
        Variances of r, such as xDF's (Afyouni 2019).
    months : float, optional
        True interval between the visits, above 0.
    confidence : float
        Level of the limits, in (0, 1).

    Returns
    -------
    Change
        Estimate, standard error and limits in units of z; ``percent_change`` is NaN, because per
        cent of a correlation has no meaning.

    Raises
    ------
    InputError
        For shapes that differ, correlations outside [-1, 1], negative variances, an interval that
        is not positive or a level outside (0, 1).
    """
    r = [_floats(values) for values in (baseline_r, follow_up_r)]
    variances = [_floats(values) for values in (baseline_var_r, follow_up_var_r)]
    raise_on_errors(
        [
            *_faults(*r, *variances, months=months, confidence=confidence),
            *[_out_of_range(values) for values in r if (np.abs(values) > 1).any()],
        ]
    )
    open_r = [np.where(np.abs(values) == 1, np.nan, values) for values in r]
    # Delta method: dz/dr = 1 / (1 - r^2).
    se = [np.sqrt(v) / (1 - x**2) for v, x in zip(variances, open_r, strict=True)]
    difference = np.arctanh(open_r[1]) - np.arctanh(open_r[0])
    nothing = np.full_like(difference, np.nan)
    return _with_limits(difference, np.hypot(*se), nothing, months, confidence)


def _with_limits(
    difference: Values, se: Values, percent: Values, months: float | None, confidence: float
) -> Change:
    half = norm.ppf((1 + confidence) / 2) * np.where(np.isnan(difference), np.nan, se)
    return Change(
        estimate=difference,
        percent_change=percent,
        annualised=difference * (np.nan if months is None else 12.0 / months),
        standard_error=np.where(np.isnan(difference), np.nan, se),
        ci_low=difference - half,
        ci_high=difference + half,
        detectable=np.asarray(np.abs(difference) > half),
    )


def _floats(values: ArrayLike) -> Values:
    return np.asarray(values, dtype=np.float64)


def _paired_errors(
    baseline_se: ArrayLike | None, follow_up_se: ArrayLike | None, shape: tuple[int, ...]
) -> tuple[Values, Values]:
    if baseline_se is None and follow_up_se is None:
        return np.full(shape, np.nan), np.full(shape, np.nan)
    if baseline_se is None or follow_up_se is None:
        raise InputError(
            [
                Finding(
                    rule="both visits have a standard error or neither has",
                    where="baseline_se, follow_up_se",
                    found="one of the two",
                    remedy="Estimate the missing one in the same way, or leave both out.",
                )
            ]
        )
    return _floats(baseline_se), _floats(follow_up_se)


def _faults(*arrays: Values, months: float | None, confidence: float) -> list[Finding]:
    faults = []
    shapes = [array.shape for array in arrays]
    if len(set(shapes)) > 1:
        faults.append(("both visits and their errors have one shape", f"{shapes}"))
    elif any((array < 0).any() for array in arrays[2:]):
        faults.append(("standard errors and variances are not negative", "negative values"))
    if months is not None and not months > 0:
        faults.append(("the interval between the visits is above 0 months", f"{months}"))
    if not 0 < confidence < 1:
        faults.append(("the confidence level lies between 0 and 1", f"{confidence}"))
    remedy = "Correct the arguments."
    return [
        Finding(rule=rule, where="change between visits", found=found, remedy=remedy)
        for rule, found in faults
    ]


def _out_of_range(values: Values) -> Finding:
    return Finding(
        rule="correlations lie between -1 and 1",
        where="change of connectivity",
        found=f"largest absolute value {np.nanmax(np.abs(values)):.4g}",
        remedy="Pass Pearson's r, not z or covariance.",
    )
