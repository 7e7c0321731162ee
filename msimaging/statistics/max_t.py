"""Max-T over many columns by the same exact sign flips as for one (Westfall and Young 1993)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msimaging.statistics.flips import FlipPlan, plan_flips
from msimaging.statistics.inputs import (
    TIE_TOLERANCE,
    Alternative,
    as_floats,
    check_alternative,
    order_of_rows,
    refuse,
)
from msimaging.statistics.split_flips import SplitFlips

# 64 columns by 8192 flips in float64 are 4 MB: what is made is still in the cache when it is read
COLUMN_BLOCK = 64
FLIP_BLOCK = 8192
# exact flips of as many patients or more are gone through by halves
MIN_SPLIT_PATIENTS = 11


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaxTTest:
    """One-sample t of every column, with p-values that hold for all columns together.

    Attributes
    ----------
    estimate : ndarray, shape (E,)
        Mean difference of each column.
    statistic : ndarray, shape (E,)
        t of each column; NaN where all differences are equal, which their p-values do not mind.
    p : ndarray, shape (E,)
        Sign-flip p-value of each column by itself.
    p_adjusted : ndarray, shape (E,)
        Step-down max-T p-value: family-wise error over all columns that were tested.
    p_adjusted_single_step : ndarray, shape (E,)
        The same without stepping down.
    p_floor : float
        Smallest p-value, adjusted or not, that this test could have given.
    n, n_flips : int
        Patients and flips.
    exact : bool
        Whether all flips were gone through.
    tested : ndarray of bool, shape (E,)
        False for columns with missing values: their p-values are NaN and they are in no family.
    n_not_tested : int
        Number of such columns.
    df : float
        ``n - 1``.
    alternative : str
        Direction of the test.
    """

    estimate: NDArray[np.float64]
    statistic: NDArray[np.float64]
    p: NDArray[np.float64]
    p_adjusted: NDArray[np.float64]
    p_adjusted_single_step: NDArray[np.float64]
    p_floor: float
    n: int
    n_flips: int
    exact: bool
    tested: NDArray[np.bool_]
    n_not_tested: int
    df: float
    alternative: Alternative


def max_t_test(
    differences: ArrayLike,
    *,
    alternative: Alternative = "two-sided",
    n_random: int = 10_000,
    seed: int = 0,
    n_threads: int = 1,
) -> MaxTTest:
    """Return family-wise p-values over the columns of paired differences.

    A flip changes the sign of all differences of a patient at once, so that the dependence between
    columns stays as it is. The sum of squares of a column is the same under every flip; t then
    grows with the flipped sum over the root of that sum of squares, and all flips of all columns
    are one matrix product.

    Parameters
    ----------
    differences : array_like, shape (S, E)
        Follow-up minus baseline, one row per patient. Columns that hold NaN are not tested.
    alternative : {"two-sided", "greater", "less"}
        Direction, declared before looking.
    n_random : int
        Random flips where there are more than 20 patients; all flips are used up to 20.
    seed : int
        Seed of the random flips.
    n_threads : int
        Threads that share the flips; the result does not depend on it.

    Returns
    -------
    MaxTTest
        Step-down and single-step adjusted p-values per column.

    Raises
    ------
    InputError
        For text, infinities, anything but two dimensions, or no patient.

    References
    ----------
    Westfall and Young 1993; Nichols and Holmes 2002.
    """
    check_alternative(alternative)
    matrix = as_floats(differences, where="differences", ndim=2)
    if not matrix.shape[0]:
        raise refuse("differences", "at least one patient", "none", "Check the visits table.")
    tested: NDArray[np.bool_] = np.asarray(~np.isnan(matrix).any(axis=0))
    columns = unit_columns(matrix[:, tested])
    moved = columns.any(axis=1)  # a patient without any change has no sign to flip
    plan = plan_flips(int(moved.sum()), alternative=alternative, n_random=n_random, seed=seed)
    rows = columns[moved]
    if not plan.exact:
        rows = rows[order_of_rows(rows, columns_alike=True)]
    signed = -rows if alternative == "less" else rows
    alone, stepped, single = _count_hits(signed, plan, alternative, n_threads)
    n = matrix.shape[0]
    statistic = np.full(tested.shape, np.nan)
    statistic[tested] = np.where(
        columns.any(axis=0), t_of_unit_sums(columns.sum(axis=0), n), np.nan
    )
    return MaxTTest(
        estimate=matrix.mean(axis=0),
        statistic=statistic,
        p=_spread(plan.p_values(alone), tested),
        p_adjusted=_spread(plan.p_values(stepped), tested),
        p_adjusted_single_step=_spread(plan.p_values(single), tested),
        p_floor=plan.floor(alternative),
        n=n,
        n_flips=plan.n_flips,
        exact=plan.exact,
        tested=tested,
        n_not_tested=int((~tested).sum()),
        df=float(n - 1),
        alternative=alternative,
    )


def unit_columns(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the columns over ``sqrt(S * sum of squares)``: their flipped sums lie in -1 to 1."""
    n = differences.shape[0]
    largest = np.abs(differences).max(axis=0, initial=0.0)
    scaled = differences / np.where(largest > 0, largest, 1.0)
    norms = np.sqrt(n * np.square(scaled).sum(axis=0))
    return np.asarray(scaled / np.where(norms > 0, norms, 1.0))


