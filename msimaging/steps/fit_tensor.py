"""Step: the diffusion tensor and its scalar maps of one visit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.diffusion.coherence import shell_coherence
from msimaging.diffusion.gradients import bvecs_fsl_to_ras, gradient_table, standard_table
from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.diffusion.tensor import (
    HIGHEST_BVAL,
    FitMethod,
    clamped_signals,
    fit_tensor,
    residual_map,
    s0_map,
    tensor_components,
    tensor_volumes,
)
from msimaging.gradient_files import read_numbers
from msimaging.steps.model_volumes import volumes_told
from msimaging.steps.quality_files import write_quality
from msimaging.steps.records import describe
from msimaging.steps.tensor_quality import coherence_rows, fit_rows
from msimaging.tables import read_table
from msimaging.volumes import read_labels, read_volume, write_volume

_FULL = 100.0  # per cent
_LEAST = 1e-3
_WEIGHTABLE = ("ols", "wls", "iwls")
_WHY_NOT_ALL = (
    f"with several shells a tensor is fitted up to {HIGHEST_BVAL:g} s/mm2, above which kurtosis "
    "biases it"
)


def fit_visit_tensor(
    *,
    image: str,
    bval: str,
    bvec: str,
    mask: str,
    weights: str,
    series_quality: str,
    method: FitMethod,
    out_tensor: str,
    out_maps: Mapping[str, str],
    out_quality: str,
) -> None:
    """Fit the tensor in the brain and write the tensor, its scalar maps and the scan's quality.

    Parameters
    ----------
    image, bval, bvec, mask : str
        Preprocessed series, its table in FSL's convention, brain mask.
    weights : str
        Trust in each sample, per cent; used by ``wls`` and ``ols``.
    series_quality : str
        Quality numbers of the series before the fit.
    method : {"wls", "ols", "iwls", "nlls", "restore"}
        How the tensor is fitted.
    out_tensor : str
        Six components in scanner axes.
    out_maps : mapping
        From ``fa md ad rd s0 residual`` to the map's file.
    out_quality : str
        All quality numbers of the scan: those of the series, of the fit, and of each shell.
    """
    series = read_volume(image, ndim=4)
    brain = read_labels(mask).data > 0
    bvals, bvecs_fsl = standard_table(read_numbers(bval), read_numbers(bvec))
    whole = gradient_table(bvals, bvecs_fsl_to_ras(bvecs_fsl, series.affine))
    used = tensor_volumes(bvals)
    data, gtab = _only(series.data, used), gradient_table(bvals[used], whole.bvecs[used])
    trust, told = sample_trust(weights, used, brain, method)
    fit = fit_tensor(data, gtab, brain, method=method, weights=trust)

    maps = {name: metric.from_evals(fit.evals) for name, metric in SCALAR_METRICS.items()}
    maps["s0"] = s0_map(fit)
    maps["residual"] = residual_map(data, gtab, fit, brain)
    coherence = shell_coherence(series.data, whole, series.affine, brain)
    quality = [fit_rows(data, gtab, fit, brain), coherence_rows(coherence)]
    model = {
        "Description": "Diffusion tensor",
        "URL": "https://docs.dipy.org",
        "Parameters": {
            "FitMethod": method,
            **volumes_told(bvals, used, why=_WHY_NOT_ALL),
            "ReplacedSlices": told,
            "ClampedVoxels": int(np.count_nonzero(clamped_signals(data, brain))),
        },
    }
    sources = [image, bval, bvec, mask, weights]
    write_volume(out_tensor, tensor_components(fit), series.affine)
    describe(
        out_tensor,
        "Tensor components D11 D12 D13 D22 D23 D33 in scanner axes.",
        sources=sources,
        Units="mm2/s",
        Model=model,
        SkullStripped=True,
        OrientationEncoding={"EncodingAxis": 3, "Reference": "scanner", "Type": "tensor"},
    )
    for name, path in out_maps.items():
        write_volume(path, np.where(brain, maps[name], 0.0), series.affine)
        description, units = _described(name)
        describe(path, description, sources=sources, Units=units, Model=model, SkullStripped=True)
    table = pd.concat([read_table(series_quality), *quality])
    text = "Quality of the diffusion scan, of the series and of the tensor fit."
    write_quality(out_quality, table, text, sources=[*sources, series_quality])


def _only(data: NDArray[np.float32], used: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return some volumes, without a copy where they are all; a series may fill the memory."""
    return data if used.all() else data[..., used]


def sample_trust(
    path: str, used: NDArray[np.bool_], brain: NDArray[np.bool_], method: FitMethod
) -> tuple[NDArray[np.float32] | None, str]:
    """Return weights for the fit, None where all samples count alike, and what the sidecar says.

    Parameters
    ----------
    path : str
        Trust in each sample, per cent.
    used : (N,) ndarray of bool
        Volumes of the fit.
    brain : (X, Y, Z) ndarray of bool
        Voxels of the fit.
    method : str
        Of the fit.
    """
    weights = _only(read_volume(path, ndim=4).data, used)
    less = weights[brain] < _FULL
    if not less.any():
        return None, "none"
    if method not in _WEIGHTABLE:
        return None, f"counted as measured: {method} takes no weights"
    text = f"weight zero in {int(less.any(axis=1).sum())} voxels"
    # a voxel whose slices were all replaced is still fitted, to what foretold them
    weights /= _FULL
    return np.maximum(weights, _LEAST, out=weights), text


def _described(name: str) -> tuple[str, str]:
    if name in SCALAR_METRICS:
        return SCALAR_METRICS[name].description, SCALAR_METRICS[name].units or "1"
    if name == "s0":
        return "Fitted signal without diffusion weighting.", "arbitrary"
    return "Standard deviation of what the tensor leaves unexplained, relative to S0.", "1"
