"""Random-matrix denoising (MP-PCA) of diffusion-weighted volumes.

A patch of neighbouring voxels is a matrix of few signal directions plus noise. The eigenvalues
of pure noise follow the Marchenko-Pastur law, so the largest set of small eigenvalues that obeys
it is noise and is removed. Patches are placed on every second voxel along each axis and their
overlapping reconstructions averaged (as DIPY's ``mppca`` does with a patch at every voxel): an
eighth of the eigendecompositions for the same residual noise.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

from msimaging.errors import Finding, InputError

Floats = NDArray[np.floating]

_STRIDE = 2
_BATCH = 512  # patches in one batched product: stays within the cache of a core


@dataclass(frozen=True, slots=True, kw_only=True)
class Denoised:
    """Denoised volumes with the noise that was found.

    Attributes
    ----------
    data : array (X, Y, Z, N)
        Denoised signal; voxels that no patch covers keep their measured values.
    sigma : array (X, Y, Z)
        Standard deviation of the noise, in the units of the data; 0 where no patch was.
    n_components : array (X, Y, Z)
        Signal components kept, averaged over the patches that cover the voxel.
    """

    data: Floats
    sigma: NDArray[np.float64]
    n_components: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Patches:
    """Where the patches lie: corners per slab, voxel offsets inside a patch."""

    size: tuple[int, int, int]
    slabs: list[tuple[int, NDArray[np.intp]]]  # first slice, flat corner index within the slab
    offsets: NDArray[np.intp]


def default_patch_radius(n_volumes: int) -> int:
    """Return the smallest radius whose cubic patch holds more voxels than volumes.

    Parameters
    ----------
    n_volumes : int
        Number of diffusion volumes N.

    Returns
    -------
    int
        Radius in voxels, at least 2 (patches of 5 x 5 x 5).
    """
    radius = 2
    while (2 * radius + 1) ** 3 <= n_volumes:
        radius += 1
    return radius


def denoise_mppca(
    data: Floats,
    *,
    mask: NDArray[np.bool_] | None = None,
    patch_radius: int | None = None,
    n_threads: int = 1,
) -> Denoised:
    """Remove noise by Marchenko-Pastur principal component analysis.

    Parameters
    ----------
    data : array (X, Y, Z, N)
        Diffusion volumes as acquired: neither resampled nor filtered before.
    mask : array (X, Y, Z) of bool, optional
        Voxels wanted: their result is the same as without a mask, to rounding, and no time goes
        into patches that hold none of them. Default: all voxels.
    patch_radius : int, optional
        Radius in voxels; default the smallest with more voxels in the patch than volumes.
    n_threads : int
        Slabs worked on at once. The result is the same for every number.

    Returns
    -------
    Denoised
        Volumes (float32 for float32 and integer input of at most 16 bits, else float64), noise
        level and number of components.

    Raises
    ------
    InputError
        Data not four-dimensional, values not finite, mask of another shape or empty, or patch
        with no more voxels than there are volumes.

    Notes
    -----
    Threshold of Veraart et al. (2016, NeuroImage 142:394-406), weights of overlapping patches of
    Manjon et al. (2013, PLoS ONE 8:e73021). Memory beyond input and output grows with one slab:
    X * Y * (2 * patch_radius + 1) * N values per thread.
    """
    data = np.asarray(data)
    radius = default_patch_radius(data.shape[-1]) if patch_radius is None else patch_radius
    _check(data, mask, radius)
    patches = _place_patches(data.shape[:3], mask, radius)
    working = np.ascontiguousarray(data, dtype=np.result_type(data.dtype, np.float32))
    sums = np.zeros((*data.shape[:3], data.shape[3] + 3), dtype=working.dtype)
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
        for first in range(0, len(patches.slabs), n_threads):
            group = patches.slabs[first : first + n_threads]
            results = pool.map(lambda slab: _denoise_slab(working, patches, *slab), group)
            for (start, _), result in zip(group, results, strict=True):
                sums[:, :, start : start + patches.size[2]] += result
    return _normalised(working, sums)


def _check(data: Floats, mask: NDArray[np.bool_] | None, radius: int) -> None:
    if data.ndim != 4 or data.shape[3] < 2:
        raise InputError(
            [
                Finding(
                    where="data",
                    rule="denoising needs volumes on four axes, at least two volumes",
                    found=f"shape {data.shape}",
                    remedy="Give the whole series as X, Y, Z, N.",
                )
            ]
        )
    findings = []
    n_voxels = int(np.prod(_patch_size(data.shape[:3], radius)))
    if n_voxels <= data.shape[3]:
        findings.append(
            Finding(
                where="patch_radius",
                rule="a patch holds more voxels than there are volumes",
                found=f"{n_voxels} voxels and {data.shape[3]} volumes",
                remedy="Raise patch_radius or leave denoising out for so small a volume.",
            )
        )
    if not np.isfinite(data).all():
        findings.append(
            Finding(
                where="data",
                rule="signals are finite numbers",
                found=f"{np.count_nonzero(~np.isfinite(data))} values that are not",
                remedy="Check the conversion of this series.",
            )
        )
    if mask is not None and (mask.shape != data.shape[:3] or not mask.any()):
        findings.append(
            Finding(
                where="mask",
                rule="the mask has the grid of the volumes and is not empty",
                found=f"shape {mask.shape}, {np.count_nonzero(mask)} voxels",
                remedy="Make the mask from this series.",
            )
        )
    if findings:
        raise InputError(findings)


def _patch_size(shape: tuple[int, ...], radius: int) -> tuple[int, int, int]:
    """Return the patch's edges; a thin slab of slices has thinner patches."""
    x, y, z = (min(2 * radius + 1, extent) for extent in shape)
    return x, y, z