def t_of_unit_sums(sums: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return one-sample t from sums of unit columns; NaN for columns without spread."""
    within = 1 - np.square(sums)
    spread = (within > 1e-12) & (n > 1)
    root = np.sqrt(np.where(spread, within, 1.0) / max(n - 1, 1))
    return np.asarray(np.where(spread, sums / root, np.nan))


def _count_hits(
    columns: NDArray[np.float64], plan: FlipPlan, alternative: Alternative, n_threads: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Count flips that reach each column: alone, against those not above it, against all."""
    observed = columns.sum(axis=0)
    if alternative == "two-sided":
        observed = np.abs(observed)
    order = np.argsort(observed, kind="stable")
    rows = np.ascontiguousarray(columns.T[order])
    thresholds = observed[order] - TIE_TOLERANCE

    two_sided = alternative == "two-sided"

    def count(cut: tuple[int, int]) -> NDArray[np.int64]:
        signs = np.ascontiguousarray(plan.signs(*cut).T)
        return _count_block(rows, signs, thresholds, two_sided=two_sided)

    with ThreadPoolExecutor(max_workers=n_threads) as pool:
        if plan.exact and plan.n_patients >= MIN_SPLIT_PATIENTS:
            parts = SplitFlips.cut(plan.n_patients, two_sided=two_sided, n_parts=n_threads)
            counted = pool.map(lambda part: part.count(rows, thresholds), parts)
        else:
            counted = pool.map(count, _cuts(plan.n_rows))
        hits = sum(counted, np.zeros((3, observed.size), np.int64))
    # enforce that a smaller statistic never has the smaller p: from the largest downwards
    hits[1] = np.maximum.accumulate(hits[1][::-1])[::-1]
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    alone, stepped, single = hits[:, back]
    return alone, stepped, single


def _cuts(n_rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, n_rows, FLIP_BLOCK):
        yield start, min(start + FLIP_BLOCK, n_rows)


def _count_block(
    rows: NDArray[np.float64],
    signs: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    *,
    two_sided: bool,
) -> NDArray[np.int64]:
    """Go through the columns from the smallest statistic up, keeping the running maximum."""
    n_columns, n_flips = rows.shape[0], signs.shape[1]
    hits = np.zeros((3, n_columns), np.int64)
    highest = np.full(n_flips, -np.inf)
    reached = np.empty(n_flips, np.bool_)
    buffer = np.empty((COLUMN_BLOCK, n_flips))
    for start in range(0, n_columns, COLUMN_BLOCK):
        block = rows[start : start + COLUMN_BLOCK]
        sums = np.matmul(block, signs, out=buffer[: len(block)])
        if two_sided:
            np.abs(sums, out=sums)
        for column, flipped in enumerate(sums, start):
            np.greater_equal(flipped, thresholds[column], out=reached)
            hits[0, column] = np.count_nonzero(reached)
            np.maximum(highest, flipped, out=highest)
            np.greater_equal(highest, thresholds[column], out=reached)
            hits[1, column] = np.count_nonzero(reached)
    highest.sort()
    hits[2] = n_flips - np.searchsorted(highest, thresholds, side="left")
    return hits


def _spread(values: NDArray[np.float64], tested: NDArray[np.bool_]) -> NDArray[np.float64]:
    full = np.full(tested.shape, np.nan)
    full[tested] = values
    return full
