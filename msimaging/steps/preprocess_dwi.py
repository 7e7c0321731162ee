"""Step: from the scanner's diffusion-weighted series to volumes that a tensor can be fitted to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from msimaging.bids.sidecars import read_acquisition
from msimaging.diffusion.gradients import (
    B0_THRESHOLD,
    bvecs_fsl_to_ras,
    bvecs_ras_to_fsl,
    check_gradients,
    standard_table,
)
from msimaging.diffusion.masks import brain_mask
from msimaging.errors import Finding, raise_on_errors
from msimaging.gradient_files import read_numbers, write_gradients
from msimaging.grids import check_finite
from msimaging.steps.records import describe, report
from msimaging.volumes import Volume, read_volume, write_volume


def preprocess_dwi(
    *,
    image: str,
    bval: str,
    bvec: str,
    sidecars: Sequence[str],
    out_image: str,
    out_bval: str,
    out_bvec: str,
    out_reference: str,
    out_mask: str,
) -> None:
    """Check a diffusion series, find the brain, and hand the series on.

    Parameters
    ----------
    image, bval, bvec : str
        The raw series and its gradient table in FSL's convention.
    sidecars : sequence of str
        JSON files of the series, root first.
    out_image, out_bval, out_bvec : str
        The series that the tensor is fitted to.
    out_reference, out_mask : str
        Mean b=0 image and brain mask.

    Raises
    ------
    InputError
        With every fault of the series and its table.
    """
    acquisition = read_acquisition(sidecars)
    series = read_volume(image, ndim=4)
    raw_bvals, raw_bvecs = read_numbers(bval), read_numbers(bvec)
    report(raise_on_errors(_faults(series, raw_bvals, raw_bvecs, image)))
    bvals, bvecs_fsl = standard_table(raw_bvals, raw_bvecs)
    bvecs_ras = bvecs_fsl_to_ras(bvecs_fsl, series.affine)
    reference = series.data[..., bvals <= B0_THRESHOLD].mean(axis=-1)
    mask = brain_mask(reference, series.affine)

    write_volume(out_image, series.data, series.affine)
    write_gradients(out_bval, out_bvec, bvals, bvecs_ras_to_fsl(bvecs_ras, series.affine))
    write_volume(out_reference, reference, series.affine)
    write_volume(out_mask, mask, series.affine)

    sources = [image, bval, bvec, *sidecars]
    describe(
        out_image,
        "Diffusion-weighted series that the tensor is fitted to.",
        sources=sources,
        SkullStripped=False,
        **acquisition,
    )
    describe(out_reference, "Mean b=0 image.", sources=[image], SkullStripped=False)
    describe(
        out_mask,
        f"Brain mask of {mask.sum() * np.prod(series.voxel_sizes) / 1000:.0f} ml.",
        sources=[image],
        Type="Brain",
    )


def _faults(
    series: Volume, bvals: NDArray[np.float64], bvecs: NDArray[np.float64], image: str
) -> list[Finding]:
    return [
        *check_finite(series, where=image),
        *check_gradients(series.data, bvals, bvecs, series.affine, where=image),
    ]
