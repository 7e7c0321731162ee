"""Lesions of two visits: which tissue they make of the white matter, and what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import distance_transform_edt, label
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from msimaging.errors import Finding, InputError

Mask = NDArray[np.bool_]
TOUCHING = np.ones((3, 3, 3), dtype=bool)
KINDS = ("new", "gone", "enlarged", "shrunken", "stable", "merged", "split", "regrouped")


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueSplit:
    """White matter divided by the lesions of all visits; the three masks do not overlap.

    Attributes
    ----------
    lesion : (X, Y, Z) bool ndarray
        White matter that is lesion at any visit.
    rim : (X, Y, Z) bool ndarray
        White matter around those lesions.
    normal_appearing : (X, Y, Z) bool ndarray
        The rest.
    """

    lesion: Mask
    rim: Mask
    normal_appearing: Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionChanges:
    """What became of the lesions between two visits.

    Attributes
    ----------
    table : DataFrame
        One row a group of lesions that touch each other across the visits: ``kind`` (one of
        new, gone, enlarged, shrunken, stable, merged, split, regrouped), ``n_baseline``,
        ``n_follow_up``, ``baseline_mm3``, ``follow_up_mm3``, ``change_mm3``, and the centre
        ``x_mm``, ``y_mm``, ``z_mm`` in RAS.
    counts : dict
        Rows of each kind, 0 where there are none.
    baseline_mm3, follow_up_mm3 : float
        Whole lesion volume of each visit, ignored specks included.
    n_ignored : int
        Groups that were smaller than ``min_mm3`` at both visits.
    """

    table: pd.DataFrame
    counts: dict[str, int]
    baseline_mm3: float
    follow_up_mm3: float
    n_ignored: int


def split_white_matter(
    lesions: Sequence[Mask], white_matter: Mask, affine: ArrayLike, *, rim_mm: float = 3.0
) -> TissueSplit:
    """Divide white matter into lesion, rim and normal-appearing, alike for all visits.

    Parameters
    ----------
    lesions : sequence of (X, Y, Z) bool ndarray
        One mask a visit, on one grid. Their union is taken, so that a lesion that comes or goes
        cannot leak into the normal-appearing tissue of the other visit.
    white_matter : (X, Y, Z) bool ndarray
        The tissue to divide.
    affine : (4, 4) array_like
        Voxel indices to RAS mm.
    rim_mm : float
        Largest distance of the rim from the union, between voxel centres.

    Returns
    -------
    TissueSplit
        The same for visits in any order.

    Raises
    ------
    InputError
        Without a mask, or for masks of another shape than the white matter.
    """
    _check_masks([white_matter, *lesions])
    if not lesions:
        raise _refusal("there is a lesion mask for each visit", "none")
    union = np.logical_or.reduce(list(lesions))
    near = np.zeros_like(union)
    if union.any():
        near = distance_transform_edt(~union, sampling=_sizes(affine)) <= rim_mm
    return TissueSplit(
        lesion=white_matter & union,
        rim=white_matter & near & ~union,
        normal_appearing=white_matter & ~near,
    )


def lesion_changes(
    baseline: Mask,
    follow_up: Mask,
    affine: ArrayLike,
    *,
    min_mm3: float = 3.0,
    min_change_percent: float = 25.0,
) -> LesionChanges:
    """Follow every lesion from one visit to the other by overlap.

    Parameters
    ----------
    baseline, follow_up : (X, Y, Z) bool ndarray
        Lesion masks on one grid, both carried there alike.
    affine : (4, 4) array_like
        Voxel indices to RAS mm.
    min_mm3 : float
        Groups smaller than this at both visits are ignored (and counted).
    min_change_percent : float
        Change, in per cent of the mean of both volumes, from which on a lesion counts as enlarged
        or shrunken.

    Returns
    -------
    LesionChanges
        Voxels that share a corner belong to one lesion. One lesion that overlaps one is enlarged,
        shrunken or stable; several that became one are merged; one that became several is split;
        several that became several others are regrouped. Exchanging the visits exchanges new and
        gone, enlarged and shrunken, merged and split.

    Raises
    ------
    InputError
        For masks of different shapes.
    """
    _check_masks([baseline, follow_up])
    matrix = np.asarray(affine, dtype=np.float64)
    volume = float(np.abs(np.linalg.det(matrix[:3, :3])))
    groups, n_groups, n_first, n_second = _grouped(baseline, follow_up)
    sizes = [
        np.bincount(groups[mask], minlength=n_groups) * volume for mask in (baseline, follow_up)
    ]
    kept = np.maximum(*sizes) >= min_mm3
    rows = [
        {
            "kind": _kind(before, after, size_before, size_after, min_change_percent),
            "n_baseline": before,
            "n_follow_up": after,
            "baseline_mm3": size_before,
            "follow_up_mm3": size_after,
            "change_mm3": size_after - size_before,
        }
        for before, after, size_before, size_after in zip(
            n_first[kept].tolist(),
            n_second[kept].tolist(),
            sizes[0][kept].tolist(),
            sizes[1][kept].tolist(),
            strict=True,
        )
    ]
    columns = ["kind", "n_baseline", "n_follow_up", "baseline_mm3", "follow_up_mm3", "change_mm3"]
    table = pd.DataFrame(rows, columns=columns)
    table[["x_mm", "y_mm", "z_mm"]] = _centres(groups, baseline | follow_up, n_groups, matrix)[kept]
    return LesionChanges(
        table=table,
        counts={kind: int((table["kind"] == kind).sum()) for kind in KINDS},
        baseline_mm3=float(baseline.sum() * volume),
        follow_up_mm3=float(follow_up.sum() * volume),
        n_ignored=int((~kept).sum()),
    )


def _grouped(
    baseline: Mask, follow_up: Mask
) -> tuple[NDArray[np.intp], int, NDArray[np.intp], NDArray[np.intp]]:
    """Give groups of overlapping lesions a number; count the lesions of each visit in them."""
    first, n_first = label(baseline, TOUCHING)
    second, n_second = label(follow_up, TOUCHING)
    both = baseline & follow_up
    links = (first[both] - 1, n_first + second[both] - 1)
    total = n_first + n_second
    graph = coo_array((np.ones(len(links[0])), links), shape=(total, total))
    n_groups, member = connected_components(graph, directed=False)
    groups = np.full(baseline.shape, -1, dtype=np.intp)
    groups[follow_up] = member[n_first + second[follow_up] - 1]
    groups[baseline] = member[first[baseline] - 1]
    return (
        groups,
        int(n_groups),
        np.bincount(member[:n_first], minlength=n_groups),
        np.bincount(member[n_first:], minlength=n_groups),
    )


def _kind(
    n_before: int, n_after: int, before: float, after: float, min_change_percent: float
) -> str:
    if n_before == 0 or n_after == 0:
        return "new" if n_before == 0 else "gone"
    if (n_before, n_after) == (1, 1):
        change = 100 * (after - before) / ((after + before) / 2)
        if abs(change) < min_change_percent:
            return "stable"
        return "enlarged" if change > 0 else "shrunken"
    if n_after == 1:
        return "merged"
    return "split" if n_before == 1 else "regrouped"


def _centres(
    groups: NDArray[np.intp], mask: Mask, n_groups: int, affine: NDArray[np.float64]
) -> NDArray[np.float64]:
    voxels = np.argwhere(mask)
    member = groups[mask]
    counts = np.maximum(np.bincount(member, minlength=n_groups), 1)
    sums = [np.bincount(member, weights=axis, minlength=n_groups) for axis in voxels.T]
    centres = np.stack(sums, axis=-1) / counts[:, None]
    return np.asarray(centres @ affine[:3, :3].T + affine[:3, 3])


def lesion_share(lesion: Mask, labels: NDArray[Any]) -> pd.DataFrame:
    """Measure how much of every region or tract is lesion.

    Parameters
    ----------
    lesion : (X, Y, Z) bool ndarray
        Lesion mask of one visit.
    labels : (X, Y, Z) integer ndarray
        Regions on the same grid; 0 is outside.

    Returns
    -------
    DataFrame
        ``label``, ``n_voxels``, ``n_lesion``, ``share`` (0 to 1), one row a label.

    Raises
    ------
    InputError
        For shapes that differ.
    """
    if lesion.shape != labels.shape:
        raise _refusal("lesions and labels have one shape", f"{lesion.shape}, {labels.shape}")
    present, member = np.unique(labels, return_inverse=True)
    n_voxels = np.bincount(member.ravel())
    n_lesion = np.bincount(member.ravel(), weights=lesion.ravel()).astype(int)
    table = pd.DataFrame(
        {"label": present, "n_voxels": n_voxels, "n_lesion": n_lesion, "share": n_lesion / n_voxels}
    )
    return table[table["label"] != 0].reset_index(drop=True)


def _sizes(affine: ArrayLike) -> list[float]:
    matrix = np.asarray(affine, dtype=np.float64)
    return [float(size) for size in np.sqrt((matrix[:3, :3] ** 2).sum(axis=0))]


def _check_masks(masks: Sequence[Mask]) -> None:
    shapes = {mask.shape for mask in masks}
    types = {str(mask.dtype) for mask in masks}
    if len(shapes) > 1:
        raise _refusal("all masks are on one grid", f"shapes {sorted(shapes)}")
    if types - {"bool"}:
        raise _refusal("lesion masks are boolean", ", ".join(sorted(types - {"bool"})))


def _refusal(rule: str, found: str) -> InputError:
    return InputError(
        [
            Finding(
                rule=rule, where="lesions", found=found, remedy="Check the masks of this patient."
            )
        ]
    )
