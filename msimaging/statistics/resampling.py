"""Intervals that need no normal distribution, and what a single patient does to the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from msimaging.statistics.inputs import as_floats, check_fraction, drop_missing, refuse
from msimaging.statistics.sign_flip import sign_flip_test

MIN_BOOTSTRAP_PATIENTS = 10
BootstrapMethod = Literal["studentized", "bca"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapInterval:
    """Mean change with its bootstrap interval."""

    n: int
    n_missing: int
    estimate: float
    ci_low: float
    ci_high: float
    level: float
    method: BootstrapMethod
    n_resamples: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeaveOneOut:
    """Mean change with each patient left out in turn.

    Attributes
    ----------
    estimate : float
        Mean of all patients.
    estimates : ndarray, shape (S,)
        Mean without each patient; NaN for those without a difference.
    lowest, highest : float
        Range of these means.
    same_sign : bool
        Whether no single patient turns the direction of the mean.
    p : ndarray, shape (S,)
        Sign-flip p-value without each patient.
    highest_p : float
        Largest of these p-values.
    most_influential : int
        Row of the patient whose absence moves the mean most.
    n : int
        Patients with a difference.
    """

    estimate: float
    estimates: NDArray[np.float64]
    lowest: float
    highest: float
    same_sign: bool
    p: NDArray[np.float64]
    highest_p: float
    most_influential: int
    n: int


def bootstrap_interval(
    differences: ArrayLike,
    *,
    level: float = 0.95,
    method: BootstrapMethod = "studentized",
    n_resamples: int = 9_999,
    seed: int = 0,
) -> BootstrapInterval:
    """Return a bootstrap interval of the mean change of at least 10 patients.

    Parameters
    ----------
    differences : array_like, shape (S,)
        Follow-up minus baseline; NaN for patients without both visits.
    level : float
        Level of the interval.
    method : {"studentized", "bca"}
        Bootstrap-t, which held 95 % in simulations of 10 to 20 normal changes, or bias-corrected
        and accelerated, which covered only 90 % at 10 and 93 % at 20 patients.
    n_resamples : int
        Bootstrap samples.
    seed : int
        Seed of the samples.

    Raises
    ------
    InputError
        Below 10 patients, where there are too few different samples (126 at 5), where all
        differences are equal, or for an unknown method.

    References
    ----------
    Efron 1987 (BCa); Hall 1988 (bootstrap-t).
    """
    check_fraction(level, where="level")
    values, n_missing = drop_missing(as_floats(differences, where="differences"))
    _check_bootstrap(values, method)
    # sorted: the samples must not depend on the order of the patients
    limits = _LIMITS[method](np.sort(values), level, n_resamples, np.random.default_rng(seed))
    return BootstrapInterval(
        n=values.size,
        n_missing=n_missing,
        estimate=float(values.mean()),
        ci_low=limits[0],
        ci_high=limits[1],
        level=level,
        method=method,
        n_resamples=n_resamples,
    )


def _check_bootstrap(values: NDArray[np.float64], method: str) -> None:
    if values.size < MIN_BOOTSTRAP_PATIENTS:
        raise refuse(
            "differences",
            f"a bootstrap interval needs {MIN_BOOTSTRAP_PATIENTS} patients",
            f"{values.size}",
            "Use the t interval or the sign-flip interval.",
        )
    if np.ptp(values) == 0:
        raise refuse(
            "differences",
            "a bootstrap interval needs differences that vary",
            f"all equal to {values[0]:g}",
            "Report the common change.",
        )
    if method not in _LIMITS:
        raise refuse("method", "studentized or bca", repr(method), "Choose one of these.")


def _studentized_limits(
    values: NDArray[np.float64], level: float, n_resamples: int, generator: np.random.Generator
) -> tuple[float, float]:
    n, mean = values.size, values.mean()
    samples = values[generator.integers(0, n, (n_resamples, n))]
    varied = np.ptp(samples, axis=1) > 0
    spread = np.where(varied, samples.std(axis=1, ddof=1), 1.0)
    shift = samples.mean(axis=1) - mean
    # a sample of one value only has no spread: its t lies beyond every quantile
    t = np.where(varied, shift / spread, np.copysign(np.inf, shift))
    tails = [(1 + level) / 2, (1 - level) / 2]
    upper, lower = np.quantile(t, tails, method="inverted_cdf")
    sd = values.std(ddof=1)
    return float(mean - upper * sd), float(mean - lower * sd)


def _bca_limits(
    values: NDArray[np.float64], level: float, n_resamples: int, generator: np.random.Generator
) -> tuple[float, float]:
    interval = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=level,
        n_resamples=n_resamples,
        method="BCa",
        rng=generator,
    ).confidence_interval
    return float(interval.low), float(interval.high)


_LIMITS = {"studentized": _studentized_limits, "bca": _bca_limits}


def leave_one_out(differences: ArrayLike) -> LeaveOneOut:
    """Return the mean change without each patient in turn.

    Parameters
    ----------
    differences : array_like, shape (S,)
        Follow-up minus baseline; NaN for patients without both visits.

    Raises
    ------
    InputError
        For text, infinities, or fewer than two differences.
    """
    values = as_floats(differences, where="differences")
    present = np.flatnonzero(~np.isnan(values))
    if present.size < 2:
        raise refuse(
            "differences",
            "at least two patients",
            f"{present.size}",
            "There is nobody to leave out.",
        )
    estimates, p = np.full(values.shape, np.nan), np.full(values.shape, np.nan)
    for row in present:
        rest = sign_flip_test(values[present[present != row]])
        estimates[row], p[row] = rest.estimate, rest.p
    mean = float(values[present].mean())
    kept = estimates[present]
    return LeaveOneOut(
        n=present.size,
        estimate=mean,
        estimates=estimates,
        lowest=float(kept.min()),
        highest=float(kept.max()),
        same_sign=bool((np.sign(kept) == np.sign(mean)).all()),
        p=p,
        highest_p=float(p[present].max()),
        most_influential=int(np.nanargmax(np.abs(estimates - mean))),
    )
