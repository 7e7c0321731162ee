"""Numbers on the quality of a diffusion scan, with names like MRIQC's."""

from __future__ import annotations

from typing import Any

import numpy as np
from dipy.core.gradients import GradientTable
from numpy.typing import NDArray

from msimaging.diffusion.table_rules import shells
from msimaging.errors import Finding, InputError

# The median absolute deviation times this is the standard deviation of normal noise.
_MAD_TO_SD = 1.4826
# Samples farther from the fit than so many of these are outliers; noise alone leaves 0.3 % of many
# volumes, and a few per cent of a dozen, whose spread is known less well.
_OUTLIER_SDS = 3.0
_BLOCK = 8192


def scan_quality(
    data: NDArray[np.floating[Any]], gtab: GradientTable, mask: NDArray[np.bool_]
) -> dict[str, float]:
    """Measure signal, noise and agreement of the volumes without a model of the tissue.

    Parameters
    ----------
    data : (X, Y, Z, N) ndarray
        Diffusion-weighted signal.
    gtab : GradientTable
        Table of the scan.
    mask : (X, Y, Z) ndarray of bool
        Brain.

    Returns
    -------
    dict of str to float
        ``ndc`` neighbouring-DWI correlation (Yeh 2019): mean over the weighted volumes of the
        correlation, in the brain, with the volume nearest in q-space; ``ndc_min`` and
        ``ndc_min_volume`` the lowest and its volume; ``snr_b0`` median of mean over standard
        deviation of the b=0s (NaN with fewer than three); per shell ``cnr_shellB``: standard
        deviation over directions relative to that of differences between nearest directions,
        averaged (above .7: directions agree), and ``signal_shellB``: median signal relative to
        the b=0s; ``n_volumes``, ``zero_fraction`` share of samples at or below zero.

    Raises
    ------
    InputError
        When shapes do not agree or the mask is empty.
    """
    _check(data, gtab, mask)
    signal = data[mask].astype(np.float64)
    correlations = _neighbour_correlations(signal, gtab)
    groups = shells(gtab.bvals)
    mean_b0 = signal[:, groups[0]].mean(axis=1) if groups[0].size else np.full(len(signal), np.nan)
    quality = {
        "n_volumes": float(signal.shape[1]),
        "zero_fraction": float((signal <= 0).mean()),
        "ndc": float(np.nanmean(correlations)),
        "ndc_min": float(np.nanmin(correlations)),
        "ndc_min_volume": float(np.nanargmin(correlations)),
        "snr_b0": _repeat_snr(signal[:, groups[0]]),
    }
    for bval, volumes in groups.items():
        if bval:
            quality[f"signal_shell{bval}"] = _relative(np.median(signal[:, volumes]), mean_b0)
            quality[f"cnr_shell{bval}"] = _angular_contrast(signal[:, volumes], gtab.bvecs[volumes])
    return quality


def fit_quality(
    residual: NDArray[np.floating[Any]],
    clamped: NDArray[np.integer[Any]],
    S0: NDArray[np.floating[Any]],
    mask: NDArray[np.bool_],
) -> dict[str, float]:
    """Summarise how well the tensor describes the signal.

    Parameters
    ----------
    residual : (X, Y, Z) ndarray
        Of `residual_map`.
    clamped : (X, Y, Z) ndarray of int
        Of `clamped_signals`.
    S0 : (X, Y, Z) ndarray
        Fitted signal without weighting, 0 where the fit has no answer.
    mask : (X, Y, Z) ndarray of bool
        Brain.

    Returns
    -------
    dict of str to float
        ``residual_median``, ``residual_mad`` (scaled to a standard deviation), ``residual_p95`` of
        the residual relative to S0; ``snr_fit`` median of S0 over the residual;
        ``clamped_samples``, ``clamped_voxels``, ``unfitted_voxels`` as counts.
    """
    inside = residual[mask & (S0 > 0)].astype(np.float64)
    if not inside.size:
        inside = np.array([np.nan])
    median = float(np.median(inside))
    spread = inside[inside > 0]
    return {
        "snr_fit": float(np.median(1 / spread)) if spread.size else float("nan"),
        "residual_median": median,
        "residual_mad": float(_MAD_TO_SD * np.median(np.abs(inside - median))),
        "residual_p95": float(np.percentile(inside, 95)),
        "clamped_samples": float(clamped[mask].sum()),
        "clamped_voxels": float((clamped[mask] > 0).sum()),
        "unfitted_voxels": float((S0[mask] <= 0).sum()),
    }


