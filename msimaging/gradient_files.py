"""The door to b-values and b-vectors on disk, in FSL's text format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from msimaging.errors import Finding, InputError
from msimaging.volumes import whole_file


def read_numbers(path: Path | str) -> NDArray[np.float64]:
    """Read a text file of numbers in rows of equal length.

    Parameters
    ----------
    path : path
        ``.bval`` or ``.bvec``; separated by white space or commas.

    Returns
    -------
    (rows, columns) ndarray
        As they stand in the file, without any interpretation.

    Raises
    ------
    InputError
        When the file is missing, empty, holds text, or its rows differ in length.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig").replace(",", " ")
        rows = [[float(cell) for cell in line.split()] for line in text.splitlines()]
        table = np.array([row for row in rows if row], dtype=np.float64)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError([_fault(path, str(error))]) from error
    if table.ndim != 2 or table.size == 0:
        raise InputError([_fault(path, "an empty file")])
    return table


def _fault(path: Path | str, found: str) -> Finding:
    return Finding(
        where=str(path),
        rule="b-values and b-vectors must be numbers in rows of equal length",
        found=found,
        remedy="Convert the scan again with dcm2niix, or restore the file.",
    )


def write_gradients(
    bval: Path | str,
    bvec: Path | str,
    bvals: NDArray[np.float64],
    bvecs_fsl: NDArray[np.float64],
) -> None:
    """Write b-values and b-vectors, each file whole or not at all.

    Parameters
    ----------
    bval, bvec : path
        Files to write.
    bvals : (N,) ndarray
        In s/mm2.
    bvecs_fsl : (N, 3) ndarray
        In FSL's image frame; written as three rows.
    """
    with whole_file(bval) as temporary:
        np.savetxt(temporary, bvals[np.newaxis], fmt="%g")
    with whole_file(bvec) as temporary:
        np.savetxt(temporary, bvecs_fsl.T, fmt="%.8f")
