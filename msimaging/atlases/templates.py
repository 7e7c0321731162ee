"""The template brain that nilearn ships: MNI ICBM152 2009a, symmetric, without skull."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from nilearn import datasets
from numpy.typing import NDArray

Contrast = Literal["T1w", "white matter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template image with its masks.

    Attributes
    ----------
    data : (X, Y, Z) ndarray
        T1-weighted intensity or probability of white matter.
    mask : (X, Y, Z) ndarray of bool
        The brain.
    white_matter, csf : (X, Y, Z) ndarray
        Share of the tissue in each voxel; CSF is what is neither white nor grey matter.
    affine : (4, 4) ndarray
        Voxels to MNI coordinates in mm.
    """

    data: NDArray[np.float32]
    mask: NDArray[np.bool_]
    white_matter: NDArray[np.float32]
    csf: NDArray[np.float32]
    affine: NDArray[np.float64]


def load_template(contrast: Contrast, *, resolution: int) -> Template:
    """Load the packaged template; nothing is downloaded.

    Parameters
    ----------
    contrast : {"T1w", "white matter"}
        The white-matter map resembles FA, the T1w image resembles T1w scans.
    resolution : int
        Voxel size in whole mm.

    Returns
    -------
    Template
        On its own grid.
    """
    brain = np.asarray(datasets.load_mni152_brain_mask(resolution=resolution).dataobj) > 0
    white_image = datasets.load_mni152_wm_template(resolution=resolution)
    white = np.asarray(white_image.dataobj, dtype=np.float32)
    grey_image = datasets.load_mni152_gm_template(resolution=resolution)
    grey = np.asarray(grey_image.dataobj, dtype=np.float32)
    data = white
    if contrast == "T1w":
        head = datasets.load_mni152_template(resolution=resolution)
        data = np.asarray(head.dataobj, dtype=np.float32)
    return Template(
        data=data,
        mask=brain,
        white_matter=white,
        csf=np.where(brain, np.clip(1 - white - grey, 0, 1), 0).astype(np.float32),
        affine=np.asarray(white_image.affine, dtype=np.float64),
    )
