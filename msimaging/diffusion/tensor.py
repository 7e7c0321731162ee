"""The diffusion tensor: DIPY's model, fitted fast, and what is read from the fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from dipy.core.gradients import GradientTable
from dipy.reconst.dti import TensorFit, TensorModel, wls_fit_tensor
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

from msimaging.diffusion.least_squares import (
    MAX_WEIGHT_SPREAD,
    eigen_decomposition,
    log_linear_fit,
    without_answer,
)
from msimaging.diffusion.table_rules import B0_THRESHOLD
from msimaging.errors import Finding, InputError

FitMethod = Literal["ols", "wls", "iwls", "nlls", "restore"]
Floats = NDArray[np.float64]

#: Signals are lifted to this value before the logarithm; DIPY's own constant.
MIN_SIGNAL = 1e-4
#: Of several shells a tensor is fitted to those up to this b-value [s/mm2].
HIGHEST_BVAL = 1200.0
# Voxels of a block stay in the processor's cache from the logarithm to the eigenvectors.
_BLOCK = 4096
_REWEIGHTINGS = {"ols": 0, "wls": 1, "iwls": 4}
# DIPY orders the tensor Dxx Dxy Dyy Dxz Dyz Dzz.
_BEP016_ROWS, _BEP016_COLUMNS = (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)


def fit_tensor(
    data: NDArray[np.floating[Any]],
    gtab: GradientTable,
    mask: NDArray[np.bool_],
    *,
    method: FitMethod = "wls",
    weights: NDArray[np.floating[Any]] | None = None,
    min_signal: float = MIN_SIGNAL,
) -> TensorFit:
    """Fit the diffusion tensor in every voxel of a mask.

    Parameters
    ----------
    data : (X, Y, Z, N) ndarray
        Diffusion-weighted signal.
    gtab : GradientTable
        b-values [s/mm2] and b-vectors in scanner RAS axes, so that visits can be compared.
    mask : (X, Y, Z) ndarray of bool
        Voxels to fit; the others hold zeros in every map.
    method : {"wls", "ols", "iwls", "nlls", "restore"}
        Weighted least squares with squared predicted signals as weights (Chung 2006); ordinary
        least squares; weights renewed four times; non-linear least squares; RESTORE (Chang 2005,
        2012). The last two are DIPY's own and take minutes for a brain.
    weights : (X, Y, Z, N) ndarray, optional
        Trust in each sample, 0 to 1, multiplied into the weights (``ols``, ``wls``, ``iwls``).
    min_signal : float
        Signals below are lifted to this value before the logarithm; see `clamped_signals`.

    Returns
    -------
    TensorFit
        DIPY's fit, with ``S0_hat``; diffusivities in mm2/s. Voxels without an answer (no
        signal at all, or no b=0 signal, so that S0 is a thousand times off) are left at zero.

    Raises
    ------
    InputError
        When shapes do not agree, the table can not determine a tensor, or the method is unknown.
    """
    check_fit_inputs(data, gtab, mask, weights=weights, method=method)
    if method in _REWEIGHTINGS:
        options: dict[str, Any] = {"reweightings": _REWEIGHTINGS[method]}
        if weights is not None:
            options["weights"] = weights[mask]
        model = TensorModel(
            gtab, fit_method=_fit_linear, return_S0_hat=True, min_signal=min_signal, **options
        )
    else:
        model = TensorModel(
            gtab, fit_method=method.upper(), return_S0_hat=True, min_signal=min_signal
        )
    # small products: threads of the library would wait for each other, up to five times as long
    with threadpool_limits(limits=1, user_api="blas"):
        return model.fit(data, mask=mask)


def clamped_signals(
    data: NDArray[np.floating[Any]],
    mask: NDArray[np.bool_],
    *,
    min_signal: float = MIN_SIGNAL,
) -> NDArray[np.int64]:
    """Count the samples of each voxel that the fit lifts above zero.

    Parameters
    ----------
    data : (X, Y, Z, N) ndarray
        Diffusion-weighted signal.
    mask : (X, Y, Z) ndarray of bool
        Fitted voxels.
    min_signal : float
        As given to `fit_tensor`.

    Returns
    -------
    (X, Y, Z) ndarray of int
        Number of samples below ``min_signal``; 0 outside the mask.
    """
    counts = np.zeros(mask.shape, dtype=np.int64)
    counts[mask] = (data[mask] < min_signal).sum(axis=-1)
    return counts


def tensor_volumes(
    bvals: NDArray[np.floating[Any]], *, max_bval: float = HIGHEST_BVAL
) -> NDArray[Any]:
    """Tell which volumes a tensor should be fitted to when several shells were scanned.

    Above about 1200 s/mm2 the logarithm of the signal is no longer straight in b (kurtosis), and
    a tensor through several shells is biased. One shell only is kept whatever its b-value.

    Parameters
    ----------
    bvals : (N,) ndarray
        b-values [s/mm2].
    max_bval : float
        Highest b-value of a shell that is used.

    Returns
    -------
    (N,) ndarray of bool
        Volumes for the fit: the b=0s and every shell up to ``max_bval``; further shells, lowest
        first, until there are six weighted volumes.
    """
    bvals = np.asarray(bvals, dtype=np.float64)
    weighted = np.sort(bvals[bvals > B0_THRESHOLD])
    sixth = weighted[:6].max(initial=0.0)
    # scanners spread a shell by some per cent
    return np.asarray(bvals <= 1.05 * max(max_bval, sixth))


def tensor_components(fit: TensorFit) -> NDArray[np.float32]:
    """Hand out the tensor in the order of BIDS extension 016.

    Parameters
    ----------
    fit : TensorFit
        Fit of a volume.

    Returns
    -------
    (X, Y, Z, 6) ndarray of float32
        D11 D12 D13 D22 D23 D33 [mm2/s] in the axes of the b-vectors.
    """
    tensor = fit.quadratic_form
    return np.asarray(tensor[..., _BEP016_ROWS, _BEP016_COLUMNS], dtype=np.float32)


def s0_map(fit: TensorFit) -> NDArray[np.float32]:
    """Hand out the fitted signal without diffusion weighting.

    Parameters
    ----------
    fit : TensorFit
        Fit of a volume.

    Returns
    -------
    (X, Y, Z) ndarray of float32
        S0 in the units of the data, 0 outside the mask.
    """
    return np.asarray(fit.S0_hat, dtype=np.float32)


def fitted_signal(
    gtab: GradientTable, fit: TensorFit, mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Predict the signal of every volume from the tensor.

    Parameters
    ----------
    gtab : GradientTable
        Table to predict for, in the axes of the fit.
    fit : TensorFit
        Fit of a volume.
    mask : (X, Y, Z) ndarray of bool
        Voxels to predict.

    Returns
    -------
    (V, N) ndarray of float32
        Predicted signal of the mask's voxels, in the order of ``data[mask]``.
    """
    tensor, S0 = fit.quadratic_form[mask], np.asarray(fit.S0_hat)[mask]
    design = _design(gtab)[:, :6]
    predicted = np.empty((len(S0), len(design)), dtype=np.float32)
    # the order of the design's columns: Dxx Dxy Dyy Dxz Dyz Dzz
    lower = tensor[:, (0, 1, 1, 2, 2, 2), (0, 0, 1, 0, 1, 2)]
    for start in range(0, len(S0), _BLOCK):
        block = slice(start, start + _BLOCK)
        predicted[block] = S0[block, None] * np.exp(lower[block] @ design.T)
    return predicted


