"""Arms compared with their baseline taken into account, and repeated visits by ranks."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.regression.linear_model import OLS

from msimaging.statistics.inputs import (
    TIE_TOLERANCE,
    as_floats,
    check_fraction,
    order_of_rows,
    refuse,
)

# exact distribution of Friedman's rank sums up to this size, random permutations above
MAX_EXACT_VISITS = 4
MAX_EXACT_PATIENTS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """An arm minus the reference arm, at equal baseline."""

    name: str
    estimate: float
    ci_low: float
    ci_high: float
    statistic: float
    df: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancova:
    """Follow-up of arms adjusted for baseline.

    Attributes
    ----------
    n, n_missing : int
        Patients used and left out.
    n_per_arm : dict
        Patients of every arm.
    contrasts : tuple of Contrast
        Each arm minus the reference.
    estimate, ci_low, ci_high, statistic, df, p : float
        The first contrast: the treatment effect of a two-arm trial.
    p_arms, statistic_arms : float
        F-test of all arms together.
    baseline_slope : float
        Follow-up per unit of baseline.
    residual_sd : float
        Standard deviation about the fitted lines.
    """

    n: int
    n_missing: int
    n_per_arm: dict[str, int]
    contrasts: tuple[Contrast, ...]
    estimate: float
    ci_low: float
    ci_high: float
    statistic: float
    df: float
    p: float
    p_arms: float
    statistic_arms: float
    baseline_slope: float
    residual_sd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FriedmanTest:
    """Friedman's test of repeated visits.

    Attributes
    ----------
    n, n_missing : int
        Patients with all visits, and patients left out.
    statistic, df, p_chi2 : float
        Chi-square corrected for ties, and its asymptotic p-value.
    p, p_floor : float
        Permutation p-value, and the smallest possible.
    exact : bool
        Whether all permutations within patients were gone through.
    estimate : float
        Kendall's coefficient of concordance W (0 to 1).
    """

    n: int
    n_missing: int
    statistic: float
    df: float
    p_chi2: float
    p: float
    p_floor: float
    exact: bool
    estimate: float


def ancova(
    baseline: ArrayLike,
    follow_up: ArrayLike,
    arm: ArrayLike,
    *,
    reference: str | None = None,
    covariates: ArrayLike | None = None,
    level: float = 0.95,
) -> Ancova:
    """Compare the follow-up of arms at equal baseline.

    Parameters
    ----------
    baseline, follow_up : array_like, shape (S,)
        One value per patient; patients without one of them are left out and counted.
    arm : array_like, shape (S,)
        Label of each patient's arm.
    reference : str, optional
        Arm that the others are compared with; the first label in sorted order by default.
    covariates : array_like, shape (S, C), optional
        Further adjustment.
    level : float
        Level of the intervals.

    Raises
    ------
    InputError
        For arrays of different length, fewer than two arms, an unknown reference, or fewer
        patients than the model has parameters.

    References
    ----------
    Vickers and Altman 2001.
    """
    check_fraction(level, where="level")
    before, after = as_floats(baseline, where="baseline"), as_floats(follow_up, where="follow_up")
    labels = np.asarray(arm).astype(np.str_)
    extra = _covariates(covariates, before.size)
    if not before.size == after.size == labels.size == len(extra):
        raise refuse(
            "baseline, follow_up, arm",
            "one value of each per patient",
            f"{before.size}, {after.size}, {labels.size} and {len(extra)}",
            "Align all by patient, NaN where a visit is missing.",
        )
    kept = ~np.isnan(np.column_stack([before, after, extra])).any(axis=1)
    labels = labels[kept]
    arms = _ordered_arms(labels, reference)
    fit = _fit_arms(after[kept], labels, arms, np.column_stack([before[kept], extra[kept]]))
    contrasts = _contrasts(fit, arms, level)
    together = fit.f_test(np.eye(fit.params.size)[1 : len(arms)])
    first = contrasts[0]
    return Ancova(
        n=labels.size,
        n_missing=int((~kept).sum()),
        n_per_arm={name: int((labels == name).sum()) for name in arms},
        contrasts=contrasts,
        estimate=first.estimate,
        ci_low=first.ci_low,
        ci_high=first.ci_high,
        statistic=first.statistic,
        df=first.df,
        p=first.p,
        p_arms=float(together.pvalue),
        statistic_arms=float(together.fvalue),
        baseline_slope=float(fit.params[len(arms)]),
        residual_sd=float(np.sqrt(fit.scale)),
    )


def _fit_arms(
    after: NDArray[np.float64],
    labels: NDArray[np.str_],
    arms: list[str],
    adjustment: NDArray[np.float64],
) -> Any:
    dummies = np.column_stack([labels == name for name in arms[1:]]).astype(np.float64)
    design = np.column_stack([np.ones(after.size), dummies, adjustment])
    if np.linalg.matrix_rank(design) < design.shape[1] or len(design) <= design.shape[1]:
        raise refuse(
            "baseline, arm",
            "more patients than parameters, and no column that says what another says",
            f"{len(design)} patients, {design.shape[1]} parameters",
            "Use fewer covariates, or compare changes.",
        )
    return OLS(after, design).fit()


def _contrasts(fit: Any, arms: list[str], level: float) -> tuple[Contrast, ...]:
    intervals = np.asarray(fit.conf_int(1 - level))
    return tuple(
        Contrast(
            name=f"{name} - {arms[0]}",
            estimate=float(fit.params[row]),
            ci_low=float(intervals[row, 0]),
            ci_high=float(intervals[row, 1]),
            statistic=float(fit.tvalues[row]),
            df=float(fit.df_resid),
            p=float(fit.pvalues[row]),
        )
        for row, name in enumerate(arms[1:], 1)
    )


def friedman(values: ArrayLike, *, n_random: int = 20_000, seed: int = 0) -> FriedmanTest:
    """Test whether repeated visits differ, by ranks within patients.

    Parameters
    ----------
    values : array_like, shape (S, T)
        One row per patient, one column per visit; patients who lack a visit are left out.
    n_random : int
        Random permutations, where there are more than 4 visits or 12 patients.
    seed : int
        Seed of these permutations.

    Raises
    ------
    InputError
        For fewer than 2 visits or no complete patient.

    References
    ----------
    Friedman 1937; Hollander and Wolfe 1973.
    """
    table = as_floats(values, where="values", ndim=2)
    complete = table[~np.isnan(table).any(axis=1)]
    n, n_visits = complete.shape
    if n_visits < 2 or not n:
        raise refuse(
            "values",
            "2 visits and a patient who has them all",
            f"{n_visits} visits, {n} complete patients",
            "Use the mixed model, which does not need complete patients.",
        )
    ranks = stats.rankdata(np.round(complete, 9), axis=1)
    ties = _tie_factor(ranks)
    if ties == 0:
        raise refuse(
            "values",
            "a patient whose visits differ",
            "all visits equal",
            "There is nothing to test.",
        )
    statistic = _spread_of_sums(ranks.sum(axis=0)[np.newaxis])[0] / ties
    exact = n_visits <= MAX_EXACT_VISITS and n <= MAX_EXACT_PATIENTS
    p, floor = _friedman_exact(ranks) if exact else _friedman_random(ranks, n_random, seed)
    return FriedmanTest(
        n=n,
        n_missing=len(table) - n,
        statistic=float(statistic),
        df=float(n_visits - 1),
        p_chi2=float(stats.chi2.sf(statistic, n_visits - 1)),
        p=p,
        p_floor=floor,
        exact=exact,
        estimate=float(statistic / (n * (n_visits - 1))),
    )


def _tie_factor(ranks: NDArray[np.float64]) -> float:
    """Return the variance of ranks within patients, which scales the chi-square."""
    return float(ranks.var(axis=1, ddof=1).sum())


def _spread_of_sums(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.square(sums - sums.mean(axis=1, keepdims=True)).sum(axis=1))


def _friedman_exact(ranks: NDArray[np.float64]) -> tuple[float, float]:
    """Build the distribution of rank sums patient by patient."""
    sums: NDArray[np.float64] = np.zeros((1, ranks.shape[1]))
    chances: NDArray[np.float64] = np.ones(1)
    for row in ranks:
        orders = np.array(list(itertools.permutations(row)))
        added = (sums[:, np.newaxis] + orders).reshape(-1, ranks.shape[1])
        weights = np.repeat(chances / math.factorial(len(row)), len(orders))
        sums, index = np.unique(added, axis=0, return_inverse=True)
        chances = np.bincount(index.reshape(-1), weights).astype(np.float64)
    spread = _spread_of_sums(sums)
    observed = _spread_of_sums(ranks.sum(axis=0)[np.newaxis])[0]
    slack = TIE_TOLERANCE * (1 + observed)
    p = float(chances[spread >= observed - slack].sum())
    return min(p, 1.0), min(float(chances[spread >= spread.max() - slack].sum()), 1.0)


def _friedman_random(ranks: NDArray[np.float64], n_random: int, seed: int) -> tuple[float, float]:
    generator = np.random.default_rng(seed)
    ranks = ranks[order_of_rows(ranks)]
    observed = _spread_of_sums(ranks.sum(axis=0)[np.newaxis])[0]
    hits = 0
    for start in range(0, n_random, 1000):
        repeats = min(1000, n_random - start)
        shuffled = generator.permuted(np.broadcast_to(ranks, (repeats, *ranks.shape)), axis=2)
        hits += int((_spread_of_sums(shuffled.sum(axis=1)) >= observed * (1 - 1e-9)).sum())
    return (hits + 1) / (n_random + 1), 1 / (n_random + 1)


def _covariates(covariates: ArrayLike | None, n: int) -> NDArray[np.float64]:
    if covariates is None:
        return np.empty((n, 0))
    array = np.asarray(covariates)
    return as_floats(array.reshape(len(array), -1), where="covariates", ndim=2)


def _ordered_arms(labels: NDArray[np.str_], reference: str | None) -> list[str]:
    arms = sorted(set(labels.tolist()))
    if len(arms) < 2 or (reference is not None and reference not in arms):
        raise refuse(
            "arm",
            "two arms or more, among them the reference",
            f"arms {arms}, reference {reference!r}",
            "Check the arm column; a single arm has no comparison.",
        )
    if reference is not None:
        arms = [reference, *(name for name in arms if name != reference)]
    return arms
