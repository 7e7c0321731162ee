"""Does the order of the gradient table fit the volumes: each vector with the images of its own."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from dipy.core.gradients import GradientTable
from numpy.typing import NDArray

from msimaging.errors import Finding, Severity

Floats = NDArray[np.float64]

# Fluid near the noise floor hardly depends on direction [mm2/s].
_MAX_MD = 1.5e-3
# Weighted volumes beyond the six unknowns that leave something unexplained to compare.
_SPARE_VOLUMES = 2
# Two directions closer than the noise exchange without harm; this share is never reached so.
_SWAP_MARGIN = 0.003
# From this gain on it is an error; exchanged volumes of eleven real scans gave .01 to .2.
_SWAP_ERROR = 0.02
# Below this standard deviation of ln S between directions nothing depends on direction.
_NO_CONTRAST = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeCheck:
    """How well the vectors explain their volumes, compared with exchanged vectors.

    Attributes
    ----------
    explained : float
        Share of the directional variance of ln S that a tensor with the given order explains.
    best_random : float
        Highest share among random orders.
    best_swap : float
        Highest share after exchanging two vectors.
    swap : tuple of int
        The volumes of that exchange.
    is_testable : bool
        False with too few directions or no dependence on them; then the shares are NaN.
    is_consistent : bool
        True when neither a random order nor an exchange explains more, or nothing can be tested.
    """

    explained: float
    best_random: float
    best_swap: float
    swap: tuple[int, int]
    is_testable: bool
    is_consistent: bool


def volumes_match_vectors(
    data: NDArray[np.floating[Any]],
    gtab: GradientTable,
    mask: NDArray[np.bool_],
    *,
    n_permutations: int = 199,
    seed: int = 0,
) -> VolumeCheck:
    """Test that each b-vector belongs to its volume.

    Parameters
    ----------
    data : (X, Y, Z, N) ndarray
        Diffusion-weighted signal.
    gtab : GradientTable
        The table; its axes do not matter here.
    mask : (X, Y, Z) ndarray of bool
        Brain.
    n_permutations : int
        Random orders to compare with.
    seed : int
        Start of the random numbers.

    Returns
    -------
    VolumeCheck
        Shares of explained variance and the verdict.

    Notes
    -----
    The least-squares tensor explains trace(H C), where C is the covariance over voxels of ln S
    between the weighted volumes (centred in each voxel and shell) and H projects on the design.
    C is computed once; exchanging vectors only changes H, so that every exchange of two vectors
    can be tried.
    """
    weighted = ~gtab.b0s_mask
    design = _centred_design(gtab.bvals[weighted], gtab.bvecs[weighted])
    groups = _groups(gtab.bvals[weighted])
    covariance = _log_covariance(_tissue(data[mask], gtab), groups)
    spare = weighted.sum() - 6 - (len(groups) - 1)
    if spare < _SPARE_VOLUMES or np.trace(covariance) < len(design) * _NO_CONTRAST**2:
        nan = float("nan")
        return VolumeCheck(
            explained=nan,
            best_random=nan,
            best_swap=nan,
            swap=(0, 0),
            is_testable=False,
            is_consistent=True,
        )
    rng = np.random.default_rng(seed)
    count = len(design)
    b, v = gtab.bvals[weighted], gtab.bvecs[weighted]
    explained = _explained(design, covariance)
    best_random = max(
        _explained(_centred_design(b, v[rng.permutation(count)]), covariance)
        for _ in range(n_permutations)
    )
    best_swap, pair = max(
        (_explained(_centred_design(b, v[_exchanged(count, *pair)]), covariance), pair)
        for pair in combinations(range(count), 2)
    )
    first, second = np.flatnonzero(weighted)[list(pair)]
    return VolumeCheck(
        explained=explained,
        best_random=best_random,
        best_swap=best_swap,
        swap=(int(first), int(second)),
        is_testable=True,
        is_consistent=explained > best_random and best_swap < explained + _SWAP_MARGIN,
    )


def volumes_finding(check: VolumeCheck, *, where: str = "") -> Finding | None:
    """Tell people what the test of the volumes' order found.

    Parameters
    ----------
    check : VolumeCheck
        Result of `volumes_match_vectors`.
    where : str
        File that the finding names.

    Returns
    -------
    Finding or None
        None when the vectors fit their volumes; a warning when an exchange explains little more.
    """
    if check.is_consistent:
        return None
    severity: Severity = "error"
    if check.explained > check.best_random:
        if check.best_swap < check.explained + _SWAP_ERROR:
            severity = "warning"
        first, second = check.swap
        found = (
            f"{100 * check.explained:.0f} % of the variance between directions explained, but "
            f"{100 * check.best_swap:.0f} % when volumes {first} and {second} exchange vectors"
        )
    else:
        found = (
            f"{100 * check.explained:.0f} % of the variance between directions explained, and up "
            f"to {100 * check.best_random:.0f} % when vectors are drawn at random"
        )
    return Finding(
        severity=severity,
        rule="each b-vector belongs to its volume",
        where=where,
        found=found,
        remedy="Use the table of this very series, in the order of its volumes.",
    )


def _groups(bvals: Floats) -> list[NDArray[np.int64]]:
    """Return the volumes of each shell (5 % wide)."""
    order = np.argsort(bvals, kind="stable")
    steps = np.diff(bvals[order]) > 0.05 * bvals[order][1:]
    return np.split(order, np.flatnonzero(steps) + 1)


def _centred_design(bvals: Floats, bvecs: Floats) -> Floats:
    """Return the five columns of a tensor's anisotropic part, centred in each shell."""
    x, y, z = bvecs.T
    columns = np.stack([x * x, y * y, x * y, x * z, y * z], axis=1) * bvals[:, None]
    centred = columns.copy()
    for members in _groups(bvals):
        centred[members] -= columns[members].mean(axis=0)
    return centred


def _tissue(signal: NDArray[np.floating[Any]], gtab: GradientTable) -> Floats:
    """Return ln S of the weighted volumes in voxels with signal throughout, fluid left out."""
    b0s = gtab.b0s_mask
    logs = np.log(signal[(signal > 0).all(axis=1)].astype(np.float64))
    decay = (logs[:, b0s].mean(axis=1, keepdims=True) - logs[:, ~b0s]) / gtab.bvals[~b0s]
    return np.asarray(logs[decay.mean(axis=1) < _MAX_MD][:, ~b0s])


def _log_covariance(logs: Floats, groups: list[NDArray[np.int64]]) -> Floats:
    logs = logs.copy()
    for members in groups:
        logs[:, members] -= logs[:, members].mean(axis=1, keepdims=True)
    return np.asarray(logs.T @ logs / max(len(logs), 1))


def _explained(design: Floats, covariance: Floats) -> float:
    basis, _ = np.linalg.qr(design)
    return float(((basis.T @ covariance) * basis.T).sum() / np.trace(covariance))


def _exchanged(count: int, first: int, second: int) -> NDArray[np.int64]:
    order = np.arange(count)
    order[[first, second]] = second, first
    return order
