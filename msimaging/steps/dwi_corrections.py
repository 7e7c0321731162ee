"""Corrections of a diffusion series in their one order, each switchable, each saying what it did.

Noise and ringing first, while the voxels are still those of the scanner; then dropped slices, on
the slices as acquired; then head motion and eddy currents in the only resampling; last the brain
mask and the receive-coil bias, on the aligned images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from msimaging.diffusion.alignment import moved_grid, within
from msimaging.diffusion.bias import correct_bias, estimate_bias_field
from msimaging.diffusion.denoising import default_patch_radius, denoise_mppca
from msimaging.diffusion.masks import brain_mask
from msimaging.diffusion.motion import MotionEstimate, estimate_motion, rotate_bvecs
from msimaging.diffusion.outliers import SliceOutliers, replace_dropped_slices
from msimaging.diffusion.resampling import apply_motion
from msimaging.diffusion.table_rules import B0_THRESHOLD
from msimaging.diffusion.unringing import remove_gibbs_ringing

Floats = NDArray[np.float64]

_SWITCHED_OFF = "no: switched off in the settings"
_NO_DISTORTION = "no: opposite-polarity images are not used by this pipeline"
#: Denoising reaches so far beyond the first brain mask: farther than heads move in a scan.
_MARGIN_MM = 10.0
_AXES = {"i": 0, "j": 1, "k": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """Which corrections the settings ask for.

    Attributes
    ----------
    denoise : {"mppca", "none"}
        Random-matrix denoising.
    unring : {"auto", "none"}
        Gibbs unringing where the sidecar tells that it is allowed.
    outliers, motion, bias : bool
        Dropped slices replaced; head motion and eddy currents corrected; receive-coil bias divided
        out.
    """

    denoise: Literal["mppca", "none"]
    unring: Literal["auto", "none"]
    outliers: bool
    motion: bool
    bias: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A diffusion series on its way through the corrections.

    Attributes
    ----------
    data : (X, Y, Z, N) ndarray
        Signal.
    bvals, bvecs_ras : (N,) and (N, 3) ndarray
        b-values [s/mm2] and directions in scanner axes.
    affine : (4, 4) ndarray
        Voxel indices to RAS mm.
    mask : (X, Y, Z) ndarray of bool
        Brain.
    sigma : (X, Y, Z) ndarray or None
        Standard deviation of the noise before denoising.
    dropped, motion, bias_field
        Results of these corrections, None where they did not run.
    uncovered_voxels : int
        Voxels taken out of the mask because head motion carried them out of some volume.
    negative_samples : int
        Samples in the mask that the resampling left below zero, set to zero.
    told : mapping
        Sidecar fields: what was done with which settings, or not and why.
    """

    data: NDArray[np.float32]
    bvals: Floats
    bvecs_ras: Floats
    affine: Floats
    mask: NDArray[np.bool_]
    sigma: Floats | None = None
    dropped: SliceOutliers | None = None
    motion: MotionEstimate | None = None
    bias_field: Floats | None = None
    uncovered_voxels: int = 0
    negative_samples: int = 0
    told: Mapping[str, str] = field(default_factory=dict)

    @property
    def mean_b0(self) -> NDArray[np.float32]:
        """Mean of the volumes without diffusion weighting, (X, Y, Z)."""
        return np.asarray(self.data[..., self.bvals <= B0_THRESHOLD].mean(axis=-1))


def correct_series(series: Series, asked: Corrections, acquisition: Mapping[str, Any]) -> Series:
    """Run the corrections that were asked for and that the scan allows.

    Parameters
    ----------
    series : Series
        As acquired, its gradient table checked.
    asked : Corrections
        Settings.
    acquisition : mapping
        Merged sidecar fields of the scan.

    Returns
    -------
    Series
        Corrected, with `told` complete.
    """
    series = _denoised(series) if asked.denoise == "mppca" else _off(series, "NoiseRemoved")
    series = _unrung(series, asked.unring, acquisition)
    if asked.outliers:
        series = _without_drops(series, slice_axis(acquisition))
    else:
        series = _off(series, "DroppedSlicesReplaced")
    series = _still(series, acquisition) if asked.motion else _off(series, "HeadMotionCorrected")
    series = _off(series, "SusceptibilityDistortionCorrected", why=_NO_DISTORTION)
    return _even(series) if asked.bias else _off(series, "BiasFieldCorrected")


