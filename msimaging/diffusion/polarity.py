"""The distortion field of a series, from its b=0s and b=0s of opposite phase encoding.

Between the two the head may have moved, which the field alone cannot undo: pose and field are
found in turns, each on images that the other has corrected.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from msimaging.diffusion.alignment import (
    HEAD_RADIUS,
    Array,
    Pose,
    align,
    frame_of,
    moved_grid,
    smoothed_spline,
    still,
    target_of,
    transform,
    within,
)
from msimaging.diffusion.distortion import correct_distortion, estimate_field
from msimaging.errors import Finding, InputError

_ROUNDS = 3
_STILL = 0.15  # mm at the head's surface: a smaller move does not change the field
_SMOOTHING = 0.7  # voxels
_PARALLEL = np.cos(np.deg2rad(5.0))  # displacement along axes farther apart is another one


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldEstimate:
    """Displacement along phase encoding, and how well the polarities agree.

    Attributes
    ----------
    displacement : array (X, Y, Z)
        mm, positive towards higher voxel numbers, on the grid and in the pose of the series.
    movement : float
        How far the head moved between the polarities, translation and rotation at 50 mm [mm].
    agreement_before, agreement_after : float
        Correlation of both b=0 images in the mask.
    """

    displacement: Array
    movement: float
    agreement_before: float
    agreement_after: float


def estimate_field_between(
    b0: NDArray[np.floating],
    opposite: NDArray[np.floating],
    *,
    affine: Array,
    opposite_affine: Array,
    mask: NDArray[np.bool_],
    phase_encoding_axis: int,
) -> FieldEstimate:
    """Estimate the displacement field of a series from a b=0 of the opposite polarity.

    Parameters
    ----------
    b0 : array (X, Y, Z)
        Mean b=0 of the series.
    opposite : array (X', Y', Z')
        Mean b=0 of the other polarity, on its own grid.
    affine, opposite_affine : array (4, 4)
        Voxel to RAS mm of both.
    mask : array (X, Y, Z) of bool
        Brain in ``b0``.
    phase_encoding_axis : {0, 1, 2}
        Voxel axis of phase encoding, of both.

    Returns
    -------
    FieldEstimate
        In the pose of ``b0``.

    Raises
    ------
    InputError
        When the axes of phase encoding are not parallel, the shapes or the mask unfit.
    ComputationError
        When the images do not show one head.
    """
    axis = phase_encoding_axis
    _check(b0, mask, affine, opposite_affine, axis)
    estimate = partial(estimate_field, affine=affine, phase_encoding_axis=axis)
    correct = partial(correct_distortion, affine=affine, phase_encoding_axis=axis)
    other, pose = _seen(opposite, opposite_affine, affine, b0.shape, np.eye(4)), np.eye(4)
    before = other
    for turn in range(_ROUNDS):
        field = estimate(b0, other)
        mended = correct(b0, field)
        mended_other = correct(other, -field)
        step = _movement(mended, mended_other, affine, mask, axis)
        if turn == _ROUNDS - 1 or _size(step, affine, mask) < _STILL:
            break
        pose = pose @ step
        other = _seen(opposite, opposite_affine, affine, b0.shape, pose)
    return FieldEstimate(
        displacement=field,
        movement=_size(pose, affine, mask),
        agreement_before=_correlation(b0, before, mask),
        agreement_after=_correlation(mended, mended_other, mask),
    )


def _seen(
    image: NDArray[np.floating], own: Array, affine: Array, shape: tuple[int, ...], pose: Array
) -> NDArray[np.float32]:
    """Show an image on another grid, in another pose; itself where neither differs."""
    matrix = np.linalg.inv(own) @ pose @ affine
    if image.shape == shape and np.allclose(matrix, np.eye(4), atol=1e-3):
        return np.asarray(image, dtype=np.float32)
    grid = moved_grid(matrix, (shape[0], shape[1], shape[2]))
    shown = ndimage.map_coordinates(np.asarray(image, np.float32), grid, order=3, mode="mirror")
    return np.asarray(np.maximum(shown, 0) * within(grid, image.shape), dtype=np.float32)


def _movement(
    reference: NDArray[np.float32],
    image: NDArray[np.float32],
    affine: Array,
    mask: NDArray[np.bool_],
    axis: int,
) -> Array:
    """Return where points of the reference are found in the image, (4, 4) in mm."""
    frame = frame_of(reference, affine, mask, axis)
    smooth = ndimage.gaussian_filter(reference, _SMOOTHING)
    spline = smoothed_spline(image, _SMOOTHING, frame)
    pose = align(spline, target_of(smooth, frame), still(), frame)
    # a shift along phase encoding is the field's
    along = (pose.translation @ frame.direction) * frame.direction
    pose = Pose(rotation=pose.rotation, translation=pose.translation - along, eddy=pose.eddy)
    return transform(np.eye(3), pose, frame)


def _size(pose: Array, affine: Array, mask: NDArray[np.bool_]) -> float:
    centre = affine[:3, :3] @ np.mean(np.nonzero(mask), axis=1) + affine[:3, 3]
    shift = pose[:3, :3] @ centre + pose[:3, 3] - centre
    turn = Rotation.from_matrix(pose[:3, :3]).magnitude()
    return float(np.linalg.norm(shift) + HEAD_RADIUS * turn)


def _correlation(
    one: NDArray[np.floating], other: NDArray[np.floating], mask: NDArray[np.bool_]
) -> float:
    return float(np.corrcoef(one[mask], other[mask])[0, 1])


def _check(
    b0: NDArray[np.floating], mask: NDArray[np.bool_], affine: Array, other: Array, axis: int
) -> None:
    ways = [a[:3, axis] / np.linalg.norm(a[:3, axis]) for a in (affine, other)]
    findings = []
    if ways[0] @ ways[1] < _PARALLEL:
        findings.append(
            Finding(
                where="opposite",
                rule="both polarities are encoded along one axis of the scanner",
                found=f"axes {np.rad2deg(np.arccos(ways[0] @ ways[1])):.0f} degrees apart",
                remedy="Take another opposite-polarity image, or set diffusion.distortion: none.",
            )
        )
    if b0.ndim != 3 or mask.shape != b0.shape or not mask.any():
        findings.append(
            Finding(
                where="b0, mask",
                rule="the mask has the grid of the b=0 image and is not empty",
                found=f"shapes {b0.shape} and {mask.shape}",
                remedy="Make the mask from this series.",
            )
        )
    if findings:
        raise InputError(findings)
