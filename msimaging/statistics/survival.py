"""Time to a confirmed event: Kaplan-Meier curves and the log-rank test."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from msimaging.statistics.inputs import as_floats, check_fraction, order_of_rows, refuse

# group assignments gone through one by one up to this number
MAX_EXACT_ASSIGNMENTS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SurvivalCurve:
    """Part of a group that is still without the event.

    Attributes
    ----------
    name : str
        Group.
    n, n_events : int
        Patients and events.
    months : ndarray, shape (T,)
        Times of events.
    estimate, ci_low, ci_high : ndarray, shape (T,)
        Kaplan-Meier estimate just after each time, and its log-log interval.
    n_at_risk : ndarray, shape (T,)
        Patients still followed just before each time.
    median : float
        Month by which half had the event; NaN where that was not reached.
    """

    name: str
    n: int
    n_events: int
    months: NDArray[np.float64]
    estimate: NDArray[np.float64]
    ci_low: NDArray[np.float64]
    ci_high: NDArray[np.float64]
    n_at_risk: NDArray[np.float64]
    median: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimeToEvent:
    """Curves of all groups and their comparison.

    Attributes
    ----------
    curves : tuple of SurvivalCurve
        One per group, in sorted order.
    n, n_missing : int
        Patients used and left out.
    statistic, df, p_chi2 : float
        Log-rank chi-square; NaN for a single group or without events.
    p, p_floor : float
        Permutation p-value of the log-rank statistic over group labels, and the smallest that
        could have come out.
    exact : bool
        Whether all assignments of labels were gone through.
    """

    curves: tuple[SurvivalCurve, ...]
    n: int
    n_missing: int
    statistic: float
    df: float
    p_chi2: float
    p: float
    p_floor: float
    exact: bool


def time_to_event(
    months: ArrayLike,
    events: ArrayLike,
    *,
    group: ArrayLike | None = None,
    n_random: int = 2_000,
    seed: int = 0,
    level: float = 0.95,
) -> TimeToEvent:
    """Estimate the time to an event, and compare groups by the log-rank test.

    Parameters
    ----------
    months : array_like, shape (S,)
        Months to the event or to the end of follow-up; NaN leaves a patient out.
    events : array_like, shape (S,)
        1 or True where the event came, 0 or False where follow-up ended without it.
    group : array_like, shape (S,), optional
        Label of each patient's group.
    n_random : int
        Random assignments of labels where there are more than 20,000.
    seed : int
        Seed of these assignments.
    level : float
        Level of the intervals.

    Raises
    ------
    InputError
        For arrays of different length, negative times, or events that are not 0 or 1.

    References
    ----------
    Kaplan and Meier 1958; Mantel 1966.
    """
    check_fraction(level, where="level")
    times, status = as_floats(months, where="months"), as_floats(events, where="events")
    labels = np.full(times.size, "all") if group is None else np.asarray(group).astype(np.str_)
    _check_times(times, status, labels)
    kept = ~np.isnan(times)
    times, status, labels = times[kept], status[kept], labels[kept]
    names = sorted(set(labels.tolist()))
    curves = tuple(
        _curve(name, times[labels == name], status[labels == name], level) for name in names
    )
    comparable = len(names) > 1 and bool(status.any())
    statistic, p_chi2 = survdiff(times, status, labels) if comparable else (np.nan, np.nan)
    p, floor, exact = np.nan, np.nan, False
    if comparable:
        p, floor, exact = _permutation_p(times, status, labels, n_random, seed)
    return TimeToEvent(
        curves=curves,
        n=times.size,
        n_missing=int((~kept).sum()),
        statistic=float(statistic),
        df=float(len(names) - 1),
        p_chi2=float(p_chi2),
        p=p,
        p_floor=floor,
        exact=exact,
    )


def _check_times(
    times: NDArray[np.float64], status: NDArray[np.float64], labels: NDArray[np.str_]
) -> None:
    if not times.size == status.size == labels.size or not times.size:
        raise refuse(
            "months, events, group",
            "one value of each per patient",
            f"{times.size}, {status.size} and {labels.size}",
            "Align all by patient.",
        )
    if (times < 0).any() or np.isnan(times).all():
        raise refuse(
            "months", "times of 0 or more", f"{times[:5].tolist()}", "Count from baseline."
        )
    if not np.isin(status[~np.isnan(times)], (0, 1)).all():
        raise refuse("events", "1 event, 0 none", f"{np.unique(status)}", "Code events as 0 and 1.")


def _curve(
    name: str, times: NDArray[np.float64], status: NDArray[np.float64], level: float
) -> SurvivalCurve:
    fit = SurvfuncRight(times, status)
    survival, error = np.asarray(fit.surv_prob), np.asarray(fit.surv_prob_se)
    inside = (survival > 0) & (survival < 1)
    log = np.log(np.where(inside, survival, 0.5))
    reach = stats.norm.ppf((1 + level) / 2) * np.where(inside, error, 0.0)
    reach = reach / (np.where(inside, survival, 0.5) * np.abs(log))
    low, high = (np.where(inside, np.exp(log * np.exp(s * reach)), np.nan) for s in (1, -1))
    return SurvivalCurve(
        name=name,
        n=times.size,
        n_events=int(status.sum()),
        months=np.asarray(fit.surv_times),
        estimate=survival,
        ci_low=low,
        ci_high=high,
        n_at_risk=np.asarray(fit.n_risk),
        median=float(fit.quantile(0.5)) if survival.size and survival.min() <= 0.5 else np.nan,
    )


def _permutation_p(
    times: NDArray[np.float64],
    status: NDArray[np.float64],
    labels: NDArray[np.str_],
    n_random: int,
    seed: int,
) -> tuple[float, float, bool]:
    """Shuffle labels: all assignments for two small groups, random ones otherwise."""
    names = np.unique(labels)
    coded = np.searchsorted(names, labels)
    order = order_of_rows(np.column_stack([times, status, coded]))
    times, status, labels, coded = times[order], status[order], labels[order], coded[order]
    first = int((labels == names[0]).sum())
    exact = names.size == 2 and math.comb(labels.size, first) <= MAX_EXACT_ASSIGNMENTS
    if exact:
        chosen = itertools.combinations(range(labels.size), first)
        codes = np.ones((math.comb(labels.size, first), labels.size), np.int64)
        for row, members in enumerate(chosen):
            codes[row, list(members)] = 0
    else:
        generator = np.random.default_rng(seed)
        codes = generator.permuted(np.broadcast_to(coded, (n_random, coded.size)), axis=1)
    observed = _log_rank(times, status, coded[np.newaxis], names.size)[0]
    null = _log_rank(times, status, codes, names.size)
    hits = int((null >= observed * (1 - 1e-9) - 1e-12).sum())
    if exact:
        return hits / len(codes), float((null >= null.max() * (1 - 1e-9)).mean()), True
    return (hits + 1) / (n_random + 1), 1 / (n_random + 1), False


def _log_rank(
    times: NDArray[np.float64],
    status: NDArray[np.float64],
    codes: NDArray[np.int64],
    n_groups: int,
) -> NDArray[np.float64]:
    """Return the log-rank chi-square of every assignment (row of codes)."""
    members = (codes[:, :, np.newaxis] == np.arange(n_groups - 1)).astype(np.float64)
    score = np.zeros((len(codes), n_groups - 1))
    variance = np.zeros((len(codes), n_groups - 1, n_groups - 1))
    for time in np.unique(times[status == 1]):
        at_risk, now = times >= time, (times == time) & (status == 1)
        share = members[:, at_risk].mean(axis=1)
        n, d = at_risk.sum(), now.sum()
        score += members[:, now].sum(axis=1) - d * share
        spread = np.einsum("ri,ij->rij", share, np.eye(n_groups - 1))
        spread -= np.einsum("ri,rj->rij", share, share)
        variance += d * (n - d) / max(n - 1, 1) * spread
    inverse = np.linalg.pinv(variance, hermitian=True)
    return np.asarray(np.einsum("ri,rij,rj->r", score, inverse, score))
