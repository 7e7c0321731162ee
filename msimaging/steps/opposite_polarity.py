"""The b=0 image of opposite phase encoding that belongs to a diffusion series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msimaging.diffusion.table_rules import B0_THRESHOLD
from msimaging.errors import Finding, InputError
from msimaging.gradient_files import read_numbers
from msimaging.grids import check_finite
from msimaging.volumes import Volume, read_volume

# field maps come without b-values; a weighted volume among them is darker than this share
_DARKER = 0.6


def read_opposite(files: Sequence[str]) -> Volume:
    """Read the mean b=0 image of the opposite polarity.

    Parameters
    ----------
    files : sequence of str
        The image and, for a diffusion series, its b-values.

    Returns
    -------
    Volume
        (X, Y, Z).

    Raises
    ------
    InputError
        When a file is unreadable, holds values that are not finite, or no b=0 volume.
    """
    image, *tables = files
    volume = read_volume(image)
    findings = [f for f in check_finite(volume, where=image) if f.severity == "error"]
    volumes = volume.data.reshape(*volume.data.shape[:3], -1)
    if tables:
        bvals = read_numbers(tables[0]).ravel()
        unweighted = bvals <= B0_THRESHOLD
    else:
        totals = volumes.sum(axis=(0, 1, 2), dtype=np.float64)
        unweighted = totals > _DARKER * np.median(totals)
    if len(unweighted) != volumes.shape[3] or not unweighted.any():
        findings.append(
            Finding(
                where=image,
                rule="an image of opposite phase encoding holds volumes without weighting",
                found=f"{volumes.shape[3]} volumes, {np.count_nonzero(unweighted)} of b=0",
                remedy="Convert the scan again, or set diffusion.distortion: none.",
            )
        )
    if findings:
        raise InputError(findings)
    return Volume(data=volumes[..., unweighted].mean(axis=3), affine=volume.affine)
