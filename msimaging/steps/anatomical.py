"""A patient's way to the template over the T1-weighted image, which shows the anatomy best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from msimaging.atlases.templates import Template, load_t1w_template, load_template
from msimaging.errors import Finding, InputError, raise_on_errors
from msimaging.grids import check_finite
from msimaging.spatial.boundary import Boundary, register_boundary, white_boundary
from msimaging.spatial.registration import TemplateRegistration, register_rigid, register_template
from msimaging.spatial.resampling import grid_at, resample_image
from msimaging.spatial.transforms import Matrix, compose, from_matrix, voxel_sizes
from msimaging.volumes import Volume, read_volume

Mask = NDArray[np.bool_]
#: Voxel size in mm beyond which a finer T1-weighted image tells no more here.
_VOXEL_MM = 2.0
#: Resolution in mm of the tissue maps by which its boundary is found.
_TISSUE_RESOLUTION = 2
#: Width by which the brain of the BOLD runs, which lose signal at the rim, is widened (mm).
_WIDER_MM = 4.0
#: An image without skull shows less than this, and nothing at all in most of its voxels.
_BRAIN_LITRES, _EMPTY_SHARE = 2.2, 0.65
#: Share of the brightest tissue below which a voxel shows air.
_AIR = 0.05
#: Outermost slices that are looked at: brain masks are smoothed and leave the last two of them.
_OUTERMOST = 3
#: So much brain on one of these is a brain cut off; brainstem and vertex have less (mm2).
_CUT_MM2 = 3000.0
#: Share of voxels that mutual information reads: it only has to lead near the boundary.
_SAMPLING = 0.3
#: Contrast at the boundary (per cent) below which the images are taken not to show one head.
_LEAST_CONTRAST = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnatomicalWay:
    """A patient's midpoint space aligned to the template over the T1-weighted image.

    Attributes
    ----------
    registration : TemplateRegistration
        Midpoint space and template; the similarities are those of the T1-weighted image.
    midpoint_to_anatomical : (4, 4) ndarray
        RAS mm.
    contrast_percent : float
        Median over the boundary of the white matter by which grey matter is brighter in BOLD.
    """

    registration: TemplateRegistration
    midpoint_to_anatomical: Matrix
    contrast_percent: float

    def told(self) -> dict[str, Any]:
        """Return what the sidecars of the transforms say of the T1-weighted image."""
        return {
            "RegistrationOver": "T1w: mean BOLD to the boundary of its white matter (six "
            "parameters), T1w to the template (affine, then symmetric diffeomorphism)",
            "MidpointToT1w": self.midpoint_to_anatomical.round(6).tolist(),
            "BoundaryContrastPercent": round(self.contrast_percent, 3),
        }


def register_over_anatomical(
    mean: Volume,
    brain: Mask,
    path: str,
    *,
    scanned: Matrix,
    lesions: Mask | None,
    working_resolution: int,
    seed: int,
) -> AnatomicalWay:
    """Register the mean BOLD image to the T1-weighted one, and that to the template.

    Parameters
    ----------
    mean : Volume
        Mean of all visits in the midpoint space.
    brain : (X, Y, Z) ndarray of bool
        Its brain.
    path : str
        The T1-weighted image, with or without skull.
    scanned : (4, 4) ndarray
        Midpoint space to the scanner's space of the visit of that image: where it lies if the
        patient did not move in between.
    lesions : (X, Y, Z) ndarray of bool, optional
        On the grid of ``mean``; left out of the way to the template.
    working_resolution : int
        Voxel size in mm of the nonlinear registration.
    seed : int
        Of the registrations' sampling.

    Returns
    -------
    AnatomicalWay

    Raises
    ------
    InputError
        When the image cannot be used, or does not show the head of the runs.
    """
    image = _coarse(_read(path))
    guess = register_rigid(
        mean.data,
        mean.affine,
        image.data,
        image.affine,
        fixed_mask=brain,
        metric="mattes",
        sampling=_SAMPLING,
        seed=seed,
    )
    anatomical_brain = _brain_of(image, mean, brain, guess)
    template = load_template(resolution=working_resolution)
    registration = register_template(
        image.data,
        image.affine,
        load_t1w_template(resolution=working_resolution),
        template.affine,
        subject_mask=anatomical_brain,
        lesion_mask=None if lesions is None else _carried(lesions, mean, image, guess),
        template_mask=template.mask,
        working_mm=working_resolution,
        seed=seed,
    )
    found = register_boundary(
        mean.data,
        mean.affine,
        _boundary(image, anatomical_brain, registration, path, seed),
        mask=brain,
        starts=[np.linalg.inv(guess), np.linalg.inv(scanned)],
    )
    if found.contrast_percent < _LEAST_CONTRAST:
        raise InputError([_another_head(path, found.contrast_percent)])
    to_anatomical: Matrix = np.linalg.inv(found.boundary_to_image).astype(np.float64)
    composed = replace(
        registration,
        template_to_subject=compose(registration.template_to_subject, found.boundary_to_image),
        subject_to_template=compose(to_anatomical, registration.subject_to_template),
        affine=found.boundary_to_image @ registration.affine,
    )
    return AnatomicalWay(
        registration=composed,
        midpoint_to_anatomical=to_anatomical,
        contrast_percent=found.contrast_percent,
    )


def why_not_over(path: str, brains: Sequence[tuple[Mask, NDArray[np.float64]]]) -> str:
    """Tell why runs are registered to the template directly in spite of a T1-weighted image.

    The brain of an image with skull is that of the runs. Where these end within the brain, it would
    be cut off there, and the way to the template goes wrong far from the cut.

    Parameters
    ----------
    path : str
        The image.
    brains : sequence of (mask, affine)
        Brain of each visit, (X, Y, Z) bool, on the grid of its run.

    Returns
    -------
    str
        Empty where it is used.
    """
    cut = max(_cut_off(mask, affine) for mask, affine in brains)
    if cut <= _CUT_MM2 or not _has_skull(_read(path)):
        return ""
    return (
        f"the T1w shows the skull, and the runs end within the brain ({cut / 100:.0f} cm2 of it on "
        "their outermost slices); name a T1w whose skull was removed"
    )


def _cut_off(brain: Mask, affine: NDArray[np.float64]) -> float:
    """Return the area in mm2 of a brain on the outer slice of its grid that holds most of it."""
    sizes = voxel_sizes(affine)
    areas = [
        np.count_nonzero(np.take(brain, end, axis=axis)) * np.prod(np.delete(sizes, axis))
        for axis in range(3)
        for end in (*range(_OUTERMOST), *range(-_OUTERMOST, 0))
    ]
    return float(max(areas))


def _has_skull(image: Volume) -> bool:
    litres = np.count_nonzero(_shown(image)) * np.prod(image.voxel_sizes) / 1e6
    return bool(litres >= _BRAIN_LITRES or np.mean(image.data == 0) < _EMPTY_SHARE)


def _shown(image: Volume) -> Mask:
    """Return what is brighter than the noise of air, and than the rim that resampling leaves."""
    bright = image.data[image.data > 0]
    return np.asarray(image.data > _AIR * np.percentile(bright, 99))


def _read(path: str) -> Volume:
    image = read_volume(path, ndim=3)
    faults = check_finite(image, where=path)
    if not faults and not np.ptp(image.data):
        remedy = "Convert the image again, or take its path out of visits.tsv."
        rule = "a T1-weighted image must show a head"
        faults = [Finding(where=path, rule=rule, found="one value everywhere", remedy=remedy)]
    raise_on_errors(faults)
    return image


def _coarse(image: Volume) -> Volume:
    """Bring an image with finer voxels to the size that is enough, smoothed by as much."""
    if image.voxel_sizes.min() >= _VOXEL_MM * 0.9:
        return image
    shape, affine = grid_at(image.data.shape, image.affine, voxel_mm=_VOXEL_MM)
    lacking = np.sqrt(np.clip(_VOXEL_MM**2 - image.voxel_sizes**2, 0, None))
    smooth = ndimage.gaussian_filter(
        image.data.astype(np.float32), 0.42 * lacking / image.voxel_sizes
    )
    data = resample_image(
        smooth,
        image.affine,
        target_to_source=from_matrix(np.eye(4)),
        target_shape=shape,
        target_affine=affine,
        interpolation="linear",
    )
    return Volume(data=data, affine=affine)


def _brain_of(image: Volume, mean: Volume, brain: Mask, to_image: Matrix) -> Mask:
    """Return the brain of the image: what it shows where it has no skull, else that of the runs."""
    shown = _shown(image)
    if not _has_skull(image):
        return shown
    wide = ndimage.distance_transform_edt(~brain, sampling=mean.voxel_sizes) <= _WIDER_MM
    return shown & _carried(wide, mean, image, to_image)


def _carried(mask: Mask, mean: Volume, image: Volume, to_image: Matrix) -> Mask:
    carried: Mask = resample_image(
        mask,
        mean.affine,
        target_to_source=from_matrix(np.linalg.inv(to_image)),
        target_shape=image.data.shape,
        target_affine=image.affine,
        interpolation="nearest",
    )
    return carried


def _boundary(
    image: Volume, brain: Mask, registration: TemplateRegistration, path: str, seed: int
) -> Boundary:
    template = load_template(resolution=_TISSUE_RESOLUTION)
    try:
        return white_boundary(
            image.data,
            image.affine,
            white_matter=_tissue(template, template.white_matter, image, registration),
            grey_matter=_tissue(template, template.grey_matter, image, registration),
            brain=brain,
            seed=seed,
        )
    except InputError as error:
        raise InputError(replace(each, where=path) for each in error.findings) from error


def _tissue(
    template: Template, share: NDArray[np.float32], image: Volume, way: TemplateRegistration
) -> NDArray[np.float32]:
    carried: NDArray[np.float32] = resample_image(
        share,
        template.affine,
        target_to_source=way.subject_to_template,
        target_shape=image.data.shape,
        target_affine=image.affine,
        interpolation="linear",
    )
    return carried


def _another_head(path: str, contrast: float) -> Finding:
    return Finding(
        where=path,
        rule="the T1-weighted image must show the head of the BOLD runs",
        found=f"grey matter {contrast:.1f} % brighter than white matter along its boundary",
        remedy="Look at both images; name another T1w in the column anat of visits.tsv, or set "
        "functional.anatomical: none.",
    )
