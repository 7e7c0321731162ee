"""Do the axes of the gradient table fit the images: coherence of fibres under the 24 tables."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product
from typing import Any

import numpy as np
from dipy.reconst.dti import TensorFit
from numpy.typing import NDArray

from msimaging.diffusion.frames import bvecs_ras_to_fsl
from msimaging.errors import Finding

Floats = NDArray[np.float64]

# Of each pair of opposite neighbours one: the 13 directions in which neighbouring voxels lie.
_NEIGHBOURS = [offset for offset in product((-1, 0, 1), repeat=3) if offset > (0, 0, 0)]
# Fibres count from this FA on; tried .0, .2, .3 on eleven real scans: the clearest of noise at .2.
_MIN_FA = 0.2
# Fluid near the noise floor has directions of its own [mm2/s].
_MAX_MD = 1.5e-3
# From both on the verdict is an error. Wrong tables of eleven real scans gave ratios of 1.08 and
# z of 3.6 or more, those of the phantom 1.03 and 1.8; right tables drowned in noise (SNR 4) lost
# to another by 1.003 with z = 0.2.
_CLEAR_RATIO, _CLEAR_Z = 1.01, 1.0


#: The rule that a table with the wrong axes breaks; settings may let such a table pass.
ORIENTATION_RULE = "fibres run on from voxel to voxel under the b-vectors as they are"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrientationCheck:
    """Coherence of fibres under the 24 distinguishable tables.

    Attributes
    ----------
    transforms : (24, 3, 3) ndarray
        Signed permutations of the file's axes; the first is the table as it is. A table is
        changed by ``bvecs_ijk @ transform.T``. Each stands for itself and its negative.
    scores : (24,) ndarray
        Coherence, 0 to 1; comparable within one scan only.
    best : int
        Index of the highest score.
    is_consistent : bool
        True when no other table makes fibres more coherent than the given one.
    ratio : float
        Score of the best table over that of the given one; when the given one is best, over that
        of the next best.
    z : float
        Logarithm of ``ratio`` in units of its standard error (jackknife over octants of the brain).
    """

    transforms: NDArray[np.int64]
    scores: Floats
    best: int
    is_consistent: bool
    ratio: float
    z: float

    @property
    def is_clear(self) -> bool:
        """Tell whether the difference is beyond its own uncertainty."""
        return bool(self.z >= _CLEAR_Z and self.ratio >= _CLEAR_RATIO)

    @property
    def best_transform(self) -> NDArray[np.int64]:
        """Matrix (3, 3) that makes the given table the most coherent one."""
        return np.asarray(self.transforms[self.best])


def check_orientation(
    fit: TensorFit, affine: NDArray[np.floating[Any]], mask: NDArray[np.bool_]
) -> OrientationCheck:
    """Find the axis permutation and signs of the table under which fibres are most coherent.

    Parameters
    ----------
    fit : TensorFit
        Tensors in scanner RAS axes.
    affine : (4, 4) ndarray
        Voxel indices to scanner RAS coordinates.
    mask : (X, Y, Z) ndarray of bool
        Brain.

    Returns
    -------
    OrientationCheck
        Scores of the 24 tables.

    Notes
    -----
    A fibre goes on in the voxel that its direction points to. For each pair of neighbours the
    cosines of both main directions with the line between them (fourth power, a half at 33 degrees)
    are multiplied with each other and with both FA, summed, and divided by the sum of squares over
    all neighbours, those without fibres included: an autocorrelation along the fibres, 1 for a
    bundle without end.
    The division keeps the shape of the voxels out of it. The idea is that of the fibre coherence
    index (Schilling 2019). Changing the table's axes turns every tensor by the same signed
    permutation, so one fit serves for all 24 tables. FA, MD, AD and RD do not depend on it.
    """
    transforms = _transforms()
    sums, totals = _coherence(*_fibres(fit, affine, mask), transforms)
    scores = sums.sum(axis=0) / np.maximum(totals.sum(axis=0), np.finfo(float).tiny)
    order = np.argsort(-scores, kind="stable")
    best = int(order[0])
    other = int(order[1]) if best == 0 else 0
    ratio, z = _jackknife_ratio(sums[:, [best, other]], totals[:, [best, other]])
    return OrientationCheck(
        transforms=transforms, scores=scores, best=best, is_consistent=best == 0, ratio=ratio, z=z
    )


def fibre_coherence(
    fit: TensorFit, affine: NDArray[np.floating[Any]], mask: NDArray[np.bool_]
) -> float:
    """Measure how well fibres run on from voxel to voxel under the table as it is.

    Parameters
    ----------
    fit : TensorFit
        Tensors in scanner RAS axes.
    affine : (4, 4) ndarray
        Voxel indices to scanner RAS coordinates.
    mask : (X, Y, Z) ndarray of bool
        Brain.

    Returns
    -------
    float
        The score of `check_orientation` for the given table, 0 to 1; NaN where no voxel of the
        mask holds fibres.
    """
    sums, totals = _coherence(*_fibres(fit, affine, mask), np.eye(3, dtype=np.int64)[None])
    total = float(totals.sum())
    return float(sums.sum()) / total if total else float("nan")


def orientation_finding(check: OrientationCheck, *, where: str = "") -> Finding | None:
    """Tell people what the orientation test found.

    Parameters
    ----------
    check : OrientationCheck
        Result of `check_orientation`.
    where : str
        File that the finding names.

    Returns
    -------
    Finding or None
        None when the table is consistent; an error when another is clearly better; else a warning.
    """
    if check.is_consistent:
        return None
    better = describe_transform(check.best_transform)
    found = (
        f"{100 * (check.ratio - 1):.1f} % higher coherence with b-vectors {better} "
        f"(z = {check.z:.1f})"
    )
    if check.is_clear:
        remedy = (
            f"Look at the picture of directions; if it agrees, rewrite the .bvec file as {better}, "
            "or accept the table as it is in the configuration."
        )
    else:
        remedy = "The scan does not tell clearly; look at the picture of directions."
    return Finding(
        severity="error" if check.is_clear else "warning",
        rule=ORIENTATION_RULE,
        where=where,
        found=found,
        remedy=remedy,
    )


def describe_transform(transform: NDArray[np.integer[Any]]) -> str:
    """Write a signed permutation as people write it.

    Parameters
    ----------
    transform : (3, 3) ndarray
        One of the 24 of `OrientationCheck`.

    Returns
    -------
    str
        For example ``(y, x, -z)``: the new first component is the old y.
    """
    names = [
        ("-" if row.sum() < 0 else "") + "xyz"[int(np.flatnonzero(row)[0])] for row in transform
    ]
    return f"({', '.join(names)})"


def _transforms() -> NDArray[np.int64]:
    """Return one of each pair +-P of signed permutations, with the fewest signs, identity first."""
    matrices = []
    for order in permutations(range(3)):
        for signs in ((1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1)):
            matrix = np.zeros((3, 3), dtype=np.int64)
            matrix[range(3), order] = signs
            matrices.append(matrix)
    return np.stack(matrices)


def _fibres(
    fit: TensorFit, affine: NDArray[np.floating[Any]], mask: NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats]:
    """Return main directions in FSL's axes, their weights and the signed voxel sizes."""
    linear = np.asarray(affine, dtype=np.float64)[:3, :3]
    sizes = np.linalg.norm(linear, axis=0)
    if np.linalg.det(linear) > 0:
        sizes = sizes * [-1.0, 1.0, 1.0]
    fa = fit.fa
    weight = np.where(mask & (fa > _MIN_FA) & (fit.md < _MAX_MD), np.clip(fa, 0, 1), 0.0)
    return bvecs_ras_to_fsl(fit.evecs[..., 0], affine), weight, sizes


