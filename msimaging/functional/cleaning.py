"""Filter, detrend, regress and censor parcel time series in one joint projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import qr

from msimaging.errors import Finding, InputError
from msimaging.functional.signals import usable_parcels
from msimaging.functional.uncertainty import projection_inflation

# Share of a column's length that must be new for it to count as a further regressor.
_INDEPENDENT = 1e-9
# A parcel of which so little is left was explained altogether by the regressors.
_NOTHING_LEFT = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """Time series of one run after cleaning, and what the cleaning cost.

    Attributes
    ----------
    time_series : ndarray of shape (T', P)
        Retained volumes only, mean zero; NaN for parcels without signal.
    sample_mask : ndarray of int, shape (T',)
        Positions of the retained volumes in the run.
    n_volumes : int
        T, before censoring.
    n_retained : int
        T'.
    degrees_of_freedom_lost : int
        Rank of everything projected out, the mean included.
    degrees_of_freedom_left : int
        ``n_retained - degrees_of_freedom_lost``.
    n_filter_regressors : int
        Part of the loss that mean, trend and filter cause; the rest is nuisance.
    autocorrelation : float
        Median lag-1 autocorrelation of the parcels after mean, trend and high-pass only.
    variance_inflation : float
        What `xdf_variance` must multiply by for the regressors used up.
    findings : tuple of Finding
        Parcels that were left out, with the reason.
    """

    time_series: NDArray[np.float64]
    sample_mask: NDArray[np.int64]
    n_volumes: int
    n_retained: int
    degrees_of_freedom_lost: int
    degrees_of_freedom_left: int
    n_filter_regressors: int
    autocorrelation: float
    variance_inflation: float
    findings: tuple[Finding, ...] = ()


def clean_time_series(
    time_series: NDArray[np.floating[Any]],
    *,
    t_r: float,
    high_pass: float | None,
    low_pass: float | None,
    confounds: pd.DataFrame | NDArray[np.floating[Any]] | None = None,
    sample_mask: ArrayLike | None = None,
    polynomial_order: int = 1,
) -> Cleaned:
    """Remove drift, unwanted frequencies and nuisance from the retained volumes at once.

    One least-squares projection holds the mean, the trend, the cosines outside the pass band and
    the confounds, each at the retained volumes only. So no step brings back what another removed,
    and censored volumes need no interpolation, also at the ends of the run.

    Parameters
    ----------
    time_series : ndarray of shape (T, P)
        A parcel that is not covered is all NaN.
    t_r : float
        Repetition time [s].
    high_pass, low_pass : float or None
        Limits of the pass band [Hz]; None leaves that side open.
    confounds : DataFrame or ndarray of shape (T, C), optional
        A missing value in the first row (a derivative) takes the value of the second row.
    sample_mask : array_like, optional
        Retained volumes as positions or as T booleans; all by default.
    polynomial_order : int
        0 removes the mean, 1 also the linear trend, and so on.

    Returns
    -------
    Cleaned

    Raises
    ------
    InputError
        Impossible repetition time or pass band, unusable confounds or mask, or no degree of
        freedom left.

    References
    ----------
    Hallquist 2013; Lindquist 2019 (why the steps must be one projection).
    """
    n_volumes = _check_run(time_series, t_r, high_pass, low_pass)
    kept = _positions(sample_mask, n_volumes)
    usable, findings = usable_parcels(time_series[kept], "retained volumes", at_least=1)
    polynomials = _polynomials(n_volumes, polynomial_order)
    slow, fast = _cosines(n_volumes, t_r=t_r, high_pass=high_pass, low_pass=low_pass)
    drift = np.column_stack([polynomials, slow])[kept]
    filters = np.column_stack([drift, fast[kept]])
    nuisance = _confound_array(confounds, n_volumes, kept)
    basis = _orthonormal_basis(np.column_stack([filters, nuisance]))
    lost = basis.shape[1]
    if lost >= len(kept):
        raise InputError([_nothing_left(len(kept), n_volumes, filters.shape[1], nuisance.shape[1])])
    signals = time_series[np.ix_(kept, usable)].astype(np.float64)
    residual, flat = _project_out(signals, basis)
    phi = _lag_one(_project_out(signals, _orthonormal_basis(drift))[0], kept)
    result = np.full((len(kept), usable.size), np.nan)
    result[:, usable] = residual
    return Cleaned(
        time_series=result,
        sample_mask=kept,
        n_volumes=n_volumes,
        n_retained=len(kept),
        degrees_of_freedom_lost=lost,
        degrees_of_freedom_left=len(kept) - lost,
        n_filter_regressors=_orthonormal_basis(filters).shape[1],
        autocorrelation=phi,
        variance_inflation=projection_inflation(basis, sample_mask=kept, autocorrelation=phi),
        findings=findings + (_explained_parcels(usable, flat) if flat.any() else ()),
    )


def regressors_of(
    confounds: pd.DataFrame | NDArray[np.floating[Any]] | None,
    *,
    n_volumes: int,
    t_r: float,
    high_pass: float | None,
    low_pass: float | None,
    sample_mask: ArrayLike | None = None,
    polynomial_order: int = 1,
) -> int:
    """Count the degrees of freedom that `clean_time_series` would take from a run.

    Parameters
    ----------
    confounds, t_r, high_pass, low_pass, sample_mask, polynomial_order
        As in `clean_time_series`.
    n_volumes : int
        T, before censoring.

    Returns
    -------
    int
        Rank of everything projected out, at most the number of retained volumes.

    Raises
    ------
    InputError
        As `clean_time_series`, but not for a lack of degrees of freedom.
    """
    _check_run(np.empty((n_volumes, 1)), t_r, high_pass, low_pass)
    kept = _positions(sample_mask, n_volumes)
    slow, fast = _cosines(n_volumes, t_r=t_r, high_pass=high_pass, low_pass=low_pass)
    filters = np.column_stack([_polynomials(n_volumes, polynomial_order), slow, fast])[kept]
    nuisance = _confound_array(confounds, n_volumes, kept)
    return int(_orthonormal_basis(np.column_stack([filters, nuisance])).shape[1])


def standardize(time_series: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Scale every parcel to mean 0 and sample standard deviation 1; NaN stays NaN.

    Parameters
    ----------
    time_series : ndarray of shape (T, P)

    Returns
    -------
    ndarray of shape (T, P)
    """
    values = np.asarray(time_series, dtype=np.float64)
    scaled: NDArray[np.float64] = (values - values.mean(axis=0)) / values.std(axis=0, ddof=1)
    return scaled


def _project_out(
    signals: NDArray[np.float64], basis: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    residual = signals - basis @ (basis.T @ signals)
    # a large mean leaves rounding behind, which a second pass removes
    residual -= basis @ (basis.T @ residual)
    before = np.linalg.norm(signals - signals.mean(axis=0), axis=0)
    flat = np.linalg.norm(residual, axis=0) <= _NOTHING_LEFT * before
    residual[:, flat] = np.nan
    return residual, flat


def _lag_one(signals: NDArray[np.float64], kept: NDArray[np.int64]) -> float:
    """Median over parcels, from neighbouring volumes only."""
    neighbours = np.flatnonzero(np.diff(kept) == 1)
    power = np.sum(signals**2, axis=0) / len(kept)
    if neighbours.size == 0 or not np.any(power > 0):
        return 0.0
    products = np.mean(signals[neighbours] * signals[neighbours + 1], axis=0)
    return float(np.nanmedian(products[power > 0] / power[power > 0]))


def _orthonormal_basis(design: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal columns that span the design, collinear ones counted once."""
    length = np.linalg.norm(design, axis=0)
    columns = np.asarray(design[:, length > 0] / length[length > 0], dtype=np.float64)
    if columns.shape[1] == 0:
        return columns
    q, r, _ = qr(columns, mode="economic", pivoting=True)
    return np.asarray(q[:, np.abs(np.diag(r)) > _INDEPENDENT], dtype=np.float64)


def _polynomials(n_volumes: int, order: int) -> NDArray[np.float64]:
    time = np.linspace(-1, 1, n_volumes)
    return np.asarray(np.polynomial.legendre.legvander(time, order), dtype=np.float64)


def _cosines(
    n_volumes: int, *, t_r: float, high_pass: float | None, low_pass: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Discrete cosines of frequency k / (2 T t_r) below and above the pass band."""
    order = np.arange(1, n_volumes)
    cycles = 2 * n_volumes * t_r
    # the same limit as nilearn and SPM: the last cosine at or below it is removed
    slow = order <= np.floor(cycles * (high_pass or 0))
    fast = order > np.floor(cycles * (low_pass or np.inf))
    centres = np.arange(n_volumes) + 0.5
    cosines = np.cos(np.pi / n_volumes * np.outer(centres, order))
    return cosines[:, slow], cosines[:, fast]


def _positions(sample_mask: ArrayLike | None, n_volumes: int) -> NDArray[np.int64]:
    if sample_mask is None:
        return np.arange(n_volumes, dtype=np.int64)
    mask = np.asarray(sample_mask)
    if mask.dtype == np.bool_ and mask.shape == (n_volumes,):
        mask = np.flatnonzero(mask)
    valid = (
        mask.ndim == 1
        and mask.size > 0
        and np.issubdtype(mask.dtype, np.integer)
        and bool(np.all(np.diff(mask) > 0) and mask[0] >= 0 and mask[-1] < n_volumes)
    )
    if not valid:
        finding = Finding(
            rule="the retained volumes are named by increasing positions or by T booleans",
            where="sample_mask",
            found=f"{mask.size} values of type {mask.dtype} for a run of {n_volumes} volumes"
            + (": every volume censored" if mask.size == 0 else ""),
            remedy="Leave the run out if nothing is retained, or loosen the censoring.",
        )
        raise InputError([finding])
    return mask.astype(np.int64)


def _confound_array(
    confounds: pd.DataFrame | NDArray[np.floating[Any]] | None,
    n_volumes: int,
    kept: NDArray[np.int64],
) -> NDArray[np.float64]:
    if confounds is None:
        return np.empty((len(kept), 0))
    columns = getattr(confounds, "columns", None)
    values = np.array(confounds, dtype=np.float64)
    values = values[:, np.newaxis] if values.ndim == 1 else values
    if len(values) != n_volumes:
        finding = Finding(
            rule="one row of confounds for each volume",
            where="confounds",
            found=f"{len(values)} rows for {n_volumes} volumes",
            remedy="Take confounds and time series from the same run.",
        )
        raise InputError([finding])
    first = ~np.isfinite(values[0])
    values[0, first] = values[1, first]
    values = values[kept]
    bad = ~np.isfinite(values)
    if bad.any():
        names = [str(i) for i in range(values.shape[1])] if columns is None else list(columns)
        raise InputError([_missing_confounds(bad, names, kept)])
    return values


def _missing_confounds(
    bad: NDArray[np.bool_], names: list[str], kept: NDArray[np.int64]
) -> Finding:
    places = [
        f"{names[column]} at volume {kept[np.argmax(bad[:, column])]}"
        for column in np.flatnonzero(bad.any(axis=0))[:5]
    ]
    return Finding(
        rule="confounds are numbers at every retained volume (the first row may be n/a)",
        where="confounds",
        found=f"{np.count_nonzero(bad)} missing values: {', '.join(places)}",
        remedy="Choose a strategy without these columns, or censor the volumes concerned.",
    )


def _check_run(
    time_series: NDArray[np.floating[Any]],
    t_r: float,
    high_pass: float | None,
    low_pass: float | None,
) -> int:
    findings = []
    limits = [limit for limit in (high_pass, low_pass) if limit is not None]
    if time_series.ndim != 2 or len(time_series) < 2:
        findings.append(
            Finding(
                rule="a run holds two or more volumes, as volumes x parcels",
                where="time_series",
                found=f"an array of shape {time_series.shape}",
                remedy="Give the whole run; a single volume has no time series.",
            )
        )
    if not 0.05 <= t_r <= 20:
        findings.append(
            Finding(
                rule="the repetition time is in seconds, between 0.05 and 20",
                where="t_r",
                found=f"{t_r:g}",
                remedy="Give seconds, not milliseconds.",
            )
        )
    elif limits != sorted(set(limits)) or any(not 0 < limit * t_r < 0.5 for limit in limits):
        findings.append(
            Finding(
                rule="the pass band lies between 0 and half the sampling rate",
                where="high_pass, low_pass",
                found=f"{high_pass} to {low_pass} Hz at a repetition time of {t_r:g} s",
                remedy="Give both limits in Hz, high_pass below low_pass.",
            )
        )
    if findings:
        raise InputError(findings)
    return len(time_series)


def _nothing_left(n_retained: int, n_volumes: int, n_drift: int, n_nuisance: int) -> Finding:
    return Finding(
        rule="more volumes than regressors remain",
        where="confounds",
        found=f"{n_retained} of {n_volumes} volumes retained for {n_drift} regressors of mean, "
        f"trend and filter and {n_nuisance} confounds",
        remedy="Choose a strategy with fewer regressors, a wider pass band or less censoring, or "
        "leave the run out.",
    )


def _explained_parcels(usable: NDArray[np.bool_], flat: NDArray[np.bool_]) -> tuple[Finding, ...]:
    columns = np.flatnonzero(usable)[flat]
    finding = Finding(
        severity="warning",
        rule="a parcel's signal is more than the regressors",
        where="time_series",
        found=f"{len(columns)} parcels that the regressors explain altogether (columns "
        f"{', '.join(str(column) for column in columns[:10])})",
        remedy="Their edges are n/a; check whether the parcel was used as a confound.",
    )
    return (finding,)
