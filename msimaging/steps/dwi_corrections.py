"""Corrections of a diffusion series in their one order, each switchable, each saying what it did.

Noise and ringing first, while the voxels are still those of the scanner; then dropped slices, on
the slices as acquired; then head motion, eddy currents and susceptibility distortion in the only
resampling (see ``dwi_alignment``); last the receive-coil bias, on the aligned images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from msimaging.diffusion.bias import correct_bias, estimate_bias_field
from msimaging.diffusion.denoising import default_patch_radius, denoise_mppca
from msimaging.diffusion.outliers import replace_dropped_slices
from msimaging.diffusion.unringing import remove_gibbs_ringing
from msimaging.steps.dwi_alignment import in_place
from msimaging.steps.dwi_series import (
    SWITCHED_OFF,
    Corrections,
    Floats,
    Series,
    phase_encoding_axis,
    slice_axis,
    told_drops,
)
from msimaging.volumes import Volume

#: Denoising reaches so far beyond the first brain mask: farther than heads move in a scan.
_MARGIN_MM = 10.0


def correct_series(
    series: Series,
    asked: Corrections,
    acquisition: Mapping[str, Any],
    opposite: Volume | None = None,
) -> Series:
    """Run the corrections that were asked for and that the scan allows.

    Parameters
    ----------
    series : Series
        As acquired, its gradient table checked.
    asked : Corrections
        Settings.
    acquisition : mapping
        Merged sidecar fields of the scan.
    opposite : Volume, optional
        Mean b=0 of the opposite phase encoding; without it distortion is left as it is.

    Returns
    -------
    Series
        Corrected, with `told` complete.
    """
    if asked.denoise == "mppca":
        series = _denoised(series)
    else:
        series = series.with_told("NoiseRemoved", SWITCHED_OFF)
    series = _unrung(series, asked.unring, acquisition)
    if asked.outliers:
        series = _without_drops(series, slice_axis(acquisition))
    else:
        series = series.with_told("DroppedSlicesReplaced", SWITCHED_OFF)
    series = in_place(series, asked, acquisition, opposite)
    return _even(series) if asked.bias else series.with_told("BiasFieldCorrected", SWITCHED_OFF)


def _denoised(series: Series) -> Series:
    found = denoise_mppca(series.data, mask=around_brain(series.mask, series.affine))
    edge = 2 * default_patch_radius(series.data.shape[3]) + 1
    kept = float(np.median(found.n_components[series.mask]))
    text = (
        f"yes: Marchenko-Pastur principal components, patches of {edge} voxels an edge, in the "
        f"brain and {_MARGIN_MM:g} mm around; "
        f"{kept:.1f} of {series.data.shape[3]} components kept (median in the brain)"
    )
    return replace(
        series,
        data=found.data.astype(np.float32, copy=False),
        sigma=found.sigma,
        told={**series.told, "NoiseRemoved": text},
    )


def around_brain(mask: NDArray[np.bool_], affine: Floats) -> NDArray[np.bool_]:
    """Add a rim to the brain: the head may move, but air need not be denoised.

    Parameters
    ----------
    mask : (X, Y, Z) ndarray of bool
        Brain.
    affine : (4, 4) ndarray
        Voxel indices to RAS mm.

    Returns
    -------
    (X, Y, Z) ndarray of bool
        Brain and 10 mm around.
    """
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    distance = ndimage.distance_transform_edt(~mask, sampling=sizes)
    return np.asarray(distance <= _MARGIN_MM)


def _unrung(series: Series, asked: str, acquisition: Mapping[str, Any]) -> Series:
    refused = _why_not_unring(asked, acquisition, series.data.shape)
    if refused is not None:
        return series.with_told("GibbsRingingRemoved", refused)
    axis = slice_axis(acquisition)
    data = remove_gibbs_ringing(series.data, slice_axis=axis)
    text = "yes: local subvoxel shifts within slices"
    return replace(series, data=data, told={**series.told, "GibbsRingingRemoved": text})


def _why_not_unring(
    asked: str, acquisition: Mapping[str, Any], shape: tuple[int, ...]
) -> str | None:
    """Return why ringing must be left alone, None when it may be removed."""
    if asked == "none":
        return SWITCHED_OFF
    partial = acquisition.get("PartialFourier")
    if partial is None:
        return "no: the sidecar does not tell PartialFourier"
    if float(partial) < 1:
        return f"no: partial Fourier acquisition (PartialFourier {partial:g})"
    lines = acquisition.get("AcquisitionMatrixPE")
    drawn = shape[phase_encoding_axis(acquisition)[0]]
    if lines is not None and int(lines) != drawn:
        return f"no: {lines} phase-encoding lines were interpolated to {drawn} by the scanner"
    return None


def _without_drops(series: Series, axis: int) -> Series:
    found = replace_dropped_slices(
        series.data,
        bvals=series.bvals,
        bvecs=series.bvecs_ras,
        mask=series.mask,
        slice_axis=axis,
    )
    return replace(series, data=found.data, dropped=found, measured=series.data).with_told(
        "DroppedSlicesReplaced", told_drops(found)
    )


def _even(series: Series) -> Series:
    bias_field = estimate_bias_field(series.mean_b0, series.mask, affine=series.affine)
    inside = bias_field[series.mask]
    text = (
        f"yes: N4 on the mean b=0, field from {inside.min():.2f} to {inside.max():.2f} in the "
        "brain; the same for all volumes"
    )
    return replace(
        series,
        data=correct_bias(series.data, bias_field),
        bias_field=bias_field,
        told={**series.told, "BiasFieldCorrected": text},
    )