def _place_patches(shape: tuple[int, ...], mask: NDArray[np.bool_] | None, radius: int) -> _Patches:
    size = _patch_size(shape, radius)
    corners = [_corners(extent, edge) for extent, edge in zip(shape, size, strict=True)]
    inside = np.ones(shape, dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    wanted = _wanted(inside, corners, size)
    slabs = []
    for k, start in enumerate(corners[2]):
        x, y = np.nonzero(wanted[:, :, k])
        if x.size:
            slabs.append((int(start), (corners[0][x] * shape[1] + corners[1][y]) * size[2]))
    grid = np.stack(np.meshgrid(*(np.arange(edge) for edge in size), indexing="ij"))
    offsets = (grid[0] * shape[1] + grid[1]) * size[2] + grid[2]
    return _Patches(size=size, slabs=slabs, offsets=offsets.ravel())


def _corners(extent: int, edge: int) -> NDArray[np.intp]:
    """Return first voxels of patches along one axis; the last patch ends with the volume."""
    return np.unique(np.r_[np.arange(0, extent - edge, _STRIDE), extent - edge])


def _wanted(
    inside: NDArray[np.bool_], corners: list[NDArray[np.intp]], size: tuple[int, int, int]
) -> NDArray[np.bool_]:
    """Tell which patches hold a voxel of the mask: these give its result, as without a mask."""
    for axis, (starts, edge) in enumerate(zip(corners, size, strict=True)):
        windows = [np.arange(start, start + edge) for start in starts]
        inside = np.stack([inside.take(w, axis=axis).any(axis=axis) for w in windows], axis=axis)
    return inside


def _denoise_slab(data: Floats, patches: _Patches, start: int, corners: NDArray[np.intp]) -> Floats:
    """Return weighted sums of (N signals, variance, components, 1) over the patches of a slab."""
    slab = np.ascontiguousarray(data[:, :, start : start + patches.size[2]])
    n_volumes = slab.shape[3]
    signals = slab.reshape(-1, n_volumes)
    sums = np.zeros((len(signals), n_volumes + 3), dtype=data.dtype)
    for first in range(0, len(corners), _BATCH):
        voxels = corners[first : first + _BATCH, None] + patches.offsets
        estimate, statistics = _denoise_patches(signals[voxels])
        # patches that share an offset never share a voxel: no sum is lost in indexed addition
        for offset, column in enumerate(voxels.T):
            sums[column, :n_volumes] += estimate[:, offset]
            sums[column, n_volumes:] += statistics
    return sums.reshape(*slab.shape[:3], n_volumes + 3)


def _denoise_patches(signals: Floats) -> tuple[Floats, Floats]:
    """Return weighted signals (B, V, N) and weighted (variance, components, 1) of B patches."""
    n_voxels, n_volumes = signals.shape[1:]
    means = signals.mean(axis=1, keepdims=True)
    centred = signals - means
    covariance = centred.transpose(0, 2, 1) @ centred
    evals, evecs = np.linalg.eigh(covariance.astype(np.float64) / n_voxels)
    n_noise, variance = _marchenko_pastur(evals, n_voxels)
    kept = np.where(np.arange(n_volumes) < n_noise[:, None], 0.0, 1.0)
    weights = 1.0 / (1.0 + n_volumes - n_noise)
    projection = (evecs * (kept * weights[:, None])[:, None]) @ evecs.transpose(0, 2, 1)
    estimate = centred @ projection.astype(signals.dtype)
    estimate += means * weights[:, None, None].astype(signals.dtype)
    statistics = np.stack([variance, n_volumes - n_noise, np.ones_like(variance)], axis=1)
    return estimate, (statistics * weights[:, None]).astype(signals.dtype)


def _marchenko_pastur(
    evals: NDArray[np.float64], n_voxels: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Count the noise eigenvalues of each patch and estimate the variance of the noise.

    The c smallest eigenvalues are noise when their spread is within the support that the law
    gives for their mean, 4 * sqrt(c / V) * variance; the largest such c is taken.
    """
    counts = np.arange(1, evals.shape[1] + 1)
    variances = np.cumsum(np.maximum(evals, 0.0), axis=1) / counts
    width = 4.0 * np.sqrt(counts / n_voxels) * variances
    lawful = evals - evals[:, :1] <= width
    n_noise = evals.shape[1] - np.argmax(lawful[:, ::-1], axis=1)
    return n_noise, np.take_along_axis(variances, n_noise[:, None] - 1, axis=1)[:, 0]


def _normalised(data: Floats, sums: Floats) -> Denoised:
    """Divide the sums by the weights; where no patch was, keep the measurement."""
    n_volumes = data.shape[3]
    weights = sums[..., n_volumes + 2].astype(np.float64)
    covered = weights > 0
    safe = np.where(covered, weights, 1.0)
    denoised = sums[..., :n_volumes]
    denoised /= safe[..., None].astype(data.dtype)
    np.copyto(denoised, data, where=~covered[..., None])
    return Denoised(
        data=np.ascontiguousarray(denoised),
        sigma=np.sqrt(sums[..., n_volumes] / safe),
        n_components=sums[..., n_volumes + 1] / safe,
    )
