"""Models that need several shells: the tensor without free water, and kurtosis. DIPY fits both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from dipy.core.gradients import GradientTable
from dipy.reconst.dki import DiffusionKurtosisModel
from dipy.reconst.dki import design_matrix as kurtosis_design
from dipy.reconst.fwdti import FreeWaterTensorModel
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.diffusion.table_rules import shells
from msimaging.diffusion.tensor import determines_tensor
from msimaging.errors import Finding, InputError

#: Free water is told from tissue up to this b-value [s/mm2]; above, kurtosis is taken for it.
HIGHEST_FREE_WATER = 2000.0
#: The expansion of ln S to the square of b holds up to here [s/mm2] (Jensen 2010).
HIGHEST_KURTOSIS = 3000.0
#: Diffusivity of water at body temperature [mm2/s].
FREE_WATER = 3.0e-3
#: Where more of the signal is water no tissue is left to be measured.
MOSTLY_WATER = 0.9
# Scanners spread a shell by some per cent.
_SPREAD = 1.05
# Both fits make objects of some kilobytes a voxel.
_BLOCK = 2048
_LEAST_SIGNAL = 1e-4
_LEAST_SHELLS = 2
_KURTOSIS_COEFFICIENTS = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellModel:
    """What a model needs of a gradient table.

    Attributes
    ----------
    name : str
        In sentences.
    highest : float
        Volumes up to this b-value are used [s/mm2].
    """

    name: str
    highest: float


FREE_WATER_MODEL = ShellModel(name="free-water elimination", highest=HIGHEST_FREE_WATER)
KURTOSIS_MODEL = ShellModel(name="diffusion kurtosis", highest=HIGHEST_KURTOSIS)


def model_volumes(bvals: NDArray[np.floating[Any]], model: ShellModel) -> NDArray[np.bool_]:
    """Tell which volumes a model is fitted to.

    Parameters
    ----------
    bvals : (N,) ndarray
        b-values [s/mm2].
    model : ShellModel
        The model.

    Returns
    -------
    (N,) ndarray of bool
        b=0s and all shells up to the model's highest b-value.
    """
    return np.asarray(np.asarray(bvals, dtype=np.float64) <= _SPREAD * model.highest)


def fit_free_water(
    data: NDArray[np.floating[Any]], gtab: GradientTable, mask: NDArray[np.bool_]
) -> dict[str, NDArray[np.float32]]:
    """Fit the tensor of tissue beside a part of freely diffusing water.

    Parameters
    ----------
    data : (X, Y, Z, N) ndarray
        Diffusion-weighted signal.
    gtab : GradientTable
        b-values [s/mm2] of two shells or more, and b-vectors.
    mask : (X, Y, Z) ndarray of bool
        Voxels to fit.

    Returns
    -------
    dict of str to (X, Y, Z) ndarray of float32
        ``fw`` fraction of the b=0 signal that is free water, 0 to 1; ``fa``, ``md``, ``ad``,
        ``rd`` [mm2/s] of the tissue, 0 where water is more than `MOSTLY_WATER`.

    Raises
    ------
    InputError
        When shapes do not agree or the table cannot tell water from tissue.

    Notes
    -----
    S = S0 ((1 - f) exp(-b g'Dg) + f exp(-b 3e-3)), fitted by non-linear least squares from a
    weighted linear start (Hoy 2014; Neto Henriques 2017), DIPY's ``FreeWaterTensorModel``. The
    linear start alone is six times faster, and its MD 2 per cent too low at SNR 30.
    """
    _check(data, gtab, mask, FREE_WATER_MODEL)
    model = FreeWaterTensorModel(gtab, fit_method="NLS")
    signal = data[mask]
    values = {name: np.zeros(len(signal), dtype=np.float32) for name in ("fw", *SCALAR_METRICS)}
    with threadpool_limits(limits=1, user_api="blas"):
        for block in _blocks(len(signal)):
            fit = model.fit(np.maximum(signal[block].astype(np.float64), _LEAST_SIGNAL))
            seen = signal[block].max(axis=1) > _LEAST_SIGNAL
            fraction = np.where(seen, fit.f, 0.0)
            evals = np.sort(np.asarray(fit.evals), axis=-1)[:, ::-1]
            values["fw"][block] = fraction
            tissue = seen & (fraction <= MOSTLY_WATER) & (evals[:, 0] > 0)
            for name, metric in SCALAR_METRICS.items():
                values[name][block][tissue] = metric.from_evals(evals[tissue])
    return _in_place(values, mask)


def fit_kurtosis(
    data: NDArray[np.floating[Any]], gtab: GradientTable, mask: NDArray[np.bool_]
) -> dict[str, NDArray[np.float32]]:
    """Fit the diffusion kurtosis tensor.

    Parameters
    ----------
    data : (X, Y, Z, N) ndarray
        Diffusion-weighted signal.
    gtab : GradientTable
        b-values [s/mm2] of two shells or more, and 15 directions or more.
    mask : (X, Y, Z) ndarray of bool
        Voxels to fit.

    Returns
    -------
    dict of str to (X, Y, Z) ndarray of float32
        ``mk``, ``ak``, ``rk``: mean, axial and radial kurtosis, without unit, from -3/7 to 10;
        0 for diffusion without barriers.

    Raises
    ------
    InputError
        When shapes do not agree or the table does not determine 22 coefficients.

    Notes
    -----
    Weighted linear least squares (Jensen 2005; Tabesh 2011), DIPY's ``DiffusionKurtosisModel``
    with its analytical means.
    """
    _check(data, gtab, mask, KURTOSIS_MODEL)
    model = DiffusionKurtosisModel(gtab, fit_method="WLS", min_signal=_LEAST_SIGNAL)
    signal = data[mask]
    values = {name: np.zeros(len(signal), dtype=np.float32) for name in ("mk", "ak", "rk")}
    with threadpool_limits(limits=1, user_api="blas"):
        for block in _blocks(len(signal)):
            fit = model.fit(signal[block].astype(np.float64))
            seen = signal[block].max(axis=1) > _LEAST_SIGNAL
            for name, measure in (("mk", fit.mk), ("ak", fit.ak), ("rk", fit.rk)):
                values[name][block] = np.where(seen, measure(), 0.0)
    return _in_place(values, mask)


def check_shells(gtab: GradientTable, model: ShellModel, *, where: str = "") -> None:
    """Refuse a table whose shells do not allow a model.

    Parameters
    ----------
    gtab : GradientTable
        Table of the volumes that the model would be fitted to.
    model : ShellModel
        The model.
    where : str
        File that the finding names.

    Raises
    ------
    InputError
        With the shells that there are.
    """
    if len(shells(gtab.bvals)) <= _LEAST_SHELLS or not gtab.b0s_mask.any():
        rule = f"{model.name} needs b = 0 and two shells up to {model.highest:g} s/mm2"
    elif not determines_tensor(gtab) or not _determines_all(gtab, model):
        rule = f"{model.name} needs directions in general position, 15 or more for kurtosis"
    else:
        return
    there = ", ".join(
        f"{members.size} volumes of b = {bval}" for bval, members in shells(gtab.bvals).items()
    )
    remedy = (
        "Set it to false or auto in the diffusion section of config.yaml: with one shell, water "
        "and tissue, or kurtosis and diffusivity, cannot be told apart."
    )
    raise InputError([Finding(where=where, rule=rule, found=there, remedy=remedy)])


def _determines_all(gtab: GradientTable, model: ShellModel) -> bool:
    if model != KURTOSIS_MODEL:
        return True
    design = kurtosis_design(gtab)
    scale = np.abs(design).max(axis=0)
    rank = np.linalg.matrix_rank(design / np.where(scale > 0, scale, 1), tol=1e-3)
    return int(rank) == _KURTOSIS_COEFFICIENTS


def _blocks(n_voxels: int) -> list[slice]:
    return [slice(start, start + _BLOCK) for start in range(0, n_voxels, _BLOCK)]


def _in_place(
    values: Mapping[str, NDArray[np.float32]], mask: NDArray[np.bool_]
) -> dict[str, NDArray[np.float32]]:
    maps = {name: np.zeros(mask.shape, dtype=np.float32) for name in values}
    for name, inside in values.items():
        maps[name][mask] = inside
    return maps


def _check(
    data: NDArray[Any], gtab: GradientTable, mask: NDArray[np.bool_], model: ShellModel
) -> None:
    if data.shape != (*mask.shape, len(gtab.bvals)):
        found = f"data {data.shape}, mask {mask.shape}, {len(gtab.bvals)} rows"
        rule = "data, mask and gradient table belong together"
        raise InputError([Finding(rule=rule, found=found, remedy="Correct the arguments.")])
    check_shells(gtab, model)
