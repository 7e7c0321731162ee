"""The scatter of repeated measurements of unchanged people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from msimaging.errors import Finding, InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class WithinSubject:
    """Scatter of repeated measurements of unchanged people.

    Attributes
    ----------
    sd : float
        Within-subject standard deviation, pooled over people.
    ci_low, ci_high : float
        Confidence limits of ``sd`` (chi-squared).
    cov_percent : float
        Root mean square over people of their SD relative to their mean, in per cent.
    df : int
        Degrees of freedom: repeats beyond the first, summed over people.
    n : int
        People with two or more measurements.
    """

    sd: float
    ci_low: float
    ci_high: float
    cov_percent: float
    df: int
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Limits of agreement between two measurements (Bland and Altman 1986).

    Attributes
    ----------
    bias, bias_ci_low, bias_ci_high : float
        Mean of second minus first, and its 95 % limits.
    sd : float
        Standard deviation of the differences.
    lower, upper : float
        Bias minus and plus 1.96 SD.
    limits_se : float
        Standard error of ``lower`` and of ``upper``.
    n : int
        Pairs with both measurements.
    """

    bias: float
    bias_ci_low: float
    bias_ci_high: float
    sd: float
    lower: float
    upper: float
    limits_se: float
    n: int


def within_subject(repeats: ArrayLike, *, confidence: float = 0.95) -> WithinSubject:
    """Pool the scatter of repeat scans.

    Parameters
    ----------
    repeats : (S, K) array_like
        K measurements of S unchanged people; NaN where missing. Rows with fewer than two
        measurements do not count.
    confidence : float
        Level of the limits.

    Returns
    -------
    WithinSubject
        One way random effects: differences between sessions count as scatter.

    Raises
    ------
    InputError
        When nobody was measured twice.
    """
    table = np.asarray(repeats, dtype=np.float64)
    if table.ndim != 2:
        raise _refusal("people are rows, repeats are columns", f"shape {table.shape}")
    kept = table[np.isfinite(table).sum(axis=1) >= 2]
    if not len(kept):
        raise _refusal("somebody was measured at least twice", f"{len(table)} people, none twice")
    counts = np.isfinite(kept).sum(axis=1)
    variances = np.nanvar(kept, axis=1, ddof=1)
    df = int((counts - 1).sum())
    sd = float(np.sqrt(((counts - 1) * variances).sum() / df))
    tails = stats.chi2.ppf([(1 + confidence) / 2, (1 - confidence) / 2], df)
    means = np.nanmean(kept, axis=1)
    relative = variances / np.where(means == 0, np.nan, means) ** 2
    cov = np.sqrt(((counts - 1) * relative).sum() / df)
    low, high = sd * np.sqrt(df / tails)
    return WithinSubject(
        sd=sd,
        ci_low=float(low),
        ci_high=float(high),
        cov_percent=float(100 * cov),
        df=df,
        n=len(kept),
    )


def bland_altman(first: ArrayLike, second: ArrayLike) -> Agreement:
    """Estimate bias and limits of agreement of two measurements.

    Parameters
    ----------
    first, second : (S,) array_like
        Two measurements of the same people; pairs with a NaN do not count.

    Returns
    -------
    Agreement
        Differences are second minus first.

    Raises
    ------
    InputError
        With fewer than two complete pairs.
    """
    difference = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    kept = difference[np.isfinite(difference)]
    n = len(kept)
    if n < 2:
        raise _refusal("limits of agreement need two complete pairs", f"{n}")
    bias, sd = float(kept.mean()), float(kept.std(ddof=1))
    half = float(stats.t.ppf(0.975, n - 1)) * sd / np.sqrt(n)
    # Variance of mean + variance of 1.96 SD (Bland and Altman 1999).
    limits_se = sd * np.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))
    return Agreement(
        bias=bias,
        bias_ci_low=float(bias - half),
        bias_ci_high=float(bias + half),
        sd=sd,
        lower=bias - 1.96 * sd,
        upper=bias + 1.96 * sd,
        limits_se=float(limits_se),
        n=n,
    )


def _refusal(rule: str, found: str) -> InputError:
    return InputError(
        [
            Finding(
                rule=rule,
                where="repeats",
                found=found,
                remedy="Correct the table of repeats.",
            )
        ]
    )
