"""Registration by the white matter's boundary: two contrasts of one head, one of them distorted.

Mutual information follows whatever both images show, scalp, veins and signal loss included. The
boundary of the white matter lies in the brain, and where the signal is lost or displaced only the
part of it that lies there is wrong (Greve and Fischl 2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

from msimaging.errors import Finding, InputError
from msimaging.spatial.transforms import Matrix, checked_matrix, voxel_sizes

Image = NDArray[Any]
Mask = NDArray[np.bool_]

#: Width (Gaussian's sigma) within which white and grey matter have one brightness each (mm).
_LOCAL_MM = 15.0
#: Share of a tissue from which a voxel tells its brightness.
_PURE = 0.7
#: Share that white and grey matter must both have where a boundary is looked for.
_BOTH = 0.1
#: A boundary less steep than this share of the contrast a mm is none.
_STEEP = 0.08
#: The outermost part of the brain, where veins and dura lie (mm).
_RIM_MM = 4.0
#: Points that are enough.
_POINTS = 10_000
#: Gain of Greve and Fischl's cost, a per cent of contrast.
_GAIN = 0.05
#: Share of the boundary that the image must cover.
_LEAST_COVERED = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """Where white matter meets grey matter.

    Attributes
    ----------
    points : (V, 3) ndarray
        RAS mm.
    normals : (V, 3) ndarray
        Unit vectors from white to grey matter.
    """

    points: NDArray[np.float64]
    normals: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundaryRegistration:
    """An image aligned to the boundary of another one.

    Attributes
    ----------
    boundary_to_image : (4, 4) ndarray
        RAS mm.
    cost : float
        0 where grey matter is clearly brighter than white matter all along the boundary, 1 where
        neither is, 2 where white matter is.
    contrast_percent : float
        Median over the boundary of grey over white matter.
    """

    boundary_to_image: Matrix
    cost: float
    contrast_percent: float


def white_boundary(
    image: Image,
    affine: ArrayLike,
    *,
    white_matter: NDArray[np.floating[Any]],
    grey_matter: NDArray[np.floating[Any]],
    brain: Mask,
    seed: int = 1,
) -> Boundary:
    """Find the boundary of the white matter in a T1-weighted image.

    Parameters
    ----------
    image : (X, Y, Z) ndarray
        T1-weighted: white matter is brighter than grey matter.
    affine : (4, 4) array_like
        Voxel indices to RAS mm.
    white_matter, grey_matter : (X, Y, Z) ndarray
        What a template expects where, from 0 to 1: it tells the brightness of both tissues in each
        part of the head, and so what the coil makes of it, and where to look.
    brain : (X, Y, Z) bool ndarray
        Brain.
    seed : int
        Of the choice among more points than are needed.

    Returns
    -------
    Boundary
        Between voxels, where the image is halfway between both tissues.

    Raises
    ------
    InputError
        When the image shows no such boundary.
    """
    matrix = checked_matrix(affine, where="affine")
    sizes = voxel_sizes(matrix)
    values = np.asarray(image, dtype=np.float32)
    white, grey = (
        _local_mean(values, brain & (share > _PURE), _LOCAL_MM / sizes)
        for share in (white_matter, grey_matter)
    )
    # 0 halfway, 0.5 in white matter
    height = (values - (white + grey) / 2) / np.maximum(white - grey, 1e-6 * values.max())
    height = ndimage.gaussian_filter(np.where(brain, height, -0.5), 1.0 / sizes)
    steps = np.stack(np.gradient(height), axis=-1) @ np.linalg.inv(matrix[:3, :3])
    deep = ndimage.distance_transform_edt(brain, sampling=sizes) > _RIM_MM
    inside = height > 0
    edge = inside & ~ndimage.binary_erosion(inside) & deep
    edge &= (white_matter > _BOTH) & (grey_matter > _BOTH) & (white > grey)
    slope = np.linalg.norm(steps[edge], axis=1)
    steep = slope > _STEEP
    if steep.sum() < _POINTS // 10:
        raise _no_boundary(int(steep.sum()))
    normals = -steps[edge][steep] / slope[steep, None]
    places = np.argwhere(edge)[steep]
    outwards = np.clip(height[edge][steep] / slope[steep], 0, sizes.max())
    points = places @ matrix[:3, :3].T + matrix[:3, 3] + outwards[:, None] * normals
    chosen = np.random.default_rng(seed).permutation(len(points))[:_POINTS]
    return Boundary(points=points[chosen], normals=normals[chosen])


def _local_mean(
    values: NDArray[np.float32], where: Mask, sigma: NDArray[np.float64]
) -> NDArray[np.float32]:
    weight = where.astype(np.float32)
    total = ndimage.gaussian_filter(values * weight, sigma)
    return np.asarray(total / np.maximum(ndimage.gaussian_filter(weight, sigma), 1e-6))


def _no_boundary(found: int) -> InputError:
    return InputError(
        [
            Finding(
                where="T1-weighted image",
                rule="white matter must be brighter than grey matter, with a boundary to be seen",
                found=f"{found} places of a boundary",
                remedy="Look at the image; name another one in the column anat of visits.tsv, "
                "or set functional.anatomical: none.",
            )
        ]
    )


def register_boundary(
    image: Image,
    affine: ArrayLike,
    boundary: Boundary,
    *,
    mask: Mask,
    starts: Sequence[ArrayLike],
    reach_mm: float = 2.0,
) -> BoundaryRegistration:
    """Move a boundary until grey matter is brighter than white matter all along it.

    Parameters
    ----------
    image : (X, Y, Z) ndarray
        In which grey matter is the brighter one, such as a mean BOLD image.
    affine : (4, 4) array_like
        Voxel indices to RAS mm.
    boundary : Boundary
        Of the white matter, from another image of the head.
    mask : (X, Y, Z) bool ndarray
        Brain of the image; what lies outside counts nowhere.
    starts : sequence of (4, 4) array_like
        Guesses, ``boundary_to_image`` in RAS mm, each within some mm and degrees; the best end is
        taken.
    reach_mm : float
        How far to either side the image is read.

    Returns
    -------
    BoundaryRegistration
        Six parameters.

    Raises
    ------
    InputError
        When the image misses most of the boundary.
    """
    read = _Sampler(image, affine, mask, boundary, reach_mm)
    found = [_descend(read, np.asarray(start, dtype=np.float64)) for start in starts]
    cost, matrix = min(found, key=lambda each: each[0])
    contrast, covered = read.contrast(matrix)
    if covered.mean() < _LEAST_COVERED:
        raise _uncovered(float(covered.mean()))
    return BoundaryRegistration(
        boundary_to_image=matrix,
        cost=cost,
        contrast_percent=float(np.median(contrast[covered])),
    )


def _uncovered(share: float) -> InputError:
    return InputError(
        [
            Finding(
                where="mean BOLD image",
                rule="the BOLD run must cover the head that the T1-weighted image shows",
                found=f"{share:.0%} of the white matter's boundary",
                remedy="Look at both images; name another one in the column anat of visits.tsv, "
                "or set functional.anatomical: none.",
            )
        ]
    )


class _Sampler:
    """An image read on both sides of a boundary."""

    __slots__ = ("centre", "grey", "image", "mask", "middle", "to_voxels", "white")

    def __init__(
        self, image: Image, affine: ArrayLike, mask: Mask, boundary: Boundary, reach_mm: float
    ) -> None:
        self.to_voxels = np.linalg.inv(checked_matrix(affine, where="affine"))
        self.image = np.asarray(image, dtype=np.float32)
        self.mask = np.asarray(mask, dtype=np.float32)
        self.middle = boundary.points
        self.white = boundary.points - reach_mm * boundary.normals
        self.grey = boundary.points + reach_mm * boundary.normals
        self.centre = boundary.points.mean(axis=0)

    def contrast(self, matrix: Matrix) -> tuple[NDArray[np.float64], Mask]:
        """Return per cent by which grey is brighter than white (V,), and where that is known."""
        white, grey = (self._at(places, matrix, self.image) for places in (self.white, self.grey))
        covered = self._at(self.middle, matrix, self.mask) > 0.5
        percent = 200 * (grey - white) / np.maximum(grey + white, 1e-6 * self.image.max())
        return percent, covered

    def cost(self, matrix: Matrix) -> float:
        """Return the mean cost of the boundary that the image covers."""
        percent, covered = self.contrast(matrix)
        if not covered.any():
            return 2.0
        return float((1 - np.tanh(_GAIN * percent[covered])).mean())

    def _at(
        self, places: NDArray[np.float64], matrix: Matrix, values: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        to_voxels = self.to_voxels @ matrix
        voxels = places @ to_voxels[:3, :3].T + to_voxels[:3, 3]
        return np.asarray(ndimage.map_coordinates(values, voxels.T, order=1, output=np.float64))


def _descend(read: _Sampler, start: Matrix) -> tuple[float, Matrix]:
    """Find six parameters from a start on; return the cost and the matrix there."""

    def moved(steps: NDArray[np.float64]) -> Matrix:
        # mm and degrees, about the middle of the head: both move its rim by about as much
        turn = Rotation.from_rotvec(steps[3:], degrees=True).as_matrix()
        step = np.eye(4)
        step[:3, :3] = turn
        step[:3, 3] = steps[:3] + read.centre - turn @ read.centre
        return np.asarray(start @ step)

    found = optimize.minimize(
        lambda steps: read.cost(moved(steps)),
        np.zeros(6),
        method="Powell",
        options={"xtol": 0.02, "ftol": 1e-5, "maxiter": 20},
    )
    return float(found.fun), moved(found.x)
