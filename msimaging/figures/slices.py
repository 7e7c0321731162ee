"""Where and how a volume is cut into pictures whose left is the patient's left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from numpy.typing import NDArray

Plane = Literal["axial", "coronal", "sagittal"]

_NORMAL: dict[Plane, int] = {"sagittal": 0, "coronal": 1, "axial": 2}


@dataclass(frozen=True, slots=True)
class SliceView:
    """How a volume is turned and cut for display.

    Attributes
    ----------
    orientation : NDArray (3, 2)
        Turns the volume to RAS (nibabel).
    affine : NDArray (4, 4)
        Voxel to world of the turned volume.
    plane : {"axial", "coronal", "sagittal"}
        Cutting plane.
    box : tuple of slice, (3,)
        Shown part of the turned volume.
    indices : tuple of int
        Slices along the plane's normal.
    """

    orientation: NDArray[np.float64]
    affine: NDArray[np.float64]
    plane: Plane
    box: tuple[slice, ...]
    indices: tuple[int, ...]

    def cut(self, data: NDArray[Any], index: int) -> NDArray[Any]:
        """Return one slice as rows (upwards) by columns (rightwards)."""
        turned = apply_orientation(data, self.orientation)
        normal = _NORMAL[self.plane]
        flat = tuple(s for axis, s in enumerate(self.box) if axis != normal)
        return np.asarray(np.take(turned, index, axis=normal)[flat]).T

    @property
    def spacing(self) -> tuple[float, float]:
        """Voxel sizes across and upwards [mm]."""
        sizes = np.linalg.norm(self.affine[:3, :3], axis=0)
        across, up = (float(sizes[axis]) for axis in range(3) if axis != _NORMAL[self.plane])
        return across, up

    @property
    def extent(self) -> tuple[float, float]:
        """Width and height of a slice [mm]."""
        kept = [s for axis, s in enumerate(self.box) if axis != _NORMAL[self.plane]]
        lengths = [s.stop - s.start for s in kept]
        return lengths[0] * self.spacing[0], lengths[1] * self.spacing[1]

    def name(self, index: int) -> str:
        """Return the place of a slice, as ``z = 12 mm``."""
        normal = _NORMAL[self.plane]
        centre = [(s.start + s.stop - 1) / 2 for s in self.box]
        centre[normal] = index
        position = (self.affine @ [*centre, 1.0])[normal]
        return f"{'xyz'[normal]} = {position:.0f} mm"


def choose_view(
    volumes: Sequence[NDArray[Any]],
    affine: NDArray[np.float64],
    plane: Plane,
    slices_mm: Sequence[float] | None,
    n_slices: int,
) -> SliceView:
    """Turn volumes to RAS, crop to what is shown in any of them and choose slices.

    Parameters
    ----------
    volumes : sequence of NDArray (X, Y, Z)
        On one grid.
    affine : NDArray (4, 4)
        Voxel to world (RAS).
    plane : {"axial", "coronal", "sagittal"}
        Cutting plane.
    slices_mm : sequence of float or None
        Positions along the normal [mm].
    n_slices : int
        Number of slices when no positions are given.

    Returns
    -------
    SliceView
        The same for all volumes of a figure.
    """
    orientation = io_orientation(affine)
    shape = volumes[0].shape
    turned_affine = affine @ inv_ornt_aff(orientation, shape)
    shown = np.any([np.isfinite(v) & (v != 0) for v in volumes], axis=0)
    box = _bounding_box(apply_orientation(shown, orientation))
    normal = _NORMAL[plane]
    indices = _evenly(box[normal], n_slices)
    if slices_mm is not None:
        indices = _nearest(slices_mm, box, turned_affine, normal)
    return SliceView(orientation, turned_affine, plane, box, indices)


def _bounding_box(shown: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the smallest box around the true voxels, with one voxel to spare."""
    if not shown.any():
        return tuple(slice(0, n) for n in shown.shape)
    ends = [np.flatnonzero(shown.any(axis=tuple(b for b in range(3) if b != a))) for a in range(3)]
    return tuple(
        slice(max(int(e[0]) - 1, 0), min(int(e[-1]) + 2, n))
        for e, n in zip(ends, shown.shape, strict=True)
    )


def _evenly(extent: slice, count: int) -> tuple[int, ...]:
    """Spread slices over the middle half of the brain."""
    length = extent.stop - extent.start
    places = np.linspace(0.3, 0.7, count) if count > 1 else np.array([0.5])
    return tuple(int(extent.start + place * length) for place in places)


def _nearest(
    slices_mm: Sequence[float],
    box: tuple[slice, ...],
    affine: NDArray[np.float64],
    normal: int,
) -> tuple[int, ...]:
    """Return the slices nearest to given positions in the scanner's or template's space."""
    points = np.ones((box[normal].stop, 4))
    points[:, :3] = [(s.start + s.stop - 1) / 2 for s in box]
    points[:, normal] = np.arange(box[normal].stop)
    positions = (points @ affine.T)[:, normal]
    return tuple(int(np.abs(positions - wanted).argmin()) for wanted in slices_mm)
