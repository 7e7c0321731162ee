"""Whether a change is more than an untreated rescan would show."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from msimaging.errors import Finding, InputError
from msimaging.longitudinal.change import Change

Values = NDArray[np.float64]
IccKind = Literal["ICC(1,1)", "ICC(2,1)", "ICC(3,1)"]
Interval = Literal["between-session", "within-session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Icc:
    """Intraclass correlation of single measurements.

    Attributes
    ----------
    kind : str
        The form, in the notation of Shrout and Fleiss (1979).
    estimate, ci_low, ci_high : float
        The correlation and its confidence limits.
    n, k : int
        People, and measurements of each.
    """

    kind: str
    estimate: float
    ci_low: float
    ci_high: float
    n: int
    k: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeatability:
    """One line of the packaged table of published repeatability.

    Attributes
    ----------
    measure, modality : str
        What was measured (``fa``, ``md``, ``ad``, ``rd``, ``connectivity``) and from which images.
    interval : str
        ``between-session`` or ``within-session``.
    cov_percent, cov_low, cov_high : float
        Within-subject coefficient of variation and its range over regions; NaN where not given.
    icc, icc_low, icc_high : float
        Intraclass correlation and its interval; NaN where not given.
    source : str
        First author, year and sample.
    """

    measure: str
    modality: str
    interval: str
    cov_percent: float
    cov_low: float
    cov_high: float
    icc: float
    icc_low: float
    icc_high: float
    source: str


def smallest_detectable_change(
    within_sd: ArrayLike, *, confidence: float = 0.95, df: int | None = None
) -> Values:
    """Return the change that an unchanged person exceeds in 5 % of rescans.

    Parameters
    ----------
    within_sd : array_like
        Within-subject standard deviation, in the measure's unit (or in per cent).
    confidence : float
        1 minus the share of unchanged people beyond the result.
    df : int, optional
        Degrees of freedom of ``within_sd`` when it was estimated from repeats: Student's t then
        takes the place of the normal quantile, so that few repeats do not promise too much.

    Returns
    -------
    ndarray
        Quantile x sqrt(2) x ``within_sd``: 2.77 x ``within_sd`` at 95 % (Bland and Altman 1986).

    Raises
    ------
    InputError
        For a negative standard deviation, a level outside (0, 1) or no degrees of freedom.
    """
    sd = np.asarray(within_sd, dtype=np.float64)
    if (sd < 0).any() or not 0 < confidence < 1 or (df is not None and df < 1):
        raise _refusal(
            "the within-subject SD is not negative, the level in (0, 1), df at least 1",
            f"smallest SD {np.nanmin(sd)}, level {confidence}, df {df}",
        )
    tail = (1 + confidence) / 2
    quantile = stats.norm.ppf(tail) if df is None else stats.t.ppf(tail, df)
    return np.asarray(quantile * np.sqrt(2.0) * sd)


def reliable_change_index(
    baseline: ArrayLike,
    follow_up: ArrayLike,
    *,
    sd: ArrayLike,
    reliability: ArrayLike,
    practice_effect: ArrayLike = 0.0,
) -> Values:
    """Return the change in units of its standard error under no change.

    Parameters
    ----------
    baseline, follow_up : array_like
        The measure at both visits.
    sd : array_like
        Standard deviation between people, of a reference group.
    reliability : array_like
        Test-retest correlation or ICC, in [0, 1].
    practice_effect : array_like
        Mean change of unchanged people, subtracted first (Chelune 1993).

    Returns
    -------
    ndarray
        Beyond 1.96 in absolute value: reliable (Jacobson and Truax 1991; without a practice effect
        exchanging the visits negates it). NaN where the standard error is 0.

    Raises
    ------
    InputError
        For a reliability outside [0, 1] or a negative standard deviation.
    """
    sem = standard_error_of_measurement(sd, reliability=reliability)
    change = np.subtract(follow_up, baseline) - np.asarray(practice_effect)
    return np.asarray(change / np.where(sem == 0, np.nan, sem * np.sqrt(2.0)))


def standard_error_of_measurement(sd: ArrayLike, *, reliability: ArrayLike) -> Values:
    """Return the within-subject SD that a reliability implies: sd x sqrt(1 - reliability).

    Parameters
    ----------
    sd : array_like
        Standard deviation between people.
    reliability : array_like
        Test-retest correlation or ICC, in [0, 1].

    Returns
    -------
    ndarray
        In the measure's unit.

    Raises
    ------
    InputError
        For a reliability outside [0, 1] or a negative standard deviation.
    """
    spread, share = np.asarray(sd, dtype=np.float64), np.asarray(reliability, dtype=np.float64)
    if (spread < 0).any() or (share < 0).any() or (share > 1).any():
        raise _refusal(
            "reliability lies in [0, 1] and the SD is not negative",
            f"reliability {share}, SD {spread}",
        )
    return np.asarray(spread * np.sqrt(1 - share))


def icc(measurements: ArrayLike, *, kind: IccKind = "ICC(2,1)", confidence: float = 0.95) -> Icc:
    """Estimate the intraclass correlation of single measurements.

    Parameters
    ----------
    measurements : (S, K) array_like
        K measurements (sessions, raters) of S people, complete.
    kind : {"ICC(1,1)", "ICC(2,1)", "ICC(3,1)"}
        One-way; two-way random, absolute agreement; two-way mixed, consistency.
    confidence : float
        Level of the limits.

    Returns
    -------
    Icc
        Formulas and limits of Shrout and Fleiss (1979); NaN when nothing varies.

    Raises
    ------
    InputError
        For missing values or fewer than two people or measurements.
    """
    table = _table(measurements)
    if min(table.shape) < 2 or not np.isfinite(table).all():
        raise _refusal(
            "two or more people have two or more measurements each, none missing",
            f"shape {table.shape}, {np.count_nonzero(~np.isfinite(table))} missing",
        )
    n, k = table.shape
    squares = _mean_squares(table)
    limits = {"ICC(1,1)": _icc_one_way, "ICC(2,1)": _icc_random, "ICC(3,1)": _icc_mixed}
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate, low, high = limits[kind](squares, n, k, (1 + confidence) / 2)
    return Icc(
        kind=kind, estimate=float(estimate), ci_low=float(low), ci_high=float(high), n=n, k=k
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _MeanSquares:
    people: np.float64
    sessions: np.float64
    within: np.float64
    error: np.float64


def _mean_squares(table: Values) -> _MeanSquares:
    n, k = table.shape
    rows = table - table.mean(axis=1, keepdims=True)
    residuals = rows - table.mean(axis=0) + table.mean()
    return _MeanSquares(
        people=k * table.mean(axis=1).var(ddof=1),
        sessions=n * table.mean(axis=0).var(ddof=1),
        within=(rows**2).sum() / (n * (k - 1)),
        error=(residuals**2).sum() / ((n - 1) * (k - 1)),
    )


def _icc_one_way(ms: _MeanSquares, n: int, k: int, tail: float) -> tuple[float, float, float]:
    f = ms.people / ms.within
    low = f / stats.f.ppf(tail, n - 1, n * (k - 1))
    high = f * stats.f.ppf(tail, n * (k - 1), n - 1)
    return _from_f(f, k), _from_f(low, k), _from_f(high, k)


def _icc_mixed(ms: _MeanSquares, n: int, k: int, tail: float) -> tuple[float, float, float]:
    f = ms.people / ms.error
    df = (n - 1) * (k - 1)
    low = f / stats.f.ppf(tail, n - 1, df)
    high = f * stats.f.ppf(tail, df, n - 1)
    return _from_f(f, k), _from_f(low, k), _from_f(high, k)


def _from_f(f: float, k: int) -> float:
    return (f - 1) / (f + k - 1)


def _icc_random(ms: _MeanSquares, n: int, k: int, tail: float) -> tuple[float, float, float]:
    excess = ms.people - ms.error
    estimate = excess / (ms.people + (k - 1) * ms.error + k * (ms.sessions - ms.error) / n)
    # Satterthwaite's degrees of freedom for the mixture of session and error variance.
    f = ms.sessions / ms.error
    top = (n - 1) * (k - 1) * (k * estimate * f + n * (1 + (k - 1) * estimate) - k * estimate) ** 2
    bottom = (n - 1) * (k * estimate * f) ** 2 + (n * (1 + (k - 1) * estimate) - k * estimate) ** 2
    df = top / bottom
    mixture = k * ms.sessions + (k * n - k - n) * ms.error
    f_low, f_high = stats.f.ppf(tail, n - 1, df), stats.f.ppf(tail, df, n - 1)
    low = n * (ms.people - f_low * ms.error) / (f_low * mixture + n * ms.people)
    high = n * (f_high * ms.people - ms.error) / (mixture + n * f_high * ms.people)
    return estimate, low, high


def published_repeatability(
    measure: str, *, interval: Interval = "between-session"
) -> Repeatability:
    """Look a measure up in the packaged table of published repeatability.

    Parameters
    ----------
    measure : str
        ``fa``, ``md``, ``ad``, ``rd`` or ``connectivity``.
    interval : {"between-session", "within-session"}
        What separated the repeats.

    Returns
    -------
    Repeatability
        With its source, which belongs beside every verdict that rests on it.

    Raises
    ------
    InputError
        When the table has no such line.
    """
    with files(__package__).joinpath("repeatability.tsv").open(encoding="utf-8") as table:
        lines = list(csv.DictReader(table, delimiter="\t"))
    for line in lines:
        if (line["measure"], line["interval"]) == (measure, interval):
            return Repeatability(
                measure=measure,
                modality=line["modality"],
                interval=interval,
                cov_percent=_number(line["cov_percent"]),
                cov_low=_number(line["cov_low"]),
                cov_high=_number(line["cov_high"]),
                icc=_number(line["icc"]),
                icc_low=_number(line["icc_low"]),
                icc_high=_number(line["icc_high"]),
                source=line["source"],
            )
    known = sorted({f"{line['measure']} ({line['interval']})" for line in lines})
    raise _refusal("published repeatability is known for " + ", ".join(known), repr(measure))


def _number(text: str) -> float:
    return np.nan if text == "n/a" else float(text)


def is_reliable(change: Change, sdc: ArrayLike) -> NDArray[np.bool_]:
    """Tell whether a change exceeds the smallest detectable change; False where unknown."""
    return np.asarray(np.abs(change.estimate) > np.asarray(sdc, dtype=np.float64))


def verdict(change: Change, sdc: ArrayLike) -> NDArray[np.str_]:
    """Put both answers into words, one each.

    Parameters
    ----------
    change : Change
        Change and whether it exceeds these scans' own noise.
    sdc : array_like
        Smallest detectable change from repeats, in the same unit.

    Returns
    -------
    ndarray of str
        ``reliable``: beyond the noise of these scans and of a rescan; ``detectable, not
        reliable``: beyond these scans' noise only; ``reliable, not detectable``: beyond rescan
        noise, but these scans are too noisy, or their noise is unknown; ``within noise``; and
        ``unknown`` where the change or ``sdc`` is missing.
    """
    reliable = is_reliable(change, sdc)
    words = np.where(
        reliable,
        np.where(change.detectable, "reliable", "reliable, not detectable"),
        np.where(change.detectable, "detectable, not reliable", "within noise"),
    )
    missing = np.isnan(change.estimate) | np.isnan(np.asarray(sdc, dtype=np.float64))
    return np.where(missing, "unknown", words)


def _table(values: ArrayLike) -> Values:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2:
        raise _refusal("people are rows, repeats are columns", f"shape {table.shape}")
    return table


def _refusal(rule: str, found: str) -> InputError:
    return InputError(
        [
            Finding(
                rule=rule,
                where="reliability",
                found=found,
                remedy="Correct the table of repeats or the arguments.",
            )
        ]
    )
