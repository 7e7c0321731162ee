"""Smooth receive-coil bias, estimated once on the mean b=0 and taken out of every volume."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk  # the name its own manual uses
from numpy.typing import NDArray

from msimaging.errors import Finding, InputError
from msimaging.threads import one_thread

Array = NDArray[np.float64]

_COARSE_ZOOM = 4.0  # mm: the field is smooth, so a coarser grid loses nothing
_ITERATIONS = (50, 50, 30)
_SPLINE_DISTANCE = 100.0  # mm between knots at the first level


def estimate_bias_field(
    mean_b0: NDArray[np.floating], mask: NDArray[np.bool_], *, affine: Array
) -> Array:
    """Estimate the multiplicative bias field on the mean b=0 image.

    Parameters
    ----------
    mean_b0 : array (X, Y, Z)
        Mean of the b=0 volumes, motion-corrected.
    mask : array (X, Y, Z) of bool
        Brain.
    affine : array (4, 4)
        Voxel to RAS mm.

    Returns
    -------
    array (X, Y, Z)
        Field to divide by; positive, of geometric mean 1 within the mask.

    Raises
    ------
    InputError
        Shapes that differ, mask without signal above zero, values not finite.

    Notes
    -----
    N4 of Tustison et al. (2010, IEEE Trans Med Imaging 29:1310-1320) as in SimpleITK, one thread.
    A common factor of all volumes leaves FA, MD, AD and RD alone; the field serves S0, masks
    and signal-to-noise.
    """
    mean_b0, inside = np.asarray(mean_b0, dtype=np.float64), np.asarray(mask, dtype=bool)
    _check(mean_b0, inside)
    inside = inside & (mean_b0 > 0)
    image = _as_image(np.maximum(mean_b0, 0).astype(np.float32), affine)
    tissue = _as_image(inside.astype(np.uint8), affine)
    shrink = [max(1, round(_COARSE_ZOOM / zoom)) for zoom in image.GetSpacing()]
    with one_thread():
        correction = sitk.N4BiasFieldCorrectionImageFilter()
        correction.SetMaximumNumberOfIterations(_ITERATIONS)
        correction.SetNumberOfControlPoints(_control_points(image))
        correction.Execute(sitk.Shrink(image, shrink), sitk.Shrink(tissue, shrink))
        log_field = sitk.GetArrayFromImage(correction.GetLogBiasFieldAsImage(image)).T
    field = np.asarray(log_field, dtype=np.float64)
    return np.ascontiguousarray(np.exp(field - field[inside].mean()))


def correct_bias(data: NDArray[np.floating], field: Array) -> NDArray[np.float32]:
    """Divide every volume by the bias field.

    Parameters
    ----------
    data : array (X, Y, Z) or (X, Y, Z, N)
        Volumes on the grid of the field.
    field : array (X, Y, Z)
        From :func:`estimate_bias_field`.

    Returns
    -------
    array like data, of float32
        Volumes of even brightness.

    Raises
    ------
    InputError
        When the field has another grid or is not positive everywhere.
    """
    data = np.asarray(data)
    if field.shape != data.shape[:3] or not (field > 0).all():
        raise InputError(
            [
                Finding(
                    where="field",
                    rule="the bias field is positive and has the grid of the volumes",
                    found=f"shapes {field.shape} and {data.shape[:3]}, least {np.min(field):g}",
                    remedy="Estimate it on the mean b=0 of this series.",
                )
            ]
        )
    gain = (1 / field).astype(np.float32)
    return np.asarray(data * gain.reshape(gain.shape + (1,) * (data.ndim - 3)), dtype=np.float32)


def _control_points(image: sitk.Image) -> list[int]:
    """Return knots per axis so that they start about a fixed distance apart."""
    extents = np.array(image.GetSize()) * np.array(image.GetSpacing())
    return [int(max(4, np.ceil(extent / _SPLINE_DISTANCE) + 3)) for extent in extents]


def _as_image(array: NDArray[np.float32] | NDArray[np.uint8], affine: Array) -> sitk.Image:
    """Return the array as an image with its voxel size; N4 needs neither place nor direction."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    image.SetSpacing([float(zoom) for zoom in np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)])
    return image


def _check(mean_b0: NDArray[np.floating], mask: NDArray[np.bool_]) -> None:
    findings = []
    if mean_b0.ndim != 3 or mask.shape != mean_b0.shape:
        findings.append(
            Finding(
                where="mean_b0, mask",
                rule="image and mask are volumes on one grid",
                found=f"shapes {mean_b0.shape} and {mask.shape}",
                remedy="Make the mask from this series.",
            )
        )
    elif not (mean_b0[mask] > 0).any():
        findings.append(
            Finding(
                where="mask",
                rule="the mask holds signals above zero",
                found=f"{np.count_nonzero(mask)} voxels, none of them above zero",
                remedy="Check the mask against the mean b=0.",
            )
        )
    if not np.isfinite(mean_b0).all():
        findings.append(
            Finding(
                where="mean_b0",
                rule="signals are finite numbers",
                found=f"{np.count_nonzero(~np.isfinite(mean_b0))} values that are not",
                remedy="Check the conversion of this series.",
            )
        )
    if findings:
        raise InputError(findings)
