"""The rules that a gradient table keeps by itself, without the images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msimaging.errors import Finding

Floats = NDArray[np.float64]

#: Volumes up to this b-value [s/mm2] count as not diffusion-weighted.
B0_THRESHOLD = 50.0
# Tables are written with three digits or more: rounding moves a norm by less than this.
_NORM_TOLERANCE = 0.01
# b-values of one shell differ by less than this share; scanners spread them by some per cent.
_SHELL_WIDTH = 0.05
_PLAUSIBLE_BVALS = (100.0, 50_000.0)


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


def rows_of_vectors(bvals: Floats, bvecs: Floats) -> tuple[Floats, Floats]:
    """Flatten b-values and put b-vectors into rows; shapes must have been checked."""
    rows = bvecs if bvecs.shape[0] != 3 and bvecs.shape[1] == 3 else bvecs.T
    return bvals.reshape(-1), np.ascontiguousarray(rows)


def affine_faults(affine: NDArray[np.floating[Any]], where: str) -> Iterator[Finding]:
    """Check that the affine gives directions."""
    linear = np.asarray(affine, dtype=np.float64)[:3, :3]
    if not np.isfinite(linear).all() or np.linalg.matrix_rank(linear) < 3:
        yield Finding(
            rule="the affine gives every image axis a direction",
            where=where,
            found=f"{linear.tolist()}",
            remedy="Repair the header: directions cannot be placed in the scanner without it.",
        )


def shape_faults(bvals: Floats, bvecs: Floats, n_volumes: int, where: str) -> Iterator[Finding]:
    """Check that two tables of these shapes belong to an image of so many volumes."""
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


def value_faults(bvals: Floats, bvecs: Floats, where: str) -> Iterator[Finding]:
    """Check the numbers of a table in standard shape: finite, in s/mm2, unit vectors, a b=0."""
    strange = ~np.isfinite(bvals) | ~np.isfinite(bvecs).all(axis=1) & (bvals > B0_THRESHOLD)
    if strange.any():
        yield Finding(
            rule="b-values and b-vectors are finite numbers",
            where=where,
            found=f"other values at {list_volumes(strange)}",
            remedy="Convert the series again, or leave these volumes out.",
        )
        return
    if (bvals < 0).any():
        yield Finding(
            rule="b-values are not negative",
            where=where,
            found=f"{bvals.min():g} s/mm2 at {list_volumes(bvals < 0)}",
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
            f"{list_volumes(appended)}: trace or ADC images appended by the scanner",
            remedy="Remove these volumes from the series, and their columns from both tables.",
        )
    if (zero & ~appended).any():
        yield Finding(
            rule="every weighted volume has a direction",
            where=where,
            found=f"a zero b-vector with b > {B0_THRESHOLD:g} at {list_volumes(zero & ~appended)}",
            remedy="Restore the b-vectors, or remove these volumes if they are averages.",
        )
    strange = weighted & ~zero & (np.abs(norms - 1) > _NORM_TOLERANCE)
    if strange.any():
        scaled = bvals[strange] * norms[strange] ** 2
        yield Finding(
            rule="b-vectors of weighted volumes have length 1",
            where=where,
            found=f"lengths {norms[strange].min():.3f} to {norms[strange].max():.3f} at "
            f"{list_volumes(strange)}",
            remedy="If the length scales the b-value (b times length squared: "
            f"{scaled.min():.0f} to {scaled.max():.0f} s/mm2), write these b-values and divide "
            "the vectors by their length; otherwise convert the series again.",
        )


def direction_faults(bvals: Floats, bvecs: Floats, where: str) -> Iterator[Finding]:
    """Check that the directions determine a tensor."""
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


def shell_notes(bvals: Floats, where: str) -> Iterator[Finding]:
    """Name the shells and the number of volumes of each."""
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


def list_volumes(which: NDArray[np.bool_]) -> str:
    """Write volume numbers for people, at most eight."""
    numbers = np.flatnonzero(which)
    shown = ", ".join(str(number) for number in numbers[:8])
    more = f" and {len(numbers) - 8} more" if len(numbers) > 8 else ""
    return f"volume{'s' if len(numbers) > 1 else ''} {shown}{more} (counted from 0)"


def _shape(array: NDArray[Any]) -> str:
    return " x ".join(str(length) for length in array.shape) or "one number"
