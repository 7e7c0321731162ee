"""Simulated diffusion series: gradients, signals, noise, motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from msimaging.phantom.head import (
    STRAIGHT,
    TEMPLATE_HEAD,
    Head,
    Pose,
    distorted_origin,
    grid_points,
    scanner_grid,
)
from msimaging.phantom.microstructure import (
    S0_WHITE,
    Biology,
    Microstructure,
    microstructure,
    typical_biology,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedDWI:
    """A diffusion series with its truth.

    Attributes
    ----------
    data : (X, Y, Z, N) ndarray of float32
        Signals.
    bvals : (N,) ndarray
        s/mm2.
    bvecs : (N, 3) ndarray
        In the FSL convention: along the image's axes, x flipped where the affine's determinant is
        positive.
    bvecs_ras : (N, 3) ndarray
        The same directions in the scanner's frame.
    affine : (4, 4) ndarray
        Voxel indices to scanner RAS mm.
    mask, lesion_mask : (X, Y, Z) ndarray of bool
        Brain and lesions.
    fa, md, ad, rd, s0 : (X, Y, Z) ndarray
        Truth, 0 outside the brain; diffusivities in mm2/s.
    direction_ras : (X, Y, Z, 3) ndarray
        True main direction in the scanner's frame.
    """

    data: NDArray[np.float32]
    bvals: NDArray[np.float64]
    bvecs: NDArray[np.float64]
    bvecs_ras: NDArray[np.float64]
    affine: NDArray[np.float64]
    mask: NDArray[np.bool_]
    lesion_mask: NDArray[np.bool_]
    fa: NDArray[np.float64]
    md: NDArray[np.float64]
    ad: NDArray[np.float64]
    rd: NDArray[np.float64]
    s0: NDArray[np.float64]
    direction_ras: NDArray[np.float64]


def gradient_scheme(
    *, n_b0: int = 6, n_directions: int = 30, bval: float = 1000.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lay out a single-shell acquisition.

    Parameters
    ----------
    n_b0, n_directions : int
        Volumes without and with weighting.
    bval : float
        s/mm2.

    Returns
    -------
    bvals : (N,) ndarray
        The b=0 volumes are spread over the run.
    bvecs_ras : (N, 3) ndarray
        Spiral points on the half sphere, every second one turned round; zero for b=0.
    """
    step = np.arange(n_directions) + 0.5
    height, turn = 1 - step / n_directions, np.pi * (1 + np.sqrt(5)) * step
    width = np.sqrt(1 - height**2)
    directions = np.stack([width * np.cos(turn), width * np.sin(turn), height], axis=1)
    directions[1::2] *= -1
    weighted = np.ones(n_b0 + n_directions, dtype=bool)
    weighted[np.arange(n_b0) * (n_b0 + n_directions) // max(n_b0, 1)] = False
    bvecs = np.zeros((n_b0 + n_directions, 3))
    bvecs[weighted] = directions
    return np.where(weighted, bval, 0.0), bvecs


def fsl_bvecs(bvecs_ras: NDArray[np.float64], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn directions of the scanner's frame into those of a ``.bvec`` file.

    Parameters
    ----------
    bvecs_ras : (N, 3) ndarray
        Scanner RAS.
    affine : (4, 4) ndarray
        Of the image; its axes must be at right angles.

    Returns
    -------
    (N, 3) ndarray
        Along the image's axes, x flipped where the determinant is positive (FSL's convention).
    """
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    along = bvecs_ras @ axes
    flip = -1 if np.linalg.det(affine[:3, :3]) > 0 else 1
    return np.asarray(along * [flip, 1, 1])


def simulate_dwi(
    *,
    head: Head = TEMPLATE_HEAD,
    pose: Pose = STRAIGHT,
    biology: Biology | None = None,
    oblique: NDArray[np.float64] | None = None,
    voxel_size: float = 3.0,
    n_b0: int = 6,
    n_directions: int = 30,
    bval: float = 1000.0,
    snr: float | None = 30.0,
    distortion_mm: float = 0.0,
    motion: Sequence[Pose] = (),
    seed: int | Sequence[int] = 0,
) -> SimulatedDWI:
    """Simulate one diffusion series.

    Parameters
    ----------
    head : Head
        The patient's anatomy; the template's by default.
    pose : Pose
        Where the head lies; straight by default.
    biology : Biology, optional
        The patient's tissue; without lesions and change by default.
    oblique : (3, 3) ndarray, optional
        Rotation of the slices.
    voxel_size : float
        mm.
    n_b0, n_directions : int
        Volumes without and with weighting.
    bval : float
        s/mm2.
    snr : float or None
        Of white matter without weighting; None leaves the noise out.
    distortion_mm : float
        Largest displacement of signal along the second image axis, as near the sinuses; the other
        sign is the opposite phase-encoding polarity. The true maps and masks stay undistorted.
    motion : sequence of Pose
        One per volume, relative to ``pose``; empty when the head lies still. The b-vectors stay
        those of the scanner, as in a raw series.
    seed : int or sequence of int
        Of the noise.

    Returns
    -------
    SimulatedDWI
        Signals of the mono-exponential tensor model (Stejskal and Tanner 1965; Basser et al.
        1994) with Rician noise (Gudbjartsson and Patz 1995).
    """
    shape, affine = scanner_grid(voxel_size, oblique=oblique)
    places, typical = grid_points(shape, affine), biology or typical_biology()
    tissue = _seen(places, head, pose, typical, voxel_size)
    shown = tissue
    if distortion_mm:
        axis = affine[:3, 1] / np.linalg.norm(affine[:3, 1])
        origin, gain = distorted_origin(places, pose=pose, axis=axis, distortion_mm=distortion_mm)
        shown = _seen(origin, head, pose, typical, voxel_size)
        shown = replace(shown, s0=shown.s0 * gain)
    bvals, bvecs_ras = gradient_scheme(n_b0=n_b0, n_directions=n_directions, bval=bval)
    data = _signals(
        shown, bvals=bvals, bvecs_ras=bvecs_ras, shape=shape, affine=affine, motion=motion
    )
    if snr is not None:
        data = rician(data, sigma=S0_WHITE / snr, rng=np.random.default_rng(seed))
    inside = tissue.brain
    truth = {
        name: np.where(inside, getattr(tissue, name), 0).reshape(shape)
        for name in ("fa", "md", "ad", "rd", "s0")
    }
    return SimulatedDWI(
        data=data,
        bvals=bvals,
        bvecs=fsl_bvecs(bvecs_ras, affine),
        bvecs_ras=bvecs_ras,
        affine=affine,
        mask=inside.reshape(shape),
        lesion_mask=tissue.lesion.reshape(shape),
        direction_ras=tissue.direction.reshape(*shape, 3),
        **truth,
    )


def _seen(
    places: NDArray[np.float64], head: Head, pose: Pose, biology: Biology, voxel_size: float
) -> Microstructure:
    """Return the tissue at places of the scanner, its directions in the scanner's frame."""
    points = head.to_template(pose.to_head(places))
    tissue = microstructure(points, biology, fwhm=voxel_size)
    # the head turns; its small deformation is left out of the fibres' turning
    return replace(tissue, direction=tissue.direction @ pose.rotation.T)


def _signals(
    tissue: Microstructure,
    *,
    bvals: NDArray[np.float64],
    bvecs_ras: NDArray[np.float64],
    shape: tuple[int, int, int],
    affine: NDArray[np.float64],
    motion: Sequence[Pose],
) -> NDArray[np.float32]:
    data = np.zeros((*shape, len(bvals)), dtype=np.float32, order="F")
    there = np.flatnonzero(tissue.s0 > 1e-3)
    ad, rd, s0 = tissue.ad[there], tissue.rd[there], tissue.s0[there]
    volume = np.zeros(shape)
    for place, (bval, bvec) in enumerate(zip(bvals, bvecs_ras, strict=True)):
        # a gradient of the scanner, seen from a head that has turned since the first volume
        seen = bvec @ motion[place].rotation if motion else bvec
        along = (tissue.direction[there] @ seen) ** 2
        # b=0 volumes have no direction: their exponent is zero through the b-value
        volume.flat[there] = s0 * np.exp(-bval * (rd + (ad - rd) * along))
        data[..., place] = moved(volume, motion[place], affine) if motion else volume
    return data


def moved(
    volume: NDArray[np.float64], motion: Pose, affine: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Show a volume after the head has moved.

    Parameters
    ----------
    volume : (X, Y, Z) ndarray
        As scanned before the movement.
    motion : Pose
        Movement in the scanner's frame, mm.
    affine : (4, 4) ndarray
        Of the volume.

    Returns
    -------
    (X, Y, Z) ndarray
        Cubic interpolation, not below zero.
    """
    back = np.eye(4)
    back[:3, :3] = motion.rotation.T
    back[:3, 3] = -motion.rotation.T @ motion.translation
    pull = np.linalg.inv(affine) @ back @ affine
    shifted = ndimage.affine_transform(volume, pull[:3, :3], pull[:3, 3], order=3)
    return np.asarray(shifted).clip(0)


def rician(
    data: NDArray[np.float32], *, sigma: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Add the noise of a magnitude image.

    Parameters
    ----------
    data : ndarray
        Signals, not negative.
    sigma : float
        Standard deviation in each of the two channels, in units of the signal.
    rng : Generator
        Source of the noise.

    Returns
    -------
    ndarray of float32
        Magnitudes.
    """
    noisy = np.empty_like(data)
    for place in range(data.shape[-1]):
        real, imaginary = rng.standard_normal((2, *data.shape[:-1]), dtype=np.float32) * sigma
        noisy[..., place] = np.hypot(data[..., place] + real, imaginary)
    return noisy
