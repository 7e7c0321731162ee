"""Standard errors of tensor maps and region means from one scan: the wild bootstrap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from dipy.core.gradients import GradientTable
from dipy.reconst.dti import TensorModel
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_array, diags_array
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

from msimaging.diffusion.least_squares import (
    MAX_WEIGHT_SPREAD,
    log_linear_fit,
    symmetric_evals,
    without_answer,
)
from msimaging.diffusion.metrics import SCALAR_METRICS, ScalarMetric
from msimaging.diffusion.tensor import MIN_SIGNAL, check_fit_inputs
from msimaging.errors import Finding, InputError

Floats = NDArray[np.float64]

# All resamples of a block are held at once: 512 voxels x 200 samples x 33 volumes are 27 MB.
_BLOCK = 512
# Above, a residual tells too little of its own noise (simulated: a single b=0, 12 directions).
_MAX_LEVERAGE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapErrors:
    """Standard errors of scalar maps and of their means over regions.

    Attributes
    ----------
    voxels : mapping of str to (X, Y, Z) ndarray of float32
        Standard error per metric label, in the metric's units; 0 outside the mask.
    region_labels : (P,) ndarray of int
        Labels of the regions, ascending, without 0.
    regions : mapping of str to (P,) ndarray
        Standard error of each region's mean.
    region_samples : mapping of str to (n_samples, P) ndarray
        The resampled means themselves.
    """

    voxels: Mapping[str, NDArray[np.float32]]
    region_labels: NDArray[np.int64]
    regions: Mapping[str, Floats]
    region_samples: Mapping[str, Floats]


def wild_bootstrap(
    data: NDArray[np.floating[Any]],
    gtab: GradientTable,
    mask: NDArray[np.bool_],
    *,
    labels: NDArray[np.integer[Any]] | None = None,
    region_weights: csr_array | None = None,
    n_samples: int = 200,
    seed: int = 0,
    block_voxels: int = 1,
    metrics: Iterable[ScalarMetric] = tuple(SCALAR_METRICS.values()),
) -> BootstrapErrors:
    """Estimate how much scalar maps would vary if this very scan were repeated.

    Parameters
    ----------
    data : (X, Y, Z, N) ndarray
        Diffusion-weighted signal, as given to the fit.
    gtab : GradientTable
        Table of the fit.
    mask : (X, Y, Z) ndarray of bool
        Voxels to resample.
    labels : (X, Y, Z) ndarray of int, optional
        Regions whose means are resampled too; 0 is none. Only voxels inside the mask count.
    region_weights : (P, X * Y * Z) sparse array, optional
        In place of ``labels``: share of every voxel (in C order) in each region, labelled 1 to P;
        weights of voxels inside the mask are scaled to a sum of 1.
    n_samples : int
        Number of resamples; the Monte-Carlo error of a standard error is 1 / sqrt(2 n_samples).
    seed : int
        Start of the random numbers.
    block_voxels : int
        Edge of the cubes of voxels whose residuals change sign together. 1 holds when noise is
        independent between voxels; 2 or 3 keeps what denoising, interpolation and smoothing tie
        together, which errors of region means need (errors of voxels do not depend on it).
    metrics : iterable of ScalarMetric
        Which maps.

    Returns
    -------
    BootstrapErrors
        Maps and region errors, from the same resamples.

    Raises
    ------
    InputError
        When shapes do not agree, fewer than two samples are asked for, or N < 8.

    Notes
    -----
    Whitcher 2008. The residuals of the weighted log-linear fit, divided by sqrt(1 - leverage)
    (HC2: unbiased when the weights are right), get random signs and are added to the fitted
    logarithms; the weights are those of the first fit, so that a resample is one matrix product.
    A volume that alone determines its fit (leverage over 0.8: a single b=0) has hardly a residual;
    it takes the size that the other residuals have on average. Zero where the fit has no answer.
    It tells the noise of this scan, not what a rescan on another day would add.
    """
    check_fit_inputs(data, gtab, mask)
    _check_request(mask, labels, n_samples, len(gtab.bvals), block_voxels)
    metrics = tuple(metrics)
    signal, design = data[mask], np.asarray(TensorModel(gtab).design_matrix)
    names, membership = (
        _membership(labels, mask) if region_weights is None else _shares(region_weights, mask)
    )
    errors = {metric.label: np.zeros(mask.shape, dtype=np.float32) for metric in metrics}
    flat = {metric.label: np.zeros(len(signal), dtype=np.float32) for metric in metrics}
    means = {metric.label: np.zeros((n_samples, len(names))) for metric in metrics}
    cubes = _cubes(mask, block_voxels)
    for block, evals in _resamples(design, signal, cubes, n_samples=n_samples, seed=seed):
        for metric in metrics:
            values = np.asarray(metric.from_evals(evals))
            flat[metric.label][block] = values.std(axis=1, ddof=1)
            means[metric.label] += (membership[:, block] @ values).T
    for label, values in flat.items():
        errors[label][mask] = values
    return BootstrapErrors(
        voxels=errors,
        region_labels=names,
        regions={label: values.std(axis=0, ddof=1) for label, values in means.items()},
        region_samples=means,
    )


def _resamples(
    design: Floats,
    signal: NDArray[np.floating[Any]],
    cubes: NDArray[np.int64],
    *,
    n_samples: int,
    seed: int,
) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Yield voxel numbers with the eigenvalues of all their resamples, (V, n_samples, 3)."""
    floor = 1e-6 / -design.min()
    order = np.argsort(cubes, kind="stable")
    for number, start in enumerate(range(0, len(signal), _BLOCK)):
        block = order[start : start + _BLOCK]
        # small products: threads of the library would wait for each other
        with threadpool_limits(limits=1, user_api="blas"):
            tensor, influence = _influence(design, signal[block])
        # a stream per block of voxels, so that memory stays bounded
        rng = np.random.default_rng([seed, number])
        _, cube = np.unique(cubes[block], return_inverse=True)
        drawn = _draw(rng, (int(cube.max()) + 1, len(design), n_samples))
        with threadpool_limits(limits=1, user_api="blas"):
            resampled = influence @ drawn[cube] + tensor.T[:, :, None]
        evals = symmetric_evals(np.moveaxis(resampled, 1, 0))
        evals = evals.clip(min=floor)
        evals[~np.abs(influence).max(axis=(1, 2)).astype(bool)] = 0.0
        yield block, evals


