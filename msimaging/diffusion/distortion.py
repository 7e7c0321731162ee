"""Susceptibility distortion from two b=0 images of opposite phase encoding.

The same field shifts a voxel up in one image and down by as much in the other, and brightens
where it compresses. The displacement that makes both corrected images equal is found by
Gauss-Newton from coarse to fine; its smoothness is the only prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse.linalg import LinearOperator, cg
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

from msimaging.errors import ComputationError, Finding, InputError

Array = NDArray[np.float64]

_LEVELS = (4, 2, 1)  # grids coarser by these factors
_ITERATIONS = 8
_CG_ITERATIONS = 60
_CG_TOLERANCE = 1e-2  # a better step is not worth its time: the next one is linearised anew
_CONVERGED = 2e-3  # voxels, mean step
_MIN_EXTENT = 8  # voxels: no level has fewer along an axis


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Both images with phase encoding on the last axis, brightness about one."""

    up: Array
    down: Array
    zooms: Array


def estimate_field(
    b0_up: NDArray[np.floating],
    b0_down: NDArray[np.floating],
    *,
    affine: Array,
    phase_encoding_axis: int,
    smoothness: float = 0.05,
) -> Array:
    """Estimate the displacement along the phase-encoding axis from two opposite polarities.

    Parameters
    ----------
    b0_up : array (X, Y, Z)
        b=0 image (mean of several, if there are) of one polarity.
    b0_down : array (X, Y, Z)
        The same of the other polarity, aligned with it but for the distortion.
    affine : array (4, 4)
        Voxel to RAS mm.
    phase_encoding_axis : {0, 1, 2}
        Voxel axis of phase encoding.
    smoothness : float
        Weight of the squared gradient of the field [per voxel] against the squared difference
        of images whose 99th percentile is one.

    Returns
    -------
    array (X, Y, Z)
        Displacement [mm, positive towards higher voxel numbers]: what belongs to voxel y lies at
        y + displacement in ``b0_up`` and at y - displacement in ``b0_down``.

    Raises
    ------
    InputError
        Shapes that differ, values not finite, empty images, axis not 0, 1 or 2.
    ComputationError
        When the field found folds the image: the two do not show one head.

    Notes
    -----
    Model of Andersson, Skare & Ashburner (2003, NeuroImage 20:870-888), minimised along the
    phase-encoding axis alone as by Ruthotto et al. (2012, Phys Med Biol 57:5715-5731).
    """
    up, down = (np.asarray(image, dtype=np.float64) for image in (b0_up, b0_down))
    _check(up, down, affine, phase_encoding_axis)
    zooms = np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)
    order = [axis for axis in range(3) if axis != phase_encoding_axis] + [phase_encoding_axis]
    # distortion keeps the sum of a line, so sums match the gains (echo times may differ)
    down = down * (up.sum() / down.sum())
    scale = (np.percentile(up, 99) + np.percentile(down, 99)) / 2
    pair = _Pair(
        up=up.transpose(order) / scale, down=down.transpose(order) / scale, zooms=zooms[order]
    )
    shift = np.zeros((2, 2, 2))
    with threadpool_limits(limits=1, user_api="blas"):
        for factor in _LEVELS:
            level = _coarser(pair, factor)
            growth = (level.up.shape[2] - 1) / max(shift.shape[2] - 1, 1)
            shift = _refined(growth * _regridded(shift, level.up.shape), level, smoothness)
    if np.abs(np.gradient(shift, axis=2)).max() >= 1:
        raise ComputationError(
            "the displacement field folds the image: check that both b=0 images show the same "
            "head in the same place and that the phase-encoding axis is right"
        )
    return np.asarray(np.moveaxis(shift, 2, phase_encoding_axis) * zooms[phase_encoding_axis])


