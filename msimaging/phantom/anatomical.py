"""Simulated T1-weighted scan: bright white matter, and the scalp around the brain where asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from msimaging.phantom.anatomy import tissue_at
from msimaging.phantom.head import (
    FIELD_CENTRE,
    STRAIGHT,
    TEMPLATE_HEAD,
    Head,
    Pose,
    grid_points,
    scanner_grid,
)
from msimaging.volumes import Volume

T1W_WHITE, T1W_GREY, T1W_FLUID, T1W_FAT = 600.0, 400.0, 130.0, 700.0
#: Skull begins and ends, and scalp ends, at these distances from the brain (mm).
_SKULL_MM, _SCALP_MM = (2.0, 8.0), 14.0


def simulate_t1w(
    *,
    head: Head = TEMPLATE_HEAD,
    pose: Pose = STRAIGHT,
    voxel_size: float = 2.0,
    scalp: bool = True,
    bias_percent: float = 20.0,
    snr: float = 40.0,
    seed: int | Sequence[int] = 0,
) -> Volume:
    """Simulate one T1-weighted scan.

    Parameters
    ----------
    head, pose
        As in `msimaging.phantom.functional.simulate_bold`.
    voxel_size : float
        mm.
    scalp : bool
        Whether skull and scalp surround the brain, as before a skull is stripped.
    bias_percent : float
        By how much the receive coil is brighter at the back of the head, and darker in front.
    snr : float
        White matter over the noise of one voxel.
    seed : int or sequence of int
        Of the noise.

    Returns
    -------
    Volume
        Not distorted, unlike BOLD and diffusion.
    """
    shape, affine = scanner_grid(voxel_size)
    places = grid_points(shape, affine)
    tissue = tissue_at(head.to_template(pose.to_head(places)), fwhm=voxel_size)
    bright = tissue.white * T1W_WHITE + tissue.grey * T1W_GREY + tissue.fluid * T1W_FLUID
    if scalp:
        bright += _scalp(tissue.brain.reshape(shape), voxel_size).ravel()
    coil = 1 - bias_percent / 100 * (places[:, 1] - FIELD_CENTRE[1]) / 100
    noise = np.random.default_rng(seed).normal(size=len(places)) * T1W_WHITE / snr
    data = np.abs(bright * coil + noise)
    if not scalp:
        # as a brain extraction leaves it
        data[~tissue.brain] = 0
    return Volume(data=data.reshape(shape).astype(np.float32), affine=affine)


def _scalp(brain: NDArray[np.bool_], voxel_size: float) -> NDArray[np.float64]:
    distance = ndimage.distance_transform_edt(~brain, sampling=voxel_size)
    fat = (distance > _SKULL_MM[1]) & (distance <= _SCALP_MM)
    fluid = (distance > 0) & (distance <= _SKULL_MM[0])
    return np.asarray(fat * T1W_FAT + fluid * T1W_FLUID)
