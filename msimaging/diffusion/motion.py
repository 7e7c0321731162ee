"""Head motion and eddy currents: one transform per volume, estimated together, applied once.

Every volume is aligned with what the other volumes of its shell say it should look like. Rigid
motion and eddy shear are estimated together by Gauss-Newton (see ``alignment``): nine degrees
of freedom that no general-purpose registration offers, where the three more of an affine fit
noise.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

from msimaging.diffusion.alignment import (
    HEAD_RADIUS,
    Array,
    Frame,
    Pose,
    align,
    eddy_matrix,
    frame_of,
    moved_grid,
    sample,
    smoothed_spline,
    still,
    target_of,
    transform,
    with_contrast,
)
from msimaging.diffusion.anchoring import anchor_shells
from msimaging.diffusion.eddy import eddy_priors, eddy_shifts
from msimaging.diffusion.prediction import prediction_matrix, shell_labels
from msimaging.errors import Finding, InputError

_ANCHOR_SIGMA = 0.7  # voxels
_MARGIN = 12.0  # mm around the mask that motion may bring into view


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pass:
    """One round of alignment: smoothing and finest contrast [voxels], and what eddy may be."""

    sigma: float
    contrast: float
    eddy: Literal["none", "free", "linear"]
    anchor: bool


_PASSES = (
    _Pass(sigma=1.5, contrast=4.0, eddy="none", anchor=False),
    _Pass(sigma=0.7, contrast=2.0, eddy="none", anchor=False),
    _Pass(sigma=0.7, contrast=2.0, eddy="none", anchor=True),
    _Pass(sigma=0.5, contrast=1.5, eddy="free", anchor=False),
    _Pass(sigma=0.5, contrast=1.5, eddy="linear", anchor=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionEstimate:
    """Where the head was, and how eddy currents distorted it, in each volume.

    Attributes
    ----------
    affines : array (N, 4, 4)
        Takes a point of the reference (first b=0 volume, RAS mm) to where it is found in volume
        n: head motion, then eddy distortion.
    rigid : array (N, 4, 4)
        The head motion alone: what the b-vectors are rotated with.
    translations : array (N, 3)
        Of the head's centre, along R, A, S [mm].
    rotations : array (N, 3)
        About the R, A and S axes, applied in that order [degrees].
    eddy : array (N, 3)
        Shift along the phase-encoding axis per mm along R, A, S [mm/mm].
    eddy_shift : array (N,)
        Eddy-current shift of the whole volume along the phase-encoding axis [mm]: what follows the
        gradient direction and so is not the head's.
    framewise_displacement : array (N,)
        Sum of absolute changes since the volume before, rotations on a sphere of 50 mm [mm]
        (Power et al. 2012); 0 for the first.
    """

    affines: Array
    rigid: Array
    translations: Array
    rotations: Array
    eddy: Array
    eddy_shift: Array
    framewise_displacement: Array


def estimate_motion(
    data: NDArray[np.floating],
    *,
    bvals: Array,
    bvecs_ras: Array,
    affine: Array,
    mask: NDArray[np.bool_],
    phase_encoding_axis: int,
    start: MotionEstimate | None = None,
    n_threads: int = 1,
) -> MotionEstimate:
    """Estimate head motion and eddy-current distortion of each volume.

    Parameters
    ----------
    data : array (X, Y, Z, N)
        Diffusion volumes, denoised or not; with dropped slices already replaced, if any.
    bvals : array (N,)
        b-values [s/mm2]; at least one volume at b <= 50.
    bvecs_ras : array (N, 3)
        Unit gradient directions along R, A, S.
    affine : array (4, 4)
        Voxel to RAS mm.
    mask : array (X, Y, Z) of bool
        Head or brain; need not be tight.
    phase_encoding_axis : {0, 1, 2}
        Voxel axis of phase encoding.
    start : MotionEstimate, optional
        A first estimate of the same series, which one more round refines.
    n_threads : int
        Volumes worked on at once. The result is the same for every number.

    Returns
    -------
    MotionEstimate
        Relative to the first b=0 volume, whose own transform is the identity.

    Raises
    ------
    InputError
        Shapes that do not belong together, no b=0 volume, mask empty, axis not 0, 1 or 2.

    Notes
    -----
    Targets from the data themselves as in Andersson & Sotiropoulos (2016, NeuroImage
    125:1063-1078), with a quadratic log-signal model per shell in place of their Gaussian
    process; volumes weighted by Cauchy's function, so that dropped slices count little.
    """
    data = np.asarray(data)
    _check(data, bvals, bvecs_ras, affine, mask, phase_encoding_axis)
    data, affine, mask = _cropped(data, np.asarray(affine, dtype=np.float64), np.asarray(mask))
    frame = frame_of(data, affine, mask, phase_encoding_axis)
    labels = shell_labels(np.asarray(bvals))
    poses = [still() for _ in bvals] if start is None else poses_of(start, frame)
    passes = _PASSES if start is None else _PASSES[-1:]
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
        for sigma, steps in groupby(passes, key=lambda step: step.sigma):
            splines = _smoothed(data, sigma, frame, pool)
            for step in steps:
                poses = _align_all(splines, frame, poses, (bvals, bvecs_ras), step, pool)
                if step.anchor:
                    # less noise than the last rounds leave: a shell is moved by its statistics
                    if sigma < _ANCHOR_SIGMA:
                        splines = _smoothed(data, _ANCHOR_SIGMA, frame, pool)
                    signals = _aligned(splines, frame, poses, pool)
                    poses = anchor_shells(signals, frame, poses, labels, bvecs_ras)
    return _summary(poses, frame, eddy_shifts(poses, bvecs_ras, labels, frame.direction))


def rotate_bvecs(bvecs_ras: Array, rigid: Array) -> Array:
    """Turn gradient directions with the head.

    Parameters
    ----------
    bvecs_ras : array (N, 3)
        Gradient directions along R, A, S as played out by the scanner.
    rigid : array (N, 4, 4)
        Fixed-to-moving transforms; of an affine the rotation nearest to it is used, so
        ``MotionEstimate.rigid`` is exact and ``MotionEstimate.affines`` nearly so.

    Returns
    -------
    array (N, 3)
        Directions as the head in the reference pose sees them; zero vectors stay zero.

    Raises
    ------
    InputError
        When there is not one transform per direction.

    Notes
    -----
    Leemans & Jones (2009, Magn Reson Med 61:1336-1349).
    """
    bvecs_ras, rigid = np.asarray(bvecs_ras, dtype=np.float64), np.asarray(rigid)
    if rigid.shape != (len(bvecs_ras), 4, 4):
        raise InputError(
            [
                _finding(
                    "rigid",
                    "there is one transform per b-vector",
                    f"{len(bvecs_ras)} b-vectors and transforms of shape {rigid.shape}",
                    "Give the transforms of the same series.",
                )
            ]
        )
    left, _, right = np.linalg.svd(rigid[:, :3, :3])
    return np.asarray(np.einsum("nji,nj->ni", left @ right, bvecs_ras))


def _cropped(
    data: NDArray[np.floating], affine: Array, mask: NDArray[np.bool_]
) -> tuple[NDArray[np.floating], Array, NDArray[np.bool_]]:
    """Cut all to the mask and a margin: nothing else takes part, and time follows the voxels."""
    margin = np.ceil(_MARGIN / np.linalg.norm(affine[:3, :3], axis=0)).astype(int)
    where = np.stack(np.nonzero(mask))
    low = np.maximum(where.min(axis=1) - margin, 0)
    high = np.minimum(where.max(axis=1) + margin + 1, mask.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ low
    return data[box], moved, mask[box].astype(bool)


def _rotated(bvecs_ras: Array, poses: list[Pose]) -> Array:
    return np.stack([pose.rotation.T @ b for pose, b in zip(poses, bvecs_ras, strict=True)])


def _smoothed(
    data: NDArray[np.floating], sigma: float, frame: Frame, pool: ThreadPoolExecutor
) -> list[NDArray[np.float32]]:
    """Return the spline of every volume: made once for all rounds of one smoothing."""
    return list(
        pool.map(lambda n: smoothed_spline(data[..., n], sigma, frame), range(data.shape[3]))
    )


def _aligned(
    splines: list[NDArray[np.float32]],
    frame: Frame,
    poses: list[Pose],
    pool: ThreadPoolExecutor,
) -> NDArray[np.float32]:
    """Return the smoothed volumes (X, Y, Z, N) in the reference pose."""

    def aligned(n: int) -> NDArray[np.float32]:
        to_moved = transform(eddy_matrix(poses[n], frame), poses[n], frame)
        matrix = np.linalg.inv(frame.affine) @ to_moved @ frame.affine
        return sample(splines[n], moved_grid(matrix, frame.shape))

    signals = np.empty((*frame.shape, len(poses)), dtype=np.float32)
    for n, volume in enumerate(pool.map(aligned, range(len(poses)))):
        signals[..., n] = volume
    return signals


def _align_all(  # noqa: PLR0917  # private, and each argument has another type
    splines: list[NDArray[np.float32]],
    frame: Frame,
    poses: list[Pose],
    table: tuple[Array, Array],
    step: _Pass,
    pool: ThreadPoolExecutor,
) -> list[Pose]:
    """Align each volume with its target; the first b=0 volume stays where it is."""
    labels = shell_labels(table[0])
    signals = _aligned(splines, frame, poses, pool)
    matrix = prediction_matrix(table[0], _rotated(table[1], poses)).astype(np.float32)
    means = {label: signals[..., labels == label].mean(axis=-1) for label in np.unique(labels)}
    reference = int(np.flatnonzero(labels == 0)[0])
    priors = eddy_priors(poses, table[1], labels, known=step.eddy == "linear")

    def aligned(n: int) -> Pose:
        if n == reference:
            return poses[n]
        if labels[n] == 0:
            image = signals[..., reference]  # the same contrast: no model is needed
        else:
            image = with_contrast(means[labels[n]], signals @ matrix[n], step.contrast, frame)
        prior = None if step.eddy == "none" or labels[n] == 0 else priors[n]
        return align(splines[n], target_of(image, frame), poses[n], frame, eddy=prior)

    return list(pool.map(aligned, range(len(poses))))


def poses_of(estimate: MotionEstimate, frame: Frame) -> list[Pose]:
    """Return the poses that an estimate was made from.

    Parameters
    ----------
    estimate : MotionEstimate
        Of the series.
    frame : Frame
        Its grid; the poses are about its centre.

    Returns
    -------
    list of Pose
        One per volume.
    """
    poses = []
    for matrix, rigid, eddy in zip(estimate.affines, estimate.rigid, estimate.eddy, strict=True):
        pose = Pose(rotation=rigid[:3, :3], translation=np.zeros(3), eddy=eddy)
        moved = matrix[:3, :3] @ frame.centre + matrix[:3, 3] - frame.centre
        translation = np.linalg.solve(eddy_matrix(pose, frame), moved)
        poses.append(replace(pose, translation=translation))
    return poses


def _summary(poses: list[Pose], frame: Frame, shifts: Array) -> MotionEstimate:
    heads = [
        replace(pose, translation=pose.translation - shift * frame.direction)
        for pose, shift in zip(poses, shifts, strict=True)
    ]
    rotations = np.stack(
        [Rotation.from_matrix(pose.rotation).as_euler("xyz", degrees=True) for pose in poses]
    )
    translations = np.stack([head.translation for head in heads])
    steps = np.abs(np.diff(translations, axis=0)).sum(axis=1)
    steps += HEAD_RADIUS * np.deg2rad(np.abs(np.diff(rotations, axis=0))).sum(axis=1)
    return MotionEstimate(
        affines=np.stack([transform(eddy_matrix(pose, frame), pose, frame) for pose in poses]),
        rigid=np.stack([transform(np.eye(3), head, frame) for head in heads]),
        translations=translations,
        rotations=rotations,
        eddy=np.stack([pose.eddy for pose in poses]),
        eddy_shift=shifts,
        framewise_displacement=np.r_[0.0, steps],
    )


def _finding(where: str, rule: str, found: str, remedy: str) -> Finding:
    return Finding(where=where, rule=rule, found=found, remedy=remedy)


def _check(  # noqa: PLR0917  # the arguments of the one public function
    data: NDArray[np.floating],
    bvals: Array,
    bvecs_ras: Array,
    affine: Array,
    mask: NDArray[np.bool_],
    axis: int,
) -> None:
    findings = []
    n_volumes = data.shape[-1]
    if data.ndim != 4 or len(bvals) != n_volumes or np.shape(bvecs_ras) != (n_volumes, 3):
        findings.append(
            _finding(
                "data, bvals, bvecs_ras",
                "one b-value and one direction belong to each volume on four axes",
                f"shapes {data.shape}, {np.shape(bvals)}, {np.shape(bvecs_ras)}",
                "Give the gradient table of this series.",
            )
        )
    if not (shell_labels(np.asarray(bvals)) == 0).any():
        findings.append(
            _finding(
                "bvals",
                "there is a b=0 volume, the reference of all others",
                f"smallest b-value {np.min(bvals):g}",
                "Add the b=0 volume of the series.",
            )
        )
    if np.shape(mask) != data.shape[:3] or not np.any(mask):
        findings.append(
            _finding(
                "mask",
                "the mask has the grid of the volumes and is not empty",
                f"shape {np.shape(mask)}, {np.count_nonzero(mask)} voxels",
                "Make the mask from this series.",
            )
        )
    if axis not in (0, 1, 2) or np.shape(affine) != (4, 4):
        findings.append(
            _finding(
                "phase_encoding_axis, affine",
                "the axis is 0, 1 or 2 and the affine 4 x 4",
                f"axis {axis}, affine of shape {np.shape(affine)}",
                "Read the axis from PhaseEncodingDirection (i, j, k).",
            )
        )
    if findings:
        raise InputError(findings)
