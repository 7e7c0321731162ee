"""Mean connectivity within and between networks, with its standard error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Correlations are kept this far from 1 before Fisher's transform.
_LARGEST_R = 1 - 1e-7


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
    seed: int,
    n_resamples: int = 200,
) -> NetworkMeans:
    """Average Fisher z within and between networks; standard errors by resampled blocks of time.

    Parameters
    ----------
    time_series : (T, P) ndarray
        Cleaned signals; NaN columns are parcels that are not covered.
    networks : sequence of P str or None
        Network of each parcel; None or NaN for none.
    seed : int
        Seed of the resampling.
    n_resamples : int
        Bootstrap samples.

    Returns
    -------
    NetworkMeans
        Pairs in the order of first appearance.

    References
    ----------
    Politis and Romano 1992 (circular blocks); Carlstein 1986 (their length under AR(1)).
    """
    names = list(dict.fromkeys(str(name) for name in networks if not pd.isna(name)))
    covered = np.isfinite(time_series).all(axis=0)
    member = np.array(
        [
            [str(label) == name and ok for label, ok in zip(networks, covered, strict=True)]
            for name in names
        ],
        dtype=np.float64,
    ).reshape(len(names), -1)[:, covered]
    signals = np.asarray(time_series[:, covered], dtype=np.float64)
    counts = _edge_counts(member)
    upper = np.triu_indices(len(names))
    rng = np.random.default_rng(seed)
    length = _block_length(signals)
    draws = [
        _block_means(signals[_circular_blocks(len(signals), length, rng)], member, counts)[upper]
        for _ in range(n_resamples)
    ]
    with np.errstate(invalid="ignore"):
        error = np.std(draws, axis=0, ddof=1)
    return NetworkMeans(
        pairs=tuple((names[a], names[b]) for a, b in zip(*upper, strict=True)),
        estimate=_block_means(signals, member, counts)[upper],
        standard_error=np.asarray(error),
        n_edges=counts[upper].astype(np.int64),
    )


def _edge_counts(member: NDArray[np.float64]) -> NDArray[np.float64]:
    sizes = member.sum(axis=1)
    counts = np.outer(sizes, sizes)
    np.fill_diagonal(counts, sizes * (sizes - 1) / 2)
    return counts


def _block_means(
    signals: NDArray[np.float64], member: NDArray[np.float64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    centred = signals - signals.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=0)
    z = np.arctanh(np.clip(unit.T @ unit, -_LARGEST_R, _LARGEST_R))
    np.fill_diagonal(z, 0.0)
    sums = member @ z @ member.T
    sums[np.diag_indices(len(sums))] /= 2  # each edge within a network was counted twice
    return np.asarray(np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0))


def _circular_blocks(n_volumes: int, length: int, rng: np.random.Generator) -> NDArray[np.int64]:
    starts = rng.integers(n_volumes, size=-(-n_volumes // length))
    rows = (starts[:, np.newaxis] + np.arange(length)).ravel()[:n_volumes]
    return np.asarray(rows % n_volumes)


def _block_length(signals: NDArray[np.float64]) -> int:
    centred = signals - signals.mean(axis=0)
    lag_one = (centred[1:] * centred[:-1]).sum(axis=0) / (centred**2).sum(axis=0)
    phi = float(np.clip(np.median(lag_one), 0.05, 0.95))
    length = (np.sqrt(6) * phi / (1 - phi**2)) ** (2 / 3) * len(signals) ** (1 / 3)
    return int(np.clip(np.ceil(length), 1, len(signals) // 2))
