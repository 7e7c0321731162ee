"""Ways between a visit and the template, used by every step that measures or resamples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from msimaging.parcellation import Parcellation
from msimaging.spatial.resampling import resample_image
from msimaging.spatial.transforms import compose, from_matrix
from msimaging.volumes import Volume
from msimaging.xfms import read_midpoint, read_transform

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
    shape = np.array(visit.data.shape[:3])
    margin = np.ceil(_MARGIN / visit.voxel_sizes).astype(int)
    affine = visit.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ margin
    wide = resample_image(
        atlas.labels_img,
        atlas.affine,
        target_to_source=way,
        target_shape=tuple(shape + 2 * margin),
        target_affine=affine,
        interpolation="nearest",
    ).astype(np.int32)
    counts = np.bincount(wide[wide > 0], minlength=int(atlas.indices.max()) + 1)
    inside = tuple(slice(m, m + size) for m, size in zip(margin, shape, strict=True))
    return CarriedLabels(
        labels_img=np.ascontiguousarray(wide[inside]),
        expected_voxels=counts[atlas.indices],
    )
