"""One series through dcm2niix: images, gradients, and the whole sidecar, in a scratch folder."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib

from msimaging.dicom.series import Series
from msimaging.errors import Finding, InputError

_NAME = "scan"
_TOLD = re.compile(r"(?i)warning|error|missing|unable")
#: dcm2niix tells the paths of files, and those may hold names.
_PATH = re.compile(r"\S*/\S*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedImage:
    """One image that dcm2niix made of a series.

    Attributes
    ----------
    image : Path
        Uncompressed NIfTI.
    bval, bvec : Path or None
        Gradients beside it.
    fields : mapping
        The whole sidecar, identifying fields included.
    part : str
        What dcm2niix added to the name where a series gives several images (``e2``, ``ph``,
        ``ADC``); empty for the only one.
    n_volumes : int
        Volumes of the image.
    """

    image: Path
    bval: Path | None
    bvec: Path | None
    fields: Mapping[str, Any]
    part: str
    n_volumes: int

    @property
    def has_gradients(self) -> bool:
        """Return whether b-vectors came with the image."""
        return self.bvec is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What became of one series."""

    images: tuple[ConvertedImage, ...]
    warnings: tuple[str, ...]


def find_converter() -> str:
    """Return the path of dcm2niix.

    Returns
    -------
    str
        That of the Python package of this name, or else the one on the PATH.

    Raises
    ------
    InputError
        When there is none.
    """
    try:
        from dcm2niix import bin as program  # noqa: PLC0415 - an optional dependency
    except ImportError:
        program = shutil.which("dcm2niix")
    if program is None:
        fault = Finding(
            where="dcm2niix",
            rule="ingest needs the program dcm2niix",
            found="no Python package dcm2niix and no program of this name on the PATH",
            remedy="Install the extra: pip install 'msimaging[dicom]'.",
        )
        raise InputError([fault])
    return str(program)


def convert_series(series: Series, scratch: Path, *, program: str) -> Conversion:
    """Convert one series.

    Parameters
    ----------
    series : Series
        Its files are only read.
    scratch : Path
        Empty folder of its own; what is written there names the patient.
    program : str
        dcm2niix.

    Returns
    -------
    Conversion
        Images in the order of their names.

    Raises
    ------
    InputError
        When the series is incomplete or unreadable, with what dcm2niix says.
    """
    source, target = scratch / "dicom", scratch / "nifti"
    source.mkdir(parents=True)
    target.mkdir()
    for number, path in enumerate(series.files):
        (source / f"{number:06d}.dcm").symlink_to(path.resolve())
    # -g i: nobody's ~/.dcm2nii.ini decides; -ba n: the rules may look at every field
    options = ("-g", "i", "-b", "y", "-ba", "n", "-z", "n", "-f", _NAME, "-o", str(target))
    done = subprocess.run(  # noqa: S603 - the program is our own dependency, no shell reads it
        [program, *options, str(source)], capture_output=True, text=True, check=False
    )
    told = tuple(_told(done.stdout + done.stderr))
    images = tuple(_images(target))
    if done.returncode or not images:
        found = "; ".join(told) or f"no image (dcm2niix ended with {done.returncode})"
        raise InputError([_incomplete(series, found)])
    return Conversion(images=images, warnings=told)


def _told(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if _TOLD.search(line)]
    return [_PATH.sub("a file", line)[:200] for line in lines]


def _incomplete(series: Series, found: str) -> Finding:
    return Finding(
        where=f"series {series.number} ({series.description}, {len(series.files)} files)",
        rule="a series must be whole and convertible",
        found=found,
        remedy="Export the series again from the scanner or PACS, or leave it out with a rule "
        "(ignore) in ingest.rules.",
    )


def _images(target: Path) -> list[ConvertedImage]:
    found = []
    for path in sorted(target.glob("*.nii")):
        sidecar = path.with_suffix(".json")
        fields = json.loads(sidecar.read_text(encoding="utf-8")) if sidecar.exists() else {}
        bval, bvec = path.with_suffix(".bval"), path.with_suffix(".bvec")
        shape = nib.load(path).shape
        found.append(
            ConvertedImage(
                image=path,
                bval=bval if bval.exists() else None,
                bvec=bvec if bvec.exists() and bval.exists() else None,
                fields=fields,
                part=path.stem.removeprefix(_NAME).lstrip("_"),
                n_volumes=shape[3] if len(shape) > 3 else 1,
            )
        )
    return found
