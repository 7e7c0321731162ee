"""What the water does at each place: diffusivities, direction, signal, and where lesions are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from msimaging.phantom.anatomy import Tissue, tissue_at, tract_field, tracts

FAN_AD, FAN_RD = 1.15e-3, 0.56e-3
GREY_MD, FLUID_MD = 0.82e-3, 3.0e-3
LESION_AD, LESION_RD = 1.45e-3, 1.05e-3
S0_WHITE, S0_GREY, S0_FLUID, S0_LESION = 300.0, 400.0, 800.0, 450.0
LESION_RADII = (2.5, 5.0)
CALLOSUM = "corpus_callosum"


@dataclass(frozen=True, slots=True, kw_only=True)
class Biology:
    """What is true of a patient's tissue at one visit.

    Attributes
    ----------
    ad_factor, rd_factor : float
        This patient's white matter relative to the typical one.
    rd_change : float
        Relative change of radial diffusivity in ``tract`` since baseline (-0.06 is minus 6 %).
    tract : str
        The tract that changes.
    lesion_centres : (L, 3) ndarray
        Template mm.
    lesion_radii : (L,) ndarray
        mm at this visit.
    """

    ad_factor: float
    rd_factor: float
    rd_change: float
    tract: str
    lesion_centres: NDArray[np.float64]
    lesion_radii: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Microstructure:
    """An axially symmetric tensor at each place, in closed form.

    Attributes
    ----------
    ad, rd : (V,) ndarray
        Axial and radial diffusivity, mm2/s.
    direction : (V, 3) ndarray
        Main direction, in the frame asked for.
    s0 : (V,) ndarray
        Signal without diffusion weighting.
    brain, lesion : (V,) ndarray of bool
        Where the brain and the lesions are.
    """

    ad: NDArray[np.float64]
    rd: NDArray[np.float64]
    direction: NDArray[np.float64]
    s0: NDArray[np.float64]
    brain: NDArray[np.bool_]
    lesion: NDArray[np.bool_]

    @property
    def md(self) -> NDArray[np.float64]:
        """Mean diffusivity, mm2/s, (V,)."""
        return np.asarray((self.ad + 2 * self.rd) / 3)

    @property
    def fa(self) -> NDArray[np.float64]:
        """Fractional anisotropy, (V,)."""
        size = np.sqrt(self.ad**2 + 2 * self.rd**2)
        return np.abs(self.ad - self.rd) / np.where(size > 0, size, 1)


def typical_biology() -> Biology:
    """Return a person without lesions and without change."""
    return Biology(
        ad_factor=1.0,
        rd_factor=1.0,
        rd_change=0.0,
        tract=CALLOSUM,
        lesion_centres=np.empty((0, 3)),
        lesion_radii=np.empty(0),
    )


def microstructure(points: NDArray[np.float64], biology: Biology, *, fwhm: float) -> Microstructure:
    """Evaluate the truth at places of the template.

    Parameters
    ----------
    points : (V, 3) ndarray
        Template mm.
    biology : Biology
        Of the patient at the visit.
    fwhm : float
        Partial volume in mm, the size of the image's voxels.

    Returns
    -------
    Microstructure
        Direction in the template's frame. Grey matter and fluid are isotropic; a voxel's tensor is
        the mean of its tissues' tensors weighted by their fractions, so that one tensor describes
        it exactly. The planted change scales the radial diffusivity of the whole voxel inside the
        tract.
    """
    tissue, field = tissue_at(points, fwhm=fwhm), tract_field(points)
    ad_tract, rd_tract = (
        np.array([getattr(tract, part) for tract in tracts()])[field.tract] for part in ("ad", "rd")
    )
    lesion = _lesion_weight(points, biology) * np.clip(2 * tissue.white, 0, 1)
    ad = biology.ad_factor * _mix(FAN_AD, ad_tract, field.weight)
    rd = biology.rd_factor * _mix(FAN_RD, rd_tract, field.weight)
    white = (_mix(ad, LESION_AD, lesion), _mix(rd, LESION_RD, lesion))
    named = np.array([tract.name == biology.tract for tract in tracts()])[field.tract]
    return Microstructure(
        ad=_voxel_mean(white[0], tissue),
        rd=_voxel_mean(white[1], tissue) * (1 + biology.rd_change * named * field.weight),
        direction=field.direction,
        s0=tissue.white * _mix(S0_WHITE, S0_LESION, lesion)
        + tissue.grey * S0_GREY
        + tissue.fluid * S0_FLUID,
        brain=tissue.brain,
        lesion=(lesion > 0.5) & tissue.brain,
    )


def _mix(
    one: NDArray[np.float64] | float,
    other: NDArray[np.float64] | float,
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    return np.asarray((1 - weight) * one + weight * other)


def _voxel_mean(white: NDArray[np.float64], tissue: Tissue) -> NDArray[np.float64]:
    total = tissue.white + tissue.grey + tissue.fluid
    summed = tissue.white * white + tissue.grey * GREY_MD + tissue.fluid * FLUID_MD
    return np.asarray(summed / np.where(total > 1e-6, total, 1))


def _lesion_weight(points: NDArray[np.float64], biology: Biology) -> NDArray[np.float64]:
    weight = np.zeros(len(points))
    for centre, radius in zip(biology.lesion_centres, biology.lesion_radii, strict=True):
        distance = np.linalg.norm(points - centre, axis=1)
        weight = np.maximum(weight, np.clip(radius + 0.5 - distance, 0, 1))
    return weight


def random_lesions(
    rng: np.random.Generator, n_lesions: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw lesions in the white matter between the named tracts.

    Parameters
    ----------
    rng : Generator
        Of this patient.
    n_lesions : int
        How many.

    Returns
    -------
    centres : (L, 3) ndarray
        Template mm. They keep away from the tracts, so that a growing lesion adds no change to a
        tract where none is planted.
    radii : (L,) ndarray
        mm at baseline.
    """
    places = _lesion_places()
    chosen = rng.choice(len(places), size=n_lesions, replace=False)
    return places[chosen], rng.uniform(*LESION_RADII, size=n_lesions)


def _lesion_places() -> NDArray[np.float64]:
    axes = (np.arange(-60.0, 61, 3), np.arange(-90.0, 61, 3), np.arange(-20.0, 61, 3))
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    bundles = tracts()
    away, _ = cKDTree(np.concatenate([tract.places for tract in bundles])).query(points)
    deep = tissue_at(points, fwhm=6.0).white > 0.75
    return np.asarray(points[deep & (away > LESION_RADII[1] + 6.5)])
