"""Ways between a visit and the template, used by every step that measures or resamples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.sparse import csr_array

from msimaging.atlases.templates import template_grid
from msimaging.parcellation import Parcellation
from msimaging.spatial.resampling import resample_image
from msimaging.spatial.transforms import compose, from_matrix, transform_points
from msimaging.volumes import Volume
from msimaging.xfms import read_midpoint, read_transform

#: Points per voxel and axis at which a region is carried to a visit.
_POINTS = 3
#: Parcels are looked for this far outside a scan's field of view, to know what it misses (mm).
_MARGIN = 60.0


#: What the lesions of all visits make of the white matter, in the order of the tissue image.
TISSUES = ("lesion", "rim", "nawm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tissues:
    """The patient's tissue and one visit's lesions.

    Attributes
    ----------
    image : Volume
        In the midpoint space: number of the tissue in `TISSUES`, counted from 1.
    visit_to_midpoint : SimpleITK.Transform
        Points of the visit to points of the midpoint space.
    lesions : Volume
        Lesion mask of the visit, in its own scanner space on any grid.
    """

    image: Volume
    visit_to_midpoint: sitk.Transform
    lesions: Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedTissues:
    """Regions of an atlas divided by tissue, on the grid of a visit.

    Attributes
    ----------
    weights : (R, X * Y * Z) sparse array
        Weight of every voxel, in units of voxels: R counts the tissues of the whole atlas, then
        those of the first region, of the next ...
    expected : (R,) ndarray
        Weight if all of it lay in the field of view.
    lesion_share : (P,) ndarray
        Share of each region that is lesion at this visit.
    """

    weights: csr_array
    expected: NDArray[np.float64]
    lesion_share: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedLabels:
    """An atlas on the grid of a visit.

    Attributes
    ----------
    labels_img : (X, Y, Z) ndarray of int32
        Parcels on the visit's grid.
    expected_voxels : (P,) ndarray
        Voxels that each parcel would have if the field of view had no end.
    """

    labels_img: NDArray[np.int32]
    expected_voxels: NDArray[np.int64]


def template_to_visit(
    from_template: str, midpoint: str, session: str, *, warps: Sequence[str] = ()
) -> sitk.Transform:
    """Compose the way of points from the template over the midpoint to one visit.

    ``warps`` are the transforms from the midpoint to the visit and back where these bend.
    """
    bent = [read_transform(path) for path in warps[:1]]
    rigid = from_matrix(read_midpoint(midpoint)[session])
    return compose(read_transform(from_template), *(bent or [rigid]))


def visit_to_template(
    to_template: str, midpoint: str, session: str, *, warps: Sequence[str] = ()
) -> sitk.Transform:
    """Compose the way of points from one visit over the midpoint to the template."""
    bent = [read_transform(path) for path in warps[1:]]
    rigid = from_matrix(np.linalg.inv(read_midpoint(midpoint)[session]))
    return compose(*(bent or [rigid]), read_transform(to_template))


def carried_labels(
    labels: NDArray[Any],
    affine: NDArray[np.float64],
    target_to_source: NDArray[np.float64],
    shape: Sequence[int],
    target_affine: NDArray[np.float64],
) -> NDArray[Any]:
    """Carry a mask or labels (X, Y, Z) to another grid by a RAS matrix, by nearest neighbour."""
    return resample_image(
        labels,
        affine,
        target_to_source=from_matrix(target_to_source),
        target_shape=shape,
        target_affine=target_affine,
        interpolation="nearest",
    )


def carry_labels(atlas: Parcellation, visit: Volume, way: sitk.Transform) -> CarriedLabels:
    """Carry an atlas onto a visit's grid, so that the scan itself is not resampled.

    Parameters
    ----------
    atlas : Parcellation
        Labels in template space.
    visit : Volume
        Any image on the visit's grid.
    way : SimpleITK.Transform
        Points of the visit to points of the template.

    Returns
    -------
    CarriedLabels
        Labels by nearest neighbour, and how many voxels full coverage would mean.
    """
    wide, margin = _wide_labels(atlas, visit, way)
    shape = visit.data.shape[:3]
    counts = np.bincount(wide[wide > 0], minlength=int(atlas.indices.max()) + 1)
    inside = tuple(slice(m, m + size) for m, size in zip(margin, shape, strict=True))
    return CarriedLabels(
        labels_img=np.ascontiguousarray(wide[inside]),
        expected_voxels=counts[atlas.indices],
    )


def carry_weights(
    atlas: Parcellation, visit: Volume, way: sitk.Transform
) -> tuple[csr_array, NDArray[np.float64]]:
    """Return what `weigh_regions` makes of the points of `points_in_visit`."""
    return weigh_regions(points_in_visit(atlas, visit, way))


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionPoints:
    """Regions as points at which a visit is read.

    Attributes
    ----------
    voxels : (V, 3) ndarray
        The points in voxels of the visit.
    region : (V,) ndarray
        Row of each point's region, from 0.
    n_regions : int
        P.
    visit_shape : (3,) tuple of int
        Of the visit's grid.
    per_voxel : int
        Points that make a voxel.
    places : (V, 3) ndarray of int
        The points on the grid that they come from.
    shape, affine
        Of that grid.
    grid_to_visit : SimpleITK.Transform
        Points of that grid's space to points of the visit.
    """

    voxels: NDArray[np.float64]
    region: NDArray[np.int64]
    n_regions: int
    visit_shape: tuple[int, ...]
    per_voxel: int
    places: NDArray[np.int64]
    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    grid_to_visit: sitk.Transform


def points_in_visit(atlas: Parcellation, visit: Volume, way: sitk.Transform) -> RegionPoints:
    """Place the regions of an atlas in a visit.

    A region of a dozen voxels whose border falls differently on the grids of two visits changes
    its mean by several per cent. So the region is carried as points, 27 a voxel, and the scan is
    read at each point by trilinear interpolation: a weighted mean of its own voxels, the same
    kernel at every visit.

    Parameters
    ----------
    atlas : Parcellation
        Labels in template space.
    visit : Volume
        Any image on the visit's grid.
    way : SimpleITK.Transform
        Points of the visit to points of the template.

    Returns
    -------
    RegionPoints
        On a grid three times finer than the visit's.
    """
    wide, margin = _wide_labels(atlas, visit, way)
    found = np.argwhere(wide > 0)
    low, high = found.min(axis=0) - 1, found.max(axis=0) + 2
    fine_affine = visit.affine.copy()
    fine_affine[:3, :3] /= _POINTS
    corner = low - margin + (1 / _POINTS - 1) / 2
    fine_affine[:3, 3] += visit.affine[:3, :3] @ corner
    shape = tuple((high - low) * _POINTS)
    fine = resample_image(
        atlas.labels_img,
        atlas.affine,
        target_to_source=way,
        target_shape=shape,
        target_affine=fine_affine,
        interpolation="nearest",
    )
    places, region = _labelled(fine, atlas)
    return RegionPoints(
        voxels=places / _POINTS + corner,
        region=region,
        n_regions=len(atlas.indices),
        visit_shape=visit.data.shape[:3],
        per_voxel=_POINTS**3,
        places=places,
        shape=shape,
        affine=fine_affine,
        grid_to_visit=sitk.Transform(3, sitk.sitkIdentity),
    )


def points_in_template(
    atlas: Parcellation, visit: Volume, way: sitk.Transform, *, resolution: int
) -> RegionPoints:
    """Place the regions of an atlas where they are: the visit is read at the template's voxels.

    Their mean is that of a map resampled linearly onto the template's grid; written as weights of
    the visit's own voxels, their standard errors come from the visit's noise as in native space.

    Parameters
    ----------
    atlas, visit
        As for `points_in_visit`.
    way : SimpleITK.Transform
        Points of the template to points of the visit.
    resolution : int
        Voxel size in mm of the template's grid.

    Returns
    -------
    RegionPoints
        The centres of that grid's voxels.
    """
    shape, affine = template_grid(resolution=resolution)
    labels = carried_labels(atlas.labels_img, atlas.affine, np.eye(4), shape, affine)
    places, region = _labelled(labels, atlas)
    points = transform_points(way, places @ affine[:3, :3].T + affine[:3, 3])
    to_voxels = np.linalg.inv(visit.affine)
    return RegionPoints(
        voxels=points @ to_voxels[:3, :3].T + to_voxels[:3, 3],
        region=region,
        n_regions=len(atlas.indices),
        visit_shape=visit.data.shape[:3],
        per_voxel=1,
        places=places,
        shape=shape,
        affine=affine,
        grid_to_visit=way,
    )


def _labelled(
    labels: NDArray[Any], atlas: Parcellation
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the voxels of an atlas's regions, (V, 3), and the row of each one's region, (V,)."""
    index = np.full(int(atlas.indices.max()) + 1, -1)
    index[atlas.indices] = np.arange(len(atlas.indices))
    places = np.argwhere(labels > 0)
    region = index[labels[tuple(places.T)].astype(int)]
    return places[region >= 0], region[region >= 0]