def residual_map(
    data: NDArray[np.floating[Any]],
    gtab: GradientTable,
    fit: TensorFit,
    mask: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Map what the tensor leaves unexplained: standard deviation relative to S0.

    Parameters
    ----------
    data : (X, Y, Z, N) ndarray
        Diffusion-weighted signal.
    gtab : GradientTable
        Table of the fit.
    fit : TensorFit
        Fit of the data.
    mask : (X, Y, Z) ndarray of bool
        Fitted voxels.

    Returns
    -------
    (X, Y, Z) ndarray of float32
        sqrt(sum (S - S_predicted)^2 / (N - 7)) / S0, without unit; 0 outside the mask. With noise
        only it is 1 / SNR of the b=0 image.
    """
    residual = np.asarray(data[mask], dtype=np.float32) - fitted_signal(gtab, fit, mask)
    degrees = max(residual.shape[1] - 7, 1)
    spread = np.sqrt((residual.astype(np.float64) ** 2).sum(axis=1) / degrees)
    values = np.zeros(mask.shape, dtype=np.float32)
    S0 = np.asarray(fit.S0_hat)[mask]
    values[mask] = np.divide(spread, S0, out=np.zeros_like(spread), where=S0 > MIN_SIGNAL)
    return values


def _fit_linear(
    design_matrix: Floats,
    data: NDArray[np.floating[Any]],
    *,
    reweightings: int,
    return_S0_hat: bool = False,
    weights: NDArray[np.floating[Any]] | None = None,
) -> tuple[Any, None]:
    """Fit in the form that DIPY's ``TensorModel`` calls."""
    parameters = np.empty((len(data), 12))
    S0 = np.empty(len(data))
    scale = np.abs(design_matrix).max(axis=0)
    floor = 1e-6 / -design_matrix.min()
    for start in range(0, len(data), _BLOCK):
        block = slice(start, start + _BLOCK)
        log_signal = np.log(data[block].astype(np.float64))
        trust = None if weights is None else weights[block].astype(np.float64)
        coefficients, spread = log_linear_fit(
            design_matrix / scale, log_signal, reweightings=reweightings, weights=trust
        )
        coefficients /= scale[:, None]
        hard = (spread > MAX_WEIGHT_SPREAD) | ~np.isfinite(coefficients).all(axis=0)
        if hard.any() and reweightings:
            coefficients[:, hard] = _fit_hard(
                design_matrix, data[block][hard], None if trust is None else trust[hard]
            )
        coefficients[:, without_answer(coefficients, log_signal)] = [[0.0]] * 6 + [[np.inf]]
        evals, evecs = eigen_decomposition(coefficients[:6])
        parameters[block, :3] = np.where(np.isinf(coefficients[6])[:, None], 0, evals.clip(floor))
        parameters[block, 3:] = evecs.reshape(-1, 9)
        S0[block] = np.exp(-coefficients[6])
    return ((parameters, S0) if return_S0_hat else parameters), None


def _fit_hard(
    design_matrix: Floats, data: NDArray[np.floating[Any]], trust: Floats | None
) -> Floats:
    """Fit the few voxels (zeros among the signals) whose weights differ too much."""
    data = data.astype(np.float64)
    weights = None
    if trust is not None:
        first, _ = wls_fit_tensor(design_matrix, data, weights=trust, return_lower_triangular=True)
        weights = trust * np.exp(2 * first @ design_matrix.T)
    solution, _ = wls_fit_tensor(design_matrix, data, weights=weights, return_lower_triangular=True)
    return np.asarray(solution.T)


def _design(gtab: GradientTable) -> Floats:
    return np.asarray(TensorModel(gtab).design_matrix)


def check_fit_inputs(
    data: NDArray[Any],
    gtab: GradientTable,
    mask: NDArray[Any],
    *,
    weights: NDArray[Any] | None = None,
    method: str = "wls",
) -> None:
    """Refuse arguments that cannot be fitted, all faults together.

    Parameters
    ----------
    data, gtab, mask, weights, method
        As in `fit_tensor`.

    Raises
    ------
    InputError
        With one finding per fault.
    """
    rules: tuple[tuple[bool, str, Callable[[], str]], ...] = (
        (
            method in {*_REWEIGHTINGS, "nlls", "restore"},
            "the fit method is one of ols, wls, iwls, nlls, restore",
            lambda: repr(method),
        ),
        (
            data.ndim == 4 and mask.shape == data.shape[:3] and mask.dtype == np.bool_,
            "data are (X, Y, Z, N) and the mask is boolean (X, Y, Z) on the same grid",
            lambda: f"data {data.shape}, mask {mask.shape} of {mask.dtype}",
        ),
        (
            data.shape[-1] == len(gtab.bvals),
            "one row of the gradient table per volume",
            lambda: f"{data.shape[-1]} volumes and {len(gtab.bvals)} rows",
        ),
        (
            weights is None or weights.shape == data.shape,
            "weights have the shape of the data",
            lambda: f"{None if weights is None else weights.shape} for data {data.shape}",
        ),
        (
            weights is None or method in _REWEIGHTINGS,
            "weights are understood by ols, wls and iwls",
            lambda: repr(method),
        ),
        (
            determines_tensor(gtab),
            "six directions in general position and two b-values determine a tensor",
            lambda: f"a table that determines {_rank(gtab)} of 7 coefficients",
        ),
    )
    faults = [
        Finding(rule=rule, found=found(), remedy="Correct the arguments of the tensor fit.")
        for fine, rule, found in rules
        if not fine
    ]
    if faults:
        raise InputError(faults)


def determines_tensor(gtab: GradientTable) -> bool:
    """Tell whether a table has directions and b-values enough for a tensor and S0."""
    return _rank(gtab) == 7


def _rank(gtab: GradientTable) -> int:
    design = _design(gtab)
    scale = np.abs(design).max(axis=0)
    return int(np.linalg.matrix_rank(design / np.where(scale > 0, scale, 1), tol=1e-3))
