"""The space in the middle of a patient's visits, in which no visit is the reference.

Every pair of visits is registered in both directions and averaged. For two visits the middle is
the matrix square root of that transform; for more it is the mean on the group of rigid motions
(log-Euclidean steps, repeated until they vanish). Exchanging visits exchanges the results and
alters nothing else (Reuter 2012 shows what an asymmetric choice costs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msimaging.errors import ComputationError, Finding, InputError
from msimaging.spatial.registration import register_rigid
from msimaging.spatial.resampling import Interpolation, resample_image
from msimaging.spatial.search import Metric, exponential, logarithm
from msimaging.spatial.transforms import Matrix, checked_matrix, from_matrix, voxel_sizes

MAX_STEPS = 100
CONVERGED = 1e-11


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitImage:
    """One visit's image as the registration sees it.

    Attributes
    ----------
    data : (X, Y, Z) ndarray
        Finite values, the same contrast at every visit.
    affine : (4, 4) ndarray
        Voxel indices to RAS mm.
    mask : (X, Y, Z) bool ndarray, optional
        Brain, or brain without lesions.
    """

    data: NDArray[Any]
    affine: NDArray[np.float64]
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MidpointSpace:
    """Grid in the middle of the visits and the way from there to each visit.

    Attributes
    ----------
    shape : tuple of three ints
        Shape of the grid.
    affine : (4, 4) ndarray
        Voxel indices to RAS mm of the midpoint space.
    midpoint_to_visit : tuple of (4, 4) ndarray
        One rigid matrix a visit, in the order given.
    disagreement_mm : float
        Largest shift, 100 mm from the grid's centre or nearer, between a pair's own registration
        and the way over the midpoint; 0 for two visits.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    midpoint_to_visit: tuple[NDArray[np.float64], ...]
    disagreement_mm: float


def midpoint_space(
    images: Sequence[VisitImage],
    *,
    metric: Metric = "correlation",
    voxel_mm: float | None = None,
    sampling: float = 1.0,
    seed: int = 1,
) -> MidpointSpace:
    """Find the space halfway between all visits of a patient.

    Parameters
    ----------
    images : sequence of VisitImage
        One a visit, one or more.
    metric : {"correlation", "mattes"}
        Similarity of the pairwise registrations.
    voxel_mm : float, optional
        Voxel size of the grid; by default the mean over visits and axes.
    sampling : float
        Share of voxels that the registrations read, in (0, 1].
    seed : int
        Seeds their lattice where that is below 1.

    Returns
    -------
    MidpointSpace
        For several visits an isotropic grid along R, A, S that covers every visit's field of view;
        for one visit that visit's own grid and the identity.

    Raises
    ------
    InputError
        Without images, or for images that cannot be registered.
    ComputationError
        When the registrations contradict each other.
    """
    if not images:
        raise InputError(
            [Finding(rule="a patient has a visit", where="images", found="none", remedy="Add one.")]
        )
    affines = [checked_matrix(image.affine, where="affine of a visit") for image in images]
    if len(images) == 1:
        size = images[0].data.shape
        return MidpointSpace(
            shape=(size[0], size[1], size[2]),
            affine=affines[0].copy(),
            midpoint_to_visit=(np.eye(4),),
            disagreement_mm=0.0,
        )
    pairs = _pairwise(images, metric, sampling, seed)
    poses = poses_from_pairs(pairs)
    shapes = [image.data.shape for image in images]
    shape, affine = _covering_grid(shapes, affines, poses, voxel_mm)
    return MidpointSpace(
        shape=shape,
        affine=affine,
        midpoint_to_visit=tuple(poses),
        disagreement_mm=_disagreement(pairs, poses, shape, affine),
    )


def _pairwise(images: Sequence[VisitImage], metric: Metric, sampling: float, seed: int) -> Matrix:
    pairs = np.tile(np.eye(4), (len(images), len(images), 1, 1))
    for first, second in combinations(range(len(images)), 2):
        fixed, moving = images[first], images[second]
        pairs[first, second] = register_rigid(
            fixed.data,
            fixed.affine,
            moving.data,
            moving.affine,
            fixed_mask=fixed.mask,
            moving_mask=moving.mask,
            metric=metric,
            sampling=sampling,
            seed=seed,
        )
        pairs[second, first] = np.linalg.inv(pairs[first, second])
    return pairs


