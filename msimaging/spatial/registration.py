"""Registration: rigid, affine, and to a template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from msimaging.spatial.diffeomorphic import (
    fill_from_surroundings,
    local_correlation,
    register_syn,
)
from msimaging.spatial.resampling import grid_at, resample_image
from msimaging.spatial.search import (
    Image,
    Mask,
    Metric,
    SearchSettings,
    halfway,
    prepare_image,
    search_affine,
    search_rigid,
)
from msimaging.spatial.transforms import Matrix, checked_matrix, compose, voxel_sizes

#: How far beyond the template's brain the affine compares the images (mm).
_RIM_MM = 12.0


def register_rigid(
    fixed: Image,
    fixed_affine: ArrayLike,
    moving: Image,
    moving_affine: ArrayLike,
    *,
    fixed_mask: Mask | None = None,
    moving_mask: Mask | None = None,
    metric: Metric = "correlation",
    shrink_factors: Sequence[int] = (4, 2, 1),
    smoothing_mm: Sequence[float] = (4.0, 2.0, 0.0),
    sampling: float = 1.0,
    seed: int = 1,
) -> Matrix:
    """Align two images of one head, inverse-consistently.

    Both directions are estimated and averaged on the group (Reuter 2012 asks for the symmetry), so
    that exchanging the two images gives the inverse matrix.

    Parameters
    ----------
    fixed, moving : (X, Y, Z) ndarray
        Finite values; the grids may differ.
    fixed_affine, moving_affine : (4, 4) array_like
        Voxel indices to RAS mm.
    fixed_mask, moving_mask : (X, Y, Z) bool ndarray, optional
        Where the images are compared; also the voxels whose centre of mass starts the search.
        Leave a voxel's margin around what must not count: neighbours are interpolated from it.
    metric : {"correlation", "mattes"}
        Correlation for one contrast, Mattes mutual information for two.
    shrink_factors, smoothing_mm : sequences, one entry a level
        Resolution pyramid, coarse to fine; the smoothing is the Gaussian's sigma.
    sampling : float
        Share of voxels (on a regular lattice) that the metric reads, in (0, 1].
    seed : int
        Seeds the jitter of that lattice.

    Returns
    -------
    (4, 4) ndarray
        ``fixed_to_moving`` in RAS, mm.

    Raises
    ------
    InputError
        For images that cannot be compared.
    ComputationError
        When the search leaves the images without overlap.
    """
    settings = SearchSettings(
        metric=metric,
        shrink_factors=tuple(shrink_factors),
        smoothing_mm=tuple(smoothing_mm),
        sampling=sampling,
        seed=seed,
    )
    pair = (
        prepare_image(fixed, fixed_affine, mask=fixed_mask, where="fixed"),
        prepare_image(moving, moving_affine, mask=moving_mask, where="moving"),
    )
    forward = search_rigid(*pair, settings)
    backward = search_rigid(*pair[::-1], settings)
    return halfway(forward, np.linalg.inv(backward))


def register_affine(
    fixed: Image,
    fixed_affine: ArrayLike,
    moving: Image,
    moving_affine: ArrayLike,
    *,
    fixed_mask: Mask | None = None,
    moving_mask: Mask | None = None,
    metric: Metric = "correlation",
    shrink_factors: Sequence[int] = (4, 2, 1),
    smoothing_mm: Sequence[float] = (4.0, 2.0, 0.0),
    sampling: float = 0.3,
    seed: int = 1,
) -> Matrix:
    """Align two heads with twelve parameters, inverse-consistently.

    Parameters and errors are those of `register_rigid`, whose solution starts the search.

    Parameters
    ----------
    fixed, moving : (X, Y, Z) ndarray
        Finite values; the grids may differ.
    fixed_affine, moving_affine : (4, 4) array_like
        Voxel indices to RAS mm.
    fixed_mask, moving_mask : (X, Y, Z) bool ndarray, optional
        Where the images are compared; also the voxels whose centre of mass starts the search.
    metric : {"correlation", "mattes"}
        Correlation for one contrast, Mattes mutual information for two.
    shrink_factors, smoothing_mm : sequences, one entry a level
        Resolution pyramid, coarse to fine; the smoothing is the Gaussian's sigma.
    sampling : float
        Share of voxels (on a regular lattice) that the metric reads, in (0, 1].
    seed : int
        Seeds the jitter of that lattice.

    Returns
    -------
    (4, 4) ndarray
        ``fixed_to_moving`` in RAS, mm.

    Raises
    ------
    InputError
        For images that cannot be compared.
    ComputationError
        When the search leaves the images without overlap.
    """
    settings = SearchSettings(
        metric=metric,
        shrink_factors=tuple(shrink_factors),
        smoothing_mm=tuple(smoothing_mm),
        sampling=sampling,
        seed=seed,
    )
    pair = (
        prepare_image(fixed, fixed_affine, mask=fixed_mask, where="fixed"),
        prepare_image(moving, moving_affine, mask=moving_mask, where="moving"),
    )
    forward = search_affine(*pair, settings)
    backward = search_affine(*pair[::-1], settings)
    return halfway(forward, np.linalg.inv(backward))


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateRegistration:
    """A subject aligned to a template, in both directions.

    Attributes
    ----------
    template_to_subject, subject_to_template : SimpleITK.CompositeTransform
        Affine and displacement field, each the other's inverse.
    affine : (4, 4) ndarray
        The linear part, ``template_to_subject`` in RAS, mm.
    similarity_before, similarity_affine, similarity_after : float
        Mean squared local correlation in the template's brain: as scanned, after the affine, after
        the warp.
    working_mm : float
        Voxel size at which the warp was found.
    """

    template_to_subject: sitk.CompositeTransform
    subject_to_template: sitk.CompositeTransform
    affine: Matrix
    similarity_before: float
    similarity_affine: float
    similarity_after: float
    working_mm: float


def register_template(
    subject: Image,
    subject_affine: ArrayLike,
    template: Image,
    template_affine: ArrayLike,
    *,
    subject_mask: Mask | None = None,
    template_mask: Mask | None = None,
    lesion_mask: Mask | None = None,
    affine_metric: Metric = "mattes",
    working_mm: float = 3.0,
    level_iterations: Sequence[int] = (60, 40, 20),
    radius: int = 3,
    field_sigma: float = 2.0,
    seed: int = 1,
) -> TemplateRegistration:
    """Align a subject to a template: SimpleITK affine, then DIPY SyN on local correlation.

    Parameters
    ----------
    subject, template : (X, Y, Z) ndarray
        Finite values; contrasts may differ.
    subject_affine, template_affine : (4, 4) array_like
        Voxel indices to RAS mm.
    subject_mask, template_mask : (X, Y, Z) bool ndarray, optional
        Brains: outside, the images are set to 0. Without a mask: the voxels above 0.
    lesion_mask : (X, Y, Z) bool ndarray, optional
        Of the subject: left out of the affine's cost, filled from its surroundings for the warp.
    affine_metric : {"mattes", "correlation"}
        Similarity of the affine.
    working_mm : float
        Isotropic voxel size at which the warp is found.
    level_iterations, radius, field_sigma
        See `msimaging.spatial.diffeomorphic.register_syn`.
    seed : int
        Seeds the sampling lattice of the affine.

    Returns
    -------
    TemplateRegistration
        Both directions and how similar the images became.

    Raises
    ------
    InputError
        For images or masks that cannot be used, or a working grid smaller than the window.
    ComputationError
        When the affine leaves the images without overlap.
    """
    brain = _brain(subject, subject_mask)
    template_brain = _brain(template, template_mask)
    # the rim of the brain says most about its pose: the cost looks beyond it on both sides
    around = _dilated(template_brain, template_affine, _RIM_MM)
    healthy = None if lesion_mask is None else ~lesion_mask
    source = np.where(brain, subject, 0).astype(np.float32)
    if lesion_mask is not None:
        matrix = checked_matrix(subject_affine, where="subject_affine")
        source = fill_from_surroundings(source, matrix, holes=lesion_mask, mask=brain)
    template_to_subject = register_affine(
        np.where(template_brain, template, 0),
        template_affine,
        source,
        subject_affine,
        fixed_mask=around,
        moving_mask=healthy,
        metric=affine_metric,
        seed=seed,
    )
    grid = _WorkingGrid(template_brain, template_affine, working_mm)
    fixed = grid.carry(np.where(template_brain, template, 0), template_affine, np.eye(4))
    inside = grid.carry(template_brain, template_affine, np.eye(4)) > 0.5
    moving = grid.carry(source, subject_affine, template_to_subject)
    warp = register_syn(
        _unit_range(fixed),
        _unit_range(moving),
        grid.affine,
        level_iterations=level_iterations,
        radius=radius,
        field_sigma=field_sigma,
    )
    forward = compose(warp.fixed_to_moving, template_to_subject)
    similar = [
        local_correlation(fixed, grid.carry(source, subject_affine, transform), inside)
        for transform in (np.eye(4), template_to_subject, forward)
    ]
    return TemplateRegistration(
        template_to_subject=forward,
        subject_to_template=compose(np.linalg.inv(template_to_subject), warp.moving_to_fixed),
        affine=template_to_subject,
        similarity_before=similar[0],
        similarity_affine=similar[1],
        similarity_after=similar[2],
        working_mm=working_mm,
    )


def _brain(data: Image, mask: Mask | None) -> Mask:
    return np.asarray(data > 0) if mask is None else mask


def _dilated(mask: Mask, affine: ArrayLike, distance_mm: float) -> Mask:
    sizes = voxel_sizes(checked_matrix(affine, where="template_affine"))
    return np.asarray(distance_transform_edt(~mask, sampling=sizes) <= distance_mm)


def _with_surroundings(brain: Mask, affine: ArrayLike, *, margin_mm: float = 10.0) -> Mask:
    """Widen a brain mask: the affine must see the brain's edge, or it may shrink or grow freely."""
    sizes = voxel_sizes(checked_matrix(affine, where="template_affine"))
    return np.asarray(distance_transform_edt(~brain, sampling=sizes) <= margin_mm)