def correct_distortion(
    data: NDArray[np.floating],
    displacement: Array,
    *,
    affine: Array,
    phase_encoding_axis: int,
) -> NDArray[np.float32]:
    """Undo the distortion of volumes of one polarity.

    Parameters
    ----------
    data : array (X, Y, Z) or (X, Y, Z, N)
        Volumes of the polarity of ``b0_up``; for the other give the negative displacement.
    displacement : array (X, Y, Z)
        From :func:`estimate_field` [mm].
    affine : array (4, 4)
        Voxel to RAS mm.
    phase_encoding_axis : {0, 1, 2}
        Voxel axis of phase encoding.

    Returns
    -------
    array like data, of float32
        Volumes with voxels moved back by cubic B-splines and brightness by the Jacobian.

    Raises
    ------
    InputError
        When the displacement has another grid than the volumes.
    """
    data = np.asarray(data)
    if displacement.shape != data.shape[:3]:
        raise InputError(
            [
                Finding(
                    where="displacement",
                    rule="the displacement has the grid of the volumes",
                    found=f"shapes {displacement.shape} and {data.shape[:3]}",
                    remedy="Estimate it on this grid, or resample it to it first.",
                )
            ]
        )
    zoom = np.linalg.norm(np.asarray(affine)[:3, phase_encoding_axis])
    shift = np.moveaxis(displacement / zoom, phase_encoding_axis, 2)
    volumes = np.moveaxis(data.reshape(*data.shape[:3], -1), phase_encoding_axis, 2)
    corrected = np.empty(volumes.shape, dtype=np.float32)
    jacobian = 1 + np.gradient(shift, axis=2)
    for n in range(volumes.shape[3]):
        spline = _spline(volumes[..., n].astype(np.float64))
        corrected[..., n] = _sampled(spline, shift) * jacobian
    return np.ascontiguousarray(np.moveaxis(corrected, 2, phase_encoding_axis)).reshape(data.shape)


def _spline(image: Array) -> Array:
    """Return cubic coefficients along the last axis; the other axes are not interpolated."""
    return np.asarray(ndimage.spline_filter1d(image, order=3, axis=2, mode="mirror"))


def _sampled(spline: Array, shift: Array, *, slope: bool = False) -> Array:
    """Evaluate the spline, or its slope, at every voxel plus its shift along the last axis."""
    extent = spline.shape[2]
    position = np.clip(np.arange(extent) + shift, 0, extent - 1)
    first = np.minimum(position.astype(np.intp), extent - 2)
    t = position - first
    padded = np.pad(spline, ((0, 0), (0, 0), (1, 1)), mode="reflect")
    weights = _slope_weights(t) if slope else _weights(t)
    terms = (
        weight * np.take_along_axis(padded, first + k, axis=2) for k, weight in enumerate(weights)
    )
    return np.asarray(sum(terms))


def _weights(t: Array) -> tuple[Array, Array, Array, Array]:
    """Return the four cubic B-spline weights at a fraction t past the second knot."""
    s = 1 - t
    inner = (4 - 6 * t**2 + 3 * t**3) / 6, (4 - 6 * s**2 + 3 * s**3) / 6
    return s**3 / 6, *inner, t**3 / 6


def _slope_weights(t: Array) -> tuple[Array, Array, Array, Array]:
    s = 1 - t
    return -(s**2) / 2, (3 * t**2 - 4 * t) / 2, (4 * s - 3 * s**2) / 2, t**2 / 2


def _coarser(pair: _Pair, factor: int) -> _Pair:
    shape = np.array(pair.up.shape)
    wanted = np.maximum(np.ceil(shape / factor), np.minimum(_MIN_EXTENT, shape)).astype(int)
    ratio = (shape - 1) / np.maximum(wanted - 1, 1)
    sigma = np.maximum(ratio / 2, 0.5)  # a little at the finest level too: noise has no field
    smooth = [ndimage.gaussian_filter(image, sigma) for image in (pair.up, pair.down)]
    up, down = (_regridded(image, tuple(wanted)) for image in smooth)
    return _Pair(up=up, down=down, zooms=pair.zooms * ratio)


def _regridded(image: Array, shape: tuple[int, ...]) -> Array:
    """Return the image, linearly interpolated, on a grid with the same corner voxels."""
    if image.shape == shape:
        return image
    grid = np.meshgrid(
        *(np.linspace(0, a - 1, b) for a, b in zip(image.shape, shape, strict=True)), indexing="ij"
    )
    return np.asarray(ndimage.map_coordinates(image, grid, order=1))