def poses_from_pairs(pairs: ArrayLike) -> Matrix:
    """Place the visits around their common middle.

    Parameters
    ----------
    pairs : (K, K, 4, 4) array_like
        ``pairs[i, j]`` is ``visit_i_to_visit_j``; ``pairs[j, i]`` its inverse.

    Returns
    -------
    (K, 4, 4) ndarray
        ``midpoint_to_visit``: agrees with the pairs as well as they agree among themselves, and
        the logarithms add up to 0.

    Raises
    ------
    ComputationError
        When the averaging does not settle.
    """
    between = np.asarray(pairs, dtype=np.float64)
    poses = np.stack([exponential(-_mean_logarithm(row)) for row in between])
    for _ in range(MAX_STEPS):
        steps = np.stack(
            [
                _mean_logarithm(np.linalg.solve(pose, between[:, index] @ poses))
                for index, pose in enumerate(poses)
            ]
        )
        # Half a step, all visits at once: full steps would chase each other around.
        poses = np.stack([pose @ exponential(s / 2) for pose, s in zip(poses, steps, strict=True)])
        centre = _mean_logarithm(poses)
        poses = poses @ exponential(-centre)
        if max(np.abs(steps).max(), np.abs(centre).max()) < CONVERGED:
            return poses
    raise ComputationError(
        f"the visits' pairwise registrations contradict each other: no common middle after "
        f"{MAX_STEPS} steps"
    )


def _mean_logarithm(matrices: Matrix) -> Matrix:
    return np.asarray(np.mean([logarithm(matrix) for matrix in matrices], axis=0))


def _covering_grid(
    shapes: Sequence[tuple[int, ...]],
    affines: Sequence[Matrix],
    poses: Matrix,
    voxel_mm: float | None,
) -> tuple[tuple[int, int, int], Matrix]:
    corners = [
        _corners(shape) @ (np.linalg.solve(pose, affine)).T
        for shape, affine, pose in zip(shapes, affines, poses, strict=True)
    ]
    centres = [points.mean(axis=0)[:3] for points in corners]
    # The middle of the visits' middles: two visits then lie on the grid as mirror images, and the
    # kernel smooths both alike.
    centre = np.mean(centres, axis=0)
    reach = np.max([np.abs(points[:, :3] - centre).max(axis=0) for points in corners], axis=0)
    sizes = sorted(float(voxel_sizes(affine).mean()) for affine in affines)
    size = float(np.mean(sizes)) if voxel_mm is None else voxel_mm
    # A hair less, so that rounding in the last digit cannot add a slice.
    counts = np.ceil(2 * reach / size - 1e-6).astype(int)
    affine = np.diag([size, size, size, 1.0])
    affine[:3, 3] = centre - size * (counts - 1) / 2
    return (int(counts[0]), int(counts[1]), int(counts[2])), affine


def _corners(shape: tuple[int, ...]) -> Matrix:
    ends = np.stack(np.meshgrid(*[(-0.5, size - 0.5) for size in shape[:3]]), axis=-1)
    return np.column_stack([ends.reshape(-1, 3), np.ones(8)])


def _disagreement(
    pairs: Matrix, poses: Matrix, shape: tuple[int, int, int], affine: Matrix
) -> float:
    centre = affine @ [*((np.array(shape) - 1) / 2), 1]
    around = centre + 100 * np.vstack([np.zeros(4), np.eye(3, 4), -np.eye(3, 4)])
    shifts = [
        np.linalg.norm((pairs[i, j] @ poses[i] - poses[j]) @ around.T, axis=0).max()
        for i, j in combinations(range(len(poses)), 2)
    ]
    return float(max(shifts))


def midpoint_template(
    images: Sequence[VisitImage],
    space: MidpointSpace,
    *,
    interpolation: Interpolation = "bspline",
) -> NDArray[np.float64]:
    """Average all visits in their midpoint space, each resampled once with one kernel.

    Parameters
    ----------
    images : sequence of VisitImage
        In the order in which the space was made.
    space : MidpointSpace
        Their midpoint.
    interpolation : {"nearest", "linear", "bspline"}
        Kernel, the same for every visit.

    Returns
    -------
    (X, Y, Z) ndarray
        Mean over the visits whose field of view holds the voxel; 0 where none does.
    """
    total = np.zeros(space.shape)
    count = np.zeros(space.shape)
    for image, matrix in zip(images, space.midpoint_to_visit, strict=True):
        total += _carried(image.data, image.affine, matrix, space, interpolation)
        inside = np.ones(image.data.shape[:3], dtype=np.uint8)
        count += _carried(inside, image.affine, matrix, space, "nearest")
    return np.where(count > 0, total / np.maximum(count, 1), 0.0)


def _carried(
    data: NDArray[Any],
    affine: Matrix,
    midpoint_to_visit: Matrix,
    space: MidpointSpace,
    interpolation: Interpolation,
) -> NDArray[Any]:
    return resample_image(
        data,
        affine,
        target_to_source=from_matrix(midpoint_to_visit),
        target_shape=space.shape,
        target_affine=space.affine,
        interpolation=interpolation,
    )
