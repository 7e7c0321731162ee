"""Step: a diffusion series that QSIPrep has preprocessed enters in front of the tensor fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from msimaging.bids.names import parse_name
from msimaging.bids.sidecars import read_acquisition
from msimaging.diffusion.gradients import bvecs_ras_to_fsl
from msimaging.diffusion.table_rules import B0_THRESHOLD
from msimaging.gradient_files import write_gradients
from msimaging.steps.derivative_files import read_brain_mask, read_given_confounds
from msimaging.steps.dwi_quality import CONFOUND_COLUMNS, confounds_table, quality_table
from msimaging.steps.dwi_series import Series, weights_in_percent
from msimaging.steps.gradient_gate import Gradients, read_series
from msimaging.steps.quality_files import QUALITY_COLUMNS, motion_numbers, write_quality
from msimaging.steps.records import describe
from msimaging.tables import write_table
from msimaging.volumes import Volume, write_volume


def import_dwi(
    *,
    image: str,
    bval: str,
    bvec: str,
    mask: str,
    confounds: Sequence[str],
    sidecars: Sequence[str],
    pipeline: str,
    gradients: Gradients,
    out_image: str,
    out_bval: str,
    out_bvec: str,
    out_reference: str,
    out_mask: str,
    out_weights: str,
    out_quality: str,
    out_confounds: str,
) -> None:
    """Take a preprocessed series through the gradient gate, and hand it on as it is.

    Parameters
    ----------
    image, bval, bvec : str
        The preprocessed series and its gradient table in FSL's convention.
    mask : str
        The pipeline's brain mask.
    confounds : sequence of str
        The pipeline's confounds, none or one.
    sidecars : sequence of str
        JSON files of the raw series and of the preprocessed one.
    pipeline : str
        Name and version.
    gradients : {"stop", "accept", "correct"}
        What happens when other axes of the b-vectors fit the images clearly better.
    out_image, out_bval, out_bvec, out_reference, out_mask : str
        As of `preprocess_dwi`.
    out_weights, out_quality, out_confounds : str
        As of `preprocess_dwi`.

    Raises
    ------
    InputError
        With every fault of the series and its table, mask or confounds.
    """
    acquisition = read_acquisition(sidecars)
    series = read_series(image, bval, bvec, gradients)
    brain = read_brain_mask(mask, Volume(data=series.data, affine=series.affine))
    # a pipeline fills with zeros what it did not image; no tensor explains them
    seen = (series.data[..., series.bvals <= B0_THRESHOLD] > 0).all(axis=-1)
    series = replace(series, mask=brain & seen, uncovered_voxels=int((brain & ~seen).sum()))
    n_volumes = len(series.bvals)
    given = read_given_confounds(confounds[0], n_volumes) if confounds else pd.DataFrame()

    write_volume(out_image, series.data, series.affine)
    bvecs_fsl = bvecs_ras_to_fsl(series.bvecs_ras, series.affine)
    write_gradients(out_bval, out_bvec, series.bvals, bvecs_fsl)
    write_volume(out_reference, series.mean_b0, series.affine)
    write_volume(out_mask, series.mask, series.affine)
    write_volume(out_weights, weights_in_percent(series), series.affine)
    write_table(out_confounds, confounds_table(series).assign(**_motion(given)))
    sources = [image, bval, bvec, mask, *confounds, *sidecars]
    name = parse_name(image)
    space = "unknown" if name is None else name.entities.get("space", "native")
    facts = {"PreprocessedBy": pipeline, "SpaceOfPipeline": space}
    text = f"Diffusion-weighted series that the tensor is fitted to, preprocessed by {pipeline}."
    described = {**acquisition, **series.told, **facts}
    describe(out_image, text, sources=sources, SkullStripped=False, **described)
    describe(out_reference, "Mean b=0 image.", sources=sources, SkullStripped=False)
    text = f"Brain mask of {pipeline}, without voxels that some b=0 volume did not image."
    describe(out_mask, text, sources=sources, Type="Brain")
    text = f"Trust in each sample, per cent: all alike, {pipeline} tells of none."
    describe(out_weights, text, sources=sources, SkullStripped=False, Units="percent")
    text = "Quality of the diffusion series."
    write_quality(out_quality, _quality(series, given), text, sources=sources)
    text = f"Head motion of each volume as {pipeline} found it; n/a what it does not tell."
    describe(out_confounds, text, sources=sources, columns=CONFOUND_COLUMNS)


def _quality(series: Series, given: pd.DataFrame) -> pd.DataFrame:
    """Measure the series that came; how it was as acquired is not known here."""
    table = quality_table(series).set_index("metric")
    numbers = {"uncovered_voxels": float(series.uncovered_voxels)}
    if "framewise_displacement" in given:
        numbers |= motion_numbers(given["framewise_displacement"])
    for name, value in numbers.items():
        table.loc[name, "value"] = value
    return table.reset_index()[list(QUALITY_COLUMNS)]


def _motion(given: pd.DataFrame) -> dict[str, pd.Series[float]]:
    return {name: given[name] for name in CONFOUND_COLUMNS if name in given}
