"""What each diffusion volume should look like, said by the other volumes of its shell.

Within one shell the logarithm of a tensor's signal is a quadratic form of the gradient direction
(six coefficients), whatever the b-value, so a volume can be foretold from the others of its shell
alone. Volume n does not take part in its own prediction, so neither motion nor a dropped slice
in n hides in it. The prediction is linear in the log-signals: one matrix for all voxels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_B0_MAX = 50.0  # s/mm2: below this a volume counts as b=0
_SHELL_GAP = 100.0  # s/mm2: b-values farther apart belong to different shells
_MIN_FOR_QUADRATIC = 10  # six coefficients and some to spare; below, the mean of the others


def shell_labels(bvals: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the shell of each volume: 0 for b=0, then 1, 2, ... with rising b-value.

    Parameters
    ----------
    bvals : array (N,)
        b-values in s/mm2.

    Returns
    -------
    array (N,) of int
        b-values closer than 100 s/mm2 to their neighbour in order share a shell.
    """
    bvals = np.asarray(bvals, dtype=np.float64)
    labels = np.zeros(len(bvals), dtype=np.intp)
    order = np.argsort(bvals, kind="stable")
    weighted = order[bvals[order] > _B0_MAX]
    if weighted.size:
        labels[weighted] = 1 + np.cumsum(np.diff(bvals[weighted], prepend=0.0) > _SHELL_GAP)
        labels[weighted] -= labels[weighted[0]] - 1
    return labels


def prediction_matrix(
    bvals: NDArray[np.float64],
    bvecs: NDArray[np.float64],
    *,
    usable: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Return the matrix that turns measured log-signals into predicted ones.

    Parameters
    ----------
    bvals : array (N,)
        b-values in s/mm2.
    bvecs : array (N, 3)
        Unit gradient directions, any one frame.
    usable : array (N,) of bool, optional
        Volumes that may predict others; the rest are predicted only.

    Returns
    -------
    array (N, N)
        Row n holds the weights of the log-signals that predict volume n; its own weight is zero.
        A volume that no other volume of its shell can predict keeps a row of zeros but for a one
        on the diagonal: it predicts itself.
    """
    usable = np.ones(len(bvals), dtype=bool) if usable is None else usable
    labels = shell_labels(bvals)
    matrix = np.zeros((len(bvals), len(bvals)))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        matrix[np.ix_(members, members)] = _leave_one_out(
            _design(bvecs[members], weighted=label > 0, n_usable=int(usable[members].sum())),
            usable[members],
        )
    return matrix


def _design(bvecs: NDArray[np.float64], *, weighted: bool, n_usable: int) -> NDArray[np.float64]:
    if not weighted or n_usable < _MIN_FOR_QUADRATIC:
        return np.ones((len(bvecs), 1))
    x, y, z = bvecs.T
    return np.stack([x * x, y * y, z * z, x * y, x * z, y * z], axis=1)


def _leave_one_out(design: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return least-squares predictions without the volume predicted, by its leverage."""
    hat = np.zeros((len(design), len(design)))
    hat[:, usable] = design @ np.linalg.pinv(design[usable])
    leverage = np.diag(hat).copy()
    np.fill_diagonal(hat, 0.0)
    alone = leverage > 1 - 1e-9
    hat[~alone] /= (1 - leverage[~alone])[:, None]
    hat[alone] = np.eye(len(design))[alone]
    unpredicted = np.abs(hat).sum(axis=1) == 0
    hat[unpredicted] = np.eye(len(design))[unpredicted]
    return hat
