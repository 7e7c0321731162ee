"""Tests and intervals for the changes of a few patients, and corrections over many tests."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from statsmodels.stats.multitest import multipletests

from msimaging.statistics.effects import PairedEffect, paired_effect
from msimaging.statistics.inputs import as_floats, refuse
from msimaging.statistics.max_t import MaxTTest, max_t_test
from msimaging.statistics.ranks import (
    HodgesLehmann,
    SignedRankTest,
    hodges_lehmann,
    signed_rank_test,
)
from msimaging.statistics.resampling import (
    BootstrapInterval,
    LeaveOneOut,
    bootstrap_interval,
    leave_one_out,
)
from msimaging.statistics.sign_flip import (
    FlipInterval,
    SignFlipTest,
    sign_flip_interval,
    sign_flip_test,
)

__all__ = [
    "BootstrapInterval",
    "FlipInterval",
    "HodgesLehmann",
    "LeaveOneOut",
    "MaxTTest",
    "PairedEffect",
    "SignFlipTest",
    "SignedRankTest",
    "adjust_p_values",
    "bootstrap_interval",
    "hodges_lehmann",
    "leave_one_out",
    "max_t_test",
    "paired_effect",
    "sign_flip_interval",
    "sign_flip_test",
    "signed_rank_test",
]

ADJUSTMENTS = {"bh": "fdr_bh", "by": "fdr_by", "holm": "holm", "bonferroni": "bonferroni"}


def adjust_p_values(
    p: ArrayLike, *, method: Literal["bh", "by", "holm", "bonferroni"] = "bh"
) -> NDArray[np.float64]:
    """Return p-values corrected over the family that they are.

    Parameters
    ----------
    p : array_like
        p-values of one declared family, any shape; NaN marks a test that could not be done and
        does not count.
    method : {"bh", "by", "holm", "bonferroni"}
        False discovery rate (Benjamini-Hochberg, Benjamini-Yekutieli) or family-wise error.

    Returns
    -------
    ndarray
        Adjusted p-values in the shape of ``p``, NaN kept.

    Raises
    ------
    InputError
        For an unknown method or values outside 0 to 1.

    References
    ----------
    Benjamini and Hochberg 1995; Benjamini and Yekutieli 2001; Holm 1979.
    """
    if method not in ADJUSTMENTS:
        raise refuse(
            "method", f"one of {', '.join(ADJUSTMENTS)}", repr(method), "Choose one of these."
        )
    values = np.asarray(p)
    flat = as_floats(values.reshape(-1), where="p")
    outside = (flat < 0) | (flat > 1)
    if outside.any():
        raise refuse(
            "p",
            "p-values lie between 0 and 1",
            f"{flat[outside][:5].tolist()}",
            "Pass p-values, not statistics or percentages.",
        )
    there = ~np.isnan(flat)
    if there.any():
        flat[there] = multipletests(flat[there], method=ADJUSTMENTS[method])[1]
    return flat.reshape(values.shape)
