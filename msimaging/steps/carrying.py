"""Ways between a visit and the template, used by every step that measures or resamples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.sparse import csr_array

from msimaging.parcellation import Parcellation
from msimaging.spatial.resampling import resample_image
from msimaging.spatial.transforms import compose, from_matrix
from msimaging.volumes import Volume
from msimaging.xfms import read_midpoint, read_transform

#: Points per voxel and axis at which a region is carried to a visit.
_POINTS = 3
#: Parcels are looked for this far outside a scan's field of view, to know what it misses (mm).
_MARGIN = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedLabels:
    """An atlas on the grid of a visit.

    Attributes
    ----------
    labels_img : (X, Y, Z) ndarray of int32
        Parcels on the visit's grid.
    expected_voxels : (P,) ndarray
        Voxels that each parcel would have if the field of view had no end.
    """

    labels_img: NDArray[np.int32]
    expected_voxels: NDArray[np.int64]


def template_to_visit(from_template: str, midpoint: str, session: str) -> sitk.Transform:
    """Compose the way of points from the template over the midpoint to one visit."""
    matrix = read_midpoint(midpoint)[session]
    return compose(read_transform(from_template), from_matrix(matrix))


def visit_to_template(to_template: str, midpoint: str, session: str) -> sitk.Transform:
    """Compose the way of points from one visit over the midpoint to the template."""
    matrix = np.linalg.inv(read_midpoint(midpoint)[session])
    return compose(from_matrix(matrix), read_transform(to_template))


def carry_labels(atlas: Parcellation, visit: Volume, way: sitk.Transform) -> CarriedLabels:
    """Carry an atlas onto a visit's grid, so that the scan itself is not resampled.

    Parameters
    ----------
    atlas : Parcellation
        Labels in template space.
    visit : Volume
        Any image on the visit's grid.
    way : SimpleITK.Transform
        Points of the visit to points of the template.

    Returns
    -------
    CarriedLabels
        Labels by nearest neighbour, and how many voxels full coverage would mean.
    """
    wide, margin = _wide_labels(atlas, visit, way)
    shape = visit.data.shape[:3]
    counts = np.bincount(wide[wide > 0], minlength=int(atlas.indices.max()) + 1)
    inside = tuple(slice(m, m + size) for m, size in zip(margin, shape, strict=True))
    return CarriedLabels(
        labels_img=np.ascontiguousarray(wide[inside]),
        expected_voxels=counts[atlas.indices],
    )


def carry_weights(
    atlas: Parcellation, visit: Volume, way: sitk.Transform
) -> tuple[csr_array, NDArray[np.float64]]:
    """Carry regions to a visit as shares of voxels, finer than its grid.

    A region of a dozen voxels whose border falls differently on the grids of two visits changes
    its mean by several per cent. So the region is carried as points, 27 a voxel, and the scan is
    read at each point by trilinear interpolation: a weighted mean of its own voxels, the same
    kernel at every visit.

    Parameters
    ----------
    atlas : Parcellation
        Labels in template space.
    visit : Volume
        Any image on the visit's grid.
    way : SimpleITK.Transform
        Points of the visit to points of the template.

    Returns
    -------
    weights : (P, X * Y * Z) sparse array
        Weight of every voxel, in C order, in units of voxels.
    expected : (P,) ndarray
        Weight that a region has when all of it lies in the field of view.
    """
    wide, margin = _wide_labels(atlas, visit, way)
    found = np.argwhere(wide > 0)
    low, high = found.min(axis=0) - 1, found.max(axis=0) + 2
    fine_affine = visit.affine.copy()
    fine_affine[:3, :3] /= _POINTS
    corner = low - margin + (1 / _POINTS - 1) / 2
    fine_affine[:3, 3] += visit.affine[:3, :3] @ corner
    fine = resample_image(
        atlas.labels_img,
        atlas.affine,
        target_to_source=way,
        target_shape=tuple((high - low) * _POINTS),
        target_affine=fine_affine,
        interpolation="nearest",
    )
    places = np.full(int(atlas.indices.max()) + 1, -1)
    places[atlas.indices] = np.arange(len(atlas.indices))
    points = np.argwhere(fine > 0)
    region = places[fine[tuple(points.T)].astype(int)]
    points, region = points[region >= 0], region[region >= 0]
    expected = np.bincount(region, minlength=len(atlas.indices)) / _POINTS**3
    return _trilinear(points / _POINTS + corner, region, visit, len(expected)), expected


def _wide_labels(
    atlas: Parcellation, visit: Volume, way: sitk.Transform
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Carry labels onto the visit's grid with a margin, and return how wide it is in voxels."""
    margin = np.ceil(_MARGIN / visit.voxel_sizes).astype(int)
    affine = visit.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ margin
    wide = resample_image(
        atlas.labels_img,
        atlas.affine,
        target_to_source=way,
        target_shape=tuple(np.array(visit.data.shape[:3]) + 2 * margin),
        target_affine=affine,
        interpolation="nearest",
    )
    return wide.astype(np.int32), margin


def _trilinear(
    points: NDArray[np.float64], region: NDArray[np.int64], visit: Volume, n_regions: int
) -> csr_array:
    """Spread points (V, 3), in voxels of the visit, over the eight voxels around each."""
    shape = visit.data.shape[:3]
    base = np.floor(points).astype(int)
    share = points - base
    rows, columns, values = [], [], []
    for corner in np.ndindex(2, 2, 2):
        voxel = base + corner
        weight = np.where(np.array(corner) == 1, share, 1 - share).prod(axis=1) / _POINTS**3
        inside = ((voxel >= 0) & (voxel < shape)).all(axis=1)
        rows.append(region[inside])
        columns.append(np.ravel_multi_index(tuple(voxel[inside].T), shape))
        values.append(weight[inside])
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return csr_array(entries, shape=(n_regions, int(np.prod(shape))))
