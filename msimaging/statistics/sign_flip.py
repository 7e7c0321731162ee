"""Sign-flip test of the mean change, and the interval that inverts it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msimaging.statistics.flips import MAX_EXACT_PATIENTS, FlipPlan, flipped_sums, plan_flips
from msimaging.statistics.inputs import (
    TIE_TOLERANCE,
    Alternative,
    as_floats,
    check_alternative,
    check_fraction,
    drop_missing,
    refuse,
    tolerance_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignFlipTest:
    """Sign-flip test of paired differences.

    Attributes
    ----------
    n, n_missing, n_zero : int
        Patients with a difference, without one, and with a difference of 0.
    estimate, statistic : float
        Mean difference, which is also the statistic.
    p : float
        p-value.
    p_floor : float
        Smallest p-value that these patients could have given: differences of 0 do not count.
    n_flips : int
        Different flips gone through: 2 to the number of differences that are not 0, when exact.
    exact : bool
        Whether all flips were gone through.
    alternative : str
        Direction of the test.
    """

    n: int
    n_missing: int
    n_zero: int
    estimate: float
    statistic: float
    p: float
    p_floor: float
    n_flips: int
    exact: bool
    alternative: Alternative


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipInterval:
    """Interval of the mean change that the sign-flip test does not reject.

    Attributes
    ----------
    n, n_missing : int
        Patients with and without a difference.
    estimate, ci_low, ci_high : float
        Mean and interval; infinite where so few patients cannot give the level.
    level, attained_level : float
        Level asked for, and coverage of what is given.
    exact : bool
        Whether all subsets of patients were gone through.
    """

    n: int
    n_missing: int
    estimate: float
    ci_low: float
    ci_high: float
    level: float
    attained_level: float
    exact: bool


def sign_flip_test(
    differences: ArrayLike,
    *,
    alternative: Alternative = "two-sided",
    n_random: int = 100_000,
    seed: int = 0,
) -> SignFlipTest:
    """Test whether differences are symmetric about 0, by flipping their signs.

    Parameters
    ----------
    differences : array_like, shape (S,)
        Follow-up minus baseline; NaN for patients without both visits.
    alternative : {"two-sided", "greater", "less"}
        Direction, declared before looking.
    n_random : int
        Random flips where more than 20 differences are not 0; up to 20 all flips are used.
    seed : int
        Seed of the random flips.

    Returns
    -------
    SignFlipTest
        p-value with the smallest that could have come out.

    Raises
    ------
    InputError
        For text, infinities, or no difference at all.

    References
    ----------
    Fisher 1935; Phipson and Smyth 2010 (random flips never give p = 0).
    """
    check_alternative(alternative)
    values, n_missing = drop_missing(as_floats(differences, where="differences"))
    if not values.size:
        raise refuse(
            "differences", "at least one patient", f"0 ({n_missing} missing)", "Check the visits."
        )
    # in an order of their own: random flips must not depend on that of the patients
    moved = np.sort(values[np.abs(values) > tolerance_of(values)])
    plan = plan_flips(moved.size, alternative=alternative, n_random=n_random, seed=seed)
    hits = np.array([_count_as_extreme(_flipped_sums(moved, plan), moved, alternative)])
    return SignFlipTest(
        n=values.size,
        n_missing=n_missing,
        n_zero=values.size - moved.size,
        estimate=float(values.mean()),
        statistic=float(values.mean()),
        p=float(plan.p_values(hits)[0]),
        p_floor=plan.floor(alternative),
        n_flips=plan.n_flips,
        exact=plan.exact,
        alternative=alternative,
    )


def _flipped_sums(values: NDArray[np.float64], plan: FlipPlan) -> NDArray[np.float64]:
    if plan.exact:
        # in a two-sided test the half that keeps the last sign stands for its mirror image too
        return flipped_sums(values)[: plan.n_rows]
    return plan.signs(0, plan.n_flips) @ values


def _count_as_extreme(
    sums: NDArray[np.float64], values: NDArray[np.float64], alternative: Alternative
) -> int:
    observed, slack = float(values.sum()), TIE_TOLERANCE * float(np.abs(values).sum())
    if alternative == "two-sided":
        return int((np.abs(sums) >= abs(observed) - slack).sum())
    sign = 1.0 if alternative == "greater" else -1.0
    return int((sign * sums >= sign * observed - slack).sum())


def sign_flip_interval(
    differences: ArrayLike, *, level: float = 0.95, n_random: int = 99_999, seed: int = 0
) -> FlipInterval:
    """Return the interval of shifts that the two-sided sign-flip test of the mean keeps.

    Flipping a set of patients reaches the observed mean exactly when the shift lies at or beyond
    that set's own mean, so the limits are order statistics of the means of all subsets.

    Parameters
    ----------
    differences : array_like, shape (S,)
        Follow-up minus baseline; NaN for patients without both visits.
    level : float
        Level of the interval.
    n_random : int
        Random subsets where there are more than 20 patients.
    seed : int
        Seed of the random subsets.

    Returns
    -------
    FlipInterval
        Infinite limits where the level is out of reach (95 % needs 6 patients).

    Raises
    ------
    InputError
        For text, infinities, no difference, or a level outside 0 to 1.

    References
    ----------
    Hartigan 1969 (typical values).
    """
    check_fraction(level, where="level")
    values, n_missing = drop_missing(as_floats(differences, where="differences"))
    if not values.size:
        raise refuse("differences", "at least one patient", "0", "Check the visits.")
    exact = values.size <= MAX_EXACT_PATIENTS
    means = _subset_means(values) if exact else _random_subset_means(values, n_random, seed)
    n_gaps = means.size + 1
    # 1e-9 keeps a level such as 0.9375, which is one of the attainable ones, on its own step
    cut = int(np.floor((1 - level) / 2 * n_gaps + 1e-9))
    limits = np.partition(means, (cut - 1, means.size - cut)) if cut else means
    return FlipInterval(
        n=values.size,
        n_missing=n_missing,
        estimate=float(values.mean()),
        ci_low=float(limits[cut - 1]) if cut else -np.inf,
        ci_high=float(limits[means.size - cut]) if cut else np.inf,
        level=level,
        attained_level=1 - 2 * cut / n_gaps,
        exact=exact,
    )


def _subset_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    sums, sizes = np.zeros(1), np.zeros(1)
    for value in values:
        sums = np.concatenate([sums, sums + value])
        sizes = np.concatenate([sizes, sizes + 1])
    return np.asarray(sums[1:] / sizes[1:])


def _random_subset_means(
    values: NDArray[np.float64], n_random: int, seed: int
) -> NDArray[np.float64]:
    chosen = np.random.default_rng(seed).random((n_random, values.size)) < 0.5
    chosen = chosen[chosen.any(axis=1)]
    return np.asarray(chosen @ np.sort(values) / chosen.sum(axis=1))
