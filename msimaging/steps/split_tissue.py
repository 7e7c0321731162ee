"""Step: a patient's brain divided by the lesions of all visits, in the midpoint space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from msimaging.longitudinal.lesions import split_white_matter
from msimaging.spatial.resampling import grid_at
from msimaging.steps.carrying import TISSUES, carried_labels
from msimaging.steps.records import describe
from msimaging.volumes import Volume, read_labels, read_volume, write_volume
from msimaging.xfms import read_midpoint

#: Voxel size in mm of the grid on which lesions of several visits meet.
_GRID_MM = 1.0


def split_tissue(
    *,
    lesions: Sequence[str],
    sessions: Sequence[str],
    midpoints: Sequence[str],
    template: str,
    rim_mm: float,
    out_image: str,
) -> None:
    """Carry the lesion masks of all visits to their midpoint and divide the tissue there.

    Parameters
    ----------
    lesions : sequence of str
        Lesion mask of every visit, in its own scanner space on any grid.
    sessions : sequence of str
        Their sessions.
    midpoints : sequence of str
        Table with the pose of each visit.
    template : str
        Image on the grid of the midpoint space.
    rim_mm : float
        Width of the rim around the union of all lesions.
    out_image : str
        Tissue: 1 lesion at any visit, 2 rim, 3 normal-appearing.
    """
    space = midpoint_grid(read_volume(template, ndim=3))
    masks = [
        carried_mask(path, midpoint, session, space)
        for path, midpoint, session in zip(lesions, midpoints, sessions, strict=True)
    ]
    whole = np.ones(space.data.shape, dtype=bool)
    split = split_white_matter(masks, whole, space.affine, rim_mm=rim_mm)
    image = 1 * split.lesion + 2 * split.rim + 3 * split.normal_appearing
    write_volume(out_image, image.astype(np.uint8), space.affine)
    describe(
        out_image,
        "Tissue by the union of the lesions of all visits, each carried to their midpoint.",
        sources=[*lesions, *dict.fromkeys(midpoints), template],
        LabelMap={name: place for place, name in enumerate(TISSUES, start=1)},
        RimMillimetres=rim_mm,
        SpatialReference="Halfway space of all visits of this patient.",
    )


def midpoint_grid(template: Volume) -> Volume:
    """Return the fine, empty grid on which lesions of several visits meet.

    Parameters
    ----------
    template : Volume
        Image in the midpoint space.

    Returns
    -------
    Volume
        1 mm voxels over the same field of view.
    """
    shape, affine = grid_at(template.data.shape, template.affine, voxel_mm=_GRID_MM)
    return Volume(data=np.zeros(shape, dtype=np.uint8), affine=affine)


def carried_mask(path: str, midpoint: str, session: str, space: Volume) -> NDArray[np.bool_]:
    """Carry the lesion mask of one visit to the midpoint space, by nearest neighbour.

    Parameters
    ----------
    path : str
        Mask in the visit's scanner space.
    midpoint : str
        Table with the visit's pose.
    session : str
        The visit.
    space : Volume
        Grid of the result.

    Returns
    -------
    (X, Y, Z) ndarray of bool
        The lesions.
    """
    mask = read_labels(path)
    pose = read_midpoint(midpoint)[session]
    carried = carried_labels(mask.data > 0, mask.affine, pose, space.data.shape, space.affine)
    return np.asarray(carried, dtype=bool)
