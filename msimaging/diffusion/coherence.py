"""Does each shell by itself see the same fibres run on: a quality number that needs no truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from dipy.core.gradients import GradientTable
from numpy.typing import NDArray

from msimaging.diffusion.gradients import gradient_table
from msimaging.diffusion.orientation import fibre_coherence
from msimaging.diffusion.table_rules import shells
from msimaging.diffusion.tensor import determines_tensor, fit_tensor


def shell_coherence(
    data: NDArray[np.floating[Any]],
    gtab: GradientTable,
    affine: NDArray[np.floating[Any]],
    mask: NDArray[np.bool_],
) -> dict[int, float]:
    """Measure the coherence of fibres that each shell shows with the b=0s alone.

    Noise, motion and b-vectors that do not belong to their volumes lower it, at high b-values
    first.

    Parameters
    ----------
    data : (X, Y, Z, N) ndarray
        Diffusion-weighted signal.
    gtab : GradientTable
        Table of the scan in scanner RAS axes.
    affine : (4, 4) ndarray
        Voxel indices to scanner RAS coordinates.
    mask : (X, Y, Z) ndarray of bool
        Brain.

    Returns
    -------
    dict of int to float
        From the b-value of a shell [s/mm2] to its coherence, 0 to 1 (see `check_orientation`);
        comparable between scans of one protocol. NaN where the shell does not determine a tensor.
    """
    groups = shells(gtab.bvals)
    found = {}
    for bval, members in groups.items():
        if not bval:
            continue
        chosen = np.sort(np.concatenate([groups[0], members]))
        own = gradient_table(gtab.bvals[chosen], gtab.bvecs[chosen])
        found[bval] = float("nan")
        if determines_tensor(own):
            fit = fit_tensor(data[..., chosen], own, mask, method="ols")
            found[bval] = fibre_coherence(fit, affine, mask)
    return found
