"""Dropped slices: found against what the other volumes foretell, replaced, and weighted zero.

When the head moves during the diffusion weighting, the signal of a whole slice is lost. The mean
of each slice is compared with the mean of its prediction (see ``prediction``); its log-ratio is
compared with the slices around (which head motion changes alike) and
put on the scale of its peers' spread. Found slices no longer predict others, and all are judged
again, until no new one is found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from msimaging.diffusion.prediction import prediction_matrix, shell_labels
from msimaging.errors import Finding, InputError

Array = NDArray[np.float64]

_FLOOR = 1e-3  # of the median signal in the mask: keeps logarithms finite
_MIN_VOXELS = 20  # fewer voxels inside the mask's rim say nothing about a slice
_MIN_LOSS = 0.1  # a loss below a tenth is not called a drop-out, however sharp the statistic
_MAX_ROUNDS = 5
_WIDEST = 6.0  # times the shell's spread
_NEIGHBOURS = 3  # slices to each side: more than a burst of drop-outs spans


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceOutliers:
    """Dropped slices and the series without them.

    Attributes
    ----------
    data : array (X, Y, Z, N) of float32
        Volumes with dropped slices replaced by their prediction (inside and outside the mask).
    weights : array (X, Y, Z, N)
        0 in replaced slices, else 1; read-only and without memory of its own.
    outliers : array (Z, N) of bool
        Slices found, counted along the slice axis.
    z_scores : array (Z, N)
        Robust z of the log-ratio of measured to predicted slice mean; nan where not judged.
    share : float
        Outliers among the judged slices.
    """

    data: NDArray[np.float32]
    weights: Array
    outliers: NDArray[np.bool_]
    z_scores: Array
    share: float


def replace_dropped_slices(
    data: NDArray[np.floating],
    *,
    bvals: Array,
    bvecs: Array,
    mask: NDArray[np.bool_],
    slice_axis: int = 2,
    threshold: float = 4.0,
) -> SliceOutliers:
    """Find slices that lost signal and replace them by the model's prediction.

    Parameters
    ----------
    data : array (X, Y, Z, N)
        Diffusion volumes as acquired, before any resampling mixes slices.
    bvals : array (N,)
        b-values [s/mm2].
    bvecs : array (N, 3)
        Unit gradient directions, any one frame.
    mask : array (X, Y, Z) of bool
        Head or brain.
    slice_axis : {0, 1, 2}
        Voxel axis along which slices were acquired.
    threshold : float
        A slice whose z is below ``-threshold`` and that lost a tenth or more is an outlier.

    Returns
    -------
    SliceOutliers
        Replaced series, weights and the slices found.

    Raises
    ------
    InputError
        Shapes that do not belong together, mask empty, axis not 0, 1 or 2, threshold not positive.

    Notes
    -----
    Slice-wise z-scores and replacement follow Andersson et al. (2016, NeuroImage 141:556-572).
    Slices with fewer than 20 voxels inside the mask's rim are not judged.
    A volume that no other of its shell can predict (a single b=0) is never called an outlier.
    """
    data = np.asarray(data)
    _check(data, bvals, bvecs, mask, slice_axis, threshold)
    slices = np.moveaxis(data, slice_axis, 2)
    inside = np.moveaxis(np.asarray(mask, dtype=bool), slice_axis, 2)
    core = ndimage.binary_erosion(inside)  # motion moves the rim in and out of the head
    floor = _FLOOR * max(float(np.median(slices[inside])), 1e-6)
    outliers = np.zeros((slices.shape[2], len(bvals)), dtype=bool)
    for _ in range(_MAX_ROUNDS):
        ratios = _beside_neighbours(_log_ratios(slices, core, (bvals, bvecs), outliers, floor))
        z_scores = _robust_z(ratios, bvals, outliers)
        found = (z_scores < -threshold) & (ratios < np.log(1 - _MIN_LOSS))
        if (found == outliers).all():
            break
        outliers = found
    replaced = _replaced(slices, (bvals, bvecs), outliers, floor)
    return _found(replaced, outliers, z_scores, slice_axis)


def replace_against(
    data: NDArray[np.floating],
    predicted: NDArray[np.floating],
    *,
    bvals: Array,
    mask: NDArray[np.bool_],
    slice_axis: int = 2,
    threshold: float = 4.0,
) -> SliceOutliers:
    """Find and replace dropped slices by predictions that know where the head was.

    Parameters
    ----------
    data : array (X, Y, Z, N)
        Diffusion volumes as acquired.
    predicted : array (X, Y, Z, N)
        What each of them should look like in its own pose, foretold by the others of its shell.
    bvals : array (N,)
        b-values [s/mm2].
    mask : array (X, Y, Z) of bool
        Head or brain.
    slice_axis : {0, 1, 2}
        Voxel axis along which slices were acquired.
    threshold : float
        As in :func:`replace_dropped_slices`.

    Returns
    -------
    SliceOutliers
        Replaced series, weights and the slices found.

    Raises
    ------
    InputError
        As :func:`replace_dropped_slices`.
    """
    data = np.asarray(data)
    _check(data, bvals, np.zeros((len(bvals), 3)), mask, slice_axis, threshold)
    slices, foretold = (np.moveaxis(image, slice_axis, 2) for image in (data, predicted))
    inside = np.moveaxis(np.asarray(mask, dtype=bool), slice_axis, 2)
    core = ndimage.binary_erosion(inside)
    floor = _FLOOR * max(float(np.median(slices[inside])), 1e-6)
    ratios = np.full((slices.shape[2], len(bvals)), np.nan)
    for k in np.flatnonzero(core.sum(axis=(0, 1)) >= _MIN_VOXELS):
        measured, expected = (
            np.maximum(image[:, :, k][core[:, :, k]], floor) for image in (slices, foretold)
        )
        # where the head left the field of view there is nothing to compare
        shown = np.where(expected > floor, measured / expected, np.nan)
        known = np.isfinite(shown).sum(axis=0) >= _MIN_VOXELS
        ratios[k, known] = np.log(np.nanmedian(shown[:, known], axis=0))
    ratios = _beside_neighbours(ratios)
    outliers = np.zeros(ratios.shape, dtype=bool)
    for _ in range(_MAX_ROUNDS):
        z_scores = _robust_z(ratios, bvals, outliers)
        found = (z_scores < -threshold) & (ratios < np.log(1 - _MIN_LOSS))
        if (found == outliers).all():
            break
        outliers = found
    replaced = np.where(outliers, foretold, slices).astype(np.float32, copy=False)
    return _found(replaced, outliers, z_scores, slice_axis)


def _found(
    replaced: NDArray[np.float32], outliers: NDArray[np.bool_], z_scores: Array, slice_axis: int
) -> SliceOutliers:
    judged = np.isfinite(z_scores)
    weights = np.broadcast_to(np.where(outliers, 0.0, 1.0), replaced.shape)
    return SliceOutliers(
        data=np.ascontiguousarray(np.moveaxis(replaced, 2, slice_axis)),
        weights=np.moveaxis(weights, 2, slice_axis),
        outliers=outliers,
        z_scores=z_scores,
        share=float(outliers[judged].mean()) if judged.any() else 0.0,
    )


def _log_ratios(
    slices: NDArray[np.floating],
    inside: NDArray[np.bool_],
    table: tuple[Array, Array],
    outliers: NDArray[np.bool_],
    floor: float,
) -> Array:
    """Return the log of measured over predicted slice means (Z, N), nan where there is neither."""
    ratios = np.full(outliers.shape, np.nan)
    for k in range(slices.shape[2]):
        signals = np.maximum(slices[:, :, k][inside[:, :, k]], floor)
        if len(signals) < _MIN_VOXELS:
            continue
        matrix = prediction_matrix(*table, usable=~outliers[k])
        predicted = np.exp(np.log(signals) @ matrix.T)
        predictable = np.diag(matrix) == 0
        ratio = np.log(np.median(signals / predicted, axis=0))
        ratios[k, predictable] = ratio[predictable]
    return ratios


def _beside_neighbours(ratios: Array) -> Array:
    """Take out what neighbouring slices of the volume share: head motion, not a drop-out."""
    shared = np.full(ratios.shape, np.nan)
    for k in range(len(ratios)):
        near = ratios[max(0, k - _NEIGHBOURS) : k + _NEIGHBOURS + 1]
        known = ~np.isnan(near).all(axis=0)
        shared[k, known] = np.nanmedian(near[:, known], axis=0)
    alone: Array = ratios - shared
    return alone


def _robust_z(ratios: Array, bvals: Array, outliers: NDArray[np.bool_]) -> Array:
    """Centre each slice on its shell and scale by its spread, outliers not counted.

    The spread is that of the slice, at least that of the whole shell and at most a few times as
    much: slices at the ends of the head vary more, few volumes may agree by chance, and several
    drop-outs in one slice must not hide each other.
    """
    labels = shell_labels(bvals)
    z_scores = np.full(ratios.shape, np.nan)
    for label in np.unique(labels):
        of_shell = ratios[:, labels == label]
        peers = np.where(outliers[:, labels == label], np.nan, of_shell)
        known = ~np.isnan(peers).all(axis=1)
        if not known.any():
            continue
        middle = np.nanmedian(peers[known], axis=1, keepdims=True)
        away = np.abs(peers[known] - middle)
        common = np.nanmedian(away)
        own = np.nanmedian(away, axis=1, keepdims=True)
        spread = 1.4826 * np.clip(own, common, _WIDEST * common)
        rows = np.full(of_shell.shape, np.nan)
        rows[known] = (of_shell[known] - middle) / np.maximum(spread, 1e-9)
        z_scores[:, labels == label] = rows
    return z_scores


def _replaced(
    slices: NDArray[np.floating],
    table: tuple[Array, Array],
    outliers: NDArray[np.bool_],
    floor: float,
) -> NDArray[np.float32]:
    replaced = slices.astype(np.float32)
    for k in np.flatnonzero(outliers.any(axis=1)):
        matrix = prediction_matrix(*table, usable=~outliers[k])[outliers[k]]
        logs = np.log(np.maximum(slices[:, :, k], floor).astype(np.float64))
        replaced[:, :, k, outliers[k]] = np.exp(logs @ matrix.T)
    return replaced


def _check(
    data: NDArray[np.floating],
    bvals: Array,
    bvecs: Array,
    mask: NDArray[np.bool_],
    *settings: float,
) -> None:
    slice_axis, threshold = settings
    findings = []
    n_volumes = data.shape[-1]
    if data.ndim != 4 or len(bvals) != n_volumes or np.shape(bvecs) != (n_volumes, 3):
        findings.append(
            Finding(
                where="data, bvals, bvecs",
                rule="one b-value and one direction belong to each volume on four axes",
                found=f"shapes {data.shape}, {np.shape(bvals)}, {np.shape(bvecs)}",
                remedy="Give the gradient table of this series.",
            )
        )
    if np.shape(mask) != data.shape[:3] or not np.any(mask):
        findings.append(
            Finding(
                where="mask",
                rule="the mask has the grid of the volumes and is not empty",
                found=f"shape {np.shape(mask)}, {np.count_nonzero(mask)} voxels",
                remedy="Make the mask from this series.",
            )
        )
    if slice_axis not in (0, 1, 2) or not threshold > 0:
        findings.append(
            Finding(
                where="slice_axis, threshold",
                rule="the slice axis is 0, 1 or 2 and the threshold positive",
                found=f"axis {slice_axis}, threshold {threshold}",
                remedy="Slices lie along axis 2 in most series; 4 is the usual threshold.",
            )
        )
    if findings:
        raise InputError(findings)
