"""The door to images on disk: reading with clear refusals, writing whole files or nothing."""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from msimaging.errors import Finding, InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """An image in memory.

    Attributes
    ----------
    data : (X, Y, Z) or (X, Y, Z, N) ndarray
        Voxel values, float32 unless read as labels.
    affine : (4, 4) ndarray
        Voxel indices to scanner coordinates, RAS, in mm.
    """

    data: NDArray[Any]
    affine: NDArray[np.float64]

    @property
    def voxel_sizes(self) -> NDArray[np.float64]:
        """Edge lengths of a voxel in mm, (3,)."""
        return np.asarray(np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0)))


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Hand out a temporary name beside ``path``; move it into place when the block ends well.

    Parameters
    ----------
    path : path
        Final name. Its folder is made when missing.

    Yields
    ------
    Path
        The temporary name, with the same file extension, unique among all writers.

    Notes
    -----
    The temporary file is flushed to disk before ``os.replace``, so that a killed job or two
    writers can never leave a mixture at the final name.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    extension = "".join(path.suffixes[-2:]) if path.name.endswith(".gz") else path.suffix
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", suffix=extension, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read_volume(path: Path | str, *, ndim: int | None = None) -> Volume:
    """Read a NIfTI image as float32.

    Parameters
    ----------
    path : path
        ``.nii`` or ``.nii.gz``.
    ndim : int, optional
        Number of dimensions that the image must have.

    Returns
    -------
    Volume
        Values with the header's scaling applied.

    Raises
    ------
    InputError
        When the file is missing, not readable, truncated, or has another number of dimensions.
    """
    return _read(path, np.float32, ndim)


def read_labels(path: Path | str) -> Volume:
    """Read a 3D label image as int32.

    Parameters
    ----------
    path : path
        ``.nii`` or ``.nii.gz``.

    Returns
    -------
    Volume
        Labels, rounded to whole numbers.

    Raises
    ------
    InputError
        As `read_volume`.
    """
    volume = _read(path, np.float32, 3)
    return Volume(data=np.rint(volume.data).astype(np.int32), affine=volume.affine)


#: What nibabel lets through when a file is damaged; several are children of Exception only.
_UNREADABLE = (
    *(ImageFileError, HeaderDataError, WrapStructError),
    *(EOFError, OSError, ValueError, zlib.error),
)


def _read(path: Path | str, dtype: type[np.float32], ndim: int | None) -> Volume:
    try:
        image = nib.load(path)
        data = np.asarray(image.dataobj, dtype=dtype)
    except FileNotFoundError as error:
        raise InputError([_finding(path, "the image must exist", "no such file")]) from error
    except _UNREADABLE as error:
        fault = _finding(path, "the image must be whole and readable", str(error).split("\n")[0])
        raise InputError([fault]) from error
    if ndim == 3 and data.ndim == 4 and data.shape[3] == 1:
        data = data[..., 0]
    if ndim is not None and data.ndim != ndim:
        rule = f"the image must have {ndim} dimensions"
        raise InputError([_finding(path, rule, f"shape {data.shape}")])
    return Volume(data=data, affine=np.asarray(image.affine, dtype=np.float64))


def _finding(path: Path | str, rule: str, found: str) -> Finding:
    remedy = "Convert or copy the scan again, or exclude the visit in visits.tsv."
    return Finding(where=str(path), rule=rule, found=found, remedy=remedy)


def write_volume(
    path: Path | str,
    data: NDArray[np.generic],
    affine: NDArray[np.float64],
    *,
    repetition_time: float | None = None,
) -> None:
    """Write a NIfTI-1 image, whole or not at all, with the same bytes for the same values.

    Parameters
    ----------
    path : path
        Ends in ``.nii`` or ``.nii.gz``.
    data : (X, Y, Z) or (X, Y, Z, N) ndarray
        Floats are stored as float32, booleans as uint8, other integers as int32.
    affine : (4, 4) ndarray
        Voxel indices to scanner coordinates in mm.
    repetition_time : float, optional
        Seconds between volumes of a time series.
    """
    array = np.asarray(data)
    if array.dtype == bool:
        array = array.astype(np.uint8)
    elif np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float32)
    elif array.dtype != np.uint8:
        array = array.astype(np.int32)
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm", "sec")
    if repetition_time is not None:
        image.header["pixdim"][4] = repetition_time
    with whole_file(path) as temporary:
        nib.save(image, temporary)
