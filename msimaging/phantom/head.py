"""One patient's head in the scanner: anatomy of its own, pose of the visit, motion in a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

FIELD_OF_VIEW = (180.0, 216.0, 180.0)
FIELD_CENTRE = (0.5, -17.0, 5.0)
MAX_OFF_AXIS = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How a patient's head differs from the template.

    Attributes
    ----------
    scale : (3,) ndarray
        Template mm per mm of the head along x, y, z.
    amplitude : (K, 3) ndarray
        Of each wave of the smooth deformation, mm.
    frequency : (K, 3) ndarray
        Of each wave, radians per mm.
    phase : (K,) ndarray
        Of each wave, radians.
    """

    scale: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    frequency: NDArray[np.float64]
    phase: NDArray[np.float64]

    def to_template(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map places in the head (V, 3), mm, to the template."""
        waves = np.sin(points @ self.frequency.T + self.phase)
        return np.asarray(points * self.scale + waves @ self.amplitude)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Where a head lies in the scanner.

    Attributes
    ----------
    rotation : (3, 3) ndarray
        Head axes to scanner axes, RAS.
    translation : (3,) ndarray
        mm.
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    def to_head(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map places in the scanner (V, 3), mm, to the head."""
        return np.asarray((points - self.translation) @ self.rotation)


STRAIGHT = Pose(rotation=np.eye(3), translation=np.zeros(3))
TEMPLATE_HEAD = Head(
    scale=np.ones(3), amplitude=np.zeros((1, 3)), frequency=np.zeros((1, 3)), phase=np.zeros(1)
)


def random_head(
    rng: np.random.Generator, *, scale_sd: float = 0.02, deformation: float = 2.0
) -> Head:
    """Draw a patient's anatomy.

    Parameters
    ----------
    rng : Generator
        Of this patient.
    scale_sd : float
        Standard deviation of the size along each axis.
    deformation : float
        Standard deviation of the smooth deformation in mm.

    Returns
    -------
    Head
        Four waves of 90 mm or longer: smooth and invertible up to about 8 mm of deformation.
    """
    waves = 4
    length = rng.uniform(90, 180, waves)
    course = rng.normal(size=(waves, 3))
    course /= np.linalg.norm(course, axis=1, keepdims=True)
    # the variance of a sum of K sines of amplitude a is K a^2 / 2
    amplitude = rng.normal(size=(waves, 3)) * deformation * np.sqrt(2 / waves)
    return Head(
        scale=1 + scale_sd * rng.normal(size=3).clip(-2, 2),
        amplitude=amplitude.clip(-2 * deformation, 2 * deformation),
        frequency=2 * np.pi * course / length[:, None],
        phase=rng.uniform(0, 2 * np.pi, waves),
    )


def random_pose(
    rng: np.random.Generator, *, rotation_sd: float = 3.0, translation_sd: float = 2.0
) -> Pose:
    """Draw how a head lies.

    Parameters
    ----------
    rng : Generator
        Of this visit.
    rotation_sd : float
        Degrees around each axis.
    translation_sd : float
        mm along each axis.

    Returns
    -------
    Pose
        Never more than 12 degrees around an axis, so that the head stays in the field of view.
    """
    angles = (rotation_sd * rng.normal(size=3)).clip(-MAX_OFF_AXIS, MAX_OFF_AXIS)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    return Pose(rotation=turn, translation=(translation_sd * rng.normal(size=3)).clip(-8.0, 8.0))


def random_motion(
    rng: np.random.Generator, n_volumes: int, *, rotation_sd: float, translation_sd: float
) -> tuple[Pose, ...]:
    """Draw how a head moves in a run: a slow walk away from the first volume.

    Parameters
    ----------
    rng : Generator
        Of this run.
    n_volumes : int
        Length of the run.
    rotation_sd, translation_sd : float
        Size of the walk at the end of the run, degrees and mm.

    Returns
    -------
    tuple of Pose
        Relative to the first volume, in the scanner's frame about the centre of the field of view.
    """
    walk = np.cumsum(rng.normal(size=(n_volumes, 6)), axis=0) / np.sqrt(n_volumes)
    walk -= walk[0]
    turns = Rotation.from_euler("xyz", walk[:, :3] * rotation_sd, degrees=True).as_matrix()
    centre = np.asarray(FIELD_CENTRE)
    shifts = walk[:, 3:] * translation_sd + centre - turns @ centre
    return tuple(
        Pose(rotation=turn, translation=shift) for turn, shift in zip(turns, shifts, strict=True)
    )


def scanner_grid(
    voxel_size: float, *, oblique: NDArray[np.float64] | None = None
) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Lay the field of view as a scanner does and dcm2niix stores it.

    Parameters
    ----------
    voxel_size : float
        Edge of a cubic voxel in mm.
    oblique : (3, 3) ndarray, optional
        Rotation of the slices in the scanner's frame; straight by default.

    Returns
    -------
    shape : tuple of 3 int
        X, Y, Z.
    affine : (4, 4) ndarray
        Voxel indices to scanner RAS mm; the first axis runs from right to left (negative
        determinant).
    """
    turn = np.eye(3) if oblique is None else oblique
    x, y, z = (int(np.ceil(extent / voxel_size)) for extent in FIELD_OF_VIEW)
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-voxel_size, voxel_size, voxel_size])
    affine[:3, 3] = FIELD_CENTRE - affine[:3, :3] @ ((np.array([x, y, z]) - 1) / 2)
    # the numbers a NIfTI header can hold, so that memory and disk agree
    return (x, y, z), affine.astype(np.float32).astype(np.float64)


def grid_points(shape: tuple[int, int, int], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the places of all voxels, (X*Y*Z, 3), in mm of the affine's frame."""
    voxels = np.indices(shape).reshape(3, -1).T
    return np.asarray(voxels @ affine[:3, :3].T + affine[:3, 3])


# centre in head mm, width in mm and strength relative to the strongest place: above the frontal
# sinus and the two ear canals, as susceptibility has it
_FIELD_BUMPS = (
    (np.array([0.0, 52.0, -10.0]), 18.0, 1.0),
    (np.array([-46.0, -18.0, -22.0]), 14.0, -0.6),
    (np.array([46.0, -16.0, -23.0]), 14.0, -0.5),
)


def susceptibility(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the shape of the field's disturbance at places in the head.

    Parameters
    ----------
    points : (V, 3) ndarray
        Head mm.

    Returns
    -------
    (V,) ndarray
        1 at the strongest place.
    """
    field = np.zeros(len(points))
    for centre, width, strength in _FIELD_BUMPS:
        distance = ((points - centre) ** 2).sum(axis=1)
        field += strength * np.exp(-distance / (2 * width**2))
    return field


def distorted_origin(
    points: NDArray[np.float64], *, pose: Pose, axis: NDArray[np.float64], distortion_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find where the signal that a distorted image shows came from.

    Parameters
    ----------
    points : (V, 3) ndarray
        Places in the scanner, mm, as the image shows them.
    pose : Pose
        Of the head, which carries the field.
    axis : (3,) ndarray
        Unit vector of phase encoding in the scanner's frame.
    distortion_mm : float
        Displacement along it at the strongest place.

    Returns
    -------
    origin : (V, 3) ndarray
        Scanner mm; ``origin + displacement(origin)`` is ``points``.
    gain : (V,) ndarray
        Signal of squeezed (above 1) and stretched places.
    """

    def shift(places: NDArray[np.float64]) -> NDArray[np.float64]:
        return distortion_mm * susceptibility(pose.to_head(places))

    origin = points
    # converges because the displacement is less steep than one mm per mm
    for _ in range(12):
        origin = points - shift(origin)[:, None] * axis
    slope = (shift(origin + 0.5 * axis) - shift(origin - 0.5 * axis)).clip(-0.9)
    return origin, 1 / (1 + slope)