def weigh_regions(points: RegionPoints) -> tuple[csr_array, NDArray[np.float64]]:
    """Turn points into weights of a visit's voxels.

    Parameters
    ----------
    points : RegionPoints
        Of P regions.

    Returns
    -------
    weights : (P, X * Y * Z) sparse array
        Weight of every voxel, in C order, in units of voxels.
    expected : (P,) ndarray
        Weight that a region has when all of it lies in the field of view.
    """
    n_regions = points.n_regions
    weights = trilinear_weights(points.voxels, points.region, points.visit_shape, n_regions)
    expected = np.bincount(points.region, minlength=n_regions)
    return weights / points.per_voxel, expected / points.per_voxel


def weigh_tissues(points: RegionPoints, tissues: Tissues) -> CarriedTissues:
    """Divide the regions of `weigh_regions` by tissue, with the same points.

    Parameters
    ----------
    points : RegionPoints
        Of P regions.
    tissues : Tissues
        Tissue of every point of the midpoint space, and the visit's own lesions.

    Returns
    -------
    CarriedTissues
        One row for each tissue of the whole atlas, then one for each tissue of each region.
    """
    tissue = _read_at(points, tissues.image, tissues.visit_to_midpoint)
    lesion = _read_at(points, tissues.lesions, sitk.Transform(3, sitk.sitkIdentity)) > 0
    n_regions, n_tissues = points.n_regions, len(TISSUES)
    inside = (tissue > 0) & (tissue <= n_tissues)
    row = (points.region[inside] + 1) * n_tissues + tissue[inside].astype(int) - 1
    whole = tissue[inside].astype(int) - 1
    n_rows = (n_regions + 1) * n_tissues
    voxels = np.concatenate([points.voxels[inside]] * 2)
    rows = np.concatenate([row, whole])
    counts = np.bincount(points.region, minlength=n_regions)
    weights = trilinear_weights(voxels, rows, points.visit_shape, n_rows)
    return CarriedTissues(
        weights=weights / points.per_voxel,
        expected=np.bincount(rows, minlength=n_rows) / points.per_voxel,
        lesion_share=np.bincount(points.region, weights=lesion, minlength=n_regions) / counts,
    )


