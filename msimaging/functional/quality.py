"""How good a run is, and whether motion still shows in its connectivity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from scipy.stats import t as student_t

from msimaging.errors import Finding, InputError
from msimaging.functional.edges import upper_triangle

_ROWS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuality:
    """Numbers by which runs are sorted and flagged.

    Attributes
    ----------
    fd_mean, fd_median, fd_max : float
        Framewise displacement [mm].
    fd_share_high : float
        Share of volumes beyond ``fd_high``.
    fd_high : float
        [mm]
    dvars_mean, std_dvars_mean : float
    tsnr_median : float
        Over the brain mask.
    n_volumes, n_retained : int
    minutes_retained : float
    """

    fd_mean: float
    fd_median: float
    fd_max: float
    fd_share_high: float
    fd_high: float
    dvars_mean: float
    std_dvars_mean: float
    tsnr_median: float
    n_volumes: int
    n_retained: int
    minutes_retained: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Carpet:
    """Voxel time series as an image, ordered by tissue.

    Attributes
    ----------
    image : ndarray of float32, shape (V, T)
        Without linear trend, in standard deviations.
    tissue : ndarray of int, shape (V,)
        Class of each row, in rising order.
    """

    image: NDArray[np.float32]
    tissue: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeDistance:
    """How edge strength, or its change, depends on the distance of the parcels.

    Attributes
    ----------
    distance : ndarray of shape (E,)
        Between parcel centres [mm]; covered edges only.
    strength : ndarray of shape (E,)
    spearman_r : float
        NaN with fewer than three edges.
    slope : float
        Of a straight line, per 10 mm.
    """

    distance: NDArray[np.float64]
    strength: NDArray[np.float64]
    spearman_r: float
    slope: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QcFc:
    """How connectivity goes with motion over the runs of a cohort.

    Attributes
    ----------
    n : int
        Runs.
    r : ndarray of shape (E,)
        Correlation of each edge with motion; all NaN where refused.
    median_absolute_r : float
    share_significant : float
        Edges with p < .05, uncorrected.
    distance_dependence : float
        Spearman correlation of r with the parcels' distance.
    refusal : str
        Why nothing is reported; empty where it is.
    """

    n: int
    r: NDArray[np.float64]
    median_absolute_r: float
    share_significant: float
    distance_dependence: float
    refusal: str


def run_quality(
    *,
    fd: NDArray[np.floating[Any]],
    dvars: NDArray[np.floating[Any]],
    std_dvars: NDArray[np.floating[Any]],
    tsnr: NDArray[np.floating[Any]],
    brain_mask: NDArray[np.bool_],
    n_retained: int,
    t_r: float,
    fd_high: float = 0.2,
) -> RunQuality:
    """Sum up a run.

    Parameters
    ----------
    fd, dvars, std_dvars : ndarray of shape (T,)
        Columns of the confounds table; NaN first.
    tsnr : ndarray of shape (X, Y, Z)
    brain_mask : ndarray of bool, shape (X, Y, Z)
    n_retained : int
        Volumes after censoring.
    t_r : float
        Repetition time [s].
    fd_high : float
        Limit that counts as motion [mm].

    Returns
    -------
    RunQuality
    """
    return RunQuality(
        fd_mean=float(np.nanmean(fd)),
        fd_median=float(np.nanmedian(fd)),
        fd_max=float(np.nanmax(fd)),
        fd_share_high=float(np.mean(np.nan_to_num(fd) > fd_high)),
        fd_high=fd_high,
        dvars_mean=float(np.nanmean(dvars)),
        std_dvars_mean=float(np.nanmean(std_dvars)),
        tsnr_median=float(np.nanmedian(tsnr[brain_mask])),
        n_volumes=len(fd),
        n_retained=n_retained,
        minutes_retained=n_retained * t_r / 60,
    )


def temporal_snr(
    bold: NDArray[np.floating[Any]], *, mask: NDArray[np.bool_], n_skipped: int = 0
) -> NDArray[np.float32]:
    """Divide each voxel's mean by its standard deviation after a linear trend.

    Parameters
    ----------
    bold : ndarray of shape (X, Y, Z, T)
    mask : ndarray of bool, shape (X, Y, Z)
    n_skipped : int
        Volumes at the start that are not in steady state.

    Returns
    -------
    ndarray of float32, shape (X, Y, Z)
        NaN outside the mask and in voxels that do not vary.
    """
    signals = bold[mask][:, n_skipped:]
    ratio = np.full(len(signals), np.nan)
    for start in range(0, len(signals), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        residual = _without_trend(signals[rows])
        spread = np.sqrt(np.sum(residual**2, axis=1) / (residual.shape[1] - 2))
        np.divide(signals[rows].mean(axis=1), spread, out=ratio[rows], where=spread > 0)
    tsnr = np.full(mask.shape, np.nan, dtype=np.float32)
    tsnr[mask] = ratio
    return tsnr


def carpet(
    bold: NDArray[np.floating[Any]],
    *,
    tissue: NDArray[np.integer[Any]],
    max_rows: int = 2000,
    n_skipped: int = 0,
) -> Carpet:
    """Order voxel time series by tissue for the plot that shows motion and drift at a glance.

    Parameters
    ----------
    bold : ndarray of shape (X, Y, Z, T)
    tissue : ndarray of int, shape (X, Y, Z)
        Class of each voxel, 0 outside.
    max_rows : int
        Voxels are thinned evenly to about this number.
    n_skipped : int
        Volumes at the start that do not count for mean and spread (they are shown).

    Returns
    -------
    Carpet

    References
    ----------
    Power 2017, NeuroImage 154.
    """
    voxels = np.argwhere(tissue > 0)
    classes = tissue[tuple(voxels.T)]
    voxels = voxels[np.argsort(classes, kind="stable")]
    voxels = voxels[:: max(1, -(-len(voxels) // max_rows))]
    signals = np.asarray(bold[tuple(voxels.T)], dtype=np.float64)
    steady = signals[:, n_skipped:]
    line = steady - _without_trend(steady)
    slope = (line[:, -1:] - line[:, :1]) / max(steady.shape[1] - 1, 1)
    trend = line[:, :1] + slope * (np.arange(signals.shape[1]) - n_skipped)
    spread = np.std(steady - line, axis=1, keepdims=True)
    image = np.divide(signals - trend, spread, out=np.zeros_like(signals), where=spread > 0)
    return Carpet(image=image.astype(np.float32), tissue=tissue[tuple(voxels.T)].astype(np.int64))


def edge_distance(
    matrix: NDArray[np.floating[Any]], *, coordinates: NDArray[np.floating[Any]]
) -> EdgeDistance:
    """Relate edges, or their change between visits, to the distance of the parcels.

    Motion strengthens short edges and weakens long ones.

    Parameters
    ----------
    matrix : ndarray of shape (P, P)
    coordinates : ndarray of shape (P, 3)
        Centres of the parcels [mm].

    Returns
    -------
    EdgeDistance
    """
    distance, strength = parcel_distances(coordinates), upper_triangle(matrix)
    covered = np.isfinite(strength)
    distance, strength = distance[covered], strength[covered]
    if len(strength) < 3:
        return EdgeDistance(distance=distance, strength=strength, spearman_r=np.nan, slope=np.nan)
    slope = 10 * np.polyfit(distance, strength, 1)[0]
    return EdgeDistance(
        distance=distance,
        strength=strength,
        spearman_r=float(spearmanr(distance, strength).statistic),
        slope=float(slope),
    )


def parcel_distances(coordinates: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Euclidean distance of every pair of parcels, in the order of `upper_triangle`.

    Parameters
    ----------
    coordinates : ndarray of shape (P, 3)
        [mm]

    Returns
    -------
    ndarray of shape (E,)
    """
    apart = coordinates[:, np.newaxis] - coordinates
    return upper_triangle(np.sqrt(np.sum(apart**2, axis=2)))


