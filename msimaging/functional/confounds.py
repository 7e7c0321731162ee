"""Nuisance time series of one run, in fMRIPrep's columns and with its metadata."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from msimaging.errors import Finding, InputError
from msimaging.functional.motion import framewise_displacement
from msimaging.functional.strategies import MOTION

Series = NDArray[np.float64]
Mask = NDArray[np.bool_]

_CUT_OFF = 128.0  # s, of the cosine basis
_TEMPORAL_SHARE = 0.02  # of the brain's voxels, for tCompCor
_ROWS_AT_ONCE = 10_000
_NORMALISED_MEDIAN = 1000.0  # DVARS counts in units where the brain's median is this


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfoundsTable:
    """What may be regressed out of one run.

    Attributes
    ----------
    table : DataFrame of T rows
        Columns in fMRIPrep's names; the first row of differences is NaN.
    metadata : dict
        One entry for each CompCor component: the table's JSON.
    """

    table: pd.DataFrame
    metadata: dict[str, dict[str, Any]]


def confounds_table(
    bold: NDArray[np.floating[Any]],
    *,
    t_r: float,
    brain_mask: Mask,
    motion: Series | None = None,
    white_matter_mask: Mask | None = None,
    csf_mask: Mask | None = None,
    lesion_mask: Mask | None = None,
    n_non_steady: int = 0,
    variance_share: float = 0.5,
    n_components: int | None = None,
    fd_threshold: float = 0.5,
    std_dvars_threshold: float = 1.5,
) -> ConfoundsTable:
    """Compute motion terms, tissue signals, CompCor components, cosines and outliers of a run.

    Parameters
    ----------
    bold : ndarray of shape (X, Y, Z, T)
        Realigned, not smoothed.
    t_r : float
        Repetition time [s].
    brain_mask : ndarray of bool, shape (X, Y, Z)
    motion : ndarray of shape (T, 6), optional
        trans_x .. rot_z [mm, rad]; without it the table has no motion columns.
    white_matter_mask, csf_mask : ndarray of bool, shape (X, Y, Z), optional
        Eroded, without lesions; without them the table has no columns of that tissue.
    lesion_mask : ndarray of bool, shape (X, Y, Z), optional
        Left out of the voxels that temporal CompCor chooses from.
    n_non_steady : int
        Volumes at the start that are not in steady state.
    variance_share : float
        CompCor keeps the components that explain this share of the mask's variance.
    n_components : int, optional
        A fixed number of components of each mask in place of ``variance_share``.
    fd_threshold, std_dvars_threshold : float
        Volumes beyond either get a motion_outlier column [mm, standard deviations].

    Returns
    -------
    ConfoundsTable

    Raises
    ------
    InputError
        Masks or motion that do not belong to the run, or fewer than three steady volumes.
    """
    tissues = {"csf": csf_mask, "white_matter": white_matter_mask}
    masks = {"brain": brain_mask, **tissues, "lesion": lesion_mask}
    _check_input(bold, motion, masks, n_non_steady)
    healthy = brain_mask if lesion_mask is None else brain_mask & ~lesion_mask
    columns: dict[str, Series] = {}
    for name, mask in {"global_signal": brain_mask, **tissues}.items():
        if mask is not None and mask.any():
            columns |= expansion(name, _mean_signal(bold, mask))
    if csf_mask is not None and white_matter_mask is not None:
        both = csf_mask | white_matter_mask
        columns |= {"csf_wm": _mean_signal(bold, both)} if both.any() else {}
    columns["dvars"], columns["std_dvars"] = dvars(bold, mask=brain_mask)
    if motion is not None:
        columns["framewise_displacement"] = framewise_displacement(motion)
    cosines = cosine_basis(bold.shape[3] - n_non_steady, t_r=t_r)
    take = _taker(variance_share, n_components)
    metadata: dict[str, dict[str, Any]] = {}
    for prefix, label, mask in _compcor_masks(bold, healthy, tissues, cosines, n_non_steady):
        components, facts = _components(bold[mask], cosines, n_non_steady, take)
        names = [f"{prefix}_comp_cor_{i:02d}" for i in range(len(facts))]
        columns |= dict(zip(names, components.T, strict=True))
        method = "tCompCor" if prefix == "t" else "aCompCor"
        for name, fact in zip(names, facts, strict=True):
            metadata[name] = {"Method": method, "Mask": label, "Retained": True, **fact}
    padded = np.vstack([np.zeros((n_non_steady, cosines.shape[1])), cosines])
    columns |= {f"cosine{i:02d}": column for i, column in enumerate(padded.T)}
    columns |= _one_hot("non_steady_state_outlier", np.arange(n_non_steady), bold.shape[3])
    if motion is not None:
        for name, column in zip(MOTION, motion.T, strict=True):
            columns |= expansion(name, column)
        beyond = columns["framewise_displacement"] > fd_threshold
        beyond |= columns["std_dvars"] > std_dvars_threshold
        columns |= _one_hot("motion_outlier", np.flatnonzero(beyond), bold.shape[3])
    return ConfoundsTable(table=pd.DataFrame(columns), metadata=metadata)


def expansion(name: str, signal: Series) -> dict[str, Series]:
    """Name a signal, its backward difference and the squares of both, as fMRIPrep does.

    Parameters
    ----------
    name : str
    signal : ndarray of shape (T,)

    Returns
    -------
    dict
        name, name_derivative1 (NaN in the first row), name_power2, name_derivative1_power2.
    """
    signal = np.asarray(signal, dtype=np.float64)
    derivative = np.concatenate([[np.nan], np.diff(signal)])
    return {
        name: signal,
        f"{name}_derivative1": derivative,
        f"{name}_power2": signal**2,
        f"{name}_derivative1_power2": derivative**2,
    }


def dvars(bold: NDArray[np.floating[Any]], *, mask: Mask) -> tuple[Series, Series]:
    """Measure how much the image changes from each volume to the next.

    Parameters
    ----------
    bold : ndarray of shape (X, Y, Z, T)
    mask : ndarray of bool, shape (X, Y, Z)

    Returns
    -------
    dvars : ndarray of shape (T,)
        Root mean square over voxels of the difference, where the median signal is 1000; NaN first.
    std_dvars : ndarray of shape (T,)
        The same over what each voxel's spread and lag-1 autocorrelation lead one to expect.

    References
    ----------
    Power 2012; Nichols 2013 (standardised).
    """
    signals = bold[mask]
    median = float(np.median(signals))
    scale = _NORMALISED_MEDIAN / median if median != 0 else 1.0
    squares, expected, n_voxels = np.zeros(bold.shape[3] - 1), 0.0, 0
    for block in _blocks(len(signals)):
        voxels = signals[block] * np.float64(scale)
        low, high = np.percentile(voxels, [25, 75], axis=1, method="lower")
        varying = high > low
        spread, voxels = (high - low)[varying] / 1.349, voxels[varying]
        squares += np.sum(np.diff(voxels, axis=1) ** 2, axis=0)
        voxels -= voxels.mean(axis=1, keepdims=True)
        lag_one = np.sum(voxels[:, 1:] * voxels[:, :-1], axis=1) / np.sum(voxels**2, axis=1)
        expected += float(np.sum(spread * np.sqrt(2 * (1 - lag_one))))
        n_voxels += len(spread)
    if n_voxels == 0:
        return np.full(bold.shape[3], np.nan), np.full(bold.shape[3], np.nan)
    raw = np.concatenate([[np.nan], np.sqrt(squares / n_voxels)])
    return raw, raw * n_voxels / expected


def _blocks(n_rows: int) -> list[slice]:
    """Cut rows into pieces, so that copies in double precision stay small."""
    return [slice(start, start + _ROWS_AT_ONCE) for start in range(0, n_rows, _ROWS_AT_ONCE)]


def cosine_basis(n_volumes: int, *, t_r: float, cut_off: float = _CUT_OFF) -> Series:
    """Make the slow cosines of a high-pass filter.

    Parameters
    ----------
    n_volumes : int
    t_r : float
        Repetition time [s].
    cut_off : float
        Shortest period that is removed [s].

    Returns
    -------
    ndarray of shape (n_volumes, C)
        Of length one, without the constant.
    """
    order = np.arange(1, min(int(2 * n_volumes * t_r / cut_off), n_volumes - 1) + 1)
    phases = np.outer(np.arange(n_volumes) + 0.5, order) * np.pi / n_volumes
    return np.asarray(np.sqrt(2 / n_volumes) * np.cos(phases), dtype=np.float64)


def _taker(variance_share: float, n_components: int | None) -> Callable[[Series], int]:
    """How many components to keep, from the share of variance that each explains."""

    def take(explained: Series) -> int:
        if n_components is not None:
            return min(n_components, explained.size)
        return min(int(np.searchsorted(np.cumsum(explained), variance_share)) + 1, explained.size)

    return take


def _compcor_masks(
    bold: NDArray[np.floating[Any]],
    brain_mask: Mask,
    tissues: dict[str, Mask | None],
    cosines: Series,
    n_non_steady: int,
) -> list[tuple[str, str, Mask]]:
    """Prefix, name in the metadata and voxels of each CompCor variant; empty ones left out."""
    wm, csf = tissues["white_matter"], tissues["csf"]
    wanted = [("t", "temporal", _most_variable(bold, brain_mask, cosines, n_non_steady))]
    if wm is not None and csf is not None:
        wanted.append(("a", "combined", wm | csf))
    if wm is not None:
        wanted.append(("w", "WM", wm))
    if csf is not None:
        wanted.append(("c", "CSF", csf))
    return [each for each in wanted if each[2].any()]


def _most_variable(
    bold: NDArray[np.floating[Any]], brain_mask: Mask, cosines: Series, n_non_steady: int
) -> Mask:
    # the outermost layer varies by motion and partial volume alone
    inner = np.asarray(ndimage.binary_erosion(brain_mask), dtype=bool)
    inner = inner if inner.any() else brain_mask
    signals = bold[inner]
    spread = np.concatenate(
        [
            _filtered(signals[block, n_non_steady:], cosines).std(axis=0)
            for block in _blocks(len(signals))
        ]
    )
    chosen = np.zeros(brain_mask.shape, dtype=bool)
    chosen[inner] = spread > np.quantile(spread, 1 - _TEMPORAL_SHARE)
    return chosen


def _components(
    signals: NDArray[np.floating[Any]],
    cosines: Series,
    n_non_steady: int,
    take: Callable[[Series], int],
) -> tuple[Series, list[dict[str, float]]]:
    """Principal components over the steady volumes, zero before, and what each explains."""
    filtered = _filtered(signals[:, n_non_steady:], cosines)
    spread = filtered.std(axis=0)
    filtered = filtered[:, spread > 0] / spread[spread > 0]
    values, vectors = np.linalg.eigh(filtered @ filtered.T)
    values = np.clip(values[::-1], 0, None)
    explained = values / max(values.sum(), np.finfo(float).tiny)
    n_kept = take(explained)
    vectors = vectors[:, ::-1][:, :n_kept]
    # the sign of an eigenvector is arbitrary: the largest value is made positive
    largest = vectors[np.argmax(np.abs(vectors), axis=0), np.arange(n_kept)]
    padded = np.vstack([np.zeros((n_non_steady, n_kept)), vectors * np.sign(largest)])
    facts = [
        {
            "SingularValue": float(np.sqrt(values[i])),
            "VarianceExplained": float(explained[i]),
            "CumulativeVarianceExplained": float(explained[: i + 1].sum()),
        }
        for i in range(n_kept)
    ]
    return padded, facts


def _filtered(signals: NDArray[np.floating[Any]], cosines: Series) -> Series:
    """Voxels x volumes to volumes x voxels, without mean and slow cosines."""
    filtered = np.array(signals.T, dtype=np.float64)
    filtered -= filtered.mean(axis=0)
    filtered -= cosines @ (cosines.T @ filtered)
    return filtered


def _mean_signal(bold: NDArray[np.floating[Any]], mask: Mask) -> Series:
    return np.asarray(bold[mask].mean(axis=0, dtype=np.float64))


def _one_hot(prefix: str, volumes: NDArray[np.integer[Any]], n_volumes: int) -> dict[str, Series]:
    return {
        f"{prefix}{i:02d}": np.eye(1, n_volumes, int(volume))[0] for i, volume in enumerate(volumes)
    }


def _check_input(
    bold: NDArray[np.floating[Any]],
    motion: Series | None,
    masks: dict[str, Mask | None],
    n_non_steady: int,
) -> None:
    findings = []
    if bold.ndim != 4 or bold.shape[3] - n_non_steady < 3:
        findings.append(
            Finding(
                rule="confounds need three or more volumes in steady state",
                where="bold",
                found=f"an array of shape {bold.shape}, {n_non_steady} volumes not steady",
                remedy="Leave this run out.",
            )
        )
    for name, mask in masks.items():
        if mask is not None and (
            mask.shape != bold.shape[:3] or (name == "brain" and not mask.any())
        ):
            findings.append(
                Finding(
                    rule="masks are on the grid of the run and the brain mask is not empty",
                    where=f"{name} mask",
                    found=f"shape {mask.shape} with {np.count_nonzero(mask)} voxels",
                    remedy="Resample the mask to the run.",
                )
            )
    if motion is not None and motion.shape != (bold.shape[-1], 6):
        findings.append(
            Finding(
                rule="six motion parameters for each volume",
                where="motion",
                found=f"shape {motion.shape} for {bold.shape[-1]} volumes",
                remedy="Take motion and run together.",
            )
        )
    if findings:
        raise InputError(findings)
