"""The simulated head in template space: tissue fractions and the course of named tracts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from nilearn import datasets
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

TEMPLATE_VOXEL = 2
FWHM_PER_SIGMA = 2.3548
STEP = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tissue:
    """What each place consists of.

    Attributes
    ----------
    white, grey, fluid : (V,) ndarray
        Fractions; their sum falls from 1 to 0 at the edge of the brain.
    """

    white: NDArray[np.float64]
    grey: NDArray[np.float64]
    fluid: NDArray[np.float64]

    @property
    def brain(self) -> NDArray[np.bool_]:
        """Whether a place is mostly brain, (V,)."""
        return np.asarray(self.white + self.grey + self.fluid > 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tract:
    """A named bundle with its diffusivities.

    Attributes
    ----------
    name : str
        ``corpus_callosum``, or a name that ends in ``_L`` or ``_R``.
    places : (K, 3) ndarray
        Points along it, template mm, about 1 mm apart.
    directions : (K, 3) ndarray
        Unit direction at each point.
    radius : float
        mm from the points to the half weight.
    ad, rd : float
        Axial and radial diffusivity in mm2/s.
    """

    name: str
    places: NDArray[np.float64]
    directions: NDArray[np.float64]
    radius: float
    ad: float
    rd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TractField:
    """Which tract a place belongs to.

    Attributes
    ----------
    tract : (V,) ndarray of int
        Place of the nearest tract in the tuple of tracts.
    weight : (V,) ndarray
        1 inside it, 0 outside, a 2 mm ramp between.
    direction : (V, 3) ndarray
        Unit direction of the fibres in the template frame, also outside the tracts.
    """

    tract: NDArray[np.intp]
    weight: NDArray[np.float64]
    direction: NDArray[np.float64]


def tissue_at(points: NDArray[np.float64], *, fwhm: float) -> Tissue:
    """Sample the tissue maps that nilearn distributes.

    Parameters
    ----------
    points : (V, 3) ndarray
        Places in template mm.
    fwhm : float
        Blur in mm: the size of the image's voxels, for their partial volume.

    Returns
    -------
    Tissue
        Cerebrospinal fluid is what the brain has beyond white and grey matter.
    """
    maps, affine = _tissue_maps(float(fwhm))
    index = (points - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    white, grey, fluid = (
        ndimage.map_coordinates(one, index.T, order=1, mode="constant").astype(np.float64)
        for one in maps
    )
    return Tissue(white=white, grey=grey, fluid=fluid)


@lru_cache(maxsize=4)
def _tissue_maps(fwhm: float) -> tuple[tuple[NDArray[np.float32], ...], NDArray[np.float64]]:
    sharp, affine = _sharp_maps()
    # the maps are already as coarse as their own voxels
    sigma = np.sqrt(max(fwhm**2 - TEMPLATE_VOXEL**2, 0.0)) / FWHM_PER_SIGMA / TEMPLATE_VOXEL
    blurred = tuple(ndimage.gaussian_filter(one, sigma) for one in sharp)
    for one in blurred:
        one.setflags(write=False)
    return blurred, affine


@lru_cache(maxsize=1)
def _sharp_maps() -> tuple[tuple[NDArray[np.float32], ...], NDArray[np.float64]]:
    template = datasets.load_mni152_template(resolution=TEMPLATE_VOXEL)
    white, grey = (
        np.clip(load(resolution=TEMPLATE_VOXEL).get_fdata(), 0, 1)
        for load in (datasets.load_mni152_wm_template, datasets.load_mni152_gm_template)
    )
    brain = ndimage.binary_fill_holes(template.get_fdata() > 0.05)
    fluid = np.clip(brain - white - grey, 0, 1)
    maps = tuple(one.astype(np.float32) for one in (white, grey, fluid))
    return maps, np.asarray(template.affine, dtype=np.float64)


def tract_field(points: NDArray[np.float64]) -> TractField:
    """Find the tract and the fibre direction at each place.

    Parameters
    ----------
    points : (V, 3) ndarray
        Places in template mm.

    Returns
    -------
    TractField
        Outside the tracts the fibres fan out from the middle of the brain, differently on the two
        sides, so that a flipped image shows.
    """
    tree, owner, directions = _tract_tree()
    distance, nearest = tree.query(points)
    tract = owner[nearest]
    radius = np.array([one.radius for one in tracts()])[tract]
    weight = np.clip((radius + 1 - distance) / 2, 0, 1)
    direction = np.where((weight > 0)[:, None], directions[nearest], _fan(points))
    return TractField(tract=tract, weight=weight, direction=direction)


def _fan(points: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = points.T
    side = np.where(x < 0, 1.25, 0.8)
    fan = np.stack([side * x, 0.7 * (y + 18), 1.1 * (z - 4) + 0.15 * np.abs(x) + 5], axis=1)
    return np.asarray(fan / np.linalg.norm(fan, axis=1, keepdims=True).clip(1e-9))


@lru_cache(maxsize=1)
def _tract_tree() -> tuple[cKDTree, NDArray[np.intp], NDArray[np.float64]]:
    bundles = tracts()
    owner = np.repeat(np.arange(len(bundles)), [len(one.places) for one in bundles])
    places = np.concatenate([one.places for one in bundles])
    return cKDTree(places), owner, np.concatenate([one.directions for one in bundles])


@lru_cache(maxsize=1)
def tracts() -> tuple[Tract, ...]:
    """Return the named tracts, corpus callosum first.

    Returns
    -------
    tuple of Tract
        The paired ones are not mirror images: the right ones lie 2 mm further forward, 1 mm lower,
        and are less anisotropic.
    """
    paired = [
        _along(name + side, points, radius, ad, rd)
        for name, (points, radius, ad, rd) in _LEFT_COURSES.items()
        for side in ("_L", "_R")
    ]
    return (_corpus_callosum(), *paired)


def _along(name: str, points: NDArray[np.float64], radius: float, ad: float, rd: float) -> Tract:
    if name.endswith("_R"):
        points = points * [-1, 1, 1] + [1, 2, -1]
        ad, rd = ad * 0.94, rd * 1.08
    dense = _smooth_curve(points)
    directions = np.gradient(dense, axis=0)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return Tract(name=name, places=dense, directions=directions, radius=radius, ad=ad, rd=rd)


def _smooth_curve(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points about 1 mm apart along a rounded polyline."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    along = np.linspace(0, length[-1], max(int(length[-1] / STEP), 2) + 1)
    line = np.stack([np.interp(along, length, axis) for axis in points.T], axis=1)
    return np.asarray(ndimage.gaussian_filter1d(line, 4 / STEP, axis=0, mode="nearest"))


def _corpus_callosum() -> Tract:
    """Sweep the midsagittal arc sideways: forward at the genu, up at the body, back behind."""
    arc, bend = _smooth_curve(_CALLOSAL_ARC[:, :3]), _CALLOSAL_ARC[:, 3:]
    share, known = np.linspace(0, 1, len(arc)), np.linspace(0, 1, len(bend))
    sweep = np.stack(
        [np.zeros(len(arc)), *(np.interp(share, known, one) for one in bend.T)], axis=1
    )
    across = np.arange(-13.0, 13.0 + STEP, STEP)
    places = arc[:, None] + sweep[:, None] * across[:, None] ** 2
    places[..., 0] += across
    directions = 2 * sweep[:, None] * across[:, None]
    directions[..., 0] = 1
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    return Tract(
        name="corpus_callosum",
        places=places.reshape(-1, 3),
        directions=directions.reshape(-1, 3),
        radius=6.0,
        ad=1.60e-3,
        rd=0.40e-3,
    )


# x y z of the midline from rostrum to splenium, and the forward and upward bend per mm2 sideways
_CALLOSAL_ARC = np.array(
    [
        [0.5, 22, -5, 0.034, 0.016],
        [0.5, 28, 5, 0.034, 0.016],
        [0.5, 22, 17, 0.020, 0.024],
        [0.5, 10, 24, 0.006, 0.030],
        [0.5, -3, 27, 0.000, 0.030],
        [0.5, -18, 26, 0.000, 0.030],
        [0.5, -29, 22, -0.015, 0.026],
        [0.5, -38, 15, -0.036, 0.016],
        [0.5, -39, 8, -0.036, 0.010],
    ]
)

# template mm of the left side, radius in mm, axial and radial diffusivity in mm2/s
_LEFT_COURSES: Mapping[str, tuple[NDArray[np.float64], float, float, float]] = MappingProxyType(
    {
        "corticospinal_tract": (
            np.array(
                [
                    [-5.0, -25, -46],
                    [-7, -23, -29],
                    [-15, -18, -10],
                    [-21, -15, 5],
                    [-24, -18, 14],
                    [-26, -17, 26],
                    [-26, -20, 40],
                    [-28, -24, 56],
                ]
            ),
            6.0,
            1.45e-3,
            0.45e-3,
        ),
        "anterior_thalamic_radiation": (
            np.array([[-8.0, -8, 5], [-15, 3, 8], [-19, 18, 8], [-20, 37, 1], [-20, 50, -2]]),
            5.5,
            1.35e-3,
            0.52e-3,
        ),
        "cingulum_cingulate": (
            np.array(
                [
                    [-6.0, 38, 10],
                    [-7, 20, 28],
                    [-7, 0, 36],
                    [-7, -20, 35.5],
                    [-8, -38, 34],
                    [-9, -46, 27],
                ]
            ),
            4.0,
            1.40e-3,
            0.50e-3,
        ),
        "cingulum_hippocampus": (
            np.array([[-16.0, -44, 2], [-21, -33, -11], [-23, -24, -21], [-24, -10, -28]]),
            4.5,
            1.30e-3,
            0.55e-3,
        ),
        "superior_longitudinal_fasciculus": (
            np.array(
                [[-40.0, 12, 22], [-38, -8, 28], [-36, -23, 30], [-36, -40, 28], [-46, -50, 12]]
            ),
            6.0,
            1.25e-3,
            0.48e-3,
        ),
        "posterior_corona_radiata": (
            np.array([[-26.0, -25, 22], [-24, -28, 32], [-22, -36, 44], [-20, -46, 58]]),
            4.5,
            1.30e-3,
            0.54e-3,
        ),
        "posterior_thalamic_radiation": (
            np.array(
                [[-22.0, -24, 2], [-27, -26, 7], [-32, -42, 10], [-31, -61, 12], [-22, -84, 6]]
            ),
            5.5,
            1.42e-3,
            0.47e-3,
        ),
        "inferior_longitudinal_fasciculus": (
            np.array([[-36.0, 0, -28], [-41, -29, -12], [-38, -48, -7], [-32, -70, -6]]),
            5.0,
            1.38e-3,
            0.51e-3,
        ),
        "external_capsule": (
            np.array([[-28.0, 28, -4], [-31, 4, -8], [-36, -12, -10]]),
            5.0,
            1.20e-3,
            0.58e-3,
        ),
    }
)
