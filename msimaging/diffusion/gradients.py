"""The gradient gate: b-values and b-vectors are checked before any computing, never repaired."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from dipy.core.gradients import GradientTable, gradient_table_from_bvals_bvecs
from numpy.typing import NDArray

from msimaging.errors import Finding, raise_on_errors

Floats = NDArray[np.float64]

#: Volumes up to this b-value [s/mm2] count as not diffusion-weighted.
B0_THRESHOLD = 50.0
# Tables are written with three digits or more: rounding moves a norm by less than this.
_NORM_TOLERANCE = 0.01
# b-values of one shell differ by less than this share; scanners spread them by some per cent.
_SHELL_WIDTH = 0.05
_PLAUSIBLE_BVALS = (100.0, 50_000.0)


def check_gradients(
    data: NDArray[np.floating[Any]],
    bvals: NDArray[np.floating[Any]],
    bvecs: NDArray[np.floating[Any]],
    affine: NDArray[np.floating[Any]],
    mask: NDArray[np.bool_] | None = None,
    *,
    where: str = "",
) -> tuple[Finding, ...]:
    """Check a gradient table by itself and against the images.

    Parameters
    ----------
    data : (X, Y, Z, N) ndarray
        Diffusion-weighted signal.
    bvals : ndarray
        b-values [s/mm2] as read, any shape.
    bvecs : ndarray
        b-vectors in FSL's convention (image axes) as read, any shape.
    affine : (4, 4) ndarray
        Voxel indices to scanner RAS coordinates.
    mask : (X, Y, Z) ndarray of bool, optional
        Brain; by default the voxels brighter than the mean of the b=0 image.
    where : str
        File that the findings name.

    Returns
    -------
    tuple of Finding
        Errors make the table unusable; warnings go into flags; notes are told. Empty when there
        is nothing to say.
    """
    if data.ndim != 4:
        found = f"an array of shape {data.shape}"
        remedy = "Give the 4D diffusion series, volumes along the last axis."
        return (Finding(rule="diffusion data are 4D", where=where, found=found, remedy=remedy),)
    findings = [
        *_affine_faults(affine, where),
        *check_table(bvals, bvecs, data.shape[3], where=where),
    ]
    if any(finding.severity == "error" for finding in findings):
        return tuple(findings)
    flat, _ = standard_table(bvals, bvecs)
    brain = _bright_voxels(data, flat) if mask is None else mask
    findings += _signal_faults(data, flat, brain, where)
    return tuple(findings)


def check_table(
    bvals: NDArray[np.floating[Any]],
    bvecs: NDArray[np.floating[Any]],
    n_volumes: int,
    *,
    where: str = "",
) -> tuple[Finding, ...]:
    """Check a gradient table without the images.

    Parameters
    ----------
    bvals, bvecs : ndarray
        As read from file, any shape.
    n_volumes : int
        Number of volumes of the image.
    where : str
        File that the findings name.

    Returns
    -------
    tuple of Finding
        All faults together; the shells as a note when the table can be used.
    """
    raw_bvals, raw_bvecs = np.asarray(bvals, np.float64), np.asarray(bvecs, np.float64)
    faults = list(_shape_faults(raw_bvals, raw_bvecs, n_volumes, where))
    if any(fault.severity == "error" for fault in faults):
        return tuple(faults)
    flat, rows = _reshape(raw_bvals, raw_bvecs)
    faults += _value_faults(flat, rows, where)
    if not any(fault.severity == "error" for fault in faults):
        faults += _direction_faults(flat, rows, where)
        faults += _shell_notes(flat, where)
    return tuple(faults)


def standard_table(
    bvals: NDArray[np.floating[Any]], bvecs: NDArray[np.floating[Any]]
) -> tuple[Floats, Floats]:
    """Bring a table as read into the one shape that the package uses.

    Parameters
    ----------
    bvals : ndarray
        One row, one column or flat.
    bvecs : (3, N) or (N, 3) ndarray
        FSL's norm is three rows; three columns are told apart by their shape.

    Returns
    -------
    bvals : (N,) ndarray
    bvecs_ijk : (N, 3) ndarray
        In image axes, as in the file.

    Raises
    ------
    InputError
        When `check_table` finds that the shapes cannot belong together.
    """
    raw_bvals, raw_bvecs = np.asarray(bvals, np.float64), np.asarray(bvecs, np.float64)
    raise_on_errors(_shape_faults(raw_bvals, raw_bvecs, raw_bvals.size, ""))
    return _reshape(raw_bvals, raw_bvecs)


def bvecs_fsl_to_ras(bvecs: NDArray[np.floating[Any]], affine: NDArray[np.floating[Any]]) -> Floats:
    """Turn b-vectors of FSL's convention into scanner RAS axes.

    Parameters
    ----------
    bvecs : (N, 3) ndarray
        Along the image axes, x reversed when the affine's determinant is positive.
    affine : (4, 4) ndarray
        Voxel indices to scanner RAS coordinates.

    Returns
    -------
    (N, 3) ndarray
        The same directions in scanner axes; lengths unchanged.
    """
    return np.asarray(bvecs, dtype=np.float64) @ _fsl_axes(affine).T


def bvecs_ras_to_fsl(bvecs: NDArray[np.floating[Any]], affine: NDArray[np.floating[Any]]) -> Floats:
    """Turn b-vectors of scanner RAS axes into FSL's convention, as files hold them.

    Parameters
    ----------
    bvecs : (N, 3) ndarray
        In scanner axes.
    affine : (4, 4) ndarray
        Voxel indices to scanner RAS coordinates of the image beside the file.

    Returns
    -------
    (N, 3) ndarray
        Along the image axes, x reversed when the affine's determinant is positive.
    """
    return np.asarray(bvecs, dtype=np.float64) @ _fsl_axes(affine)


def gradient_table(
    bvals: NDArray[np.floating[Any]], bvecs_ras: NDArray[np.floating[Any]]
) -> GradientTable:
    """Make DIPY's gradient table with the package's threshold for b=0.

    Parameters
    ----------
    bvals : (N,) ndarray
        b-values [s/mm2].
    bvecs_ras : (N, 3) ndarray
        Directions in scanner axes; those of b=0 volumes do not matter.

    Returns
    -------
    GradientTable
        b <= 50 counts as b=0.
    """
    bvecs = np.where(np.asarray(bvals)[:, None] <= B0_THRESHOLD, 0.0, bvecs_ras)
    return gradient_table_from_bvals_bvecs(bvals, bvecs, b0_threshold=B0_THRESHOLD)


def shells(bvals: NDArray[np.floating[Any]]) -> dict[int, NDArray[np.int64]]:
    """Group the volumes by b-value.

    Parameters
    ----------
    bvals : (N,) ndarray
        b-values [s/mm2].

    Returns
    -------
    dict of int to ndarray of int
        Volume numbers by the shell's b-value, rounded to 10 s/mm2 and ascending; 0 holds the b=0s.
        A step of more than 5 per cent begins a new shell.
    """
    bvals = np.asarray(bvals, dtype=np.float64)
    order = np.argsort(bvals, kind="stable")
    order = order[bvals[order] > B0_THRESHOLD]
    groups = {0: np.flatnonzero(bvals <= B0_THRESHOLD)}
    if order.size:
        steps = np.diff(bvals[order]) > np.maximum(_SHELL_WIDTH * bvals[order][1:], 20)
        for members in np.split(order, np.flatnonzero(steps) + 1):
            groups[int(round(float(np.median(bvals[members])), -1))] = np.sort(members)
    return groups


def _fsl_axes(affine: NDArray[np.floating[Any]]) -> Floats:
    """Return the rotation (or reflection) from FSL's image axes to RAS."""
    linear = np.asarray(affine, dtype=np.float64)[:3, :3]
    left, _, right = np.linalg.svd(linear / np.linalg.norm(linear, axis=0))
    axes = left @ right
    if np.linalg.det(linear) > 0:
        axes = axes * [-1.0, 1.0, 1.0]
    return np.asarray(axes)