def _unit_range(data: NDArray[np.float32]) -> NDArray[np.float32]:
    top = np.percentile(data[data > 0], 99) if (data > 0).any() else 1.0
    return np.asarray(np.clip(data / top, 0, 1.5), dtype=np.float32)


class _WorkingGrid:
    """The template's brain with a margin, at the working resolution."""

    __slots__ = ("affine", "shape", "voxel_mm")

    def __init__(self, brain: Mask, affine: ArrayLike, voxel_mm: float) -> None:
        matrix = checked_matrix(affine, where="template_affine")
        corners = np.argwhere(brain)
        # Room for the warp to move the brain's rim without leaving its field.
        margin = np.ceil(12.0 / voxel_sizes(matrix)).astype(int)
        low, high = corners.min(axis=0) - margin, corners.max(axis=0) + margin + 1
        cropped = matrix.copy()
        cropped[:3, 3] += matrix[:3, :3] @ low
        self.shape, self.affine = grid_at(high - low, cropped, voxel_mm=voxel_mm)
        self.voxel_mm = voxel_mm

    def carry(
        self, data: Image, affine: ArrayLike, to_source: sitk.Transform | ArrayLike
    ) -> NDArray[np.float32]:
        """Resample onto this grid, smoothed first where it is finer."""
        matrix = np.asarray(affine, dtype=np.float64)
        sizes = voxel_sizes(matrix)
        sigma = 0.42 * np.sqrt(np.clip(self.voxel_mm**2 - sizes**2, 0, None)) / sizes
        return resample_image(
            gaussian_filter(data.astype(np.float32), sigma),
            matrix,
            target_to_source=compose(to_source),
            target_shape=self.shape,
            target_affine=self.affine,
            interpolation="linear",
        ).astype(np.float32)
