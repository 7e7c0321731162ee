"""One resampling of an image onto a grid through any chain of transforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from msimaging.errors import Finding, InputError
from msimaging.spatial.transforms import checked_matrix, image_from_array, voxel_sizes

Interpolation = Literal["nearest", "linear", "bspline"]
INTERPOLATORS = {
    "nearest": sitk.sitkNearestNeighbor,
    "linear": sitk.sitkLinear,
    "bspline": sitk.sitkBSpline,
}


def resample_image(
    data: NDArray[Any],
    affine: ArrayLike,
    *,
    target_to_source: sitk.Transform,
    target_shape: Sequence[int],
    target_affine: ArrayLike,
    interpolation: Interpolation,
    fill: float = 0.0,
) -> NDArray[Any]:
    """Resample an image once onto another grid.

    Parameters
    ----------
    data : (X, Y, Z) or (X, Y, Z, N) ndarray
        Values in the source space.
    affine : (4, 4) array_like
        Voxel indices of ``data`` to RAS mm.
    target_to_source : SimpleITK.Transform
        Maps a point of the target space to the source space; compose before calling, so that the
        values are interpolated once.
    target_shape : three ints
        Shape of the target grid.
    target_affine : (4, 4) array_like
        Voxel indices of the target grid to RAS mm.
    interpolation : {"nearest", "linear", "bspline"}
        Kernel; ``bspline`` is the cubic spline. Masks and labels need ``nearest``.
    fill : float
        Value where the target reaches outside the source.

    Returns
    -------
    ndarray of target_shape, or target_shape + (N,)
        The type of ``data`` for ``nearest``; else float32, or float64 when ``data`` is float64.

    Raises
    ------
    InputError
        For a mask with a kernel that mixes values, an unknown kernel, a shape that is no image, or
        values that are not finite with the spline (which would spread over the whole image).
    """
    _check(data, interpolation)
    volumes = data.reshape(*data.shape[:3], -1)
    resampler = _resampler(target_to_source, target_shape, target_affine, interpolation, fill)
    working = _working_type(data.dtype, interpolation)
    kept = data.dtype if interpolation == "nearest" else working
    out = np.empty((*target_shape, volumes.shape[3]), dtype=kept)
    for index in range(volumes.shape[3]):
        image = image_from_array(volumes[..., index].astype(working), affine)
        out[..., index] = sitk.GetArrayFromImage(resampler.Execute(image)).transpose(2, 1, 0)
    return out[..., 0] if data.ndim == 3 else out


def _resampler(
    target_to_source: sitk.Transform,
    shape: Sequence[int],
    affine: ArrayLike,
    interpolation: Interpolation,
    fill: float,
) -> sitk.ResampleImageFilter:
    grid = image_from_array(np.zeros((1, 1, 1), dtype=np.uint8), affine)
    resampler = sitk.ResampleImageFilter()
    resampler.SetNumberOfThreads(1)
    resampler.SetTransform(target_to_source)
    resampler.SetInterpolator(INTERPOLATORS[interpolation])
    resampler.SetDefaultPixelValue(float(fill))
    resampler.SetSize([int(size) for size in shape])
    resampler.SetOutputOrigin(grid.GetOrigin())
    resampler.SetOutputSpacing(grid.GetSpacing())
    resampler.SetOutputDirection(grid.GetDirection())
    return resampler


def _working_type(
    dtype: np.dtype[np.generic], interpolation: Interpolation
) -> np.dtype[np.generic]:
    if interpolation != "nearest":
        return np.dtype(np.float64 if dtype == np.float64 else np.float32)
    if dtype == np.bool_:
        return np.dtype(np.uint8)
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def _check(data: NDArray[Any], interpolation: str) -> None:
    faults = []
    if interpolation not in INTERPOLATORS:
        faults.append(("the kernel is nearest, linear or bspline", repr(interpolation)))
    if data.ndim not in (3, 4) or 0 in data.shape:
        faults.append(("an image has three or four axes, none of them empty", f"{data.shape}"))
    if data.dtype == np.bool_ and interpolation != "nearest":
        faults.append(("masks are resampled with the nearest kernel", repr(interpolation)))
    if interpolation == "bspline" and not np.isfinite(data.astype(np.float64)).all():
        count = np.count_nonzero(~np.isfinite(data.astype(np.float64)))
        faults.append(("the spline needs finite values everywhere", f"{count} not finite"))
    if faults:
        remedy = "Change the call, or fill the image before resampling it."
        raise InputError(
            [Finding(rule=rule, where="data", found=found, remedy=remedy) for rule, found in faults]
        )


def grid_at(
    shape: Sequence[int], affine: ArrayLike, *, voxel_mm: float
) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Lay an isotropic grid of another voxel size over the same field of view.

    Parameters
    ----------
    shape : three ints
        Shape of the grid.
    affine : (4, 4) array_like
        Voxel indices to RAS mm.
    voxel_mm : float
        Edge length of the new voxels in mm.

    Returns
    -------
    tuple of three ints
        The new shape; the outer voxels may reach beyond the old field of view.
    (4, 4) ndarray
        The new affine: same axes, same centre.
    """
    old = checked_matrix(affine, where="affine")
    sizes = voxel_sizes(old)
    counts = np.ceil(np.asarray(shape) * sizes / voxel_mm - 1e-6).astype(int)
    new = np.eye(4)
    new[:3, :3] = old[:3, :3] / sizes * voxel_mm
    centre = old[:3, :3] @ ((np.asarray(shape) - 1) / 2) + old[:3, 3]
    new[:3, 3] = centre - new[:3, :3] @ ((counts - 1) / 2)
    return (int(counts[0]), int(counts[1]), int(counts[2])), new