def qc_fc(
    edges: NDArray[np.floating[Any]],
    *,
    motion: NDArray[np.floating[Any]],
    distance: NDArray[np.floating[Any]],
    min_n: int = 20,
) -> QcFc:
    """Correlate edges with motion over the runs, where there are enough runs for that.

    Parameters
    ----------
    edges : ndarray of shape (S, E)
        One row for each independent run (one visit, or one change, a patient); NaN where an edge
        is not covered.
    motion : ndarray of shape (S,)
        Mean framewise displacement, or its change [mm].
    distance : ndarray of shape (E,)
        From `parcel_distances` [mm].
    min_n : int
        With fewer runs the measure is refused.

    Returns
    -------
    QcFc

    Raises
    ------
    InputError
        Inputs of different sizes.

    References
    ----------
    Ciric 2017, NeuroImage 154.
    """
    if edges.shape != (len(motion), len(distance)):
        finding = Finding(
            rule="edges are runs x edges, with one motion a run and one distance an edge",
            where="edges",
            found=f"shape {edges.shape} for {len(motion)} runs and {len(distance)} edges",
            remedy="Give the same runs and the same atlas.",
        )
        raise InputError([finding])
    refusal = _refusal(motion, min_n)
    r = np.full(len(distance), np.nan)
    if not refusal:
        r = _column_correlations(edges, motion)
    known = np.isfinite(r)
    if not known.any():
        return QcFc(
            n=len(motion),
            r=r,
            median_absolute_r=np.nan,
            share_significant=np.nan,
            distance_dependence=np.nan,
            refusal=refusal or "QC-FC is not reported: no edge is covered in every run.",
        )
    return QcFc(
        n=len(motion),
        r=r,
        median_absolute_r=float(np.median(np.abs(r[known]))),
        share_significant=float(np.mean(np.abs(r[known]) > _critical_r(len(motion)))),
        distance_dependence=float(spearmanr(distance[known], r[known]).statistic),
        refusal="",
    )


def _refusal(motion: NDArray[np.floating[Any]], min_n: int) -> str:
    n = len(motion)
    if n < min_n:
        reach = (
            f"only |r| above {_critical_r(n):.2f} could differ from 0 with {n}"
            if n > 2
            else (f"{n} runs have no correlation")
        )
        return (
            f"QC-FC is not reported: it needs {min_n} or more runs, and {reach}. Look instead at "
            "each patient's change in motion beside the change in connectivity, and at its "
            "dependence on distance."
        )
    if not np.isfinite(motion).all() or np.ptp(motion) == 0:
        return "QC-FC is not reported: motion is missing or the same in all runs."
    return ""


def _critical_r(n: int) -> float:
    t = float(student_t.ppf(0.975, n - 2))
    return float(t / np.sqrt(n - 2 + t**2))


def _column_correlations(
    edges: NDArray[np.floating[Any]], motion: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    a = edges - edges.mean(axis=0)
    b = motion - motion.mean()
    scale = np.linalg.norm(a, axis=0) * np.linalg.norm(b)
    r = np.full(edges.shape[1], np.nan)
    np.divide(b @ a, scale, out=r, where=scale > 0)
    return r


def _without_trend(signals: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Take mean and linear trend from rows."""
    time = np.arange(signals.shape[1]) - (signals.shape[1] - 1) / 2
    centred = np.asarray(signals, dtype=np.float64)
    centred = centred - centred.mean(axis=1, keepdims=True)
    return np.asarray(centred - np.outer(centred @ time, time) / (time @ time), dtype=np.float64)
