"""Edges of correlation matrices: Fisher's z, and the values above the diagonal."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msimaging.errors import Finding, InputError

#: Correlations are kept this far from 1 before Fisher's transform.
LARGEST_R = 1 - 1e-7


def fisher_z(r: ArrayLike) -> NDArray[np.float64]:
    """Transform correlations to Fisher's z.

    Parameters
    ----------
    r : array_like
        Correlations. An array whose last two axes are equal is taken as matrices of shape
        (..., P, P): their diagonal becomes NaN, because a parcel has no edge with itself.

    Returns
    -------
    ndarray
        Same shape; |r| is clipped just below one so that every edge stays finite.

    Raises
    ------
    InputError
        Values beyond one: these are no correlations.
    """
    values = np.array(r, dtype=np.float64)
    largest = float(np.nanmax(np.abs(values), initial=0.0))
    if largest > 1 + 1e-6:
        finding = Finding(
            rule="Fisher's z is for correlations between -1 and 1",
            where="r",
            found=f"a value of size {largest:.3g}",
            remedy="Use it for the kinds correlation and partial correlation only.",
        )
        raise InputError([finding])
    z: NDArray[np.float64] = np.arctanh(np.clip(values, -LARGEST_R, LARGEST_R))
    if z.ndim >= 2 and z.shape[-1] == z.shape[-2]:
        diagonal = np.arange(z.shape[-1])
        z[..., diagonal, diagonal] = np.nan
    return z


def upper_triangle(matrices: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Take the edges above the diagonal, row by row.

    Parameters
    ----------
    matrices : ndarray of shape (..., P, P)

    Returns
    -------
    ndarray of shape (..., E), with E = P (P - 1) / 2
    """
    rows, columns = np.triu_indices(matrices.shape[-1], k=1)
    return np.asarray(matrices[..., rows, columns], dtype=np.float64)


def from_upper_triangle(
    edges: NDArray[np.floating[Any]], *, diagonal: float
) -> NDArray[np.float64]:
    """Build symmetric matrices from their edges; the inverse of `upper_triangle`.

    Parameters
    ----------
    edges : ndarray of shape (..., E)
    diagonal : float
        Value on the diagonal.

    Returns
    -------
    ndarray of shape (..., P, P)

    Raises
    ------
    InputError
        E is not a number of edges that any P has.
    """
    n_edges = edges.shape[-1]
    n_parcels = round((1 + np.sqrt(1 + 8 * n_edges)) / 2)
    if n_parcels * (n_parcels - 1) // 2 != n_edges:
        finding = Finding(
            rule="the number of edges is P (P - 1) / 2",
            where="edges",
            found=f"{n_edges} edges",
            remedy="Give every edge above the diagonal once.",
        )
        raise InputError([finding])
    matrices = np.full((*edges.shape[:-1], n_parcels, n_parcels), float(diagonal))
    rows, columns = np.triu_indices(n_parcels, k=1)
    matrices[..., rows, columns] = edges
    matrices[..., columns, rows] = edges
    return matrices
