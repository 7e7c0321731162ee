"""Alignment of one volume with its target: head pose and eddy distortion by Gauss-Newton.

The transform has the nine degrees of freedom that the physics has: the head moves rigidly, then
a linear eddy field shifts voxels along the phase-encoding axis (one scale, two shears). Images of
one contrast are compared directly; a shell is aligned with b=0, whose contrast differs, by
regressing b=0 on the shell's local statistics first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]

_MAX_SAMPLES = 60_000
_FLOOR = 0.1  # of the median signal in the mask: keeps ratios finite outside the head
HEAD_RADIUS = 50.0  # mm, Power et al. 2012
_ANCHOR_ROUNDS = 12
_MAX_ITERATIONS = 8
_CONVERGED = 0.003  # mm at the head's radius
# neighbouring samples share noise and model error: of so many, one counts against the prior
_SAMPLES_PER_DATUM = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Head pose and eddy distortion of one volume, about the head's centre."""

    rotation: Array
    translation: Array
    eddy: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What all volumes share: grid, sampled voxels, centre and phase-encoding direction."""

    affine: Array
    shape: tuple[int, ...]
    voxels: NDArray[np.intp]  # (3, V)
    points: Array  # (V, 3) RAS mm relative to the centre
    centre: Array
    direction: Array  # unit vector along phase encoding
    floor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Predicted image at the samples and its gradient per mm."""

    values: Array
    gradient: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class EddyPrior:
    """What eddy distortion is expected of a volume, and how far it may be off [mm/mm], (3,)."""

    expected: Array
    spread: Array