def _refined(shift: Array, pair: _Pair, smoothness: float) -> Array:
    """Return the shift [voxels of this level] after Gauss-Newton steps with halving."""
    splines = _spline(pair.up), _spline(pair.down)
    derivative = np.asarray(np.gradient(np.eye(shift.shape[2]), axis=0), dtype=np.float64).T
    steepness = smoothness * (pair.zooms[2] / pair.zooms) ** 2
    cost = _cost(shift, splines, derivative, steepness)
    for _ in range(_ITERATIONS):
        step = _step(shift, splines, derivative, steepness)
        for _ in range(4):
            trial = _cost(shift + step, splines, derivative, steepness)
            if trial < cost:
                break
            step = step / 2
        else:
            break
        shift, cost = shift + step, trial
        if np.abs(step).mean() < _CONVERGED:
            break
    return shift


def _residual(shift: Array, splines: tuple[Array, Array], derivative: Array) -> Array:
    stretch = shift @ derivative
    up, down = _sampled(splines[0], shift), _sampled(splines[1], -shift)
    return np.asarray(up * (1 + stretch) - down * (1 - stretch))


def _cost(shift: Array, splines: tuple[Array, Array], derivative: Array, steepness: Array) -> float:
    misfit = np.sum(_residual(shift, splines, derivative) ** 2)
    return float(misfit + np.sum(shift * _roughness(shift, steepness)))


def _roughness(shift: Array, steepness: Array) -> Array:
    """Return the steepness-weighted negative Laplacian with free ends."""
    rough = np.zeros_like(shift)
    for axis, weight in enumerate(steepness):
        ends = np.zeros((3, 2), dtype=int)
        ends[axis] = 1
        difference = np.pad(np.diff(shift, axis=axis), ends)
        rough -= weight * np.diff(difference, axis=axis)
    return rough


def _step(shift: Array, splines: tuple[Array, Array], derivative: Array, steepness: Array) -> Array:
    """Solve the normal equations of the linearised difference by conjugate gradients."""
    stretch = shift @ derivative
    both = _sampled(splines[0], shift) + _sampled(splines[1], -shift)
    slope = _sampled(splines[0], shift, slope=True) * (1 + stretch)
    slope += _sampled(splines[1], -shift, slope=True) * (1 - stretch)

    def backward(residual: Array) -> Array:
        return slope * residual + (both * residual) @ derivative.T

    def normal(flat: Array) -> Array:
        step = flat.reshape(shift.shape)
        forward = slope * step + both * (step @ derivative)
        return (backward(forward) + _roughness(step, steepness)).ravel()

    diagonal = slope**2 + both**2 @ (derivative**2).T + 2 * steepness.sum()
    right = -backward(_residual(shift, splines, derivative)) - _roughness(shift, steepness)
    size = (shift.size, shift.size)
    solution, _ = cg(
        LinearOperator(size, matvec=normal, dtype=np.float64),
        right.ravel(),
        rtol=_CG_TOLERANCE,
        maxiter=_CG_ITERATIONS,
        M=LinearOperator(size, matvec=lambda flat: flat / diagonal.ravel(), dtype=np.float64),
    )
    step: Array = np.clip(solution.reshape(shift.shape), -1.0, 1.0)
    return step


def _check(up: Array, down: Array, affine: Array, axis: int) -> None:
    findings = []
    if up.ndim != 3 or up.shape != down.shape or np.shape(affine) != (4, 4):
        findings.append(
            Finding(
                where="b0_up, b0_down, affine",
                rule="both images are volumes on one grid with a 4 x 4 affine",
                found=f"shapes {up.shape}, {down.shape}, {np.shape(affine)}",
                remedy="Resample the one to the grid of the other first.",
            )
        )
    if not (np.isfinite(up).all() and np.isfinite(down).all() and up.sum() > 0 < down.sum()):
        findings.append(
            Finding(
                where="b0_up, b0_down",
                rule="both images hold finite signals, above zero in sum",
                found=f"sums {np.sum(up):g} and {np.sum(down):g}",
                remedy="Check the conversion of these images.",
            )
        )
    if axis not in (0, 1, 2):
        findings.append(
            Finding(
                where="phase_encoding_axis",
                rule="the axis is 0, 1 or 2",
                found=f"{axis}",
                remedy="Read it from PhaseEncodingDirection (i, j, k).",
            )
        )
    if findings:
        raise InputError(findings)
