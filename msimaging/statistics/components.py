"""Connected components of edges above a threshold, for many sign flips at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from msimaging.statistics.inputs import TIE_TOLERANCE, as_floats, order_of_rows, refuse
from msimaging.statistics.max_t import unit_columns

ComponentStatistic = Literal["size", "intensity"]


@dataclass(frozen=True, slots=True)
class FoundComponents:
    """Edges above a threshold in a block of flips, with the component that each belongs to."""

    n_flips: int
    flips: NDArray[np.int64]
    edges: NDArray[np.int64]
    component: NDArray[np.int64]
    statistic: NDArray[np.float64]

    def per_edge(self) -> NDArray[np.float64]:
        """Return the statistic of the component of every edge above the threshold."""
        return np.asarray(self.statistic[self.component])

    def largest(self) -> NDArray[np.float64]:
        """Return the largest statistic of every flip, 0 where nothing is above."""
        highest = np.zeros(self.n_flips)
        np.maximum.at(highest, self.flips, self.per_edge())
        return highest


@dataclass(frozen=True, slots=True)
class TestedEdges:
    """Tested edges of the upper triangle, scaled so that their flipped sums lie in -1 to 1."""

    units: NDArray[np.float64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    n_nodes: int
    n_not_tested: int

    @property
    def n(self) -> int:
        """Patients."""
        return int(self.units.shape[0])

    def t_of(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return t of flipped sums."""
        # an edge with the same change in every patient has an infinite t; keep it finite and large
        within = np.maximum(1 - np.square(sums), 1e-12)
        return np.asarray(sums * np.sqrt(max(self.n - 1, 1) / within))

    def components(
        self, sums: NDArray[np.float64], threshold: float, kind: ComponentStatistic
    ) -> FoundComponents:
        """Find the components of all flips (rows of ``sums``) as one graph of separate parts."""
        cut = threshold / np.sqrt(max(self.n - 1, 1) + threshold**2) - TIE_TOLERANCE
        flips, edges = np.nonzero(sums > cut)
        n_vertices = sums.shape[0] * self.n_nodes
        start, end = (flips * self.n_nodes + node[edges] for node in (self.first, self.second))
        graph = coo_array((np.ones(start.size), (start, end)), shape=(n_vertices, n_vertices))
        labels = connected_components(graph.tocsr(), directed=False)[1][start]
        weights = self.t_of(sums[flips, edges]) - threshold if kind == "intensity" else None
        statistic = np.bincount(labels, weights).astype(np.float64)
        return FoundComponents(sums.shape[0], flips, edges, labels.astype(np.int64), statistic)

    def matrix(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values of the tested edges as a symmetric matrix, NaN elsewhere."""
        full = np.full((self.n_nodes, self.n_nodes), np.nan)
        full[self.first, self.second] = full[self.second, self.first] = values
        return full


def tested_edges(differences: ArrayLike) -> TestedEdges:
    """Return the edges of (S, P, P) differences that every patient has, or say what is wrong."""
    matrices = as_floats(differences, where="differences", ndim=3)
    n, rows, columns = matrices.shape
    if rows != columns or not n:
        raise refuse(
            "differences",
            "one square matrix per patient",
            f"shape {matrices.shape}",
            "Pass (patients, parcels, parcels).",
        )
    if not np.allclose(matrices, matrices.transpose(0, 2, 1), equal_nan=True):
        raise refuse(
            "differences",
            "matrices are symmetric",
            "different values on both sides of the diagonal",
            "Pass undirected connectivity.",
        )
    first, second = np.triu_indices(rows, 1)
    flat = matrices[:, first, second]
    tested = ~np.isnan(flat).any(axis=0)
    units = unit_columns(flat[:, tested])
    return TestedEdges(
        units[order_of_rows(units, columns_alike=True)],
        first[tested].astype(np.int64),
        second[tested].astype(np.int64),
        rows,
        int((~tested).sum()),
    )
