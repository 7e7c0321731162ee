"""Exact signed-rank test with ties and zeros, and the Hodges-Lehmann shift with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msimaging.statistics.inputs import (
    Alternative,
    as_floats,
    check_alternative,
    check_fraction,
    drop_missing,
    refuse,
    tolerance_of,
)

ZeroMethod = Literal["wilcox", "pratt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRankTest:
    """Wilcoxon signed-rank test.

    Attributes
    ----------
    n, n_missing, n_zero : int
        Patients with a difference, without one, and with a difference of 0.
    statistic : float
        Sum of the ranks of the positive differences.
    p, p_floor : float
        Exact p-value given the ties, and the smallest that these ties and zeros allow.
    zero_method : {"wilcox", "pratt"}
        Whether zeros are dropped before ranking (wilcox) or after (pratt).
    alternative : str
        Direction of the test.
    """

    n: int
    n_missing: int
    n_zero: int
    statistic: float
    p: float
    p_floor: float
    zero_method: ZeroMethod
    alternative: Alternative


@dataclass(frozen=True, slots=True, kw_only=True)
class HodgesLehmann:
    """Median of all pairwise means, with the interval that inverts the signed-rank test.

    Attributes
    ----------
    n, n_missing : int
        Patients with and without a difference.
    estimate, ci_low, ci_high : float
        Shift and its interval; infinite where so few patients cannot give the level.
    level : float
        Level asked for.
    attained_level : float
        Coverage of the interval that is given, at least ``level``.
    """

    n: int
    n_missing: int
    estimate: float
    ci_low: float
    ci_high: float
    level: float
    attained_level: float


def signed_rank_test(
    differences: ArrayLike,
    *,
    alternative: Alternative = "two-sided",
    zero_method: ZeroMethod = "wilcox",
) -> SignedRankTest:
    """Return Wilcoxon's signed-rank test, exact with ties and zeros at any number of patients.

    Parameters
    ----------
    differences : array_like, shape (S,)
        Follow-up minus baseline; NaN for patients without both visits.
    alternative : {"two-sided", "greater", "less"}
        Direction, declared before looking.
    zero_method : {"wilcox", "pratt"}
        Drop differences of 0 before ranking, or rank them and drop their ranks.

    Returns
    -------
    SignedRankTest
        Conditional exact p-value: all sign flips of the mid-ranks.

    Raises
    ------
    InputError
        For text, infinities, no difference, or an unknown option.

    References
    ----------
    Wilcoxon 1945; Pratt 1959.
    """
    check_alternative(alternative)
    if zero_method not in ("wilcox", "pratt"):
        raise refuse("zero_method", "wilcox or pratt", repr(zero_method), "Choose one of these.")
    values, n_missing = drop_missing(as_floats(differences, where="differences"))
    if not values.size:
        raise refuse("differences", "at least one patient", "0", "Check the visits.")
    moved = np.abs(values) > tolerance_of(values)
    ranks = _doubled_ranks(np.abs(values if zero_method == "pratt" else values[moved]))
    if zero_method == "pratt":
        ranks = ranks[moved]
    chances = _rank_sum_chances(ranks)
    observed = int(ranks[values[moved] > 0].sum())
    return SignedRankTest(
        n=values.size,
        n_missing=n_missing,
        n_zero=int((~moved).sum()),
        statistic=observed / 2,
        p=_tail(chances, observed, alternative),
        p_floor=_floor(ranks.size, alternative),
        zero_method=zero_method,
        alternative=alternative,
    )


def hodges_lehmann(differences: ArrayLike, *, level: float = 0.95) -> HodgesLehmann:
    """Return the Hodges-Lehmann shift with its exact distribution-free interval.

    Parameters
    ----------
    differences : array_like, shape (S,)
        Follow-up minus baseline; NaN for patients without both visits.
    level : float
        Level of the interval.

    Returns
    -------
    HodgesLehmann
        Shift and interval; the interval is infinite below 6 patients at 95 %.

    Raises
    ------
    InputError
        For text, infinities, no difference, or a level outside 0 to 1.

    References
    ----------
    Hodges and Lehmann 1963; Hollander and Wolfe 1973.
    """
    check_fraction(level, where="level")
    values, n_missing = drop_missing(as_floats(differences, where="differences"))
    if not values.size:
        raise refuse("differences", "at least one patient", "0", "Check the visits.")
    first, second = np.triu_indices(values.size)
    walsh = np.sort((values[first] + values[second]) / 2)
    below = np.cumsum(_rank_sum_chances(2 * np.arange(1, values.size + 1))[::2])
    # the number of averages that may be cut from either end
    cut = int((below <= (1 - level) / 2).sum())
    return HodgesLehmann(
        n=values.size,
        n_missing=n_missing,
        estimate=float(np.median(walsh)),
        ci_low=float(walsh[cut - 1]) if cut else -np.inf,
        ci_high=float(walsh[-cut]) if cut else np.inf,
        level=level,
        attained_level=float(1 - 2 * below[cut - 1]) if cut else 1.0,
    )


def _doubled_ranks(sizes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return twice the mid-ranks: whole numbers, ties told apart from rounding noise."""
    order = np.argsort(sizes, kind="stable")
    group = np.cumsum(np.diff(sizes[order], prepend=0.0) > tolerance_of(sizes))
    _, index, counts = np.unique(group, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    doubled = np.empty(sizes.size, np.int64)
    doubled[order] = (2 * last - counts + 1)[index]
    return doubled


def _rank_sum_chances(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the chance of each sum of positive ranks, when every sign is a coin toss."""
    chances = np.zeros(int(ranks.sum()) + 1)
    chances[0] = 1.0
    for rank in ranks:
        added = np.zeros_like(chances)
        added[rank:] = chances[: chances.size - rank]
        chances = (chances + added) / 2
    return chances


def _tail(chances: NDArray[np.float64], observed: int, alternative: Alternative) -> float:
    upper, lower = float(chances[observed:].sum()), float(chances[: observed + 1].sum())
    if alternative == "greater":
        return min(1.0, upper)
    if alternative == "less":
        return min(1.0, lower)
    return min(1.0, 2 * min(upper, lower))


def _floor(n_moved: int, alternative: Alternative) -> float:
    return float(min(1.0, (2 if alternative == "two-sided" else 1) / 2.0**n_moved))
