"""Directions between the axes of a file (FSL's convention) and those of the scanner (RAS)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def bvecs_fsl_to_ras(
    bvecs: NDArray[np.floating[Any]], affine: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Turn b-vectors of FSL's convention into scanner RAS axes.

    Parameters
    ----------
    bvecs : (..., 3) ndarray
        Along the image axes, x reversed when the affine's determinant is positive.
    affine : (4, 4) ndarray
        Voxel indices to scanner RAS coordinates.

    Returns
    -------
    (..., 3) ndarray
        The same directions in scanner axes; lengths unchanged.
    """
    return np.asarray(np.asarray(bvecs, dtype=np.float64) @ _fsl_axes(affine).T)


def bvecs_ras_to_fsl(
    bvecs: NDArray[np.floating[Any]], affine: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Turn b-vectors of scanner RAS axes into FSL's convention, as files hold them.

    Parameters
    ----------
    bvecs : (..., 3) ndarray
        In scanner axes.
    affine : (4, 4) ndarray
        Voxel indices to scanner RAS coordinates of the image beside the file.

    Returns
    -------
    (..., 3) ndarray
        Along the image axes, x reversed when the affine's determinant is positive.
    """
    return np.asarray(np.asarray(bvecs, dtype=np.float64) @ _fsl_axes(affine))


def _fsl_axes(affine: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the rotation (or reflection) from FSL's image axes to RAS."""
    linear = np.asarray(affine, dtype=np.float64)[:3, :3]
    # the nearest orthogonal matrix: headers hold rounded numbers, sometimes a shear
    left, _, right = np.linalg.svd(linear / np.linalg.norm(linear, axis=0))
    axes = left @ right
    if np.linalg.det(linear) > 0:
        axes = axes * [-1.0, 1.0, 1.0]
    return np.asarray(axes)
