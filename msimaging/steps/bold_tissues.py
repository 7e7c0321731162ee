"""Tissue and lesions on the grid of a BOLD run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from msimaging.atlases.templates import load_template
from msimaging.spatial.resampling import resample_image
from msimaging.spatial.transforms import from_matrix
from msimaging.volumes import Volume, read_labels
from msimaging.xfms import read_midpoint

#: Voxel size of the tissue maps before they are carried to the run (mm).
_TISSUE_RESOLUTION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueFractions:
    """Share of each voxel that belongs to a tissue, (X, Y, Z) each."""

    grey_matter: NDArray[np.float32]
    white_matter: NDArray[np.float32]
    csf: NDArray[np.float32]


def tissue_fractions(series: Volume, way: sitk.Transform) -> TissueFractions:
    """Carry the template's tissue maps to a run.

    Parameters
    ----------
    series : Volume
        An image on the grid of the run.
    way : SimpleITK.Transform
        Points of the visit to the template.

    Returns
    -------
    TissueFractions
    """
    template = load_template(resolution=_TISSUE_RESOLUTION)
    grey, white, csf = (
        resample_image(
            fraction,
            template.affine,
            target_to_source=way,
            target_shape=series.data.shape[:3],
            target_affine=series.affine,
            interpolation="linear",
        )
        for fraction in (template.grey_matter, template.white_matter, template.csf)
    )
    return TissueFractions(grey_matter=grey, white_matter=white, csf=csf)


def lesions_at(
    masks: Sequence[str], series: Volume, session: str, poses: Mapping[str, str]
) -> NDArray[np.bool_] | None:
    """Unite the lesions of all visits on the grid of one, so that all visits are treated alike.

    A mask is taken to lie where the scanner says: the patient stays on the table between the scan
    on which it was drawn and the BOLD run of the same visit.

    Parameters
    ----------
    masks : sequence of str
        One a visit, in the order of ``poses``, or none.
    series : Volume
        An image on the grid of the run.
    session : str
        The run's visit.
    poses : mapping
        From every visit of the patient to the table that holds its pose.

    Returns
    -------
    (X, Y, Z) ndarray of bool, or None
        None without masks.
    """
    if not masks:
        return None
    matrices = {other: read_midpoint(path)[other] for other, path in poses.items()}
    united = np.zeros(series.data.shape[:3], dtype=bool)
    for path, other in zip(masks, poses, strict=True):
        mask = read_labels(path)
        # points of this visit to the midpoint, and on to the visit of the mask
        matrix = matrices[other] @ np.linalg.inv(matrices[session])
        share = resample_image(
            (mask.data > 0).astype(np.float32),
            mask.affine,
            target_to_source=from_matrix(matrix),
            target_shape=united.shape,
            target_affine=series.affine,
            interpolation="linear",
        )
        united |= share > _LESION_SHARE
    return united


#: Share of lesion from which a voxel counts as one; linear interpolation thins small lesions.
_LESION_SHARE = 0.25
