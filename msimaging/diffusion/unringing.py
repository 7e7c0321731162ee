"""Gibbs unringing by local sub-voxel shifts.

Ringing vanishes where the sampling grid happens to fall on the zeros of the sinc, so each voxel
is looked at on grids shifted by fractions of a voxel, and the one with the least variation beside
the voxel is taken, then brought back to the grid. A shift along a line is a fixed linear map, so
all shifts of many lines are one matrix product: on today's cores quicker than as many Fourier
transforms.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

from msimaging.errors import Finding, InputError

_N_SHIFTS = 12  # to each side
_LARGEST_SHIFT = 0.9  # voxels
_WINDOW = 3  # differences of neighbours on which variation is counted
_LINES = 64  # lines in one matrix product: the result stays within a core's cache


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shifts:
    """Linear maps of a line of n voxels, for shifts towards one side."""

    sizes: NDArray[np.float32]  # (S + 1,), the first is no shift
    maps: NDArray[np.float32]  # (n, n * (S + 1)): line @ maps holds each voxel on each grid


def remove_gibbs_ringing(
    data: NDArray[np.floating], *, slice_axis: int = 2, n_threads: int = 1
) -> NDArray[np.float32]:
    """Remove Gibbs ringing within slices.

    Parameters
    ----------
    data : array (X, Y, Z) or (X, Y, Z, N)
        Magnitude images as acquired with full Fourier coverage, on the acquired matrix
        (denoised first, if at all; not resampled).
    slice_axis : {0, 1, 2}
        Voxel axis along which slices were acquired; ringing along the other two is removed.
    n_threads : int
        Volumes worked on at once. The result is the same for every number.

    Returns
    -------
    array like data, of float32
        Images without ringing, none below zero.

    Raises
    ------
    InputError
        Data not of three or four axes, values not finite, or a slice axis not 0, 1 or 2.

    Notes
    -----
    Kellner et al. (2016, Magn Reson Med 76:1574-1581), with the search to both sides and the
    interpolation between the two best shifts of Neto Henriques (2018, thesis, Cambridge), which
    DIPY's ``gibbs_removal`` follows too. Partial Fourier imaging rings otherwise along the
    phase-encoding axis, and this method does not remove that.
    """
    data = np.asarray(data)
    _check(data, slice_axis)
    volumes = np.moveaxis(data.reshape(*data.shape[:3], -1), (slice_axis, 3), (0, 1))
    cleaned = np.empty(volumes.shape, dtype=np.float32)
    filters = _filters(volumes.shape[2:])
    tables = [(_shifts(n, 1), _shifts(n, -1)) for n in volumes.shape[2:]]

    def clean(index: tuple[int, ...]) -> None:
        slices = np.ascontiguousarray(volumes[:, index[0]], dtype=np.float32)
        along_rows = _unringed_lines(slices, tables[1])
        columns = np.ascontiguousarray(slices.transpose(0, 2, 1))
        along_columns = _unringed_lines(columns, tables[0]).transpose(0, 2, 1)
        cleaned[:, index[0]] = _combined(along_columns, along_rows, filters)

    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(clean, np.ndindex(volumes.shape[1])))
    restored = np.moveaxis(cleaned, (0, 1), (slice_axis, 3))
    return np.ascontiguousarray(restored).reshape(data.shape)


def _check(data: NDArray[np.floating], slice_axis: int) -> None:
    findings = []
    if data.ndim not in (3, 4):
        findings.append(
            Finding(
                where="data",
                rule="unringing needs volumes on three or four axes",
                found=f"shape {data.shape}",
                remedy="Give the series as X, Y, Z, N.",
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
    if slice_axis not in (0, 1, 2):
        findings.append(
            Finding(
                where="slice_axis",
                rule="the slice axis is 0, 1 or 2",
                found=f"{slice_axis}",
                remedy="Slices lie along axis 2 in most series.",
            )
        )
    if findings:
        raise InputError(findings)


def _shifts(n: int, side: int) -> _Shifts:
    """Make the maps that move a line of n voxels by 0 and S sub-voxel shifts to one side."""
    sizes = np.r_[0.0, np.linspace(0.02, _LARGEST_SHIFT, _N_SHIFTS)]
    frequency = np.fft.fftfreq(n)
    impulse = np.exp(2j * np.pi * frequency * side * sizes[:, None])
    if n % 2 == 0:
        # at the highest frequency a real line can only change its amplitude
        impulse[:, n // 2] = np.cos(np.pi * sizes)
    response = np.fft.ifft(impulse, axis=1).real
    lag = (np.arange(n)[:, None] - np.arange(n)) % n
    maps = response[:, lag].transpose(2, 1, 0).reshape(n, -1)
    return _Shifts(
        sizes=sizes.astype(np.float32), maps=np.ascontiguousarray(maps, dtype=np.float32)
    )


def _unringed_lines(
    slices: NDArray[np.float32], tables: tuple[_Shifts, _Shifts]
) -> NDArray[np.float32]:
    """Unring all lines along the last axis."""
    lines = slices.reshape(-1, slices.shape[-1])
    cleaned = np.empty_like(lines)
    for first in range(0, len(lines), _LINES):
        block = lines[first : first + _LINES]
        (right, s), (left, t) = (_steadiest(block, table) for table in tables)
        both = s + t
        moved = both > 0
        share = t / np.where(moved, both, 1.0)
        cleaned[first : first + _LINES] = np.where(moved, (right - left) * share + left, block)
    return cleaned.reshape(slices.shape)


def _steadiest(
    block: NDArray[np.float32], table: _Shifts
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return each voxel's value on the grid where its neighbourhood varies least, and its shift."""
    n_lines, n = block.shape
    shifted = (block @ table.maps).reshape(n_lines, n, len(table.sizes))
    steps = np.empty((n_lines, n + _WINDOW - 1, len(table.sizes)), dtype=np.float32)
    np.subtract(shifted[:, :-1], shifted[:, 1:], out=steps[:, : n - 1])
    np.subtract(shifted[:, -1], shifted[:, 0], out=steps[:, n - 1])
    np.abs(steps[:, :n], out=steps[:, :n])
    steps[:, n:] = steps[:, : _WINDOW - 1]
    ahead = steps[:, :n] + steps[:, 1 : n + 1]
    ahead += steps[:, 2 : n + 2]
    np.minimum(ahead[:, _WINDOW:], ahead[:, :-_WINDOW], out=steps[:, _WINDOW:n])
    np.minimum(ahead[:, :_WINDOW], ahead[:, -_WINDOW:], out=steps[:, :_WINDOW])
    best = steps[:, :n].argmin(axis=2)
    return np.take_along_axis(shifted, best[..., None], axis=2)[..., 0], table.sizes[best]


def _filters(shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the weights in k-space of the images unringed along columns and along rows."""
    first = 1 + np.cos(2 * np.pi * np.fft.fftfreq(shape[0]))[:, None]
    second = 1 + np.cos(2 * np.pi * np.fft.rfftfreq(shape[1]))[None, :]
    total = first + second
    safe = np.where(total > 1e-12, total, 1.0)
    along_columns = np.where(total > 1e-12, second / safe, 0.5)
    return along_columns.astype(np.float32), (1 - along_columns).astype(np.float32)


def _combined(
    along_columns: NDArray[np.float32],
    along_rows: NDArray[np.float32],
    filters: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Take from each image the frequencies along which it was unringed."""
    spectrum = fft.rfft2(along_columns) * filters[0] + fft.rfft2(along_rows) * filters[1]
    image = fft.irfft2(spectrum, s=along_rows.shape[-2:])
    return np.asarray(np.abs(image), dtype=np.float32)
