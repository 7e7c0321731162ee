"""The gradient gate: b-values and b-vectors are checked before any computing, never repaired."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from dipy.core.gradients import GradientTable, gradient_table_from_bvals_bvecs
from numpy.typing import NDArray

from msimaging.diffusion.frames import bvecs_fsl_to_ras, bvecs_ras_to_fsl
from msimaging.diffusion.masks import brain_mask
from msimaging.diffusion.orientation import check_orientation, orientation_finding
from msimaging.diffusion.table_rules import (
    B0_THRESHOLD,
    affine_faults,
    direction_faults,
    list_volumes,
    rows_of_vectors,
    shape_faults,
    shell_notes,
    shells,
    value_faults,
)
from msimaging.diffusion.tensor import fit_tensor, tensor_volumes
from msimaging.diffusion.volume_order import volumes_finding, volumes_match_vectors
from msimaging.errors import Finding, raise_on_errors

Floats = NDArray[np.float64]

__all__ = [
    "B0_THRESHOLD",
    "bvecs_fsl_to_ras",
    "bvecs_ras_to_fsl",
    "check_gradients",
    "check_table",
    "gradient_table",
    "shells",
    "standard_table",
]


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
        Brain; by default `brain_mask` of the mean b=0 image.
    where : str
        File that the findings name.

    Returns
    -------
    tuple of Finding
        Errors make the table unusable; warnings go into flags; notes are told. Empty when there
        is nothing to say.

    Raises
    ------
    ComputationError
        When no mask is given and the b=0 image has no contrast to find one.
    """
    if data.ndim != 4:
        found = f"an array of shape {data.shape}"
        remedy = "Give the 4D diffusion series, volumes along the last axis."
        return (Finding(rule="diffusion data are 4D", where=where, found=found, remedy=remedy),)
    findings = [
        *affine_faults(affine, where),
        *check_table(bvals, bvecs, data.shape[3], where=where),
    ]
    if any(finding.severity == "error" for finding in findings):
        return tuple(findings)
    flat, rows = standard_table(bvals, bvecs)
    if mask is None:
        mean_b0 = np.nan_to_num(data[..., flat <= B0_THRESHOLD]).mean(axis=-1)
        mask = brain_mask(mean_b0, affine)
    findings += _signal_faults(data, flat, mask, where)
    if not any(finding.severity == "error" for finding in findings):
        gtab = gradient_table(flat, bvecs_fsl_to_ras(rows, affine))
        findings += _agreement_faults(data, gtab, affine, mask, where)
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
    faults = list(shape_faults(raw_bvals, raw_bvecs, n_volumes, where))
    if any(fault.severity == "error" for fault in faults):
        return tuple(faults)
    flat, rows = rows_of_vectors(raw_bvals, raw_bvecs)
    faults += value_faults(flat, rows, where)
    if not any(fault.severity == "error" for fault in faults):
        faults += direction_faults(flat, rows, where)
        faults += shell_notes(flat, where)
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
    raise_on_errors(shape_faults(raw_bvals, raw_bvecs, raw_bvals.size, ""))
    return rows_of_vectors(raw_bvals, raw_bvecs)


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


def _signal_faults(
    data: NDArray[np.floating[Any]], bvals: Floats, brain: NDArray[np.bool_], where: str
) -> Iterator[Finding]:
    signal = data[brain]
    broken = ~np.isfinite(signal).all(axis=0)
    if broken.any():
        yield Finding(
            rule="signals are finite numbers",
            where=where,
            found=f"NaN or infinity inside the brain at {list_volumes(broken)}",
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


def _agreement_faults(
    data: NDArray[np.floating[Any]],
    gtab: GradientTable,
    affine: NDArray[np.floating[Any]],
    brain: NDArray[np.bool_],
    where: str,
) -> Iterator[Finding]:
    """Compare the directions with the images: order of the volumes first, then the axes."""
    order = volumes_finding(volumes_match_vectors(data, gtab, brain), where=where)
    if order is not None:
        yield order
        return
    used = tensor_volumes(gtab.bvals)
    part = gradient_table(gtab.bvals[used], gtab.bvecs[used])
    fit = fit_tensor(data[..., used], part, brain)
    axes = orientation_finding(check_orientation(fit, affine, brain), where=where)
    if axes is not None:
        yield axes


def _brightness_fault(volumes: NDArray[np.bool_], text: str, where: str) -> Finding:
    return Finding(
        rule="b=0 volumes are brighter than weighted ones",
        where=where,
        found=f"{list_volumes(volumes)} {text}",
        remedy="The b-values are not in the order of the volumes: use the table of this series.",
    )
