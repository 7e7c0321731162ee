"""What the tensor fit adds to the quality numbers of a diffusion scan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from dipy.core.gradients import GradientTable
from dipy.reconst.dti import TensorFit
from numpy.typing import NDArray

from msimaging.diffusion.quality import fit_quality, outlier_share
from msimaging.diffusion.tensor import clamped_signals, fitted_signal, residual_map, s0_map
from msimaging.steps.quality_files import QUALITY_COLUMNS

_ROWS = {
    "residual_median": ("1", "Goodness of fit: median in the brain of the spread around the "
                             "tensor relative to S0."),
    "residual_mad": ("1", "Spread of that map over the brain, scaled to a standard deviation."),
    "residual_p95": ("1", "Its 95th percentile."),
    "snr_fit": ("1", "Median of S0 over the spread around the tensor: with noise alone, the SNR."),
    "outlier_share": ("1", "Share of samples in the brain farther than three standard deviations "
                           "from the tensor, by each voxel's median absolute residual."),
    "clamped_samples": ("1", "Samples in the brain lifted above zero before the logarithm."),
    "clamped_voxels": ("1", "Voxels of the brain with such a sample."),
    "unfitted_voxels": ("1", "Voxels of the brain for which the fit has no answer."),
}  # fmt: skip


def fit_rows(
    data: NDArray[np.floating[Any]],
    gtab: GradientTable,
    fit: TensorFit,
    mask: NDArray[np.bool_],
) -> pd.DataFrame:
    """Tell how well the tensor describes the volumes that it was fitted to.

    Parameters
    ----------
    data : (X, Y, Z, N) ndarray
        Volumes of the fit.
    gtab : GradientTable
        Their table.
    fit : TensorFit
        The fit.
    mask : (X, Y, Z) ndarray of bool
        Brain.

    Returns
    -------
    DataFrame
        Columns of `QUALITY_COLUMNS`.
    """
    residuals = np.asarray(data[mask], dtype=np.float32) - fitted_signal(gtab, fit, mask)
    numbers = {
        **fit_quality(
            residual_map(data, gtab, fit, mask), clamped_signals(data, mask), s0_map(fit), mask
        ),
        "outlier_share": outlier_share(residuals),
    }
    rows = [(name, numbers[name], *described) for name, described in _ROWS.items()]
    return pd.DataFrame(rows, columns=list(QUALITY_COLUMNS))


def coherence_rows(by_shell: dict[int, float]) -> pd.DataFrame:
    """Tell how coherent the fibres of each shell are.

    Parameters
    ----------
    by_shell : dict
        From b-value [s/mm2] to coherence.

    Returns
    -------
    DataFrame
        Columns of `QUALITY_COLUMNS`.
    """
    text = "Coherence of fibres from voxel to voxel, 0 to 1, from the b=0s and the shell"
    rows = [
        (f"coherence_shell{bval}", value, "1", f"{text} b = {bval} s/mm2.")
        for bval, value in by_shell.items()
    ]
    return pd.DataFrame(rows, columns=list(QUALITY_COLUMNS))
