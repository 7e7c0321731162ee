"""Labels in space and the numbers drawn from them: spheres, region statistics, parcel signals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from msimaging.errors import Finding, InputError, raise_on_errors

TABLE_COLUMNS = ("index", "name", "network", "x", "y", "z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcellation:
    """A label image with the table that names its labels.

    Attributes
    ----------
    name : str
        Short name of the atlas.
    labels_img : (X, Y, Z) ndarray of int32
        0 outside every parcel.
    affine : (4, 4) ndarray
        Voxel indices to template coordinates, RAS, in mm.
    table : DataFrame
        One row a parcel, columns ``index name network x y z`` (centre in mm) and any others;
        ``network`` is missing where the atlas knows none.

    Raises
    ------
    InputError
        When a column is missing, an index or a name is there twice, or an index has no voxel.
    """

    name: str
    labels_img: NDArray[np.int32]
    affine: NDArray[np.float64]
    table: pd.DataFrame

    def __post_init__(self) -> None:
        """Refuse an image and a table that do not belong together."""
        raise_on_errors(_parcellation_findings(self))

    @property
    def indices(self) -> NDArray[np.int64]:
        """Labels in the order of the table, (P,)."""
        return self.table["index"].to_numpy(dtype=np.int64)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order of the table, (P,)."""
        return tuple(str(name) for name in self.table["name"])

    @property
    def networks(self) -> NDArray[np.object_]:
        """Network of each parcel in the order of the table, (P,), None where not known."""
        networks = self.table["network"].to_numpy(dtype=object, copy=True)
        networks[pd.isna(networks)] = None
        return networks


def _parcellation_findings(parcellation: Parcellation) -> Iterator[Finding]:
    where, table = f"atlas {parcellation.name}", parcellation.table
    missing = [column for column in TABLE_COLUMNS if column not in table.columns]
    if missing:
        yield Finding(
            where=where,
            rule=f"the table of an atlas must have the columns {', '.join(TABLE_COLUMNS)}",
            found=f"no {', '.join(missing)}",
            remedy="Add the columns; network may hold n/a.",
        )
        return
    for column in ("index", "name"):
        yield from _repeated(where, table, column)
    yield from _without_voxel(where, parcellation)


def _repeated(where: str, table: pd.DataFrame, column: str) -> Iterator[Finding]:
    repeated = table.loc[table[column].duplicated(), column].unique()
    if len(repeated):
        yield Finding(
            where=where,
            rule=f"every {column} in the table of an atlas must be there once",
            found=f"{_some(repeated)} more than once",
            remedy=f"Give each parcel a {column} of its own.",
        )


def _without_voxel(where: str, parcellation: Parcellation) -> Iterator[Finding]:
    indices = parcellation.indices
    lost = indices[(indices <= 0) | ~np.isin(indices, np.unique(parcellation.labels_img))]
    if len(lost):
        yield Finding(
            where=where,
            rule="every index in the table of an atlas must be a positive label of the image",
            found=f"no voxel with {_some(lost)}",
            remedy="Remove these rows, or use the image that belongs to the table.",
        )


def _some(values: ArrayLike) -> str:
    shown = [str(value) for value in np.asarray(values).tolist()]
    return ", ".join(shown if len(shown) <= 8 else [*shown[:8], f"... ({len(shown)} in all)"])


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionStatistics:
    """What a map holds in each parcel; NaN where a parcel has no usable voxel.

    Attributes
    ----------
    mean, median, sd : (P,) ndarray
        Over the finite voxels in the mask, in the units of the map; ``sd`` divides by n - 1.
    n_voxels : (P,) ndarray of int
        Finite voxels in the mask.
    coverage : (P,) ndarray
        ``n_voxels`` over the expected number of voxels.
    """

    mean: NDArray[np.float64]
    median: NDArray[np.float64]
    sd: NDArray[np.float64]
    n_voxels: NDArray[np.int64]
    coverage: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelSignals:
    """Mean signal of each parcel at each time point.

    Attributes
    ----------
    time_series : (T, P) ndarray
        A column of NaN where coverage is below the minimum.
    coverage : (P,) ndarray
        Voxels that are finite at every time point and in the mask, over the expected number.
    n_voxels : (P,) ndarray of int
        Those voxels.
    """

    time_series: NDArray[np.float64]
    coverage: NDArray[np.float64]
    n_voxels: NDArray[np.int64]


