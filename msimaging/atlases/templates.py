"""The template brain that nilearn ships: MNI ICBM152 2009a, symmetric, without skull."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from nilearn import datasets
from numpy.typing import NDArray

Contrast = Literal["white matter", "BOLD"]
#: Brightness of grey and white matter in gradient-echo EPI, where CSF is 1.
_EPI_GREY, _EPI_WHITE = 0.8, 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template image with its masks.

    Attributes
    ----------
    data : (X, Y, Z) ndarray
        Share of white matter, or a mixture of tissues that looks like a BOLD image.
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
    contrast : {"white matter", "BOLD"}
        The white-matter map resembles FA; for BOLD, tissues are mixed to the brightness that they
        have in gradient-echo EPI, which is the reverse of a T1w image.
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
    csf = np.where(brain, np.clip(1 - white - grey, 0, 1), 0).astype(np.float32)
    return Template(
        data=white if contrast == "white matter" else csf + _EPI_GREY * grey + _EPI_WHITE * white,
        mask=brain,
        white_matter=white,
        csf=csf,
        affine=np.asarray(white_image.affine, dtype=np.float64),
    )


def template_grid(*, resolution: int) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Return shape and affine of the template at a voxel size, without loading its images.

    Parameters
    ----------
    resolution : int
        Voxel size in whole mm.

    Returns
    -------
    shape : tuple of three ints
        Voxels.
    affine : (4, 4) ndarray
        Voxels to MNI coordinates in mm.
    """
    image = datasets.load_mni152_brain_mask(resolution=resolution)
    return image.shape, np.asarray(image.affine, dtype=np.float64)