def frame_of(
    data: NDArray[np.floating], affine: Array, mask: NDArray[np.bool_], axis: int
) -> Frame:
    """Lay out samples in a mask of volumes (X, Y, Z, N) or one volume."""
    voxels = np.stack(np.nonzero(mask))
    voxels = voxels[:, :: max(1, voxels.shape[1] // _MAX_SAMPLES)]
    points = (affine[:3, :3] @ voxels + affine[:3, 3:]).T
    centre = points.mean(axis=0)
    signal = np.median(data[tuple(voxels)])
    return Frame(
        affine=affine,
        shape=data.shape[:3],
        voxels=voxels,
        points=points - centre,
        centre=centre,
        direction=affine[:3, axis] / np.linalg.norm(affine[:3, axis]),
        floor=max(float(signal), 1e-6) * _FLOOR,
    )


def still() -> Pose:
    """Return the pose of the reference."""
    return Pose(rotation=np.eye(3), translation=np.zeros(3), eddy=np.zeros(3))


def eddy_matrix(pose: Pose, frame: Frame) -> Array:
    """Return the linear part (3, 3) of the eddy distortion."""
    return np.eye(3) + np.outer(frame.direction, pose.eddy)


def transform(linear: Array, pose: Pose, frame: Frame) -> Array:
    """Return the 4 x 4 of centre + linear @ (rotation @ (x - centre) + translation)."""
    matrix = np.eye(4)
    matrix[:3, :3] = linear @ pose.rotation
    matrix[:3, 3] = frame.centre + linear @ pose.translation - matrix[:3, :3] @ frame.centre
    return matrix


def moved_grid(within: Array, shape: tuple[int, ...]) -> Array:
    """Return (3, X, Y, Z): where each voxel of the reference lies in the moved volume."""
    i, j, k = np.ogrid[: shape[0], : shape[1], : shape[2]]
    return np.stack([row[0] * i + row[1] * j + row[2] * k + row[3] for row in within[:3]])


def within(coordinates: Array, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Tell which coordinates (3, ...) lie on the grid, half a voxel beyond its faces included."""
    inside = np.ones(coordinates.shape[1:], dtype=bool)
    for coordinate, extent in zip(coordinates, shape, strict=True):
        inside &= (coordinate >= -0.5) & (coordinate <= extent - 0.5)
    return inside


def smoothed_spline(
    volume: NDArray[np.floating], sigma: float, frame: Frame
) -> NDArray[np.float32]:
    """Return cubic B-spline coefficients of the smoothed volume; sigma in finest voxels."""
    smooth = ndimage.gaussian_filter(
        np.asarray(volume, dtype=np.float32), _in_voxels(sigma, frame), truncate=3.0
    )
    return np.asarray(ndimage.spline_filter(smooth, order=3, output=np.float32, mode="mirror"))


def sample(spline: NDArray[np.float32], coordinates: Array) -> NDArray[np.float32]:
    """Return the spline's values at voxel coordinates (3, ...)."""
    return np.asarray(
        ndimage.map_coordinates(
            spline, coordinates, order=3, prefilter=False, mode="mirror", output=np.float32
        )
    )


def target_of(image: NDArray[np.floating], frame: Frame) -> Target:
    """Return an image as target: its values and gradient at the samples."""
    at = tuple(frame.voxels)
    per_voxel = np.stack([step[at] for step in np.gradient(image)], axis=1)
    to_mm = np.linalg.inv(frame.affine[:3, :3])
    return Target(values=image[at].astype(np.float64), gradient=per_voxel @ to_mm)


def with_contrast(
    mean: NDArray[np.float32], predicted: NDArray[np.float32], width: float, frame: Frame
) -> NDArray[np.float32]:
    """Give the shell's mean the contrast of a prediction, no finer than ``width`` voxels.

    A prediction made from misaligned volumes holds their misalignment as false edges and would
    pass it on; the mean holds none, and smoothing the ratio leaves the false edges out.
    """
    sigma = _in_voxels(width, frame)
    above = ndimage.gaussian_filter(predicted, sigma, truncate=3.0) + np.float32(frame.floor)
    below = ndimage.gaussian_filter(mean, sigma, truncate=3.0) + np.float32(frame.floor)
    return np.asarray(mean * above / below, dtype=np.float32)


def _in_voxels(width: float, frame: Frame) -> Array:
    """Return a width given in the finest voxel edge for each axis of the grid."""
    zooms = np.linalg.norm(frame.affine[:3, :3], axis=0)
    return np.asarray(width * zooms.min() / zooms, dtype=np.float64)


def align(
    spline: NDArray[np.float32],
    target: Target,
    pose: Pose,
    frame: Frame,
    *,
    eddy: EddyPrior | None = None,
) -> Pose:
    """Find the pose by Gauss-Newton on weighted squared differences, gain and offset included.

    Without ``eddy`` the eddy distortion stays as it is.
    """
    to_voxel = np.linalg.inv(frame.affine)
    origin = to_voxel[:3, :3] @ frame.centre + to_voxel[:3, 3]
    for _ in range(_MAX_ITERATIONS):
        turned = frame.points @ pose.rotation.T
        linear = eddy_matrix(pose, frame)
        moved = (turned + pose.translation) @ linear.T
        coordinates = (moved @ to_voxel[:3, :3].T + origin).T
        measured = sample(spline, coordinates).astype(np.float64)
        gradient = target.gradient @ np.linalg.inv(linear @ pose.rotation)
        columns = _jacobian(gradient, turned, moved, frame, with_eddy=eddy is not None)
        step = _robust_step(
            columns,
            measured,
            target.values,
            within(coordinates, frame.shape),
            None if eddy is None else (eddy.spread, pose.eddy - eddy.expected),
        )
        pose = _stepped(pose, step)
        if np.abs(step * _reach(len(step))).max() < _CONVERGED:
            break
    return pose


def _jacobian(
    gradient: Array, turned: Array, moved: Array, frame: Frame, *, with_eddy: bool
) -> Array:
    """Return the change of the signal (V, 6 or 9) per mm, radian and unit of eddy shear."""
    columns = [gradient, np.cross(turned, gradient)]
    if with_eddy:
        columns.append((gradient @ frame.direction)[:, None] * moved)
    return np.concatenate(columns, axis=1)


def _robust_step(
    columns: Array,
    measured: Array,
    expected: Array,
    inside: NDArray[np.bool_],
    prior: tuple[Array, Array] | None,
) -> Array:
    """Solve the weighted normal equations, with gain and offset of the target as nuisances."""
    design = np.concatenate([columns, expected[:, None], np.ones((len(expected), 1))], axis=1)
    weights = inside.astype(np.float64)
    gain_offset = np.linalg.lstsq(design[inside, -2:], measured[inside])[0]
    residual = measured - design[:, -2:] @ gain_offset
    scale = 1.4826 * np.median(np.abs(residual[inside]))
    weights /= 1 + np.square(residual / (2.385 * max(scale, 1e-12)))
    weighted = design * weights[:, None]
    normal, rhs = weighted.T @ design, -weighted.T @ residual
    if prior is not None:
        # rotation and shear look alike in a round head: the prior tells them apart
        spread, away = prior
        precision = _SAMPLES_PER_DATUM * (scale / spread) ** 2
        normal[6:9, 6:9] += np.diag(precision)
        rhs[6:9] -= precision * away
    solution: Array = np.asarray(np.linalg.lstsq(normal, rhs)[0], dtype=np.float64)
    step: Array = solution[:-2]
    return step


def _reach(n_parameters: int) -> Array:
    """Return how far one unit of each parameter moves the surface of the head [mm]."""
    return np.concatenate([np.ones(3), np.full(n_parameters - 3, HEAD_RADIUS)])


def _stepped(pose: Pose, step: Array) -> Pose:
    turn = Rotation.from_rotvec(step[3:6]).as_matrix()
    return Pose(
        rotation=turn @ pose.rotation,
        translation=pose.translation + step[:3],
        eddy=pose.eddy + step[6:9] if len(step) > 6 else pose.eddy,
    )


def shell_features(shell: NDArray[np.float32], frame: Frame) -> Array:
    """Return polynomials (X * Y * Z, F) of a shell's mean, its spread and its surroundings.

    Tissue with one mean can have several b=0 signals (fluid and the rim of the head are both
    dark when weighted); the spread over directions and the mean around tell them apart.
    """
    mean = shell.mean(axis=-1)
    around = ndimage.gaussian_filter(mean, 3.0, truncate=3.0)
    at = tuple(frame.voxels)
    base = np.stack([image / image[at].mean() for image in (mean, shell.std(axis=-1), around)])
    flat = base.reshape(3, -1).T.astype(np.float64)
    powers = [p for p in np.ndindex(4, 4, 4) if sum(p) <= 3]
    return np.stack([np.prod(flat ** np.array(p), axis=1) for p in powers], axis=1)


def align_shell(spline: NDArray[np.float32], features: Array, frame: Frame) -> Pose:
    """Find the pose of the b=0 image that a shell's features, regressed on it, foretell."""
    pose = still()
    to_voxel = np.linalg.inv(frame.affine)
    rows = features[np.ravel_multi_index(tuple(frame.voxels), frame.shape)]
    for _ in range(_ANCHOR_ROUNDS):
        matrix = to_voxel @ transform(np.eye(3), pose, frame) @ frame.affine
        coordinates = matrix[:3, :3] @ frame.voxels + matrix[:3, 3:]
        measured = sample(spline, coordinates).astype(np.float64)
        expected = features @ np.linalg.lstsq(rows, measured)[0]
        target = target_of(expected.reshape(frame.shape), frame)
        pose = align(spline, target, pose, frame)
    return pose