def _coherence(
    directions: Floats, weight: Floats, sizes: Floats, transforms: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Sum products of neighbours and squares of voxels: both (8, 24), octant and table."""
    inside = weight > 0
    octant = np.eye(8)[_octants(inside)[inside]].T
    row = np.full(weight.shape, -1)
    row[inside] = np.arange(octant.shape[1])
    sums, totals = np.zeros((8, len(transforms))), np.zeros((8, len(transforms)))
    for offset in _NEIGHBOURS:
        line = np.asarray(offset) * sizes
        lines = ((line / np.linalg.norm(line)) @ transforms).T
        squared_cosine = np.square(directions[inside] @ lines)
        along = np.square(squared_cosine) * weight[inside, None]
        here, there = _shifted(offset, weight.shape)
        both = inside[here] & inside[there]
        first, second = row[here][both], row[there][both]
        sums += octant[:, first] @ (along[first] * along[second])
        totals += octant @ np.square(along)
    return sums, totals


def _octants(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    octant = np.zeros(inside.shape, dtype=np.int64)
    for axis, places in enumerate(np.nonzero(inside)):
        middle = int(np.median(places)) if len(places) else 0
        upper = np.arange(inside.shape[axis]) > middle
        octant += np.expand_dims(upper, tuple(set(range(3)) - {axis})) * 2**axis
    return octant


def _shifted(
    offset: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the slices of all voxels that have a neighbour at ``offset``, and its slices."""
    here = tuple(slice(max(0, -o), min(n, n - o)) for o, n in zip(offset, shape, strict=True))
    there = tuple(slice(max(0, o), min(n, n + o)) for o, n in zip(offset, shape, strict=True))
    return here, there


def _jackknife_ratio(sums: Floats, totals: Floats) -> tuple[float, float]:
    """Return the ratio of two scores, and its logarithm over its standard error."""
    used = (sums > 0).all(axis=1)
    sums, totals = sums[used], totals[used]
    if len(sums) < 2:
        return 1.0, 0.0
    value = float(_log_ratio(sums.sum(axis=0), totals.sum(axis=0)))
    left_out = _log_ratio(sums.sum(axis=0) - sums, totals.sum(axis=0) - totals)
    error = np.sqrt((len(sums) - 1) / len(sums) * ((left_out - left_out.mean()) ** 2).sum())
    return float(np.exp(value)), value / max(float(error), np.finfo(float).eps)


def _log_ratio(sums: Floats, totals: Floats) -> Floats:
    scores = np.log(sums) - np.log(totals)
    return np.asarray(scores[..., 0] - scores[..., 1])