def _off(series: Series, name: str, *, why: str = _SWITCHED_OFF) -> Series:
    return replace(series, told={**series.told, name: why})


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
        return _off(series, "GibbsRingingRemoved", why=refused)
    axis = slice_axis(acquisition)
    data = remove_gibbs_ringing(series.data, slice_axis=axis)
    text = "yes: local subvoxel shifts within slices"
    return replace(series, data=data, told={**series.told, "GibbsRingingRemoved": text})


def _why_not_unring(
    asked: str, acquisition: Mapping[str, Any], shape: tuple[int, ...]
) -> str | None:
    """Return why ringing must be left alone, None when it may be removed."""
    if asked == "none":
        return _SWITCHED_OFF
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
    text = (
        f"yes: {found.outliers.sum()} slices replaced by the prediction from the other volumes "
        f"of their shell, {100 * found.share:.2f} % of those judged"
    )
    return replace(
        series,
        data=found.data,
        dropped=found,
        told={**series.told, "DroppedSlicesReplaced": text},
    )


def _still(series: Series, acquisition: Mapping[str, Any]) -> Series:
    axis, known = phase_encoding_axis(acquisition)
    motion = estimate_motion(
        series.data,
        bvals=series.bvals,
        bvecs_ras=series.bvecs_ras,
        affine=series.affine,
        mask=series.mask,
        phase_encoding_axis=axis,
    )
    data = apply_motion(series.data, affine=series.affine, affines=motion.affines)
    mask = brain_mask(data[..., series.bvals <= B0_THRESHOLD].mean(axis=-1), series.affine)
    seen = mask & _seen_by_all(motion.affines, series.affine, mask.shape)
    text = (
        "yes: rigid, with linear eddy-current distortion along voxel axis "
        f"{'ijk'[axis]} ({known}); one resampling by cubic B-splines, b-vectors rotated"
    )
    return replace(
        series,
        data=np.maximum(data, 0),
        bvecs_ras=rotate_bvecs(series.bvecs_ras, motion.rigid),
        mask=seen,
        motion=motion,
        uncovered_voxels=int(mask.sum() - seen.sum()),
        negative_samples=int((data[seen] < 0).sum()),
        told={**series.told, "HeadMotionCorrected": text},
    )


def _seen_by_all(affines: Floats, affine: Floats, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Tell which voxels every volume imaged: the others hold zeros that no tensor explains."""
    to_voxel = np.linalg.inv(affine)
    seen = np.ones(shape, dtype=bool)
    for matrix in affines:
        seen &= within(moved_grid(to_voxel @ matrix @ affine, shape), shape)
    return seen


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


def phase_encoding_axis(acquisition: Mapping[str, Any]) -> tuple[int, str]:
    """Return the voxel axis of phase encoding and where it is known from.

    Parameters
    ----------
    acquisition : mapping
        Merged sidecar fields.

    Returns
    -------
    axis : {0, 1, 2}
        The second axis where the sidecar is silent: the usual one of axial scans.
    known : str
        Name of the field, or "assumed".
    """
    for name in ("PhaseEncodingDirection", "PhaseEncodingAxis"):
        letter = str(acquisition.get(name, ""))[:1]
        if letter in _AXES:
            return _AXES[letter], name
    return _AXES["j"], "assumed: the sidecar has no PhaseEncodingDirection"


def slice_axis(acquisition: Mapping[str, Any]) -> int:
    """Return the voxel axis along which slices lie: the third unless the sidecar says otherwise."""
    return _AXES.get(str(acquisition.get("SliceEncodingDirection", "k"))[:1], _AXES["k"])
