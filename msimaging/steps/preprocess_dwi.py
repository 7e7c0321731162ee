"""Step: from the scanner's diffusion-weighted series to volumes that a tensor can be fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msimaging.bids.sidecars import read_acquisition
from msimaging.diffusion.gradients import bvecs_ras_to_fsl
from msimaging.gradient_files import write_gradients
from msimaging.steps.dwi_corrections import correct_series
from msimaging.steps.dwi_quality import (
    CONFOUND_COLUMNS,
    confounds_table,
    judge_slices,
    quality_table,
    with_quality,
)
from msimaging.steps.dwi_series import Corrections, Series, slice_axis, weights_in_percent
from msimaging.steps.gradient_gate import (
    ORIENTATION_COLUMNS,
    Gradients,
    orientation_table,
    read_series,
)
from msimaging.steps.opposite_polarity import read_opposite
from msimaging.steps.quality_files import write_quality
from msimaging.steps.records import describe
from msimaging.tables import write_table
from msimaging.volumes import write_volume


def preprocess_dwi(
    *,
    image: str,
    bval: str,
    bvec: str,
    sidecars: Sequence[str],
    opposite: Sequence[str],
    why_distorted: str,
    why_moving: str,
    denoise: Literal["mppca", "none"],
    unring: Literal["auto", "none"],
    outliers: bool,
    bias: bool,
    gradients: Gradients,
    out_image: str,
    out_bval: str,
    out_bvec: str,
    out_reference: str,
    out_mask: str,
    out_weights: str,
    out_quality: str,
    out_confounds: str,
    out_orientation: str,
) -> None:
    """Check a diffusion series, correct it, find the brain, and tell how good the series is.

    Parameters
    ----------
    image, bval, bvec : str
        The raw series and its gradient table in FSL's convention.
    sidecars : sequence of str
        JSON files of the series, root first.
    opposite : sequence of str
        Image of opposite phase encoding and, for a series, its b-values; empty where distortion
        is not corrected.
    why_distorted : str
        Why it is not.
    why_moving : str
        Why head motion and eddy currents are not corrected; empty where they are.
    denoise, unring, outliers, bias
        Corrections asked for, as in `Corrections`.
    gradients : {"stop", "accept", "correct"}
        What happens when other axes of the b-vectors fit the images clearly better.
    out_image, out_bval, out_bvec : str
        The series that the tensor is fitted to; b-vectors turned with the head.
    out_reference, out_mask : str
        Mean b=0 image and brain mask.
    out_weights : str
        Trust in each sample: 0 in replaced slices, else 1.
    out_quality, out_confounds : str
        QC numbers, and head motion per volume.
    out_orientation : str
        How well each of the 24 tables of b-vectors fits the images.

    Raises
    ------
    InputError
        With every fault of the series and its table.
    """
    acquisition = read_acquisition(sidecars)
    other = read_opposite(opposite) if opposite else None
    asked = Corrections(
        denoise=denoise,
        unring=unring,
        outliers=outliers,
        motion=not why_moving,
        bias=bias,
        why_distorted=why_distorted,
        why_moving=why_moving,
    )
    # no name holds the series as acquired: its memory is free once the first correction is done
    series = correct_series(
        _measured(read_series(image, bval, bvec, gradients), asked, slice_axis(acquisition)),
        asked,
        acquisition,
        other,
    )

    write_volume(out_image, series.data, series.affine)
    bvecs_fsl = bvecs_ras_to_fsl(series.bvecs_ras, series.affine)
    write_gradients(out_bval, out_bvec, series.bvals, bvecs_fsl)
    write_volume(out_reference, series.mean_b0, series.affine)
    write_volume(out_mask, series.mask, series.affine)
    write_volume(out_weights, weights_in_percent(series), series.affine)
    write_table(out_confounds, confounds_table(series))
    if series.orientation is not None:
        write_table(out_orientation, orientation_table(series.orientation))
    sources = [image, bval, bvec, *sidecars, *opposite]
    described = {**acquisition, **series.told}
    text = "Diffusion-weighted series that the tensor is fitted to."
    describe(out_image, text, sources=sources, SkullStripped=False, **described)
    describe(out_reference, "Mean b=0 image.", sources=sources, SkullStripped=False)
    text = "Brain mask; voxels that some volume did not image are left out."
    describe(out_mask, text, sources=sources, Type="Brain")
    text = "Trust in each sample, per cent: 0 where a dropped slice was replaced."
    describe(out_weights, text, sources=sources, SkullStripped=False, Units="percent")
    text = "Quality of the diffusion series."
    write_quality(out_quality, quality_table(series), text, sources=sources)
    text = "Coherence of fibres under each of the 24 distinguishable tables of b-vectors."
    describe(out_orientation, text, sources=sources, columns=ORIENTATION_COLUMNS)
    text = "Head motion, eddy-current distortion and dropped slices of each volume."
    describe(out_confounds, text, sources=sources, columns=CONFOUND_COLUMNS)


def _measured(raw: Series, asked: Corrections, axis: int) -> Series:
    """Tell how good a series is as acquired; slices that are to be replaced are judged there."""
    return with_quality(raw, None if asked.outliers else judge_slices(raw, axis))
