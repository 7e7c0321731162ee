"""Volumes brought to the reference pose, head motion and distortion in one resampling."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from msimaging.diffusion.alignment import moved_grid, within
from msimaging.diffusion.prediction import prediction_matrix
from msimaging.errors import Finding, InputError

Array = NDArray[np.float64]


def apply_motion(
    data: NDArray[np.floating],
    *,
    affine: Array,
    affines: Array,
    displacement: Array | None = None,
    phase_encoding_axis: int | None = None,
    n_threads: int = 1,
) -> NDArray[np.float32]:
    """Bring all volumes to the reference pose in one resampling.

    Parameters
    ----------
    data : array (X, Y, Z, N)
        Diffusion volumes as acquired.
    affine : array (4, 4)
        Voxel to RAS mm.
    affines : array (N, 4, 4)
        Reference-to-volume transforms, RAS mm.
    displacement : array (X, Y, Z), optional
        Susceptibility displacement along the phase-encoding axis [mm, positive towards higher
        voxel numbers] on the reference grid; its Jacobian scales the intensities.
    phase_encoding_axis : {0, 1, 2}, optional
        Voxel axis of phase encoding; needed with ``displacement``.
    n_threads : int
        Volumes worked on at once. The result is the same for every number.

    Returns
    -------
    array (X, Y, Z, N) of float32
        Volumes in the reference pose, by cubic B-splines; zero where nothing was imaged.
        Intensities are scaled by the change of volume: what stretches an image dims it.

    Raises
    ------
    InputError
        Shapes that do not belong together, or a displacement without its axis.
    """
    data, affines = np.asarray(data), np.asarray(affines)
    _check_application(data, affines, displacement, phase_encoding_axis)
    axis = 0 if phase_encoding_axis is None else phase_encoding_axis
    shift = _voxel_shift(displacement, affine, axis, data.shape[:3])
    resampled = _resample_all(data, affine, affines, shift, axis, 3, n_threads)
    if displacement is not None:
        resampled *= (1 + np.gradient(shift, axis=axis)).astype(np.float32)[..., None]
    resampled *= np.linalg.det(affines[:, :3, :3]).astype(np.float32)
    return resampled


def apply_motion_to_weights(
    weights: NDArray[np.floating],
    *,
    affine: Array,
    affines: Array,
    displacement: Array | None = None,
    phase_encoding_axis: int | None = None,
    n_threads: int = 1,
) -> NDArray[np.float32]:
    """Bring the weights of voxels to the reference pose, as their volumes are.

    Parameters
    ----------
    weights : array (X, Y, Z, N)
        Between 0 (not trusted) and 1.
    affine, affines, displacement, phase_encoding_axis, n_threads
        As in :func:`apply_motion`.

    Returns
    -------
    array (X, Y, Z, N) of float32
        Linearly interpolated weights within 0 and 1; zero where nothing was imaged.

    Raises
    ------
    InputError
        As in :func:`apply_motion`.
    """
    weights, affines = np.asarray(weights), np.asarray(affines)
    _check_application(weights, affines, displacement, phase_encoding_axis)
    axis = 0 if phase_encoding_axis is None else phase_encoding_axis
    shift = _voxel_shift(displacement, affine, axis, weights.shape[:3])
    return _resample_all(weights, affine, affines, shift, axis, 1, n_threads)


def foretell_in_place(
    data: NDArray[np.floating],
    *,
    bvals: Array,
    bvecs_ras: Array,
    affine: Array,
    affines: Array,
    floor: float,
) -> NDArray[np.float32]:
    """Say what each volume should look like where the head was when it was acquired.

    Parameters
    ----------
    data : array (X, Y, Z, N)
        Diffusion volumes as acquired.
    bvals : array (N,)
        b-values [s/mm2].
    bvecs_ras : array (N, 3)
        Unit gradient directions as the head saw them.
    affine : array (4, 4)
        Voxel to RAS mm.
    affines : array (N, 4, 4)
        Reference-to-volume transforms, RAS mm.
    floor : float
        Signals below are lifted to this value before the logarithm.

    Returns
    -------
    array (X, Y, Z, N) of float32
        Foretold by the other volumes of the shell, each in its own pose; 0 where none imaged it,
        and in volumes that no other foretells.

    Raises
    ------
    InputError
        As in :func:`apply_motion`.
    """
    aligned = apply_motion(data, affine=affine, affines=affines)
    imaged = (aligned != 0).all(axis=-1)
    logs = np.log(np.maximum(aligned, np.float32(floor), out=aligned), out=aligned)
    matrix = prediction_matrix(bvals, bvecs_ras).astype(np.float32)
    to_voxel, foretold = np.linalg.inv(affine), np.zeros_like(logs)
    for n in np.flatnonzero(np.diag(matrix) == 0):
        weights = matrix[n]
        image = np.where(imaged, np.exp(logs @ weights), 0)
        back = moved_grid(to_voxel @ np.linalg.inv(affines[n]) @ affine, data.shape[:3])
        moved = ndimage.map_coordinates(image, back, order=3, mode="mirror")
        shown = np.maximum(moved, 0) * within(back, data.shape[:3])
        foretold[..., n] = shown / np.linalg.det(affines[n][:3, :3])
    return foretold


def _resample_all(  # noqa: PLR0917  # private, shared by the two above
    data: NDArray[np.floating],
    affine: Array,
    affines: Array,
    shift: Array,
    axis: int,
    order: int,
    n_threads: int,
) -> NDArray[np.float32]:
    to_voxel = np.linalg.inv(affine)

    def resample(n: int) -> NDArray[np.float32]:
        coordinates = moved_grid(to_voxel @ affines[n] @ affine, data.shape[:3])
        coordinates[axis] += shift
        volume = np.asarray(data[..., n], dtype=np.float32)
        # the spline is mirrored at the faces, so nothing rings there; outside is set to zero
        moved = ndimage.map_coordinates(volume, coordinates, order=order, mode="mirror")
        return np.asarray(moved * within(coordinates, data.shape[:3]), dtype=np.float32)

    resampled = np.empty(data.shape, dtype=np.float32)
    with ThreadPoolExecutor(n_threads) as pool:
        for n, volume in enumerate(pool.map(resample, range(data.shape[3]))):
            resampled[..., n] = volume
    return resampled


def _voxel_shift(
    displacement: Array | None, affine: Array, axis: int, shape: tuple[int, ...]
) -> Array:
    if displacement is None:
        return np.zeros(shape)
    return np.asarray(displacement / np.linalg.norm(affine[:3, axis]), dtype=np.float64)


def _check_application(
    data: NDArray[np.floating], affines: Array, displacement: Array | None, axis: int | None
) -> None:
    findings = []
    if data.ndim != 4 or affines.shape != (data.shape[-1], 4, 4):
        findings.append(
            Finding(
                where="data, affines",
                rule="one transform belongs to each volume on four axes",
                found=f"shapes {data.shape} and {affines.shape}",
                remedy="Give the transforms of this series.",
            )
        )
    if displacement is not None and (displacement.shape != data.shape[:3] or axis is None):
        findings.append(
            Finding(
                where="displacement",
                rule="a displacement has the grid of the volumes and a phase-encoding axis",
                found=f"shape {displacement.shape}, axis {axis}",
                remedy="Estimate it on this grid and name its axis.",
            )
        )
    if findings:
        raise InputError(findings)