def _read_at(
    points: RegionPoints, image: Volume, visit_to_image: sitk.Transform
) -> NDArray[np.int32]:
    """Read labels (V,) at the points, by nearest neighbour."""
    carried = resample_image(
        image.data,
        image.affine,
        target_to_source=compose(points.grid_to_visit, visit_to_image),
        target_shape=points.shape,
        target_affine=points.affine,
        interpolation="nearest",
    )
    return np.asarray(carried[tuple(points.places.T)], dtype=np.int32)


def _wide_labels(
    atlas: Parcellation, visit: Volume, way: sitk.Transform
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Carry labels onto the visit's grid with a margin, and return how wide it is in voxels."""
    margin = np.ceil(_MARGIN / visit.voxel_sizes).astype(int)
    affine = visit.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ margin
    wide = resample_image(
        atlas.labels_img,
        atlas.affine,
        target_to_source=way,
        target_shape=tuple(np.array(visit.data.shape[:3]) + 2 * margin),
        target_affine=affine,
        interpolation="nearest",
    )
    return wide.astype(np.int32), margin


def trilinear_weights(
    points: NDArray[np.float64],
    region: NDArray[np.int64],
    shape: Sequence[int],
    n_regions: int,
) -> csr_array:
    """Spread the points of regions over the eight voxels around each.

    Parameters
    ----------
    points : (V, 3) ndarray
        In voxels; the corners that lie outside the grid count nowhere.
    region : (V,) ndarray of int
        Row of each point.
    shape : (3,) sequence of int
        Of the grid.
    n_regions : int
        R.

    Returns
    -------
    (R, X * Y * Z) sparse array
        A point inside the grid weighs 1 in all.
    """
    base = np.floor(points).astype(int)
    share = points - base
    rows, columns, values = [], [], []
    for corner in np.ndindex(2, 2, 2):
        voxel = base + corner
        weight = np.where(np.array(corner) == 1, share, 1 - share).prod(axis=1)
        inside = ((voxel >= 0) & (voxel < shape)).all(axis=1)
        rows.append(region[inside])
        columns.append(np.ravel_multi_index(tuple(voxel[inside].T), tuple(shape)))
        values.append(weight[inside])
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return csr_array(entries, shape=(n_regions, int(np.prod(shape))))
