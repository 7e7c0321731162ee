"""Rigid head motion of a BOLD run, volume by volume, and how far the head moved."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

from msimaging.errors import ComputationError, Finding, InputError

HEAD_RADIUS = 50.0  # mm, Power 2012
_REFERENCE_VOLUMES = 20
_SMOOTHING = (1.5, 0.7)  # of the smallest voxel side, from coarse to fine
_MARGIN = 2.0  # voxels from the faces of the image, where the spline is not to be trusted
_MAX_STEPS = 20
_CONVERGED = 0.002  # mm at the head's radius
_LEAST_POINTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadMotion:
    """Where the head was in each volume.

    Attributes
    ----------
    parameters : ndarray of shape (T, 6)
        Translation of the head's centre along R, A, S [mm], then rotation about these axes [rad]:
        fMRIPrep's trans_x, trans_y, trans_z, rot_x, rot_y, rot_z.
    reference_to_volume : ndarray of shape (T, 4, 4)
        Takes a point of the reference [mm, RAS] to where it is in the volume; what resamples the
        volume onto the reference.
    reference : ndarray of float32, shape (X, Y, Z)
        Mean of the volumes most like the others.
    """

    parameters: NDArray[np.float64]
    reference_to_volume: NDArray[np.float64]
    reference: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Points:
    """Where volumes and reference are compared: voxel coordinates, and mm from the centre."""

    voxels: NDArray[np.float64]
    relative: NDArray[np.float64]
    centre: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """The reference at one smoothing, and how it answers to each parameter."""

    width: float
    values: NDArray[np.float64]
    response: NDArray[np.float64]


def estimate_head_motion(
    bold: NDArray[np.floating[Any]],
    *,
    affine: NDArray[np.float64],
    mask: NDArray[np.bool_],
    n_skipped: int = 0,
    n_threads: int = 1,
) -> HeadMotion:
    """Register every volume rigidly to a robust mean volume.

    Parameters
    ----------
    bold : ndarray of shape (X, Y, Z, T)
    affine : ndarray of shape (4, 4)
        Voxel to RAS [mm].
    mask : ndarray of bool, shape (X, Y, Z)
        Head or brain; need not be tight. Its centre is the centre of rotation.
    n_skipped : int
        Volumes at the start that are not in steady state: registered, but not in the reference.
    n_threads : int
        Volumes registered at once; the result is the same for every number.

    Returns
    -------
    HeadMotion

    Raises
    ------
    InputError
        Fewer than two volumes, values that are not finite, or an empty mask.
    ComputationError
        A volume shows too little of the head to be registered.

    Notes
    -----
    Gauss-Newton on the intensities, smoothed from coarse to fine, with a gain and an offset for
    each volume; only voxels that both images show are compared.
    """
    _check_run(bold, mask, n_skipped)
    reference = reference_volume(bold, mask=mask, n_skipped=n_skipped)
    points = _points_in(mask, affine)
    # one order of sums whatever the number of threads
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
        targets = _targets(reference, affine, points)
        volumes = (bold[..., position] for position in range(bold.shape[3]))
        found = pool.map(lambda volume: _rigid(volume, targets, points, affine), volumes)
        matrices = np.stack(list(found))
    _check_found(matrices)
    return HeadMotion(
        parameters=motion_parameters(matrices, centre=points.centre),
        reference_to_volume=matrices,
        reference=reference,
    )


def reference_volume(
    bold: NDArray[np.floating[Any]], *, mask: NDArray[np.bool_], n_skipped: int = 0
) -> NDArray[np.float32]:
    """Average the volumes that agree best with the median volume.

    Parameters
    ----------
    bold : ndarray of shape (X, Y, Z, T)
    mask : ndarray of bool, shape (X, Y, Z)
        Where agreement is measured.
    n_skipped : int
        Volumes at the start that are left out.

    Returns
    -------
    ndarray of float32, shape (X, Y, Z)
        A volume taken while the head was away from its usual place has no part in it.
    """
    steady = bold[..., n_skipped:]
    signals = np.asarray(steady[mask], dtype=np.float32)
    typical = np.median(signals, axis=1)
    distance = np.mean((signals - typical[:, np.newaxis]) ** 2, axis=0)
    best = np.sort(np.argsort(distance, kind="stable")[:_REFERENCE_VOLUMES])
    return np.asarray(steady[..., best].mean(axis=3), dtype=np.float32)


def motion_parameters(
    reference_to_volume: NDArray[np.float64], *, centre: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Read translations and rotations from rigid matrices.

    Parameters
    ----------
    reference_to_volume : ndarray of shape (T, 4, 4)
        Rigid, RAS [mm].
    centre : ndarray of shape (3,)
        Point whose translation is told [mm, RAS].

    Returns
    -------
    ndarray of shape (T, 6)
        trans_x, trans_y, trans_z [mm], rot_x, rot_y, rot_z [rad], applied in this order.
    """
    moved = reference_to_volume[:, :3, :3] @ centre + reference_to_volume[:, :3, 3]
    angles = Rotation.from_matrix(reference_to_volume[:, :3, :3]).as_euler("xyz")
    return np.column_stack([moved - centre, angles])