def _cubes(mask: NDArray[np.bool_], edge: int) -> NDArray[np.int64]:
    """Return the number of the cube of the grid that each voxel lies in, (V,)."""
    places = np.argwhere(mask) // edge
    shape = [length // edge + 1 for length in mask.shape]
    return np.asarray(np.ravel_multi_index(tuple(places.T), shape), dtype=np.int64)


def _draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Draw signs, +1 or -1 with equal chance (Rademacher)."""
    return np.asarray(rng.integers(0, 2, size=shape, dtype=np.int8) * 2.0 - 1.0, np.float64)


def _influence(design: Floats, signal: NDArray[np.floating[Any]]) -> tuple[Floats, Floats]:
    """Return the fitted tensors (6, V), and what a sign of each residual does to them (V, 6, N)."""
    scale = np.abs(design).max(axis=0)
    scaled = design / scale
    logs: Floats = np.log(np.maximum(signal.astype(np.float64), MIN_SIGNAL))
    first, _ = log_linear_fit(scaled, logs, reweightings=0)
    predicted = first.T @ scaled.T
    root = np.exp(np.maximum(predicted - predicted.max(axis=1, keepdims=True), -300))
    solver = _solver(scaled, root)
    coefficients = (solver @ logs[:, :, None])[:, :, 0]
    residuals = logs - coefficients @ scaled.T
    leverage = np.einsum("nk,vkn->vn", scaled, solver)
    pooled = np.sqrt(((root * residuals) ** 2).sum(axis=1) / (len(design) - 7))
    residuals = np.where(
        leverage < _MAX_LEVERAGE,
        residuals / np.sqrt(1 - np.minimum(leverage, _MAX_LEVERAGE)),
        np.sign(residuals) * pooled[:, None] / root,
    )
    lost = without_answer((coefficients / scale).T, logs)
    tensor = np.where(lost[:, None], 0.0, coefficients[:, :6] / scale[:6])
    influence = solver[:, :6] * (residuals[:, None, :] / scale[:6, None])
    influence[lost] = 0.0
    return np.asarray(tensor.T, np.float64), np.asarray(influence, np.float64)


def _solver(scaled: Floats, root: Floats) -> Floats:
    """Return (X' W X)^-1 X' W of each voxel, (V, 7, N), from the weights' square root (V, N)."""
    squared = np.square(root)
    hard = np.asarray(squared.min(axis=1) < squared.max(axis=1) / MAX_WEIGHT_SPREAD)
    weighted = scaled.T * np.where(hard[:, None], 1.0, squared)[:, None, :]
    solver = np.linalg.solve(weighted @ scaled, weighted)
    # few voxels, with zeros among their signals
    if hard.any():
        pinv = np.linalg.pinv(scaled * root[hard][:, :, None])
        solver[hard] = pinv * root[hard][:, None, :]
    return np.asarray(solver)


def _membership(
    labels: NDArray[np.integer[Any]] | None, mask: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], csc_matrix]:
    """Return the labels in the mask and the matrix (P, V) that averages voxels over regions."""
    inside = np.zeros(mask.sum(), dtype=np.int64) if labels is None else labels[mask]
    names, place, counts = np.unique(inside, return_inverse=True, return_counts=True)
    voxels = np.arange(len(inside))
    every = csc_matrix((1 / counts[place], (place, voxels)), shape=(len(names), len(inside)))
    return names[names != 0].astype(np.int64), every[names != 0]


def _shares(weights: csr_array, mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], csc_matrix]:
    """Return labels from 1 on and the matrix (P, V) of weights in the mask, rows summing to 1."""
    inside = csc_matrix(weights[:, np.flatnonzero(mask)])
    total = np.asarray(inside.sum(axis=1)).ravel()
    scale = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    return np.arange(1, len(total) + 1), csc_matrix(diags_array(scale) @ inside)


def _check_request(
    mask: NDArray[np.bool_],
    labels: NDArray[np.integer[Any]] | None,
    n_samples: int,
    n_volumes: int,
    block_voxels: int,
) -> None:
    rules = (
        (
            labels is None or labels.shape == mask.shape,
            "labels and mask lie on the same grid",
            f"labels {None if labels is None else labels.shape}, mask {mask.shape}",
        ),
        (n_samples > 1, "a standard error needs two resamples or more", f"{n_samples}"),
        (n_volumes > 7, "residuals need more volumes than the seven unknowns", f"{n_volumes}"),
        (block_voxels > 0, "a block has an edge of one voxel or more", f"{block_voxels}"),
    )
    faults = [
        Finding(rule=rule, found=found, remedy="Correct the arguments of the bootstrap.")
        for fine, rule, found in rules
        if not fine
    ]
    if faults:
        raise InputError(faults)