def _reshape(bvals: Floats, bvecs: Floats) -> tuple[Floats, Floats]:
    rows = bvecs if bvecs.shape[0] != 3 and bvecs.shape[1] == 3 else bvecs.T
    return bvals.reshape(-1), np.ascontiguousarray(rows)


def _affine_faults(affine: NDArray[np.floating[Any]], where: str) -> Iterator[Finding]:
    linear = np.asarray(affine, dtype=np.float64)[:3, :3]
    if not np.isfinite(linear).all() or np.linalg.matrix_rank(linear) < 3:
        yield Finding(
            rule="the affine gives every image axis a direction",
            where=where,
            found=f"{linear.tolist()}",
            remedy="Repair the header: directions cannot be placed in the scanner without it.",
        )


def _shape_faults(bvals: Floats, bvecs: Floats, n_volumes: int, where: str) -> Iterator[Finding]:
    shapes = f"bval {_shape(bvals)}, bvec {_shape(bvecs)}, {n_volumes} volumes"
    if 3 * bvecs.size == bvals.size and bvecs.size > 1:
        yield Finding(
            rule="bval holds one number per volume and bvec three",
            where=where,
            found=f"the reverse ({shapes}): the two files look swapped",
            remedy="Exchange the contents of the .bval and the .bvec file.",
        )
        return
    if bvals.size != max(bvals.shape, default=0):
        yield Finding(
            rule="bval holds one row",
            where=where,
            found=f"a table of {_shape(bvals)}",
            remedy="Convert the series again, or restore the .bval file.",
        )
        return
    if bvecs.ndim != 2 or 3 not in bvecs.shape:
        yield Finding(
            rule="bvec holds three rows (x, y, z), one column per volume",
            where=where,
            found=f"a table of {_shape(bvecs)}",
            remedy="Convert the series again, or restore the .bvec file.",
        )
        return
    count = bvecs.shape[1] if bvecs.shape[0] == 3 else bvecs.shape[0]
    if len({bvals.size, count, n_volumes}) > 1:
        yield Finding(
            rule="one b-value and one b-vector per volume",
            where=where,
            found=f"{bvals.size} b-values, {count} b-vectors and {n_volumes} volumes",
            remedy="Use the files of this very series, or convert it again.",
        )
    elif bvecs.shape[0] != 3:
        yield Finding(
            severity="warning",
            rule="bvec holds three rows (x, y, z), one column per volume",
            where=where,
            found=f"three columns and {count} rows, read as one vector per row",
            remedy="Transpose the file to the form that BIDS prescribes.",
        )


