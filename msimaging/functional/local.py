"""Measures of single voxels or parcels: slow fluctuations, local agreement, seed maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from msimaging.errors import Finding, InputError

_ROWS_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LowFrequencyAmplitude:
    """Amplitude of slow fluctuations.

    Attributes
    ----------
    alff : ndarray of shape (V,)
        Sum of amplitudes in the band, in the units of the signal.
    falff : ndarray of shape (V,)
        The same as a share of the sum over all frequencies.
    """

    alff: NDArray[np.float64]
    falff: NDArray[np.float64]


def low_frequency_amplitude(
    time_series: NDArray[np.floating[Any]], *, t_r: float, low: float = 0.01, high: float = 0.08
) -> LowFrequencyAmplitude:
    """Measure ALFF and fALFF of series that were not band-passed or censored.

    Parameters
    ----------
    time_series : ndarray of shape (T, V)
        Voxels or parcels.
    t_r : float
        Repetition time [s].
    low, high : float
        The band, both ends included [Hz].

    Returns
    -------
    LowFrequencyAmplitude

    Raises
    ------
    InputError
        The run resolves no frequency in the band.

    References
    ----------
    Zang 2007 (ALFF); Zou 2008 (fALFF).
    """
    n_volumes = len(time_series)
    frequency = np.fft.rfftfreq(n_volumes, t_r)
    band = (frequency >= low) & (frequency <= high)
    if not band.any():
        finding = Finding(
            rule="a run resolves frequencies in the band of slow fluctuations",
            where="time_series",
            found=f"{n_volumes} volumes at {t_r:g} s for {low:g} to {high:g} Hz",
            remedy="Give a longer run or a wider band.",
        )
        raise InputError([finding])
    # of a cosine of amplitude a, the modulus at its frequency is a
    amplitude = np.abs(np.fft.rfft(time_series, axis=0)) * 2 / n_volumes
    alff = amplitude[band].sum(axis=0)
    everything = amplitude[1:].sum(axis=0)
    falff = np.divide(alff, everything, out=np.full_like(alff, np.nan), where=everything > 0)
    return LowFrequencyAmplitude(alff=alff, falff=falff)


def regional_homogeneity(
    bold: NDArray[np.floating[Any]], *, mask: NDArray[np.bool_], min_neighbours: int = 14
) -> NDArray[np.float32]:
    """Measure how alike each voxel and its 26 neighbours rise and fall.

    Parameters
    ----------
    bold : ndarray of shape (X, Y, Z, T)
        Cleaned, not smoothed: smoothing makes neighbours alike.
    mask : ndarray of bool, shape (X, Y, Z)
    min_neighbours : int
        Voxels of the mask that a neighbourhood must hold, itself included.

    Returns
    -------
    ndarray of float32, shape (X, Y, Z)
        Kendall's W between 0 and 1; NaN outside the mask and at thin edges.

    References
    ----------
    Zang 2004, NeuroImage 22.
    """
    n_volumes = bold.shape[3]
    voxels = np.argwhere(mask)
    number = np.full(np.array(mask.shape) + 2, -1)
    number[tuple((voxels + 1).T)] = np.arange(len(voxels))
    ranks = rankdata(bold[mask], axis=1).astype(np.float32)
    offsets = np.moveaxis(np.indices((3, 3, 3)), 0, -1).reshape(-1, 3)
    agreement = np.full(len(voxels), np.nan)
    for start in range(0, len(voxels), _ROWS_AT_ONCE):
        some = voxels[start : start + _ROWS_AT_ONCE]
        total = np.zeros((len(some), n_volumes))
        members = np.zeros(len(some))
        for offset in offsets:
            neighbour = number[tuple((some + offset).T)]
            total[neighbour >= 0] += ranks[neighbour[neighbour >= 0]]
            members += neighbour >= 0
        spread = np.sum((total - total.mean(axis=1, keepdims=True)) ** 2, axis=1)
        w = 12 * spread / (members**2 * (n_volumes**3 - n_volumes))
        agreement[start : start + _ROWS_AT_ONCE] = np.where(members >= min_neighbours, w, np.nan)
    result = np.full(mask.shape, np.nan, dtype=np.float32)
    result[mask] = agreement
    return result


def seed_correlations(
    time_series: NDArray[np.floating[Any]], *, seed: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Correlate every voxel with a seed.

    Parameters
    ----------
    time_series : ndarray of shape (T, V)
        Cleaned together with the seed.
    seed : ndarray of shape (T,)

    Returns
    -------
    ndarray of shape (V,)
        Pearson's r; NaN for voxels that do not vary.
    """
    voxels = time_series - time_series.mean(axis=0)
    centred = seed - seed.mean()
    scale = np.linalg.norm(voxels, axis=0) * np.linalg.norm(centred)
    r = np.full(voxels.shape[1], np.nan)
    np.divide(centred @ voxels, scale, out=r, where=scale > 0)
    return r
