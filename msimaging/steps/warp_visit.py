"""Step: bend one visit to the mean of its patient's visits, and map its local volume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from msimaging.errors import ComputationError
from msimaging.spatial.diffeomorphic import fill_from_surroundings, register_demons
from msimaging.spatial.reorientation import jacobian
from msimaging.spatial.resampling import resample_image
from msimaging.spatial.transforms import compose, from_matrix
from msimaging.steps.carrying import carried_labels
from msimaging.steps.records import describe
from msimaging.steps.split_tissue import carried_mask
from msimaging.volumes import Volume, read_labels, read_volume, write_volume
from msimaging.xfms import read_midpoint, write_transform


def warp_visit(
    *,
    image: str,
    mask: str,
    midpoint: str,
    template: str,
    lesions: Sequence[str],
    poses: Sequence[str],
    session: str,
    sessions: Sequence[str],
    out_to_visit: str,
    out_from_visit: str,
    out_log_jacobian: str,
) -> None:
    """Register a visit to the mean of all visits in their midpoint, beyond its rigid pose.

    Every visit goes the same way to the same image, so that none is the reference. The mean is
    summed in an order of the scans' content: exchanged visits exchange their warps to the last bit.

    Parameters
    ----------
    image, mask : str
        FA map of the visit and its brain mask.
    midpoint : str
        Table with the visit's pose.
    template : str
        Mean of the visits in the midpoint space.
    lesions, poses : sequence of str
        Lesion mask and table with the pose of each visit; no lesions where one has no mask.
        Lesions of any visit are filled at all of them, so that none pulls the warp.
    session, sessions : str and sequence of str
        The visit, and all visits of the patient.
    out_to_visit, out_from_visit : str
        Transforms between the midpoint space and the visit: warp and pose.
    out_log_jacobian : str
        Logarithm of the visit's volume relative to the mean.

    Raises
    ------
    ComputationError
        When the warp folds.
    """
    mean, visit, brain = (
        read_volume(template, ndim=3),
        read_volume(image, ndim=3),
        read_labels(mask),
    )
    pose = read_midpoint(midpoint)[session]
    shape, affine = mean.data.shape, mean.affine
    inside = carried_labels(brain.data > 0, brain.affine, pose, shape, affine)
    rigid = resample_image(
        visit.data,
        visit.affine,
        target_to_source=from_matrix(pose),
        target_shape=shape,
        target_affine=affine,
        interpolation="bspline",
    )
    known = dict(zip(sessions, zip(lesions, poses, strict=True), strict=True)) if lesions else {}
    masks = [carried_mask(path, table, ses, mean) for ses, (path, table) in known.items()]
    holes = np.any(masks, axis=0) if masks else np.zeros(shape, dtype=bool)
    # voxels that are part lesion would pull as well
    holes = binary_dilation(holes) & inside
    fixed, moving = (_matched(data, mean, inside, holes) for data in (mean.data, rigid))
    warp = register_demons(fixed, moving, affine)
    to_visit = compose(warp.fixed_to_moving, pose)
    from_visit = compose(np.linalg.inv(pose), warp.moving_to_fixed)
    volume = np.linalg.det(jacobian(to_visit, shape=shape, affine=affine))
    if not volume.min() > 0:
        folded = int((volume <= 0).sum())
        raise ComputationError(
            f"the warp of {session} to the mean of the visits folds: {folded} "
            "voxels; use spatial: within_patient: rigid for this study"
        )
    write_transform(out_to_visit, to_visit)
    write_transform(out_from_visit, from_visit)
    write_volume(out_log_jacobian, np.where(inside, np.log(volume), 0).astype(np.float32), affine)
    sources = [image, mask, midpoint, template, *lesions]
    for path, way in (
        (out_to_visit, "the patient's midpoint space to this visit"),
        (out_from_visit, "this visit to the patient's midpoint space"),
    ):
        describe(
            path,
            f"Maps points of {way} (ITK, LPS mm): diffeomorphic demons and rigid pose.",
            sources=sources,
        )
    describe(
        out_log_jacobian,
        "Natural logarithm of the local volume at this visit relative to the mean of all visits.",
        sources=sources,
        Units="1",
        SkullStripped=True,
        SpatialReference="Halfway space of all visits of this patient.",
        Model={"Description": "Diffeomorphic demons on FA"},
    )


def _matched(
    data: NDArray[np.float32], space: Volume, inside: NDArray[np.bool_], holes: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return an image as the registration sees it: without lesions, 0 outside the brain."""
    kept = np.where(inside, data, 0).astype(np.float32)
    if not holes.any():
        return kept
    return fill_from_surroundings(kept, space.affine, holes=holes, mask=inside)
