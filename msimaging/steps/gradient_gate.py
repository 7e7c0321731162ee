"""The gradient gate of a visit: a series enters with a table that fits it, or not at all."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.diffusion.gradients import (
    B0_THRESHOLD,
    bvecs_fsl_to_ras,
    check_gradients,
    check_table,
    gradient_table,
    standard_table,
)
from msimaging.diffusion.masks import brain_mask
from msimaging.diffusion.orientation import (
    OrientationCheck,
    check_orientation,
    describe_transform,
    orientation_finding,
)
from msimaging.diffusion.table_rules import affine_faults
from msimaging.diffusion.tensor import fit_tensor, tensor_volumes
from msimaging.errors import Finding, raise_on_errors
from msimaging.gradient_files import read_numbers
from msimaging.grids import check_finite
from msimaging.steps.dwi_series import Series
from msimaging.steps.records import report
from msimaging.volumes import Volume, read_volume

#: What happens when other axes of the b-vectors fit the images clearly better.
Gradients = Literal["stop", "accept", "correct"]
ORIENTATION_COLUMNS = {
    "table": "Which components of the file's b-vectors are taken, and with which sign.",
    "score": "Coherence of fibres from voxel to voxel under this table, 0 to 1.",
    "given": "Whether this is the table as it was read.",
    "best": "Whether no other table makes fibres more coherent.",
}
_AS_GIVEN = np.eye(3, dtype=np.int64)
_Table = tuple[NDArray[np.float64], NDArray[np.float64]]


def read_series(image: str, bval: str, bvec: str, gradients: Gradients) -> Series:
    """Read a series behind the gradient gate: nothing is computed from what is refused.

    Parameters
    ----------
    image, bval, bvec : str
        The raw series and its gradient table in FSL's convention.
    gradients : {"stop", "accept", "correct"}
        What happens when other axes of the b-vectors fit the images clearly better.

    Returns
    -------
    Series
        As acquired, with its first brain mask; the gate's verdict in `Series.told`.

    Raises
    ------
    InputError
        With every fault of the series and its table.
    """
    volume = read_volume(image, ndim=4)
    table = read_numbers(bval), read_numbers(bvec)
    findings = [
        *check_finite(volume, where=image),
        *check_gradients(volume.data, *table, volume.affine, where=image),
    ]
    told, transform = "yes: axes used as given, nothing fits the images better", _AS_GIVEN
    axes: OrientationCheck | None = None
    errors = [finding for finding in findings if finding.severity == "error"]
    if gradients != "stop" and len(errors) == 1 and _can_be_fitted(volume, table):
        axes = _orientation(volume, table)
        if orientation_finding(axes, where=image) == errors[0]:
            allowed, told, transform = _allowed(errors[0], axes, gradients)
            findings[findings.index(errors[0])] = allowed
    report(raise_on_errors(findings))
    axes = axes or _orientation(volume, table)
    bvals, bvecs_fsl = standard_table(*table)
    return Series(
        data=volume.data,
        bvals=bvals,
        bvecs_ras=bvecs_fsl_to_ras(bvecs_fsl @ transform.T, volume.affine),
        affine=volume.affine,
        mask=_first_mask(volume, bvals),
        told={"GradientTableChecked": told},
        orientation=axes,
    )


def _can_be_fitted(volume: Volume, table: _Table) -> bool:
    """Tell whether the images and the table by themselves are sound."""
    faults = [
        *check_finite(volume, where=""),
        *affine_faults(volume.affine, ""),
        *check_table(*table, volume.data.shape[3]),
    ]
    return not any(fault.severity == "error" for fault in faults)


def _first_mask(volume: Volume, bvals: NDArray[np.float64]) -> NDArray[np.bool_]:
    mean_b0 = np.nan_to_num(volume.data[..., bvals <= B0_THRESHOLD]).mean(axis=-1)
    return brain_mask(mean_b0, volume.affine)


def _orientation(volume: Volume, table: _Table) -> OrientationCheck:
    """Repeat the gate's test of the axes, for the better table that its finding only names."""
    bvals, bvecs_fsl = standard_table(*table)
    mask = _first_mask(volume, bvals)
    used = tensor_volumes(bvals)
    gtab = gradient_table(bvals[used], bvecs_fsl_to_ras(bvecs_fsl[used], volume.affine))
    fit = fit_tensor(volume.data[..., used], gtab, mask)
    return check_orientation(fit, volume.affine, mask)


def _allowed(
    fault: Finding, axes: OrientationCheck, gradients: Gradients
) -> tuple[Finding, str, NDArray[np.int64]]:
    """Turn the fault into a warning; return it, what the sidecar says and the axes to use."""
    better = describe_transform(axes.best_transform)
    evidence = f"coherence higher by {100 * (axes.ratio - 1):.1f} %, z = {axes.z:.1f}"
    if gradients == "correct":
        remedy = f"Corrected as the settings ask: b-vectors used as {better}."
        told = f"corrected: b-vectors used as {better} of the file ({evidence})"
        transform = axes.best_transform
    else:
        remedy = "Accepted as the settings ask: b-vectors used as they are."
        told = f"accepted as given, although {better} fits the images better ({evidence})"
        transform = _AS_GIVEN
    return dataclasses.replace(fault, severity="warning", remedy=remedy), told, transform


def orientation_table(axes: OrientationCheck) -> pd.DataFrame:
    """List how well each of the 24 distinguishable tables fits the images.

    Parameters
    ----------
    axes : OrientationCheck
        Of the table as it was read.

    Returns
    -------
    DataFrame
        Columns of `ORIENTATION_COLUMNS`; the table as it was read comes first.
    """
    return pd.DataFrame(
        {
            "table": [describe_transform(transform) for transform in axes.transforms],
            "score": axes.scores,
            "given": [number == 0 for number in range(len(axes.scores))],
            "best": [number == axes.best for number in range(len(axes.scores))],
        }
    )
