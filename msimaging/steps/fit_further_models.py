"""Step: models beside the tensor, of series with several shells: free water, and kurtosis."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from dipy.core.gradients import GradientTable
from numpy.typing import NDArray

from msimaging.diffusion.gradients import bvecs_fsl_to_ras, gradient_table, standard_table
from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.diffusion.multi_shell import (
    FREE_WATER,
    FREE_WATER_MODEL,
    KURTOSIS_MODEL,
    MOSTLY_WATER,
    ShellModel,
    check_shells,
    fit_free_water,
    fit_kurtosis,
    model_volumes,
)
from msimaging.gradient_files import read_numbers
from msimaging.steps.model_volumes import volumes_told
from msimaging.steps.records import describe
from msimaging.volumes import read_labels, read_volume, write_volume

_Fit = Callable[
    [NDArray[np.float32], GradientTable, NDArray[np.bool_]], dict[str, NDArray[np.float32]]
]
_KURTOSIS_TEXTS = {
    "mk": "Mean kurtosis: how far diffusion is from free, averaged over directions.",
    "ak": "Axial kurtosis: along the main direction.",
    "rk": "Radial kurtosis: across the main direction.",
}


def fit_visit_free_water(
    *, image: str, bval: str, bvec: str, mask: str, out_maps: Mapping[str, str]
) -> None:
    """Part the signal of each voxel into free water and tissue, and write the tissue's measures.

    Parameters
    ----------
    image, bval, bvec, mask : str
        Preprocessed series, its table in FSL's convention, brain mask.
    out_maps : mapping
        From ``fw fa md ad rd`` to the map's file.

    Raises
    ------
    InputError
        When the series has fewer than two shells up to 2000 s/mm2.
    """
    texts = {
        name: (f"{metric.description} Of the tissue beside free water.", metric.units or "1")
        for name, metric in SCALAR_METRICS.items()
    } | {"fw": ("Fraction of the signal without diffusion weighting that is free water.", "1")}
    told = {
        "FitMethod": "non-linear least squares from a weighted linear start",
        "FreeWaterDiffusivity": FREE_WATER,
        "WithoutTissue": f"0 in fa, md, ad and rd where the fraction is above {MOSTLY_WATER:g}",
    }
    _fit_and_write(
        (image, bval, bvec, mask),
        FREE_WATER_MODEL,
        fit_free_water,
        {"Description": "Diffusion tensor and free water", "Parameters": told},
        {name: (path, *texts[name]) for name, path in out_maps.items()},
    )


def fit_visit_kurtosis(
    *, image: str, bval: str, bvec: str, mask: str, out_maps: Mapping[str, str]
) -> None:
    """Fit the kurtosis tensor and write its means.

    Parameters
    ----------
    image, bval, bvec, mask : str
        Preprocessed series, its table in FSL's convention, brain mask.
    out_maps : mapping
        From ``mk ak rk`` to the map's file.

    Raises
    ------
    InputError
        When the series has fewer than two shells up to 3000 s/mm2, or too few directions.
    """
    _fit_and_write(
        (image, bval, bvec, mask),
        KURTOSIS_MODEL,
        fit_kurtosis,
        {
            "Description": "Diffusion kurtosis",
            "Parameters": {"FitMethod": "weighted linear least squares"},
        },
        {name: (path, _KURTOSIS_TEXTS[name], "1") for name, path in out_maps.items()},
    )


def _fit_and_write(
    files: tuple[str, str, str, str],
    model: ShellModel,
    fit: _Fit,
    told: Mapping[str, object],
    outputs: Mapping[str, tuple[str, str, str]],
) -> None:
    image, bval, bvec, mask = files
    series, brain = read_volume(image, ndim=4), read_labels(mask).data > 0
    bvals, bvecs_fsl = standard_table(read_numbers(bval), read_numbers(bvec))
    used = model_volumes(bvals, model)
    bvecs_ras = bvecs_fsl_to_ras(bvecs_fsl, series.affine)
    gtab = gradient_table(bvals[used], bvecs_ras[used])
    check_shells(gtab, model, where=image)
    maps = fit(series.data[..., used], gtab, brain)
    why = f"{model.name} is fitted up to {model.highest:g} s/mm2"
    parameters = {
        **dict(told["Parameters"]),  # type: ignore[call-overload]
        **volumes_told(bvals, used, why=why),
        "ReplacedSlices": "counted as measured: the model takes no weights",
    }
    content = {**told, "URL": "https://docs.dipy.org", "Parameters": parameters}
    for name, (path, text, units) in outputs.items():
        write_volume(path, maps[name], series.affine)
        describe(path, text, sources=files, Units=units, Model=content, SkullStripped=True)
