"""Template images that look like the scans to be aligned."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msimaging.errors import Finding, InputError

# Relative brightness of b=0 and mean BOLD images. Only the order and rough spacing matter.
WHITE, GREY, FLUID = 0.45, 0.65, 1.0


def t2_like_template(
    grey_matter: ArrayLike, white_matter: ArrayLike, *, brain: ArrayLike
) -> NDArray[np.float32]:
    """Compose a template with bright fluid from tissue maps, for b=0 and mean BOLD images.

    Warping such an image to a T1-weighted template matches dark tissue with bright and goes wrong
    in the depth of the brain; between images of one contrast it does not.

    Parameters
    ----------
    grey_matter, white_matter : (X, Y, Z) array_like
        Tissue probabilities.
    brain : (X, Y, Z) bool array_like
        Brain with its fluid; outside the result is 0.

    Returns
    -------
    (X, Y, Z) ndarray
        Between 0 and 1: what is neither grey nor white within the brain counts as fluid.

    Raises
    ------
    InputError
        For shapes that differ or probabilities outside [0, 1].
    """
    grey, white = (np.asarray(tissue, dtype=np.float32) for tissue in (grey_matter, white_matter))
    inside = np.asarray(brain, dtype=bool)
    values = (min(grey.min(), white.min()), max(grey.max(), white.max()))
    if len({grey.shape, white.shape, inside.shape}) > 1 or values[0] < -1e-3 or values[1] > 1.001:
        raise InputError(
            [
                Finding(
                    rule="tissue maps are probabilities on the brain mask's grid",
                    where="template",
                    found=f"shapes {grey.shape}, {white.shape}, {inside.shape}, values from "
                    f"{values[0]:.3g} to {values[1]:.3g}",
                    remedy="Scale the maps to 0..1 and resample them to one grid.",
                )
            ]
        )
    fluid = np.clip(1 - grey - white, 0, 1)
    mixture = WHITE * white + GREY * grey + FLUID * fluid
    return np.where(inside, mixture, 0).astype(np.float32)