def _value_faults(bvals: Floats, bvecs: Floats, where: str) -> Iterator[Finding]:
    strange = ~np.isfinite(bvals) | ~np.isfinite(bvecs).all(axis=1) & (bvals > B0_THRESHOLD)
    if strange.any():
        yield Finding(
            rule="b-values and b-vectors are finite numbers",
            where=where,
            found=f"other values at {_volumes(strange)}",
            remedy="Convert the series again, or leave these volumes out.",
        )
        return
    if (bvals < 0).any():
        yield Finding(
            rule="b-values are not negative",
            where=where,
            found=f"{bvals.min():g} s/mm2 at {_volumes(bvals < 0)}",
            remedy="Convert the series again, or restore the .bval file.",
        )
    largest = bvals.max(initial=0.0)
    if 0 < largest < _PLAUSIBLE_BVALS[0] and np.linalg.norm(bvecs, axis=1).max() > 0.5:
        yield _unit_fault(largest, "ms/um2" if largest < 20 else "another unit", where)
    elif largest > _PLAUSIBLE_BVALS[1]:
        yield _unit_fault(largest, "s/m2 or another unit", where)
    else:
        yield from _norm_faults(bvals, bvecs, where)
    if not (bvals <= B0_THRESHOLD).any():
        yield Finding(
            rule="at least one volume without diffusion weighting (b <= 50 s/mm2)",
            where=where,
            found=f"none, the lowest b-value is {bvals.min():g} s/mm2",
            remedy="Add the b=0 image of the series; without one the tensor has no reference.",
        )


def _unit_fault(largest: float, unit: str, where: str) -> Finding:
    return Finding(
        rule="b-values are in s/mm2 (clinical scans: 500 to 5000)",
        where=where,
        found=f"a largest b-value of {largest:g}, which looks like {unit}",
        remedy="Convert the b-values to s/mm2.",
    )


def _norm_faults(bvals: Floats, bvecs: Floats, where: str) -> Iterator[Finding]:
    weighted = bvals > B0_THRESHOLD
    norms = np.linalg.norm(np.nan_to_num(bvecs), axis=1)
    zero = weighted & (norms < _NORM_TOLERANCE)
    appended = zero & (np.cumprod(zero[::-1])[::-1] > 0)
    if appended.any():
        yield Finding(
            rule="every weighted volume has a direction",
            where=where,
            found=f"b = {bvals[appended].max():g} and a zero vector at the end, "
            f"{_volumes(appended)}: trace or ADC images appended by the scanner",
            remedy="Remove these volumes from the series, and their columns from both tables.",
        )
    if (zero & ~appended).any():
        yield Finding(
            rule="every weighted volume has a direction",
            where=where,
            found=f"a zero b-vector with b > {B0_THRESHOLD:g} at {_volumes(zero & ~appended)}",
            remedy="Restore the b-vectors, or remove these volumes if they are averages.",
        )
    strange = weighted & ~zero & (np.abs(norms - 1) > _NORM_TOLERANCE)
    if strange.any():
        scaled = bvals[strange] * norms[strange] ** 2
        yield Finding(
            rule="b-vectors of weighted volumes have length 1",
            where=where,
            found=f"lengths {norms[strange].min():.3f} to {norms[strange].max():.3f} at "
            f"{_volumes(strange)}",
            remedy="If the length scales the b-value (b times length squared: "
            f"{scaled.min():.0f} to {scaled.max():.0f} s/mm2), write these b-values and divide "
            "the vectors by their length; otherwise convert the series again.",
        )


