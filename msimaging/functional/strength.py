"""Strength of parcels: the mean connectivity of each with all others, with its standard error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msimaging.functional.edges import LARGEST_R
from msimaging.functional.signals import usable_parcels
from msimaging.functional.uncertainty import lagged_variances


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelStrengths:
    """Mean Fisher z of every parcel's edges.

    Attributes
    ----------
    estimate : (P,) ndarray
        Mean z over the covered edges of the parcel; NaN where it is not covered.
    standard_error : (P,) ndarray
        Of the mean, edges of one parcel not taken for independent.
    n_edges : (P,) ndarray of int
        Covered edges.
    """

    estimate: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    n_edges: NDArray[np.int64]


def parcel_strengths(
    time_series: NDArray[np.floating[Any]],
    *,
    variance_inflation: float = 1.0,
    sample_mask: ArrayLike | None = None,
) -> ParcelStrengths:
    """Average Fisher z over the edges of each parcel, the weighted degree over the edges it has.

    The standard error is that of network means (`network_z`): to first order the mean of z is the
    mean over time of a quadratic form x' M x of the signals. The forms of one parcel's edges are
    a star, M = e u' + u e' + diag(d), whose autocovariances are those of all parcels at once in a
    few matrix products.

    Parameters
    ----------
    time_series : (T, P) ndarray
        Cleaned signals; NaN columns are parcels that are not covered.
    variance_inflation : float
        What the cleaning's projection adds, as for `xdf_variance`.
    sample_mask : array_like of T int, optional
        Positions of the volumes in the run where some were censored.

    Returns
    -------
    ParcelStrengths
        The same parcels in the same order.

    Raises
    ------
    InputError
        Series too short or not finite, or fewer than two parcels with signal.

    References
    ----------
    Rubinov and Sporns 2010, NeuroImage 52 (strength); Afyouni, Smith and Nichols 2019, NeuroImage
    199 (the case of a single edge).
    """
    usable, _ = usable_parcels(time_series)
    signals = np.asarray(time_series[:, usable], dtype=np.float64)
    n_edges = signals.shape[1] - 1
    r = np.clip(np.corrcoef(signals, rowvar=False), -LARGEST_R, LARGEST_R)
    np.fill_diagonal(r, 0.0)
    # influence of a volume on z of one edge: [x y - r (x^2 + y^2) / 2] / (1 - r^2)
    spokes = 1 / (1 - r**2) / (2 * n_edges)
    np.fill_diagonal(spokes, 0.0)
    squares = -spokes * r
    np.fill_diagonal(squares, squares.sum(axis=1))
    variance = lagged_variances(
        signals,
        lambda lagged: _star_covariances(lagged, spokes, squares),
        variance_inflation=variance_inflation,
        sample_mask=sample_mask,
    )
    return ParcelStrengths(
        estimate=_spread(np.arctanh(r).sum(axis=1) / n_edges, usable),
        standard_error=_spread(np.sqrt(variance), usable),
        n_edges=np.where(usable, n_edges, 0),
    )


def no_parcel_strengths(n_parcels: int) -> ParcelStrengths:
    """Return the strengths of a run of which nothing is left: as many parcels, no numbers.

    Parameters
    ----------
    n_parcels : int
        Parcels of the atlas.

    Returns
    -------
    ParcelStrengths
    """
    nothing = np.full(n_parcels, np.nan)
    return ParcelStrengths(
        estimate=nothing,
        standard_error=nothing.copy(),
        n_edges=np.zeros(n_parcels, dtype=np.int64),
    )


def _star_covariances(
    lagged: NDArray[np.float64], spokes: NDArray[np.float64], squares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Covariance 2 tr(M L M L') of each star's form at two times, for Gaussian signals.

    Row i of ``spokes`` is u and row i of ``squares`` is d of parcel i.
    """
    ahead, behind = spokes @ lagged, spokes @ lagged.T
    trace = 2 * np.diag(lagged) * np.sum(ahead * spokes, axis=1)
    trace += 2 * np.sum(spokes * lagged, axis=1) * np.sum(spokes * lagged.T, axis=1)
    trace += 2 * np.sum(squares * (ahead * lagged + behind * lagged.T), axis=1)
    trace += np.sum((squares @ lagged**2) * squares, axis=1)
    return np.asarray(2 * trace)


def _spread(values: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    full = np.full(usable.shape, np.nan)
    full[usable] = values
    return full
