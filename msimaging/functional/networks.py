"""Mean connectivity within and between networks, with its standard error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from msimaging.functional.edges import LARGEST_R
from msimaging.functional.signals import usable_parcels
from msimaging.functional.uncertainty import quadratic_form_variances


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkMeans:
    """Mean Fisher z of every pair of networks.

    Attributes
    ----------
    pairs : tuple of (str, str)
        Networks of each mean; equal ones for the mean within a network.
    estimate : (B,) ndarray
        Mean z over the covered edges; NaN where there is none.
    standard_error : (B,) ndarray
        Of the mean, edges of one parcel not taken for independent.
    n_edges : (B,) ndarray of int
        Covered edges.
    """

    pairs: tuple[tuple[str, str], ...]
    estimate: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    n_edges: NDArray[np.int64]


def network_z(
    time_series: NDArray[np.floating[Any]],
    networks: Sequence[str | None],
    *,
    variance_inflation: float = 1.0,
    sample_mask: ArrayLike | None = None,
) -> NetworkMeans:
    """Average Fisher z within and between networks.

    The standard error is xDF's carried from one edge to a mean of edges: with the series taken for
    Gaussian, the mean of z is to first order the mean over time of a quadratic form of the signals,
    whose autocovariance follows from the lagged correlations of all parcels of both networks.

    Parameters
    ----------
    time_series : (T, P) ndarray
        Cleaned signals; NaN columns are parcels that are not covered.
    networks : sequence of P str or None
        Network of each parcel; None or NaN for none.
    variance_inflation : float
        What the cleaning's projection adds, as for `xdf_variance`.
    sample_mask : array_like of T int, optional
        Positions of the volumes in the run where some were censored.

    Returns
    -------
    NetworkMeans
        Pairs in the order of first appearance.

    Raises
    ------
    InputError
        Series too short or not finite, or fewer than two parcels with signal.

    References
    ----------
    Afyouni, Smith and Nichols 2019, NeuroImage 199 (the case of a single edge).
    """
    names = list(dict.fromkeys(str(name) for name in networks if not pd.isna(name)))
    pairs = tuple((a, b) for i, a in enumerate(names) for b in names[i:])
    usable, _ = usable_parcels(time_series)
    signals = np.asarray(time_series[:, usable], dtype=np.float64)
    labels = np.array([str(name) for name in networks])[usable]
    unit = signals - signals.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=0)
    r = np.clip(unit.T @ unit, -LARGEST_R, LARGEST_R)
    members = {name: np.flatnonzero(labels == name) for name in names}
    blocks = [(members[a], members[b]) for a, b in pairs]
    counts = [
        len(i) * (len(i) - 1) // 2 if a == b else len(i) * len(j)
        for (a, b), (i, j) in zip(pairs, blocks, strict=True)
    ]
    known = [place for place, count in enumerate(counts) if count]
    estimate, error = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    estimate[known] = [_mean_z(r, *blocks[place]) for place in known]
    forms = [_influence(r, *blocks[place]) for place in known]
    variance = quadratic_form_variances(
        signals, forms, variance_inflation=variance_inflation, sample_mask=sample_mask
    )
    error[known] = np.sqrt(variance)
    return NetworkMeans(
        pairs=pairs, estimate=estimate, standard_error=error, n_edges=np.array(counts, dtype=int)
    )


def no_network_z(networks: Sequence[str | None]) -> NetworkMeans:
    """Return the means of a run of which nothing is left: the same pairs, no numbers.

    Parameters
    ----------
    networks : sequence of P str or None
        Network of each parcel.

    Returns
    -------
    NetworkMeans
    """
    names = list(dict.fromkeys(str(name) for name in networks if not pd.isna(name)))
    pairs = tuple((a, b) for i, a in enumerate(names) for b in names[i:])
    nothing = np.full(len(pairs), np.nan)
    return NetworkMeans(
        pairs=pairs,
        estimate=nothing,
        standard_error=nothing.copy(),
        n_edges=np.zeros(len(pairs), dtype=int),
    )


def _mean_z(r: NDArray[np.float64], i: NDArray[np.intp], j: NDArray[np.intp]) -> float:
    z = np.arctanh(r[np.ix_(i, j)])
    if np.array_equal(i, j):
        return float(z[np.triu_indices(len(i), 1)].mean())
    return float(z.mean())


def _influence(
    r: NDArray[np.float64], i: NDArray[np.intp], j: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Parcels, and symmetric matrix M with which mean z is the mean over time of x' M x.

    Of one edge this is [x y - r (x^2 + y^2) / 2] / (1 - r^2), the influence of a volume on z.
    """
    between = r[np.ix_(i, j)]
    share = 1 / (1 - between**2)
    if np.array_equal(i, j):
        np.fill_diagonal(share, 0.0)
        share /= share.size - len(i)
        form = share.copy()
        form[np.diag_indices(len(i))] = -np.sum(share * between, axis=1)
        return i, form
    share /= share.size
    form = np.zeros((len(i) + len(j),) * 2)
    form[: len(i), len(i) :] = share / 2
    form[len(i) :, : len(i)] = share.T / 2
    pull = share * between / 2
    form[np.diag_indices(len(form))] = -np.concatenate([pull.sum(axis=1), pull.sum(axis=0)])
    return np.concatenate([i, j]), form
