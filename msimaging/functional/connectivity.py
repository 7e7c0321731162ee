"""Connectivity matrices of one run or of a whole cohort, and what is read from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd
from nilearn.connectome import ConnectivityMeasure
from numpy.typing import NDArray
from sklearn.covariance import EmpiricalCovariance, LedoitWolf

from msimaging.errors import Finding, InputError
from msimaging.functional.signals import usable_parcels

Estimator = Literal["empirical", "ledoit-wolf"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectivityKind:
    """One way to measure how two parcels vary together.

    Attributes
    ----------
    name : str
        Name as nilearn's ``ConnectivityMeasure`` knows it.
    stat : str
        Value of the BIDS entity ``stat``.
    description : str
        For sidecars and methods text.
    is_fisher_z_able : bool
        Whether the values are correlations, bounded by one.
    needs_inverse : bool
        Whether the covariance must have full rank.
    needs_group : bool
        Whether the measure exists only against a group's reference.
    """

    name: str
    stat: str
    description: str
    is_fisher_z_able: bool = False
    needs_inverse: bool = False
    needs_group: bool = False


KINDS: Mapping[str, ConnectivityKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            ConnectivityKind(
                name="correlation",
                stat="pearsoncorrelation",
                description="Pearson correlation of two parcels' time series",
                is_fisher_z_able=True,
            ),
            ConnectivityKind(
                name="partial correlation",
                stat="partialcorrelation",
                description="correlation of two parcels given all the others",
                is_fisher_z_able=True,
                needs_inverse=True,
            ),
            ConnectivityKind(
                name="covariance",
                stat="covariance",
                description="covariance of two parcels' time series",
            ),
            ConnectivityKind(
                name="precision",
                stat="precision",
                description="inverse of the covariance matrix",
                needs_inverse=True,
            ),
            ConnectivityKind(
                name="tangent",
                stat="tangent",
                description="matrix logarithm of the covariance whitened by the group's "
                "geometric mean (Varoquaux 2010)",
                needs_inverse=True,
                needs_group=True,
            ),
        )
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connectome:
    """Connectivity of one run.

    Attributes
    ----------
    matrix : ndarray of shape (P, P)
        NaN in rows and columns of parcels without signal.
    kind : ConnectivityKind
    estimator : str
        ``empirical`` or ``ledoit-wolf``.
    shrinkage : float
        Intensity towards the scaled identity, 0 for the empirical estimator.
    n_volumes : int
    findings : tuple of Finding
        Parcels that were left out, with the reason.
    """

    matrix: NDArray[np.float64]
    kind: ConnectivityKind
    estimator: Estimator
    shrinkage: float
    n_volumes: int
    findings: tuple[Finding, ...] = ()


def connectivity_matrix(
    time_series: NDArray[np.floating[Any]], *, kind: str, estimator: Estimator
) -> Connectome:
    """Measure the connectivity of one run.

    Parameters
    ----------
    time_series : ndarray of shape (T, P)
        Cleaned parcel time series; a parcel that is not covered is all NaN.
    kind : str
        A name of ``KINDS`` other than ``tangent``.
    estimator : {"empirical", "ledoit-wolf"}
        How the covariance is estimated.

    Returns
    -------
    Connectome

    Raises
    ------
    InputError
        Unknown kind or estimator, single missing samples, fewer than two volumes or parcels, or
        more parcels than an inverse of the empirical covariance allows.
    """
    chosen = _known_kind(kind)
    if chosen.needs_group:
        raise InputError([_needs_group(kind)])
    usable, findings = usable_parcels(time_series)
    signals = np.ascontiguousarray(time_series[:, usable], dtype=np.float64)
    if chosen.needs_inverse:
        check_rank(signals, kind, estimator)
    measure = ConnectivityMeasure(kind=kind, cov_estimator=covariance_estimator(estimator))
    block = measure.fit_transform([signals])[0]
    return Connectome(
        matrix=put_back(block, usable),
        kind=chosen,
        estimator=estimator,
        shrinkage=float(getattr(measure.cov_estimator_, "shrinkage_", 0.0)),
        n_volumes=len(signals),
        findings=findings,
    )


def network_means(matrix: NDArray[np.floating[Any]], networks: Sequence[str]) -> pd.DataFrame:
    """Average edges within and between networks.

    Parameters
    ----------
    matrix : ndarray of shape (P, P)
        Symmetric; averages of correlations are best taken of Fisher's z.
    networks : sequence of P str
        Network of each parcel; parcels with an empty name or NaN belong to none.

    Returns
    -------
    DataFrame
        Columns network_a, network_b, mean, n_edges; one row for each pair in the order of first
        appearance, NaN where no edge is covered. The diagonal is never part of a mean.

    Raises
    ------
    InputError
        Not one network name for each parcel.
    """
    if np.shape(matrix) != (len(networks), len(networks)):
        finding = Finding(
            rule="one network name for each parcel of a square matrix",
            where="networks",
            found=f"{len(networks)} names for a matrix of shape {np.shape(matrix)}",
            remedy="Take names and matrix from the same atlas.",
        )
        raise InputError([finding])
    labels = np.array(["" if pd.isna(name) else str(name) for name in networks], dtype=object)
    names = [name for name in dict.fromkeys(labels) if name]
    rows, columns = np.triu_indices(len(labels), k=1)
    edges = np.asarray(matrix, dtype=np.float64)[rows, columns]
    result = []
    for position, a in enumerate(names):
        for b in names[position:]:
            pair = ((labels[rows] == a) & (labels[columns] == b)) | (
                (labels[rows] == b) & (labels[columns] == a)
            )
            covered = edges[pair & np.isfinite(edges)]
            mean = float(covered.mean()) if covered.size else np.nan
            result.append((a, b, mean, int(covered.size)))
    return pd.DataFrame(result, columns=["network_a", "network_b", "mean", "n_edges"])


def _known_kind(kind: str) -> ConnectivityKind:
    if kind not in KINDS:
        finding = Finding(
            rule="the connectivity kind is one that is known",
            where="kind",
            found=repr(kind),
            remedy=f"Choose one of: {', '.join(KINDS)}.",
        )
        raise InputError([finding])
    return KINDS[kind]


def covariance_estimator(estimator: str) -> EmpiricalCovariance:
    """Make the scikit-learn estimator of a name, never a silent default."""
    if estimator == "empirical":
        return EmpiricalCovariance(store_precision=False)
    if estimator == "ledoit-wolf":
        return LedoitWolf(store_precision=False)
    finding = Finding(
        rule="the covariance estimator is named",
        where="estimator",
        found=repr(estimator),
        remedy="Choose empirical or ledoit-wolf.",
    )
    raise InputError([finding])


def put_back(block: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Place a matrix of the usable parcels among all of them, NaN elsewhere."""
    matrix = np.full((usable.size, usable.size), np.nan)
    matrix[np.ix_(usable, usable)] = block
    return matrix


def check_rank(
    signals: NDArray[np.float64], kind: str, estimator: str, where: str = "time_series"
) -> None:
    """Refuse an inverse of a covariance that has none."""
    if estimator != "empirical":
        return
    centred = signals - signals.mean(axis=0)
    rank = int(np.linalg.matrix_rank(centred / np.linalg.norm(centred, axis=0), tol=1e-8))
    if rank < signals.shape[1]:
        finding = Finding(
            rule=f"{kind} inverts the covariance, which needs more degrees of freedom than parcels",
            where=where,
            found=f"{signals.shape[1]} parcels but rank {rank} from {len(signals)} volumes",
            remedy="Use the estimator ledoit-wolf, fewer parcels or a strategy that costs less.",
        )
        raise InputError([finding])


def _needs_group(kind: str) -> Finding:
    return Finding(
        rule=f"the kind {kind} is measured against a group of runs",
        where="kind",
        found="one run",
        remedy="Use tangent_connectivity with the runs of all visits and patients.",
    )
