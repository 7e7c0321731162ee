"""Whether two changes go together, with covariates taken out."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from msimaging.statistics.inputs import as_floats, check_fraction, order_of_rows, refuse

# 8! = 40,320 orders of patients are gone through one by one
MAX_EXACT_PATIENTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """Correlation of two measures over patients.

    Attributes
    ----------
    n, n_missing : int
        Patients used, and left out because a value is missing.
    estimate, ci_low, ci_high : float
        (Partial) correlation and its Fisher-z interval.
    slope : float
        Change of ``y`` per unit of ``x`` at equal covariates (of ranks, for Spearman).
    statistic, df, p_t : float
        t-test of the correlation.
    p, p_floor : float
        Permutation p-value, two-sided, and the smallest that these patients could have given.
    n_permutations : int
        Orders of patients gone through.
    exact : bool
        Whether these were all orders.
    method : {"pearson", "spearman"}
        Kind of correlation.
    """

    n: int
    n_missing: int
    estimate: float
    ci_low: float
    ci_high: float
    slope: float
    statistic: float
    df: float
    p_t: float
    p: float
    p_floor: float
    n_permutations: int
    exact: bool
    method: Literal["pearson", "spearman"]


def association(
    x: ArrayLike,
    y: ArrayLike,
    *,
    covariates: ArrayLike | None = None,
    method: Literal["pearson", "spearman"] = "pearson",
    n_random: int = 20_000,
    seed: int = 0,
    level: float = 0.95,
) -> Association:
    """Correlate two changes over patients, covariates (such as change of motion) taken out.

    Parameters
    ----------
    x, y : array_like, shape (S,)
        One value per patient; patients who lack one of them, or a covariate, are left out.
    covariates : array_like, shape (S,) or (S, C), optional
        What both are cleared of.
    method : {"pearson", "spearman"}
        Correlation of values or of ranks.
    n_random : int
        Random orders above 8 patients.
    seed : int
        Seed of these orders.
    level : float
        Level of the interval.

    Raises
    ------
    InputError
        For arrays of different length, a measure that does not vary, or fewer than 4 patients
        plus one per covariate.

    References
    ----------
    Freedman and Lane 1983 (permutation of residuals); Fisher 1921 (interval).
    """
    check_fraction(level, where="level")
    if method not in ("pearson", "spearman"):
        raise refuse("method", "pearson or spearman", repr(method), "Choose one of these.")
    table, n_missing = _complete(x, y, covariates)
    table = table[order_of_rows(table)]
    if method == "spearman":
        table = stats.rankdata(table, axis=0)
    n, n_covariates = len(table), table.shape[1] - 2
    if n < 4 + n_covariates:
        raise refuse(
            "x, y",
            f"{4 + n_covariates} patients for a correlation with {n_covariates} covariates",
            f"{n}",
            "Show the patients one by one instead.",
        )
    nuisance = np.column_stack([np.ones(n), table[:, 2:]])
    first, second = (_cleared(column, nuisance) for column in table[:, :2].T)
    r = float(first @ second / np.sqrt((first @ first) * (second @ second)))
    p, n_permutations, exact = _permutation_p(first, second, nuisance, n_random, seed)
    df = n - 2 - n_covariates
    statistic = r * np.sqrt(df / max(1 - r * r, 1e-300))
    reach = stats.norm.ppf((1 + level) / 2) / np.sqrt(df - 1)
    center = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15))
    return Association(
        n=n,
        n_missing=n_missing,
        estimate=r,
        ci_low=float(np.tanh(center - reach)),
        ci_high=float(np.tanh(center + reach)),
        slope=float(first @ second / (first @ first)),
        statistic=float(statistic),
        df=float(df),
        p_t=float(2 * stats.t.sf(abs(statistic), df)),
        p=p,
        p_floor=1 / math.factorial(n) if exact else 1 / (n_permutations + 1),
        n_permutations=n_permutations,
        exact=exact,
        method=method,
    )


def _complete(
    x: ArrayLike, y: ArrayLike, covariates: ArrayLike | None
) -> tuple[NDArray[np.float64], int]:
    columns = [as_floats(x, where="x"), as_floats(y, where="y")]
    if covariates is not None:
        extra = np.asarray(covariates)
        columns.extend(as_floats(extra.reshape(len(extra), -1), where="covariates", ndim=2).T)
    if len({column.size for column in columns}) > 1:
        raise refuse(
            "x, y, covariates",
            "one value of each per patient",
            f"{[column.size for column in columns]}",
            "Align all by patient, NaN where a value is missing.",
        )
    table = np.column_stack(columns)
    complete = table[~np.isnan(table).any(axis=1)]
    if len(complete) and (np.ptp(complete[:, :2], axis=0) == 0).any():
        raise refuse("x, y", "measures vary over patients", "a constant", "There is no relation.")
    return complete, len(table) - len(complete)


def _cleared(values: NDArray[np.float64], nuisance: NDArray[np.float64]) -> NDArray[np.float64]:
    rest = values - nuisance @ np.linalg.lstsq(nuisance, values)[0]
    if np.abs(rest).max() <= 1e-9 * np.abs(values).max():
        raise refuse(
            "covariates",
            "x and y vary beyond the covariates",
            "a measure that the covariates determine",
            "Use fewer covariates.",
        )
    return np.asarray(rest)


def _permutation_p(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    nuisance: NDArray[np.float64],
    n_random: int,
    seed: int,
) -> tuple[float, int, bool]:
    """Permute the cleared ``y``, clear it again, and correlate (all orders of few patients)."""
    n = first.size
    exact = n <= MAX_EXACT_PATIENTS
    if exact:
        orders = np.array(list(itertools.permutations(range(n))))
    else:
        shape = (n_random, n)
        orders = np.random.default_rng(seed).permuted(np.broadcast_to(np.arange(n), shape), axis=1)
    basis = np.linalg.qr(nuisance)[0]
    shuffled = second[orders]
    shuffled = shuffled - (shuffled @ basis) @ basis.T
    norms = np.sqrt(np.square(shuffled).sum(axis=1) * (first @ first))
    r = np.abs(shuffled @ first) / np.where(norms > 0, norms, 1.0)
    observed = abs(first @ second) / np.sqrt((first @ first) * (second @ second))
    hits = int((r >= observed - 1e-9).sum())
    return (hits / len(orders) if exact else (hits + 1) / (n_random + 1)), len(orders), exact