def outlier_share(residuals: NDArray[np.floating[Any]]) -> float:
    """Return the share of samples that lie far from the fit, by each voxel's own spread.

    Parameters
    ----------
    residuals : (V, N) ndarray
        Measured minus fitted signal.

    Returns
    -------
    float
        Share of samples beyond three standard deviations, these from the voxel's median absolute
        residual so that outliers do not hide themselves; voxels fitted exactly have none.
    """
    found = 0
    for start in range(0, len(residuals), _BLOCK):
        distance = np.abs(residuals[start : start + _BLOCK])
        spread = _MAD_TO_SD * np.median(distance, axis=1, keepdims=True)
        found += int(((distance > _OUTLIER_SDS * spread) & (spread > 0)).sum())
    return found / residuals.size if residuals.size else float("nan")


def _neighbour_correlations(
    signal: NDArray[np.float64], gtab: GradientTable
) -> NDArray[np.float64]:
    """Correlate each weighted volume with the nearest in q-space; NaN at b=0s, (N,)."""
    values = np.full(signal.shape[1], np.nan)
    weighted = np.flatnonzero(~gtab.b0s_mask)
    if len(weighted) < 2:
        return values
    q = np.sqrt(gtab.bvals[weighted])[:, None] * gtab.bvecs[weighted]
    # antipodal directions measure the same
    distance = np.minimum(
        np.linalg.norm(q[:, None] - q[None], axis=-1), np.linalg.norm(q[:, None] + q[None], axis=-1)
    )
    np.fill_diagonal(distance, np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.asarray(np.corrcoef(signal[:, weighted].T)).reshape(2 * weighted.shape)
    values[weighted] = correlation[np.arange(len(weighted)), distance.argmin(axis=1)]
    return values


def _repeat_snr(b0s: NDArray[np.float64]) -> float:
    """Return the median over voxels of mean over standard deviation of repeated b=0s."""
    if b0s.shape[1] < 3:
        return float("nan")
    spread = b0s.std(axis=1, ddof=1)
    return float(np.median(b0s.mean(axis=1)[spread > 0] / spread[spread > 0]))


def _angular_contrast(signal: NDArray[np.float64], bvecs: NDArray[np.float64]) -> float:
    """Return the median of the spread over directions relative to that between nearest ones."""
    if signal.shape[1] < 3:
        return float("nan")
    cosines = np.abs(bvecs @ bvecs.T)
    np.fill_diagonal(cosines, -1.0)
    differences = signal - signal[:, cosines.argmax(axis=1)]
    noise = np.sqrt((differences**2).mean(axis=1) / 2)
    spread = signal.std(axis=1, ddof=1)
    return float(np.median(spread[noise > 0] / noise[noise > 0])) if (noise > 0).any() else np.nan


def _relative(level: np.floating[Any], mean_b0: NDArray[np.float64]) -> float:
    reference = float(np.median(mean_b0))
    return float(level) / reference if reference > 0 else float("nan")


def _check(data: NDArray[Any], gtab: GradientTable, mask: NDArray[Any]) -> None:
    if data.ndim == 4 and data.shape == (*mask.shape, len(gtab.bvals)) and mask.any():
        return
    found = f"data {data.shape}, mask {mask.shape} with {mask.sum()} voxels, {len(gtab.bvals)} rows"
    rule = "data, mask and gradient table belong together, and the mask holds voxels"
    raise InputError([Finding(rule=rule, found=found, remedy="Correct the arguments.")])