def framewise_displacement(
    parameters: NDArray[np.float64], *, radius: float = HEAD_RADIUS
) -> NDArray[np.float64]:
    """Sum the absolute changes of the six motion parameters since the volume before.

    Parameters
    ----------
    parameters : ndarray of shape (T, 6)
        Translations [mm], then rotations [rad].
    radius : float
        Of the sphere on which rotations are measured [mm].

    Returns
    -------
    ndarray of shape (T,)
        [mm]; NaN for the first volume.

    References
    ----------
    Power 2012, NeuroImage 59.
    """
    steps = np.abs(np.diff(parameters, axis=0)) @ np.array([1, 1, 1, radius, radius, radius])
    return np.concatenate([[np.nan], steps])


def _targets(
    reference: NDArray[np.float32], affine: NDArray[np.float64], points: _Points
) -> list[_Target]:
    """Return the reference and its answer to each movement, gain and offset; coarse to fine."""
    targets = []
    for width in _SMOOTHING:
        spline = _smoothed_spline(reference, width, affine)
        slopes = [
            _sample(spline, points.voxels + half) - _sample(spline, points.voxels - half)
            for half in np.eye(3) / 2
        ]
        gradient = np.stack(slopes, axis=1) @ np.linalg.inv(affine)[:3, :3]
        values = _sample(spline, points.voxels)
        turned = np.cross(points.relative, gradient)
        response = np.column_stack([gradient, turned, values, np.ones_like(values)])
        targets.append(_Target(width=width, values=values, response=response))
    return targets


def _points_in(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> _Points:
    voxels = np.argwhere(ndimage.binary_dilation(mask)).astype(np.float64)
    inner = (voxels >= _MARGIN) & (voxels <= np.array(mask.shape) - 1 - _MARGIN)
    inside = inner.all(axis=1)
    voxels = voxels[inside] if np.count_nonzero(inside) >= _LEAST_POINTS else voxels
    centre = affine[:3, :3] @ np.argwhere(mask).mean(axis=0) + affine[:3, 3]
    return _Points(
        voxels=voxels,
        relative=voxels @ affine[:3, :3].T + affine[:3, 3] - centre,
        centre=centre,
    )


def _rigid(
    volume: NDArray[np.floating[Any]],
    targets: list[_Target],
    points: _Points,
    affine: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Gauss-Newton steps on the intensities, until they move the head by a few microns."""
    to_voxel = np.linalg.inv(affine)
    last = np.array(volume.shape) - 1 - _MARGIN / 2
    rotation, translation = np.eye(3), np.zeros(3)
    for target in targets:
        spline = _smoothed_spline(volume, target.width, affine)
        for _ in range(_MAX_STEPS):
            moved = points.relative @ rotation.T + translation + points.centre
            voxels = moved @ to_voxel[:3, :3].T + to_voxel[:3, 3]
            # what left the image cannot be compared
            seen = ((voxels >= _MARGIN / 2) & (voxels <= last)).all(axis=1)
            if np.count_nonzero(seen) < _LEAST_POINTS:
                return np.full((4, 4), np.nan)
            response = target.response[seen]
            difference = _sample(spline, voxels[seen]) - target.values[seen]
            step = np.linalg.solve(response.T @ response, response.T @ difference)[:6]
            back = Rotation.from_rotvec(step[3:]).as_matrix().T
            translation = translation - rotation @ back @ step[:3]
            rotation = rotation @ back
            if np.abs(step[:3]).max() + HEAD_RADIUS * np.abs(step[3:]).max() < _CONVERGED:
                break
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = points.centre + translation - rotation @ points.centre
    return matrix


def _smoothed_spline(
    volume: NDArray[np.floating[Any]], width: float, affine: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Cubic spline of the volume smoothed by width times its smallest voxel side."""
    zooms = np.linalg.norm(affine[:3, :3], axis=0)
    smooth = ndimage.gaussian_filter(
        np.asarray(volume, dtype=np.float32), width * zooms.min() / zooms, truncate=3.0
    )
    return np.asarray(ndimage.spline_filter(smooth, order=3, output=np.float32, mode="mirror"))


def _sample(spline: NDArray[np.float32], voxels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(
        ndimage.map_coordinates(spline, voxels.T, order=3, prefilter=False, mode="mirror"),
        dtype=np.float64,
    )


def _check_found(matrices: NDArray[np.float64]) -> None:
    lost = np.flatnonzero(~np.isfinite(matrices).all(axis=(1, 2)))
    if lost.size:
        raise ComputationError(
            f"volumes {', '.join(str(volume) for volume in lost[:10])} show too little of the head "
            "to be registered; look at them, and cut the run if they are broken"
        )


def _check_run(bold: NDArray[np.floating[Any]], mask: NDArray[np.bool_], n_skipped: int) -> None:
    findings = []
    if bold.ndim != 4 or bold.shape[3] - n_skipped < 2:
        findings.append(
            Finding(
                rule="motion is estimated from two or more volumes in steady state",
                where="bold",
                found=f"an array of shape {bold.shape} with {n_skipped} volumes skipped",
                remedy="Give the whole run.",
            )
        )
    if mask.shape != bold.shape[:3] or not mask.any():
        findings.append(
            Finding(
                rule="the mask is on the grid of the run and not empty",
                where="mask",
                found=f"shape {mask.shape} with {np.count_nonzero(mask)} voxels",
                remedy="Make the mask from this run.",
            )
        )
    if not findings and not np.isfinite(bold).all():
        findings.append(
            Finding(
                rule="the run holds finite values only",
                where="bold",
                found=f"{np.count_nonzero(~np.isfinite(bold))} values that are not",
                remedy="Convert the run again from its source.",
            )
        )
    if findings:
        raise InputError(findings)
