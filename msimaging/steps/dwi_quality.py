"""QC numbers of one diffusion series: a table of metrics and a row of confounds per volume."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from msimaging.diffusion.gradients import gradient_table
from msimaging.diffusion.outliers import SliceOutliers, replace_dropped_slices
from msimaging.diffusion.quality import scan_quality
from msimaging.steps.dwi_series import AsAcquired, Series
from msimaging.steps.quality_files import HIGH_MOTION, QUALITY_COLUMNS, motion_numbers

CONFOUND_COLUMNS = {
    "framewise_displacement": "Head movement since the volume before, mm (Power 2012).",
    "trans_x": "Head position to the right, mm.",
    "trans_y": "Head position to the front, mm.",
    "trans_z": "Head position upwards, mm.",
    "rot_x": "Head rotation about the left-right axis, rad.",
    "rot_y": "Head rotation about the front-back axis, rad.",
    "rot_z": "Head rotation about the up-down axis, rad.",
    "eddy_shift": "Eddy-current shift of the whole volume along phase encoding, mm.",
    "eddy_x": "Shift along phase encoding per mm to the right, mm/mm.",
    "eddy_y": "Shift along phase encoding per mm to the front, mm/mm.",
    "eddy_z": "Shift along phase encoding per mm upwards, mm/mm.",
    "dropped_slices": "Slices of the volume that were found dropped.",
}
_ROWS = {
    "fd_mean": ("mm", "Mean framewise displacement after the first volume."),
    "fd_max": ("mm", "Largest framewise displacement."),
    "fd_num": ("1", f"Volumes that moved by more than {HIGH_MOTION:g} mm."),
    "fd_perc": ("percent", "Share of these volumes after the first."),
    "dropped_slices": ("1", "Slices found dropped; replaced where the settings ask for it."),
    "dropped_slice_share": ("1", "Share of dropped slices among those judged."),
    "sigma_pca": ("signal", "Standard deviation of the noise, median in the brain (MP-PCA)."),
    "snr_raw": ("1", "Median of mean b=0 signal over sigma_pca in the brain, as acquired."),
    "snr_b0": ("1", "Median of mean over standard deviation of the b=0s; three or more b=0s."),
    "ndc_raw": ("1", "Neighbouring-DWI correlation as acquired (Yeh 2019)."),
    "ndc": ("1", "Neighbouring-DWI correlation of the corrected series."),
    "ndc_min": ("1", "Lowest correlation of one volume with its neighbour."),
    "ndc_min_volume": ("volume", "The volume of ndc_min, counted from 0."),
    "distortion_mean": ("mm", "Mean susceptibility displacement in the brain."),
    "distortion_max": ("mm", "Largest susceptibility displacement in the brain."),
    "polarity_agreement_raw": ("1", "Correlation of b=0s of both polarities, as acquired."),
    "polarity_agreement": ("1", "Correlation of b=0s of both polarities, undistorted."),
    "polarity_movement": ("mm", "Head movement between both polarities, rotations at 50 mm."),
    "n_volumes": ("1", "Volumes of the series."),
    "zero_fraction": ("1", "Share of samples in the brain at zero."),
    "negative_samples": ("1", "Samples in the brain that the resampling left below zero."),
    "uncovered_voxels": ("1", "Voxels taken out of the mask: some volume did not image them."),
    "brain_volume": ("ml", "Volume of the brain mask."),
}


def judge_slices(raw: Series, slice_axis: int) -> SliceOutliers:
    """Look for dropped slices in a series as acquired, where no correction will do it.

    Parameters
    ----------
    raw : Series
        Before the corrections.
    slice_axis : {0, 1, 2}
        Voxel axis along which slices were acquired.

    Returns
    -------
    SliceOutliers
        Of the box around the brain: slices outside it are never judged.
    """
    box = ndimage.find_objects(raw.mask.astype(np.uint8))[0]
    return replace_dropped_slices(
        raw.data[box],
        bvals=raw.bvals,
        bvecs=raw.bvecs_ras,
        mask=raw.mask[box],
        slice_axis=slice_axis,
    )


def with_quality(raw: Series, judged: SliceOutliers | None) -> Series:
    """Measure a series as acquired.

    Parameters
    ----------
    raw : Series
        Before the corrections.
    judged : SliceOutliers or None
        From `judge_slices`; None where the correction judges them.

    Returns
    -------
    Series
        The same with `Series.as_acquired`.
    """
    gtab = gradient_table(raw.bvals, raw.bvecs_ras)
    measured = AsAcquired(
        mask=raw.mask,
        mean_b0=raw.mean_b0,
        ndc=scan_quality(raw.data, gtab, raw.mask)["ndc"],
        dropped_slices=math.nan if judged is None else float(judged.outliers.sum()),
        dropped_slice_share=math.nan if judged is None else judged.share,
    )
    return replace(raw, as_acquired=measured)


def quality_table(series: Series) -> pd.DataFrame:
    """Collect the QC numbers of a visit.

    Parameters
    ----------
    series : Series
        After the corrections, with `Series.as_acquired` where that is known.

    Returns
    -------
    DataFrame
        Columns of `QUALITY_COLUMNS`, the same rows for every visit of one acquisition.
    """
    gtab = gradient_table(series.bvals, series.bvecs_ras)
    numbers = {
        **dict.fromkeys(_ROWS, np.nan),
        **scan_quality(series.data, gtab, series.mask),
        **_as_acquired(series),
        **_of_drops(series),
        **_of_motion(series),
        **_of_field(series),
        "brain_volume": series.mask.sum() * abs(np.linalg.det(series.affine[:3, :3])) / 1000,
    }
    rows = [(name, value, *_described(name)) for name, value in numbers.items()]
    return pd.DataFrame(rows, columns=list(QUALITY_COLUMNS))


def confounds_table(corrected: Series) -> pd.DataFrame:
    """Tell for each volume where the head was and which slices dropped out.

    Parameters
    ----------
    corrected : Series
        After the corrections.

    Returns
    -------
    DataFrame
        Columns of `CONFOUND_COLUMNS`, one row a volume; missing where the step did not run.
    """
    n_volumes = len(corrected.bvals)
    table = pd.DataFrame(np.nan, index=range(n_volumes), columns=list(CONFOUND_COLUMNS))
    if corrected.motion is not None:
        motion = corrected.motion
        table["framewise_displacement"] = motion.framewise_displacement
        table[["trans_x", "trans_y", "trans_z"]] = motion.translations
        table[["rot_x", "rot_y", "rot_z"]] = np.deg2rad(motion.rotations)
        table["eddy_shift"] = motion.eddy_shift
        table[["eddy_x", "eddy_y", "eddy_z"]] = motion.eddy
    if corrected.dropped is not None:
        table["dropped_slices"] = corrected.dropped.outliers.sum(axis=0)
    return table


def _as_acquired(corrected: Series) -> dict[str, float]:
    before = corrected.as_acquired
    if before is None:
        return {}
    numbers = {
        "ndc_raw": before.ndc,
        "dropped_slices": before.dropped_slices,
        "dropped_slice_share": before.dropped_slice_share,
    }
    if corrected.sigma is None:
        return numbers
    sigma: NDArray[np.float64] = corrected.sigma[before.mask]
    found = sigma > 0
    if not found.any():
        return numbers
    return numbers | {
        "sigma_pca": float(np.median(sigma[found])),
        "snr_raw": float(np.median(before.mean_b0[before.mask][found] / sigma[found])),
    }


def _of_drops(corrected: Series) -> dict[str, float]:
    """Tell of the slices that the correction found, which knew where the head was."""
    if corrected.dropped is None:
        return {}
    return {
        "dropped_slices": float(corrected.dropped.outliers.sum()),
        "dropped_slice_share": corrected.dropped.share,
    }


def _of_motion(corrected: Series) -> dict[str, float]:
    if corrected.motion is None:
        return {}
    return {
        **motion_numbers(pd.Series(corrected.motion.framewise_displacement)),
        "negative_samples": float(corrected.negative_samples),
        "uncovered_voxels": float(corrected.uncovered_voxels),
    }


def _of_field(corrected: Series) -> dict[str, float]:
    if corrected.field is None:
        return {}
    shifts = np.abs(corrected.field.displacement[corrected.mask])
    return {
        "distortion_mean": float(shifts.mean()),
        "distortion_max": float(shifts.max()),
        "polarity_agreement_raw": corrected.field.agreement_before,
        "polarity_agreement": corrected.field.agreement_after,
        "polarity_movement": corrected.field.movement,
    }


def _described(name: str) -> tuple[str, str]:
    if name in _ROWS:
        return _ROWS[name]
    kind, _, bval = name.partition("_shell")
    if kind == "cnr":
        text = "Spread over directions over that between nearest directions (noise alone: about 1)"
    else:
        text = "Median signal relative to the b=0s"
    return "1", f"{text}, b = {bval} s/mm2."
