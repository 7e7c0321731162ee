"""The one resampling of a diffusion series: head motion, eddy currents and distortion together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msimaging.diffusion.alignment import moved_grid, within
from msimaging.diffusion.masks import brain_mask
from msimaging.diffusion.motion import MotionEstimate, estimate_motion, rotate_bvecs
from msimaging.diffusion.outliers import replace_against
from msimaging.diffusion.polarity import estimate_field_between
from msimaging.diffusion.resampling import (
    apply_motion,
    apply_motion_to_weights,
    foretell_in_place,
)
from msimaging.diffusion.table_rules import B0_THRESHOLD
from msimaging.steps.dwi_series import (
    Corrections,
    Floats,
    Series,
    phase_encoding_axis,
    slice_axis,
    told_drops,
)
from msimaging.volumes import Volume

_FLOOR = 1e-3  # of the median signal: keeps logarithms finite


def in_place(
    series: Series, asked: Corrections, acquisition: Mapping[str, Any], opposite: Volume | None
) -> Series:
    """Bring all volumes to the pose of the first b=0, undistorted, in one resampling.

    Parameters
    ----------
    series : Series
        On the scanner's voxels.
    asked : Corrections
        Settings.
    acquisition : mapping
        Merged sidecar fields of the scan.
    opposite : Volume, optional
        Mean b=0 of the opposite phase encoding; without it distortion is left as it is.

    Returns
    -------
    Series
        With new data, mask, b-vectors and weights where anything was asked for.
    """
    axis, known = phase_encoding_axis(acquisition)
    if asked.motion:
        series = _with_motion(series, axis, known, slice_axis(acquisition))
    else:
        series = series.with_told("HeadMotionCorrected", f"no: {asked.why_moving}")
    if opposite is None:
        why = f"no: {asked.why_distorted}"
        series = series.with_told("SusceptibilityDistortionCorrected", why)
    else:
        series = _with_field(series, opposite, axis)
    if series.motion is None and series.field is None:
        return _weighted(series, None, axis)
    return _resampled(series, axis)


def _with_motion(series: Series, axis: int, known: str, slices: int) -> Series:
    estimate = partial(
        estimate_motion,
        bvals=series.bvals,
        bvecs_ras=series.bvecs_ras,
        affine=series.affine,
        mask=series.mask,
        phase_encoding_axis=axis,
    )
    motion = estimate(series.data)
    if series.measured is not None:
        series = _judged_again(series, series.measured, motion, slices)
        if series.dropped is not None and series.dropped.outliers.any():
            motion = estimate(series.data, start=motion)
    text = (
        "yes: rigid, with linear eddy-current distortion along voxel axis "
        f"{'ijk'[axis]} ({known}); one resampling by cubic B-splines, b-vectors rotated"
    )
    return replace(series, motion=motion).with_told("HeadMotionCorrected", text)


def _judged_again(
    series: Series, measured: NDArray[np.float32], motion: MotionEstimate, slices: int
) -> Series:
    """Look for dropped slices again, now that each can be foretold where the head was."""
    foretold = foretell_in_place(
        series.data,
        bvals=series.bvals,
        bvecs_ras=rotate_bvecs(series.bvecs_ras, motion.rigid),
        affine=series.affine,
        affines=motion.affines,
        floor=_FLOOR * float(np.median(measured[series.mask])),
    )
    found = replace_against(
        measured, foretold, bvals=series.bvals, mask=series.mask, slice_axis=slices
    )
    return replace(series, data=found.data, dropped=found, measured=None).with_told(
        "DroppedSlicesReplaced", told_drops(found)
    )


def _affines(series: Series) -> Floats:
    if series.motion is None:
        return np.tile(np.eye(4), (len(series.bvals), 1, 1))
    return series.motion.affines


def _with_field(series: Series, opposite: Volume, axis: int) -> Series:
    """Estimate the field in the pose of the reference, from b=0s brought there."""
    b0s = series.bvals <= B0_THRESHOLD
    aligned = apply_motion(
        series.data[..., b0s], affine=series.affine, affines=_affines(series)[b0s]
    )
    field = estimate_field_between(
        np.maximum(aligned, 0).mean(axis=-1),
        opposite.data,
        affine=series.affine,
        opposite_affine=opposite.affine,
        mask=series.mask,
        phase_encoding_axis=axis,
    )
    inside = np.abs(field.displacement[series.mask])
    text = (
        "yes: field from b=0 images of opposite phase encoding, displacement in the brain "
        f"{inside.mean():.2f} mm on average and {inside.max():.1f} mm at most; correlation of both "
        f"polarities {field.agreement_before:.3f} before and {field.agreement_after:.3f} after"
    )
    return replace(series, field=field).with_told("SusceptibilityDistortionCorrected", text)


def _resampled(series: Series, axis: int) -> Series:
    shift = None if series.field is None else series.field.displacement
    affines = _affines(series)
    data = apply_motion(
        series.data,
        affine=series.affine,
        affines=affines,
        displacement=shift,
        phase_encoding_axis=axis,
    )
    mask = brain_mask(data[..., series.bvals <= B0_THRESHOLD].mean(axis=-1), series.affine)
    seen = mask & _seen_by_all(affines, series.affine, mask.shape, shift, axis)
    negative = int((data[seen] < 0).sum())
    turned = series.bvecs_ras
    if series.motion is not None:
        turned = rotate_bvecs(series.bvecs_ras, series.motion.rigid)
    return replace(
        _weighted(series, shift, axis),
        data=np.maximum(data, 0, out=data),
        bvecs_ras=turned,
        mask=seen,
        uncovered_voxels=int(mask.sum() - seen.sum()),
        negative_samples=negative,
    )


def _weighted(series: Series, shift: Floats | None, axis: int) -> Series:
    """Carry the weights of replaced slices along; None where no slice was replaced."""
    if series.dropped is None or not series.dropped.outliers.any():
        return series
    if series.motion is None and series.field is None:
        return replace(series, weights=series.dropped.weights)
    weights = apply_motion_to_weights(
        series.dropped.weights,
        affine=series.affine,
        affines=_affines(series),
        displacement=shift,
        phase_encoding_axis=axis,
    )
    return replace(series, weights=weights)


def _seen_by_all(
    affines: Floats,
    affine: Floats,
    shape: tuple[int, ...],
    displacement: Floats | None,
    axis: int,
) -> NDArray[np.bool_]:
    """Tell which voxels every volume imaged: the others hold zeros that no tensor explains."""
    to_voxel = np.linalg.inv(affine)
    seen = np.ones(shape, dtype=bool)
    for matrix in affines:
        places = moved_grid(to_voxel @ matrix @ affine, (shape[0], shape[1], shape[2]))
        if displacement is not None:
            places[axis] += displacement / np.linalg.norm(affine[:3, axis])
        seen &= within(places, shape)
    return seen
