"""Checks of images against each other and against what every computation needs."""

from __future__ import annotations

import numpy as np

from msimaging.errors import Finding
from msimaging.volumes import Volume

#: Corners of two grids may lie this far apart, in mm, before the grids count as different.
_GRID_TOLERANCE = 0.01


def check_finite(volume: Volume, *, where: str) -> list[Finding]:
    """Check that no voxel is NaN or infinite.

    Parameters
    ----------
    volume : Volume
        An image as read.
    where : str
        Its file, for the message.

    Returns
    -------
    list of Finding
        Empty when all is well.
    """
    bad = int(np.count_nonzero(~np.isfinite(volume.data)))
    if not bad:
        return []
    return [
        Finding(
            where=where,
            rule="every voxel must be a finite number",
            found=f"{bad} of {volume.data.size} values NaN or infinite",
            remedy="Convert the scan again; a step before may have divided by zero.",
        )
    ]


def check_same_grid(first: Volume, second: Volume, *, where: str) -> list[Finding]:
    """Check that two images share one voxel grid.

    Parameters
    ----------
    first, second : Volume
        Images whose first three dimensions are compared.
    where : str
        The second image's file, for the message.

    Returns
    -------
    list of Finding
        Empty when all is well.
    """
    rule = "images that are used together must lie on one voxel grid"
    remedy = "Resample one onto the other, or give the image that belongs to this scan."
    shapes = first.data.shape[:3], second.data.shape[:3]
    if shapes[0] != shapes[1]:
        found = f"shapes {shapes[0]} and {shapes[1]}"
        return [Finding(where=where, rule=rule, found=found, remedy=remedy)]
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in shapes[0]])).reshape(3, -1)
    points = np.vstack([corners, np.ones(corners.shape[1])])
    shift = np.linalg.norm(((first.affine - second.affine) @ points)[:3], axis=0).max()
    if shift > _GRID_TOLERANCE:
        found = f"corners up to {shift:.3g} mm apart"
        return [Finding(where=where, rule=rule, found=found, remedy=remedy)]
    return []
