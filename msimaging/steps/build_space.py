"""Step: one patient's midpoint space and its way to the template brain."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from msimaging.atlases.templates import Template, load_template
from msimaging.bids.job_records import DIRECTLY
from msimaging.bids.layout import TEMPLATE
from msimaging.provenance import file_digest
from msimaging.spatial.midpoint import (
    MidpointSpace,
    VisitImage,
    midpoint_space,
    midpoint_template,
)
from msimaging.spatial.registration import (
    TemplateRegistration,
    register_rigid,
    register_template,
)
from msimaging.spatial.templates import t2_like_template
from msimaging.steps.anatomical import register_over_anatomical, why_not_over
from msimaging.steps.carrying import carried_labels
from msimaging.steps.records import describe
from msimaging.volumes import Volume, read_labels, read_volume, write_volume
from msimaging.xfms import write_midpoint, write_transform

Contrast = Literal["white matter", "bright fluid"]
_LOGGER = logging.getLogger(__name__)
#: Share of visits in whose brain a voxel must lie to count as the patient's brain.
_MAJORITY = 0.5


def _white_matter(template: Template) -> NDArray[np.float32]:
    return template.white_matter


def _bright_fluid(template: Template) -> NDArray[np.float32]:
    grey, white = template.grey_matter, template.white_matter
    return t2_like_template(grey.clip(0, 1), white.clip(0, 1), brain=template.mask)


_CONTRASTS: Mapping[Contrast, Callable[[Template], NDArray[np.float32]]] = {
    "white matter": _white_matter,
    "bright fluid": _bright_fluid,
}


def build_space(
    *,
    images: Sequence[str],
    masks: Sequence[str],
    sessions: Sequence[str],
    lesions: Sequence[str],
    contrast: Contrast,
    working_resolution: int,
    seed: int,
    out_midpoint: str,
    out_template: str,
    out_from_template: str,
    out_to_template: str,
    anatomical: Sequence[str] = (),
    anatomical_session: str = "",
) -> None:
    """Find the space halfway between all visits and register it to the template brain.

    Parameters
    ----------
    images, masks : sequence of str
        One a visit: FA map or BOLD reference, and brain mask.
    sessions : sequence of str
        Their sessions, in the same order.
    lesions : sequence of str
        Their lesion masks on any grid, left out of the way to the template; empty for none.
    contrast : {"white matter", "bright fluid"}
        What the images resemble: FA maps the white matter, BOLD and b=0 images a T2-like mixture.
    working_resolution : float
        Voxel size in mm of the nonlinear registration.
    seed : int
        Seed of the registration's sampling.
    out_midpoint : str
        Table of rigid matrices, midpoint to each visit.
    out_template : str
        Mean of all visits in the midpoint space.
    out_from_template, out_to_template : str
        Transforms that map points of the template to the patient's midpoint space, and back.
    anatomical : sequence of str
        The patient's T1-weighted image, over which the way to the template then goes, or none.
    anatomical_session : str
        Its visit, one of ``sessions``.
    """
    paths = list(zip(images, masks, sessions, lesions or [""] * len(images), strict=True))
    # summed in an order of their content, visits give the same bits whichever came first
    paths.sort(key=lambda visit: file_digest(visit[0]))
    visits = [_visit(image, mask) for image, mask, _, _ in paths]
    space = midpoint_space(visits, seed=seed)
    mean = midpoint_template(visits, space)
    poses = {
        session: pose
        for (_, _, session, _), pose in zip(paths, space.midpoint_to_visit, strict=True)
    }
    shares = [
        carried_labels(np.asarray(visit.mask), visit.affine, matrix, space.shape, space.affine)
        for visit, matrix in zip(visits, space.midpoint_to_visit, strict=True)
    ]
    brain = np.mean(shares, axis=0) >= _MAJORITY
    midpoint = Volume(data=mean, affine=space.affine)
    lesion_mask = _union(paths, poses, space)
    brains = [(np.asarray(visit.mask), visit.affine) for visit in visits]
    why_not = why_not_over(anatomical[0], brains) if anatomical else "directly to the template"
    if not why_not:
        over = register_over_anatomical(
            midpoint,
            brain,
            anatomical[0],
            scanned=poses[anatomical_session],
            lesions=lesion_mask,
            working_resolution=working_resolution,
            seed=seed,
        )
        registration, told = over.registration, over.told()
    else:
        registration = _register_directly(
            midpoint,
            brain,
            contrast,
            lesions=lesion_mask,
            working_resolution=working_resolution,
            seed=seed,
        )
        told = {"RegistrationOver": f"{DIRECTLY}{why_not}"}
    _LOGGER.info(
        "local correlation with the template: %.3f before, %.3f affine, %.3f after",
        registration.similarity_before,
        registration.similarity_affine,
        registration.similarity_after,
    )
    write_midpoint(out_midpoint, {session: poses[session] for session in sessions})
    write_volume(out_template, mean, space.affine)
    write_transform(out_from_template, registration.template_to_subject)
    write_transform(out_to_template, registration.subject_to_template)
    sources = [*images, *masks, *lesions, *anatomical]
    reference = "Halfway space of all visits of this patient (log-Euclidean mean of rigid poses)."
    describe(
        out_midpoint,
        "Rigid transforms from the midpoint space to each visit, RAS mm, row by row.",
        sources=sources,
        DisagreementMillimetres=space.disagreement_mm,
    )
    describe(
        out_template,
        "Mean of all visits, each resampled once.",
        sources=sources,
        SpatialReference=reference,
        SkullStripped=False,
    )
    for path, direction in (
        (out_from_template, f"{TEMPLATE} to the patient's midpoint space"),
        (out_to_template, f"the patient's midpoint space to {TEMPLATE}"),
    ):
        describe(
            path,
            f"Maps points of {direction} (ITK, LPS mm): affine, then symmetric diffeomorphism.",
            sources=sources,
            LocalCorrelationBefore=registration.similarity_before,
            LocalCorrelationAfter=registration.similarity_after,
            WorkingResolution=registration.working_mm,
            **told,
        )


def _register_directly(
    mean: Volume,
    brain: NDArray[np.bool_],
    contrast: Contrast,
    *,
    lesions: NDArray[np.bool_] | None,
    working_resolution: int,
    seed: int,
) -> TemplateRegistration:
    template = load_template(resolution=working_resolution)
    return register_template(
        mean.data,
        mean.affine,
        _CONTRASTS[contrast](template),
        template.affine,
        subject_mask=brain,
        lesion_mask=lesions,
        template_mask=template.mask,
        working_mm=working_resolution,
        seed=seed,
    )


def join_space(
    *,
    image: str,
    mask: str,
    session: str,
    template: str,
    seed: int,
    out_pose: str,
) -> None:
    """Register a later visit to the space of the first ones, which stays as it is.

    Parameters
    ----------
    image, mask : str
        FA map or BOLD reference of the visit, and its brain mask.
    session : str
        The visit.
    template : str
        Mean of the visits that made the space.
    seed : int
        Seed of the registration's sampling.
    out_pose : str
        Table with one rigid matrix, midpoint to this visit.
    """
    visit, mean = _visit(image, mask), read_volume(template, ndim=3)
    pose = register_rigid(
        mean.data, mean.affine, visit.data, visit.affine, moving_mask=visit.mask, seed=seed
    )
    write_midpoint(out_pose, {session: pose})
    describe(
        out_pose,
        "Rigid transform from the first visits' midpoint space to this one, RAS mm, row by row.",
        sources=[image, mask, template],
    )


def _visit(image: str, mask: str) -> VisitImage:
    volume = read_volume(image)
    return VisitImage(data=volume.data, affine=volume.affine, mask=read_labels(mask).data > 0)


def _union(
    paths: Sequence[tuple[str, str, str, str]],
    poses: Mapping[str, NDArray[np.float64]],
    space: MidpointSpace,
) -> NDArray[np.bool_] | None:
    """Return the lesions of all visits in the midpoint space, None where none are known."""
    carried = [
        carried_labels(mask.data > 0, mask.affine, poses[session], space.shape, space.affine)
        for mask, session in ((read_labels(path), ses) for _, _, ses, path in paths if path)
    ]
    union = np.any(carried, axis=0) if carried else np.zeros(space.shape, dtype=bool)
    return union if union.any() else None
