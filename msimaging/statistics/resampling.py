"""Intervals that need no normal distribution, and what a single patient does to the result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from msimaging.statistics.inputs import as_floats, check_fraction, drop_missing, refuse
from msimaging.statistics.sign_flip import sign_flip_test

MIN_BOOTSTRAP_PATIENTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapInterval:
    """Mean change with its bias-corrected and accelerated (BCa) bootstrap interval."""

    n: int
    n_missing: int
    estimate: float
    ci_low: float
    ci_high: float
    level: float
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
    differences: ArrayLike, *, level: float = 0.95, n_resamples: int = 9_999, seed: int = 0
) -> BootstrapInterval:
    """Return the BCa bootstrap interval of the mean change of at least 10 patients.

    Parameters
    ----------
    differences : array_like, shape (S,)
        Follow-up minus baseline; NaN for patients without both visits.
    level : float
        Level of the interval.
    n_resamples : int
        Bootstrap samples.
    seed : int
        Seed of the samples.

    Raises
    ------
    InputError
        Below 10 patients, where there are too few different samples (126 at 5), or where all
        differences are equal.

    References
    ----------
    Efron 1987.
    """
    check_fraction(level, where="level")
    values, n_missing = drop_missing(as_floats(differences, where="differences"))
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
    interval = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=level,
        n_resamples=n_resamples,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return BootstrapInterval(
        n=values.size,
        n_missing=n_missing,
        estimate=float(values.mean()),
        ci_low=float(interval.low),
        ci_high=float(interval.high),
        level=level,
        n_resamples=n_resamples,
    )


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