def _direction_faults(bvals: Floats, bvecs: Floats, where: str) -> Iterator[Finding]:
    directions = bvecs[bvals > B0_THRESHOLD]
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    count = _count_directions(directions)
    x, y, z = directions.T
    products = np.stack([x * x, y * y, z * z, x * y, x * z, y * z], axis=1)
    # singular values of well-spread directions are of one size; 1 % is degenerate with any noise
    rank = int(np.linalg.matrix_rank(products, tol=0.01 * np.sqrt(len(products) + 1)))
    if count < 6 or rank < 6:
        yield Finding(
            rule="a tensor needs six directions in general position (b and -b are the same)",
            where=where,
            found=f"{count} different directions that determine {rank} of 6 components",
            remedy="Use a series with more directions; trace-weighted scans have no tensor.",
        )


def _count_directions(directions: Floats) -> int:
    """Count directions that differ by more than one degree, taking v and -v as one."""
    close = np.abs(directions @ directions.T) > np.cos(np.deg2rad(1.0))
    earlier = np.tril(close, k=-1).any(axis=1)
    return int((~earlier).sum())


def _shell_notes(bvals: Floats, where: str) -> Iterator[Finding]:
    groups = shells(bvals)
    listed = ", ".join(f"b={bval}: {len(members)}" for bval, members in groups.items())
    several = len(groups) > 2
    yield Finding(
        severity="note",
        rule="shells are named before they are used",
        where=where,
        found=listed,
        remedy="With several shells the tensor takes those up to b = 1200 s/mm2."
        if several
        else "Nothing to do.",
    )


def _bright_voxels(data: NDArray[np.floating[Any]], bvals: Floats) -> NDArray[np.bool_]:
    b0 = data[..., bvals <= B0_THRESHOLD].mean(axis=-1)
    return np.asarray(b0 > b0[np.isfinite(b0)].mean())


def _signal_faults(
    data: NDArray[np.floating[Any]], bvals: Floats, brain: NDArray[np.bool_], where: str
) -> Iterator[Finding]:
    signal = data[brain]
    broken = ~np.isfinite(signal).all(axis=0)
    if broken.any():
        yield Finding(
            rule="signals are finite numbers",
            where=where,
            found=f"NaN or infinity inside the brain at {_volumes(broken)}",
            remedy="Reconstruct or convert the series again.",
        )
        return
    medians = np.median(signal, axis=0)
    b0s = bvals <= B0_THRESHOLD
    # weighting never brightens tissue: a weighted volume above the b=0s is not what the table says
    bright = ~b0s & (medians > medians[b0s].mean())
    dark = b0s & (medians < medians[~b0s].max()) if not bright.any() else np.zeros_like(b0s)
    for volumes, text in ((bright, "brighter than the b=0s"), (dark, "darker than weighted ones")):
        if volumes.any():
            yield _brightness_fault(volumes, text, where)


def _brightness_fault(volumes: NDArray[np.bool_], text: str, where: str) -> Finding:
    return Finding(
        rule="b=0 volumes are brighter than weighted ones",
        where=where,
        found=f"{_volumes(volumes)} {text}",
        remedy="The b-values are not in the order of the volumes: use the table of this series.",
    )


def _volumes(which: NDArray[np.bool_]) -> str:
    numbers = np.flatnonzero(which)
    shown = ", ".join(str(number) for number in numbers[:8])
    more = f" and {len(numbers) - 8} more" if len(numbers) > 8 else ""
    return f"volume{'s' if len(numbers) > 1 else ''} {shown}{more} (counted from 0)"


def _shape(array: NDArray[Any]) -> str:
    return " x ".join(str(length) for length in array.shape) or "one number"
