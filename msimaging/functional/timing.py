"""When each volume and slice was acquired: steady state and slice timing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from msimaging.errors import Finding, raise_on_errors

# Iglewicz and Hoaglin's limit of the modified z-score
_OUTLYING = 3.5
_FIRST_VOLUMES = 50
SLICE_AXES = {"i": 0, "j": 1, "k": 2}


def non_steady_state_volumes(
    global_signal: ArrayLike, *, threshold: float = _OUTLYING, n_first: int = _FIRST_VOLUMES
) -> int:
    """Count the volumes at the start whose signal has not yet settled.

    Parameters
    ----------
    global_signal : array_like of shape (T,)
        Mean signal over the head in each volume.
    threshold : float
        Modified z-score beyond which a volume is an outlier.
    n_first : int
        Volumes that the scores are computed from, so that later drift does not hide the start.

    Returns
    -------
    int
        Outliers without a gap from the first volume on.

    References
    ----------
    Iglewicz and Hoaglin 1993 (score and limit); fMRIPrep uses the same rule.
    """
    signal = np.asarray(global_signal, dtype=np.float64)[:n_first]
    deviation = signal - np.median(signal)
    spread = np.median(np.abs(deviation))
    if spread == 0:
        return 0
    outlying = np.abs(0.6745 * deviation / spread) > threshold
    return int(signal.size if outlying.all() else np.argmin(outlying))


def correct_slice_timing(
    bold: NDArray[np.floating[Any]],
    *,
    slice_times: ArrayLike,
    t_r: float,
    encoding_direction: str = "k",
    reference: float = 0.5,
    n_skipped: int = 0,
) -> NDArray[np.float32]:
    """Interpolate every slice to one common time in each volume, by cubic splines in time.

    Parameters
    ----------
    bold : ndarray of shape (X, Y, Z, T)
    slice_times : array_like
        Acquisition time of each slice within a volume [s], as BIDS' ``SliceTiming``.
    t_r : float
        Repetition time [s].
    encoding_direction : {"i", "j", "k", "i-", "j-", "k-"}
        BIDS' ``SliceEncodingDirection``; with a minus the times begin at the last slice.
    reference : float
        Common time as a share of the span of slice times; 0.5 moves slices least.
    n_skipped : int
        Volumes at the start that are not in steady state: kept as they are and out of the splines.

    Returns
    -------
    ndarray of float32, shape (X, Y, Z, T)
        Times before a slice's first or after its last sample take that sample.

    Raises
    ------
    InputError
        Not one time for each slice, times outside a repetition, or fewer than four volumes.
    """
    times = np.asarray(slice_times, dtype=np.float64)
    axis = SLICE_AXES[encoding_direction[0]]
    raise_on_errors(slice_time_faults(bold.shape, times, t_r=t_r, axis=axis, n_skipped=n_skipped))
    times = times[::-1] if encoding_direction.endswith("-") else times
    wanted = times.min() + reference * (times.max() - times.min())
    corrected = np.array(bold, dtype=np.float32)
    volumes = np.arange(bold.shape[3] - n_skipped) * t_r
    slices = np.moveaxis(corrected, axis, 0)
    for position, acquired in enumerate(times):
        samples = slices[position, :, :, n_skipped:]
        spline = CubicSpline(volumes + acquired, samples, axis=2)
        inside = np.clip(volumes + wanted, volumes[0] + acquired, volumes[-1] + acquired)
        slices[position, :, :, n_skipped:] = spline(inside)
    return corrected


def slice_time_faults(
    shape: tuple[int, ...],
    times: NDArray[np.float64],
    *,
    t_r: float,
    axis: int,
    n_skipped: int = 0,
) -> list[Finding]:
    """Find out whether slice times belong to a run.

    Parameters
    ----------
    shape : tuple of int
        Of the run, (X, Y, Z, T).
    times : ndarray
        Acquisition time of each slice within a volume [s].
    t_r : float
        Repetition time [s].
    axis : int
        Slice axis.
    n_skipped : int
        Volumes at the start that are not in steady state.

    Returns
    -------
    list of Finding
        Empty when all is well.
    """
    findings = []
    if len(shape) != 4 or shape[3] - n_skipped < 4:
        findings.append(
            Finding(
                rule="slice timing needs four or more volumes in steady state",
                where="bold",
                found=f"an array of shape {shape} with {n_skipped} volumes skipped",
                remedy="Leave slice timing out for this run.",
            )
        )
    elif times.shape != (shape[axis],):
        findings.append(
            Finding(
                rule="one slice time for each slice along the slice axis",
                where="SliceTiming",
                found=f"{times.size} times for {shape[axis]} slices",
                remedy="Correct SliceTiming or SliceEncodingDirection in the sidecar.",
            )
        )
    if times.size and not (np.all(times >= 0) and np.all(times < t_r + 1e-6)):
        findings.append(
            Finding(
                rule="slice times lie between 0 and the repetition time, in seconds",
                where="SliceTiming",
                found=f"{times.min():g} to {times.max():g} at a repetition time of {t_r:g} s",
                remedy="Give SliceTiming in seconds.",
            )
        )
    return findings
