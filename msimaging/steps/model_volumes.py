"""Which volumes a model was fitted to, in the words of a sidecar."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from msimaging.diffusion.table_rules import shells


def volumes_told(
    bvals: NDArray[np.float64], used: NDArray[np.bool_], *, why: str
) -> dict[str, Any]:
    """Say which volumes a model is fitted to, and why the others are left out.

    Parameters
    ----------
    bvals : (N,) ndarray
        b-values of the series [s/mm2].
    used : (N,) ndarray of bool
        Volumes of the fit.
    why : str
        The rule behind it.

    Returns
    -------
    dict
        Sidecar fields ``Volumes``, ``LargestBValue`` and ``Shells``.
    """
    told = f"b = {', '.join(str(b) for b in shells(bvals[used]))} s/mm2"
    if not used.all():
        out = ", ".join(str(b) for b in shells(bvals[~used]) if b)
        told += f"; b = {out} s/mm2 left out: {why}"
    return {
        "Volumes": int(np.count_nonzero(used)),
        "LargestBValue": float(bvals[used].max()),
        "Shells": told,
    }
