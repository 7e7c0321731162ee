"""Size of a paired change: mean, its interval, and standardised effects with theirs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from msimaging.statistics.inputs import as_floats, check_fraction, drop_missing, refuse

NAN = float("nan")
LARGE_T = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardisedEffect:
    """Effect in units of a standard deviation, with intervals from the noncentral t."""

    dz: float
    dz_low: float
    dz_high: float
    hedges_g: float
    hedges_g_low: float
    hedges_g_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedEffect:
    """Mean change of the patients who have both visits.

    Attributes
    ----------
    n, n_missing : int
        Patients with both values, and patients left out because a value is missing.
    estimate, ci_low, ci_high : float
        Mean of follow-up minus baseline and its t interval, in the unit of the values.
    sd : float
        Standard deviation of the changes.
    dz, dz_low, dz_high : float
        Mean change over the SD of the changes, with its noncentral-t interval.
    hedges_g, hedges_g_low, hedges_g_high : float
        ``dz`` without its small-sample bias.
    statistic, df, p : float
        Paired t-test, two-sided.
    level : float
        Level of the intervals.
    reason : str
        Why there is no t-test, empty where there is one.
    """

    n: int
    n_missing: int
    estimate: float
    ci_low: float = NAN
    ci_high: float = NAN
    sd: float = NAN
    dz: float = NAN
    dz_low: float = NAN
    dz_high: float = NAN
    hedges_g: float = NAN
    hedges_g_low: float = NAN
    hedges_g_high: float = NAN
    statistic: float = NAN
    df: float = NAN
    p: float = NAN
    level: float
    reason: str = ""


def paired_effect(
    baseline: ArrayLike, follow_up: ArrayLike, *, level: float = 0.95
) -> PairedEffect:
    """Return the mean change from baseline to follow-up with intervals and the paired t-test.

    Parameters
    ----------
    baseline, follow_up : array_like, shape (S,)
        One value per patient, in the same order; NaN where a visit is missing.
    level : float
        Level of the intervals.

    Returns
    -------
    PairedEffect
        Change is follow-up minus baseline. Where all changes are equal there is no t, p is NaN
        and ``reason`` says so.

    Raises
    ------
    InputError
        For text, infinities, or arrays of different length.

    References
    ----------
    Goulet-Pelletier and Cousineau 2018 (noncentral-t intervals); Hedges 1981 (bias of d).
    """
    check_fraction(level, where="level")
    before = as_floats(baseline, where="baseline")
    after = as_floats(follow_up, where="follow_up")
    if before.shape != after.shape:
        raise refuse(
            "baseline, follow_up",
            "one value per patient at either visit",
            f"{before.size} and {after.size} values",
            "Align both by patient, NaN where a visit is missing.",
        )
    changes, n_missing = drop_missing(after - before)
    scale = float(np.nanmax(np.abs([before, after]), initial=0.0))
    reason = _why_no_t(changes, scale)
    if reason:
        mean = float(changes.mean()) if changes.size else NAN
        sd = 0.0 if changes.size > 1 else NAN
        return PairedEffect(
            n=changes.size, n_missing=n_missing, estimate=mean, sd=sd, level=level, reason=reason
        )
    return _one_sample_t(changes, n_missing, level)


def standardised_effect(statistic: float, n: int, *, level: float = 0.95) -> StandardisedEffect:
    """Return dz and Hedges g, with intervals, from the t of ``n`` paired changes.

    Parameters
    ----------
    statistic : float
        Paired t.
    n : int
        Patients, at least 2.
    level : float
        Level of the intervals.

    References
    ----------
    Cumming and Finch 2001: the interval holds every noncentrality under which the observed t is
    not in a tail.
    """
    df, root = n - 1, float(np.sqrt(n))
    low, high = _noncentrality_limits(statistic, df, level) / root
    correction = hedges_correction(df)
    dz = statistic / root
    return StandardisedEffect(
        dz=dz,
        dz_low=float(low),
        dz_high=float(high),
        hedges_g=correction * dz,
        hedges_g_low=correction * float(low),
        hedges_g_high=correction * float(high),
    )


def _noncentrality_limits(statistic: float, df: int, level: float) -> NDArray[np.float64]:
    tails = np.array([(1 + level) / 2, (1 - level) / 2])
    if abs(statistic) <= LARGE_T:
        return np.asarray(special.nctdtrinc(df, tails, statistic))
    # beyond, only the chance in the SD counts, and the series of the noncentral t never ends
    ratios = np.sqrt(stats.chi2.ppf(1 - tails, df) / df)
    return np.asarray(np.sort(statistic * ratios))


def hedges_correction(df: float) -> float:
    """Return the exact factor that takes the bias out of a standardised effect (Hedges 1981).

    NaN below 2 degrees of freedom, where no unbiased estimate exists.
    """
    if df < 2:
        return NAN
    return float(np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2))


def _why_no_t(changes: NDArray[np.float64], scale: float) -> str:
    if changes.size < 2:
        return f"{changes.size} patient(s) with both values: a t-test needs 2"
    # 1e-12 of the values themselves is the rounding noise that a subtraction leaves
    if np.ptp(changes) <= 1e-12 * scale:
        return f"all {changes.size} changes are equal: SD is 0 and t does not exist"
    return ""


def _one_sample_t(changes: NDArray[np.float64], n_missing: int, level: float) -> PairedEffect:
    n, mean, sd = changes.size, float(changes.mean()), float(changes.std(ddof=1))
    standard_error = sd / np.sqrt(n)
    statistic = float(mean / standard_error)
    half_width = float(stats.t.ppf((1 + level) / 2, n - 1) * standard_error)
    effect = standardised_effect(statistic, n, level=level)
    return PairedEffect(
        n=n,
        n_missing=n_missing,
        estimate=mean,
        ci_low=mean - half_width,
        ci_high=mean + half_width,
        sd=sd,
        dz=effect.dz,
        dz_low=effect.dz_low,
        dz_high=effect.dz_high,
        hedges_g=effect.hedges_g,
        hedges_g_low=effect.hedges_g_low,
        hedges_g_high=effect.hedges_g_high,
        statistic=statistic,
        df=float(n - 1),
        p=float(2 * stats.t.sf(abs(statistic), n - 1)),
        level=level,
    )
