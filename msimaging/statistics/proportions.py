"""Proportions of few patients: intervals, two-by-two tables under every test in use."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from types import MappingProxyType
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from msimaging.statistics.inputs import check_fraction, refuse

SIGNIFICANCE = 0.05
# two tables have the same probability when they differ by less than this part (as in R)
SAME_PROBABILITY = 1 + 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportion:
    """``k`` of ``n`` with its Wilson interval."""

    k: int
    n: int
    estimate: float
    ci_low: float
    ci_high: float
    level: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProportionDifference:
    """Difference of two proportions with its interval; ``n`` counts both groups."""

    n: int
    estimate: float
    ci_low: float
    ci_high: float
    level: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProportionComparison:
    """Two groups of patients compared, with every test that a reader may think of.

    Attributes
    ----------
    group_a, group_b : Proportion
        Each group with its Wilson interval.
    n : int
        Patients of both groups.
    estimate, ci_low, ci_high : float
        Difference of the proportions (a - b) with Newcombe's interval.
    odds_ratio, odds_ratio_low, odds_ratio_high : float
        Conditional maximum-likelihood odds ratio with its exact interval.
    p, p_floor : float
        Fisher's exact test, two-sided, and the smallest p that these margins allow.
    p_boschloo, p_barnard, p_mid, p_chi2, p_yates : float
        Boschloo, Barnard (pooled score), Fisher mid-p, chi-square without and with Yates'
        correction; NaN where nobody or everybody responded and the test does not exist.
    depends_on_test : bool
        Whether some of these tests lie below 0.05 and others do not.
    """

    group_a: Proportion
    group_b: Proportion
    n: int
    estimate: float
    ci_low: float
    ci_high: float
    odds_ratio: float
    odds_ratio_low: float
    odds_ratio_high: float
    p: float
    p_floor: float
    p_boschloo: float
    p_barnard: float
    p_mid: float
    p_chi2: float
    p_yates: float
    depends_on_test: bool

    @property
    def p_by_test(self) -> MappingProxyType[str, float]:
        """p-values under the names that a table prints."""
        return MappingProxyType(
            {
                "Fisher exact": self.p,
                "Boschloo": self.p_boschloo,
                "Barnard": self.p_barnard,
                "Fisher mid-p": self.p_mid,
                "chi-square, uncorrected": self.p_chi2,
                "chi-square, Yates": self.p_yates,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceRateTest:
    """A single arm beside a rate known from elsewhere (exact binomial test)."""

    k: int
    n: int
    estimate: float
    ci_low: float
    ci_high: float
    rate: float
    p: float
    p_floor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemarTest:
    """Change of a yes/no outcome within patients.

    Attributes
    ----------
    n : int
        Patients.
    n_only_first, n_only_second : int
        Patients with the outcome at one visit only.
    estimate : float
        Difference of the proportions, second minus first.
    p, p_floor : float
        Exact binomial test of the discordant patients, and the smallest p they allow.
    p_mid : float
        The same with half the weight on the observed table.
    statistic, df, p_chi2 : float
        McNemar's chi-square with continuity correction.
    """

    n: int
    n_only_first: int
    n_only_second: int
    estimate: float
    p: float
    p_floor: float
    p_mid: float
    statistic: float
    df: float
    p_chi2: float


def wilson_interval(k: SupportsIndex, n: SupportsIndex, *, level: float = 0.95) -> Proportion:
    """Return a proportion with its score interval.

    Parameters
    ----------
    k, n : int
        Patients with the outcome, and all patients.
    level : float
        Level of the interval.

    Raises
    ------
    InputError
        For counts that are not whole, negative, or ``k`` above ``n``.

    References
    ----------
    Wilson 1927; Newcombe 1998.
    """
    check_fraction(level, where="level")
    successes, total = _counts(k, n, where="k, n")
    interval = stats.binomtest(successes, total).proportion_ci(level, method="wilson")
    return Proportion(
        k=successes,
        n=total,
        estimate=successes / total,
        # at 0 of n and n of n the limit is exact, not what rounding leaves of it
        ci_low=float(interval.low) if successes else 0.0,
        ci_high=float(interval.high) if successes < total else 1.0,
        level=level,
    )


def newcombe_difference(
    k_a: SupportsIndex,
    n_a: SupportsIndex,
    k_b: SupportsIndex,
    n_b: SupportsIndex,
    *,
    level: float = 0.95,
) -> ProportionDifference:
    """Return the difference of two proportions (a - b) with limits from Wilson's intervals.

    Raises
    ------
    InputError
        For impossible counts.

    References
    ----------
    Newcombe 1998, method 10.
    """
    a, b = wilson_interval(k_a, n_a, level=level), wilson_interval(k_b, n_b, level=level)
    difference = a.estimate - b.estimate
    below = np.hypot(a.estimate - a.ci_low, b.ci_high - b.estimate)
    above = np.hypot(a.ci_high - a.estimate, b.estimate - b.ci_low)
    return ProportionDifference(
        n=a.n + b.n,
        estimate=difference,
        ci_low=float(difference - below),
        ci_high=float(difference + above),
        level=level,
    )


def compare_proportions(
    k_a: SupportsIndex,
    n_a: SupportsIndex,
    k_b: SupportsIndex,
    n_b: SupportsIndex,
    *,
    level: float = 0.95,
) -> ProportionComparison:
    """Compare ``k_a`` of ``n_a`` with ``k_b`` of ``n_b``; Fisher first, the others beside it.

    Parameters
    ----------
    k_a, n_a, k_b, n_b : int
        Patients with the outcome and all patients, in either group.
    level : float
        Level of the intervals.

    Returns
    -------
    ProportionComparison
        ``depends_on_test`` tells whether 0.05 is crossed from test to test.

    Raises
    ------
    InputError
        For counts that are not whole, negative, or larger than their group.

    References
    ----------
    Fisher 1935; Barnard 1945; Boschloo 1970; Hirji 2006 (mid-p).
    """
    a, b = wilson_interval(k_a, n_a, level=level), wilson_interval(k_b, n_b, level=level)
    table = np.array([[a.k, a.n - a.k], [b.k, b.n - b.k]])
    difference = newcombe_difference(a.k, a.n, b.k, b.n, level=level)
    p_fisher, p_mid, p_floor = _fisher(table)
    others = _unconditional_and_asymptotic(table)
    known = np.array([p_fisher, p_mid, *others])
    known = known[~np.isnan(known)]
    odds = stats.contingency.odds_ratio(table)
    odds_interval = odds.confidence_interval(level)
    return ProportionComparison(
        group_a=a,
        group_b=b,
        n=a.n + b.n,
        estimate=difference.estimate,
        ci_low=difference.ci_low,
        ci_high=difference.ci_high,
        odds_ratio=float(odds.statistic),
        odds_ratio_low=float(odds_interval.low),
        odds_ratio_high=float(odds_interval.high),
        p=p_fisher,
        p_floor=p_floor,
        p_mid=p_mid,
        p_boschloo=others[0],
        p_barnard=others[1],
        p_chi2=others[2],
        p_yates=others[3],
        depends_on_test=bool((known <= SIGNIFICANCE).any() and (known > SIGNIFICANCE).any()),
    )


def compare_with_rate(
    k: SupportsIndex, n: SupportsIndex, *, rate: float, level: float = 0.95
) -> ReferenceRateTest:
    """Put a single arm beside a historical rate.

    Parameters
    ----------
    k, n : int
        Patients with the outcome, and all patients.
    rate : float
        Rate elsewhere, between 0 and 1; its own uncertainty is not part of this test (use
        ``compare_proportions`` where its counts are known).
    level : float
        Level of the interval.

    Raises
    ------
    InputError
        For impossible counts or rates.
    """
    check_fraction(rate, where="rate")
    arm = wilson_interval(k, n, level=level)
    chances = stats.binom.pmf(np.arange(arm.n + 1), arm.n, rate)
    return ReferenceRateTest(
        k=arm.k,
        n=arm.n,
        estimate=arm.estimate,
        ci_low=arm.ci_low,
        ci_high=arm.ci_high,
        rate=rate,
        p=float(stats.binomtest(arm.k, arm.n, rate).pvalue),
        p_floor=float(chances[chances <= chances.min() * SAME_PROBABILITY].sum()),
    )


def mcnemar(table: ArrayLike) -> McNemarTest:
    """Return McNemar's exact test of a paired yes/no outcome.

    Parameters
    ----------
    table : array_like of int, shape (2, 2)
        Rows: yes, no at the first visit; columns: yes, no at the second.

    Raises
    ------
    InputError
        For anything but four counts.

    References
    ----------
    McNemar 1947; Fagerland, Lydersen and Laake 2013 (mid-p).
    """
    counts = np.asarray(table)
    if counts.shape != (2, 2) or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise refuse(
            "table", "four counts in two rows", f"{counts.tolist()}", "Count patients, not rates."
        )
    first, second, n = int(counts[0, 1]), int(counts[1, 0]), int(counts.sum())
    discordant = first + second
    if not n:
        raise refuse("table", "at least one patient", "none", "Check the visits table.")
    p = float(stats.binomtest(first, discordant).pvalue) if discordant else 1.0
    corrected = max(abs(first - second) - 1, 0) ** 2 / discordant if discordant else np.nan
    return McNemarTest(
        n=n,
        n_only_first=first,
        n_only_second=second,
        estimate=(second - first) / n,
        p=p,
        p_floor=min(1.0, 2.0 ** (1 - discordant)),
        p_mid=_mcnemar_mid_p(first, discordant, p),
        statistic=float(corrected),
        df=1.0,
        p_chi2=float(stats.chi2.sf(corrected, 1)),
    )


def _mcnemar_mid_p(first: int, discordant: int, p: float) -> float:
    if first * 2 == discordant:
        return float(1 - stats.binom.pmf(first, discordant, 0.5) / 2)
    return float(p - stats.binom.pmf(first, discordant, 0.5))


def _counts(k: SupportsIndex, n: SupportsIndex, *, where: str) -> tuple[int, int]:
    try:
        successes, total = operator.index(k), operator.index(n)
    except TypeError as error:
        raise refuse(
            where, "counts are whole numbers", f"{k!r} of {n!r}", "Count patients."
        ) from error
    if not 0 <= successes <= total or not total:
        raise refuse(
            where,
            "0 to n of n patients, n at least 1",
            f"{successes} of {total}",
            "Give the number with the outcome, then the number of all patients.",
        )
    return successes, total


def _fisher(table: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> tuple[float, float, float]:
    """Return Fisher's p, its mid-p, and the smallest p under these margins."""
    n_a, responders, n = table[0].sum(), table[:, 0].sum(), table.sum()
    support = np.arange(max(0, responders + n_a - n), min(n_a, responders) + 1)
    chances = stats.hypergeom.pmf(support, n, responders, n_a)
    observed = chances[support == table[0, 0]][0]
    p = chances[chances <= observed * SAME_PROBABILITY].sum()
    equal = chances[np.abs(chances / observed - 1) < SAME_PROBABILITY - 1].sum()
    floor = chances[chances <= chances.min() * SAME_PROBABILITY].sum()
    return float(min(p, 1.0)), float(min(p, 1.0) - equal / 2), float(min(floor, 1.0))


def _unconditional_and_asymptotic(
    table: np.ndarray[tuple[int, int], np.dtype[np.int64]],
) -> tuple[float, float, float, float]:
    """Return Boschloo, Barnard, chi-square and Yates; NaN where a column is empty."""
    if (table.sum(axis=0) == 0).any():
        return np.nan, np.nan, np.nan, np.nan
    return (
        float(stats.boschloo_exact(table).pvalue),
        float(stats.barnard_exact(table, pooled=True).pvalue),
        float(stats.chi2_contingency(table, correction=False).pvalue),
        float(stats.chi2_contingency(table, correction=True).pvalue),
    )