def sphere_labels(
    coordinates: ArrayLike,
    *,
    radius: ArrayLike,
    shape: tuple[int, int, int],
    affine: NDArray[np.float64],
) -> NDArray[np.int32]:
    """Draw spheres; a voxel in several belongs to the nearest centre.

    Parameters
    ----------
    coordinates : (P, 3) array_like
        Centres in mm, in the frame of ``affine``.
    radius : float or (P,) array_like
        In mm.
    shape : tuple of 3 int
        Of the image.
    affine : (4, 4) ndarray
        Voxel indices to mm.

    Returns
    -------
    (X, Y, Z) ndarray of int32
        Label i + 1 for the i-th centre. The voxel nearest to a centre belongs to the sphere even
        when the radius is smaller than a voxel; voxels at equal distance go to the first centre.
    """
    centres = np.asarray(coordinates, dtype=np.float64).reshape(-1, 3)
    radii = np.broadcast_to(np.asarray(radius, dtype=np.float64), (len(centres),))
    labels_img = np.zeros(shape, dtype=np.int32)
    nearest = np.full(shape, np.inf)
    for label, (centre, reach) in enumerate(zip(centres, radii, strict=True), start=1):
        voxels, distance = _ball(centre, float(reach), shape, affine)
        closer = distance < nearest[voxels]
        won = tuple(axis[closer] for axis in voxels)
        labels_img[won] = label
        nearest[won] = distance[closer]
    return labels_img


def _ball(
    centre: NDArray[np.float64],
    radius: float,
    shape: tuple[int, int, int],
    affine: NDArray[np.float64],
) -> tuple[tuple[NDArray[np.intp], ...], NDArray[np.float64]]:
    """Return the voxels of one sphere inside the image, and their distance from its centre."""
    to_voxels = np.linalg.inv(affine)
    middle = to_voxels[:3, :3] @ centre + to_voxels[:3, 3]
    # the rows of the inverse say how many voxels one mm can reach along each axis
    reach = radius * np.linalg.norm(to_voxels[:3, :3], axis=1)
    own = np.rint(middle)
    low = np.maximum(np.minimum(np.floor(middle - reach), own), 0).astype(int)
    high = np.minimum(np.maximum(np.ceil(middle + reach), own) + 1, shape).astype(int)
    grid = np.mgrid[tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))]
    grid = grid.reshape(3, -1)
    offset = affine[:3, :3] @ (grid - middle[:, None])
    distance = np.sqrt((offset**2).sum(axis=0))
    inside = (distance <= radius * (1 + 1e-9)) | (grid == own[:, None]).all(axis=0)
    voxels = tuple(axis[inside] for axis in grid.astype(np.intp))
    return voxels, distance[inside]


def region_statistics(
    values: NDArray[np.floating],
    labels_img: NDArray[np.integer],
    indices: ArrayLike,
    *,
    mask: NDArray[np.bool_] | None = None,
    expected_voxels: ArrayLike | None = None,
) -> RegionStatistics:
    """Summarise a map in each parcel.

    Parameters
    ----------
    values : (X, Y, Z) ndarray
        A map; voxels that are not finite are left out.
    labels_img : (X, Y, Z) ndarray of int
        Parcels on the grid of the map.
    indices : (P,) array_like of int
        Labels wanted, in this order.
    mask : (X, Y, Z) ndarray of bool, optional
        Only voxels in it count.
    expected_voxels : (P,) array_like, optional
        What full coverage means; by default all voxels that carry the label.

    Returns
    -------
    RegionStatistics
        NaN and coverage 0 for a parcel without a usable voxel.

    Raises
    ------
    InputError
        When the shapes differ, or an index is there twice or not positive.
    """
    wanted = _checked(values.shape, labels_img, indices, mask)
    voxels, parcel = _labelled(labels_img, wanted, mask)
    found = np.asarray(values[voxels], dtype=np.float64)
    finite = np.isfinite(found)
    found, parcel = found[finite], parcel[finite]
    n_voxels = np.bincount(parcel, minlength=len(wanted))
    drawn = pd.Series(found).groupby(parcel)
    return RegionStatistics(
        mean=_each(drawn.mean(), len(wanted)),
        median=_each(drawn.median(), len(wanted)),
        sd=_each(drawn.std(), len(wanted)),
        n_voxels=n_voxels,
        coverage=_coverage(n_voxels, labels_img, wanted, expected_voxels),
    )


def _each(drawn: pd.Series[float], n_parcels: int) -> NDArray[np.float64]:
    return np.asarray(drawn.reindex(range(n_parcels)), dtype=np.float64)


