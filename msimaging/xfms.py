"""The door to spatial transforms on disk.

Composite transforms are written as ITK HDF5 (read by ANTs and others), the rigid transforms
between a patient's midpoint space and each visit as a table of matrices.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py  # type: ignore[import-untyped]  # ships no types
import numpy as np
import pandas as pd
import SimpleITK as sitk
from numpy.typing import NDArray

from msimaging.tables import read_table
from msimaging.volumes import whole_file

_ELEMENTS = tuple(f"m{row}{column}" for row in range(4) for column in range(4))


def write_transform(path: Path | str, transform: sitk.Transform) -> None:
    """Write a transform as ITK HDF5, whole or not at all.

    Parameters
    ----------
    path : path
        Ends in ``.h5``.
    transform : SimpleITK.Transform
        Maps points, LPS mm, as ITK stores it.
    """
    with whole_file(path) as temporary:
        dated = temporary.with_name(f"{temporary.name}.dated.h5")
        try:
            sitk.WriteTransform(transform, str(dated))
            _copy_without_times(dated, temporary)
        finally:
            dated.unlink(missing_ok=True)


def _copy_without_times(source: Path, target: Path) -> None:
    """Copy an HDF5 file of groups and datasets; ITK's own holds the second of its writing."""
    with h5py.File(source, "r") as dated, h5py.File(target, "w") as undated:

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Dataset):
                undated.create_dataset(name, data=item[()], dtype=item.dtype, track_times=False)
            else:
                undated.require_group(name)

        dated.visititems(copy)


def read_transform(path: Path | str) -> sitk.Transform:
    """Read a transform that `write_transform` wrote."""
    return sitk.ReadTransform(str(path))


def write_midpoint(path: Path | str, matrices: Mapping[str, NDArray[np.float64]]) -> None:
    """Write one rigid transform per session.

    Parameters
    ----------
    path : path
        Ends in ``.tsv``.
    matrices : mapping
        From the session to the (4, 4) matrix, midpoint to visit, RAS mm.
    """
    rows = [[session, *matrix.ravel()] for session, matrix in matrices.items()]
    table = pd.DataFrame(rows, columns=["session_id", *_ELEMENTS])
    with whole_file(path) as temporary:
        # seventeen digits bring back the same double
        table.to_csv(temporary, sep="\t", index=False, float_format="%.17g")


def read_midpoint(path: Path | str) -> dict[str, NDArray[np.float64]]:
    """Read the matrices that `write_midpoint` wrote.

    Parameters
    ----------
    path : path
        The table.

    Returns
    -------
    dict
        From the session to its (4, 4) matrix, midpoint to visit, RAS mm.
    """
    table = read_table(path)
    values = table[list(_ELEMENTS)].to_numpy(dtype=np.float64)
    sessions = table["session_id"]
    return {str(session): row.reshape(4, 4) for session, row in zip(sessions, values, strict=True)}
