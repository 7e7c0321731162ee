"""A diffusion series on its way through the corrections, and what is asked of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from msimaging.diffusion.motion import MotionEstimate
from msimaging.diffusion.orientation import OrientationCheck
from msimaging.diffusion.outliers import SliceOutliers
from msimaging.diffusion.polarity import FieldEstimate
from msimaging.diffusion.table_rules import B0_THRESHOLD

Floats = NDArray[np.float64]

SWITCHED_OFF = "no: switched off in the settings"
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
    why_distorted : str
        Why susceptibility distortion is left as it is where there is no opposite polarity.
    why_moving : str
        Why head motion is left as it is where `motion` is not asked for.
    """

    denoise: Literal["mppca", "none"]
    unring: Literal["auto", "none"]
    outliers: bool
    motion: bool
    bias: bool
    why_distorted: str = "no image of opposite phase encoding"
    why_moving: str = "switched off in the settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class AsAcquired:
    """What is told of a series before its corrections, so that the series itself can be let go.

    Attributes
    ----------
    mask : (X, Y, Z) ndarray of bool
        First brain mask.
    mean_b0 : (X, Y, Z) ndarray
        Mean of the volumes without diffusion weighting.
    ndc : float
        Neighbouring-DWI correlation.
    dropped_slices, dropped_slice_share : float
        Number of dropped slices, and their share among those judged; NaN where they are not
        judged, because the correction judges them.
    """

    mask: NDArray[np.bool_]
    mean_b0: NDArray[np.float32]
    ndc: float
    dropped_slices: float
    dropped_slice_share: float


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
    measured : (X, Y, Z, N) ndarray or None
        Signal with its dropped slices, None where these were not looked for.
    sigma : (X, Y, Z) ndarray or None
        Standard deviation of the noise before denoising.
    dropped, motion, bias_field
        Results of these corrections, None where they did not run.
    weights : (X, Y, Z, N) ndarray or None
        Trust in each sample, 0 where a dropped slice was replaced; None where all count fully.
    field : FieldEstimate or None
        Susceptibility displacement, None where it was not corrected.
    orientation : OrientationCheck or None
        How well each of the 24 tables fits the images as acquired.
    as_acquired : AsAcquired or None
        Quality before the corrections, None where it is not known.
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
    measured: NDArray[np.float32] | None = None
    sigma: Floats | None = None
    dropped: SliceOutliers | None = None
    motion: MotionEstimate | None = None
    bias_field: Floats | None = None
    weights: NDArray[np.floating[Any]] | None = None
    field: FieldEstimate | None = None
    orientation: OrientationCheck | None = None
    as_acquired: AsAcquired | None = None
    uncovered_voxels: int = 0
    negative_samples: int = 0
    told: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def mean_b0(self) -> NDArray[np.float32]:
        """Mean of the volumes without diffusion weighting, (X, Y, Z)."""
        return np.asarray(self.data[..., self.bvals <= B0_THRESHOLD].mean(axis=-1))

    def with_told(self, name: str, text: str) -> Series:
        """Return the series with one more sidecar field."""
        return replace(self, told={**self.told, name: text})


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


def weights_in_percent(series: Series) -> NDArray[np.uint8]:
    """Return the trust in each sample in whole per cent, (X, Y, Z, N).

    Nearly all are equal, so that the file stays small.
    """
    if series.weights is None:
        return np.full(series.data.shape, 100, dtype=np.uint8)
    percent = np.empty(series.data.shape, dtype=np.uint8)
    for volume in range(len(series.bvals)):  # whole series as floats would fill the memory
        percent[..., volume] = np.rint(100 * series.weights[..., volume])
    return percent


def told_drops(found: SliceOutliers) -> str:
    """Return what the sidecar says of dropped slices."""
    return (
        f"yes: {found.outliers.sum()} slices replaced by the prediction from the other volumes "
        f"of their shell, {100 * found.share:.2f} % of those judged; they weigh nothing in the fit"
    )