def parcel_time_series(
    bold: NDArray[np.floating],
    labels_img: NDArray[np.integer],
    indices: ArrayLike,
    *,
    mask: NDArray[np.bool_] | None = None,
    expected_voxels: ArrayLike | None = None,
    min_coverage: float = 0.5,
) -> ParcelSignals:
    """Average a time series over the voxels of each parcel.

    Parameters
    ----------
    bold : (X, Y, Z, T) ndarray
        Time series; a voxel that is not finite at some time point is left out at all of them.
    labels_img : (X, Y, Z) ndarray of int
        Parcels on the grid of the series.
    indices : (P,) array_like of int
        Labels wanted, in this order.
    mask, expected_voxels : ndarray, optional
        As in `region_statistics`.
    min_coverage : float
        Share of a parcel that must be there for its mean to stand for it.

    Returns
    -------
    ParcelSignals
        Where covered the same numbers as nilearn's ``NiftiLabelsMasker`` with ``strategy="mean"``.

    Raises
    ------
    InputError
        When the shapes differ, or an index is there twice or not positive.
    """
    wanted = _checked(bold.shape[:3], labels_img, indices, mask)
    voxels, parcel = _labelled(labels_img, wanted, mask)
    sums, finite = _parcel_sums(bold, voxels, parcel, len(wanted))
    if not finite.all():
        voxels, parcel = tuple(axis[finite] for axis in voxels), parcel[finite]
        sums, _ = _parcel_sums(bold, voxels, parcel, len(wanted))
    n_voxels = np.bincount(parcel, minlength=len(wanted))
    coverage = _coverage(n_voxels, labels_img, wanted, expected_voxels)
    covered = (coverage >= min_coverage) & (n_voxels > 0)
    time_series = np.where(covered, _over(sums, n_voxels), np.nan)
    return ParcelSignals(time_series=time_series, coverage=coverage, n_voxels=n_voxels)


def _parcel_sums(
    bold: NDArray[np.floating],
    voxels: tuple[NDArray[np.intp], ...],
    parcel: NDArray[np.int64],
    n_parcels: int,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return sums (T, P), and which voxels are finite throughout; one volume at a time."""
    n_volumes = bold.shape[3]
    # NIfTI images lie in memory with the first axis fastest: no copy is made of such a series
    series = bold.reshape(-1, n_volumes, order="F")
    place = np.ravel_multi_index(voxels, bold.shape[:3], order="F")
    sums, finite = np.empty((n_volumes, n_parcels)), np.ones(len(parcel), dtype=bool)
    for volume in range(n_volumes):
        values = series[place, volume]
        finite &= np.isfinite(values)
        sums[volume] = np.bincount(parcel, weights=values, minlength=n_parcels)
    return sums, finite


def _checked(
    shape: tuple[int, ...],
    labels_img: NDArray[np.integer],
    indices: ArrayLike,
    mask: NDArray[np.bool_] | None,
) -> NDArray[np.int64]:
    wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
    findings = [
        Finding(
            where=where,
            rule="the map, the labels and the mask must lie on one grid",
            found=f"shapes {other.shape} and {shape}",
            remedy="Resample the labels onto the map's grid first.",
        )
        for where, other in (("labels_img", labels_img), ("mask", mask))
        if other is not None and other.shape != shape
    ]
    if len(np.unique(wanted)) != len(wanted) or (wanted <= 0).any():
        findings.append(
            Finding(
                where="indices",
                rule="indices must be positive and each there once",
                found=_some(wanted),
                remedy="Take them from the table of the atlas.",
            )
        )
    if findings:
        raise InputError(findings)
    return wanted


def _labelled(
    labels_img: NDArray[np.integer],
    wanted: NDArray[np.int64],
    mask: NDArray[np.bool_] | None,
) -> tuple[tuple[NDArray[np.intp], ...], NDArray[np.int64]]:
    """Return the voxels of the wanted parcels in the mask, and each one's place in ``wanted``."""
    inside = labels_img > 0 if mask is None else (labels_img > 0) & mask.astype(bool)
    voxels = np.nonzero(inside)
    label = labels_img[voxels]
    place = np.full(max(int(wanted.max(initial=0)), int(label.max(initial=0))) + 1, -1)
    place[wanted] = np.arange(len(wanted))
    parcel = place[label]
    kept = parcel >= 0
    return tuple(axis[kept] for axis in voxels), parcel[kept].astype(np.int64)


def _coverage(
    n_voxels: NDArray[np.int64],
    labels_img: NDArray[np.integer],
    wanted: NDArray[np.int64],
    expected_voxels: ArrayLike | None,
) -> NDArray[np.float64]:
    if expected_voxels is None:
        _, parcel = _labelled(labels_img, wanted, None)
        expected = np.bincount(parcel, minlength=len(wanted)).astype(np.float64)
    else:
        expected = np.asarray(expected_voxels, dtype=np.float64)
    return np.nan_to_num(_over(n_voxels.astype(np.float64), expected), nan=0.0)


def _over(
    numerator: NDArray[np.integer | np.floating], denominator: NDArray[np.integer | np.floating]
) -> NDArray[np.float64]:
    """Divide; NaN where there is nothing to divide by."""
    divisor = np.where(denominator > 0, denominator, np.nan)
    return np.asarray(numerator / divisor, dtype=np.float64)
