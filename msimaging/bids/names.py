"""BIDS file names: their entities, and which metadata files apply to which scan."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

_LABEL = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class BidsName:
    """The parts of a BIDS file name.

    Attributes
    ----------
    entities : mapping
        For example ``{"sub": "01", "ses": "baseline", "task": "rest"}``, in the order of the name.
    suffix : str
        ``dwi``, ``bold``, ``T1w`` ...
    extension : str
        With its dot, ``.nii.gz``.
    """

    entities: Mapping[str, str]
    suffix: str
    extension: str


def parse_name(path: str) -> BidsName | None:
    """Split a file name into BIDS parts.

    Parameters
    ----------
    path : str
        Path or bare name.

    Returns
    -------
    BidsName or None
        None when the name does not follow ``key-label_..._suffix.extension``.

    Examples
    --------
    >>> parse_name("sub-01_task-rest_bold.nii.gz").entities
    {'sub': '01', 'task': 'rest'}
    >>> parse_name("notes.txt").suffix
    'notes'
    """
    stem, dot, extension = PurePosixPath(path).name.partition(".")
    *pairs, suffix = stem.split("_")
    entities: dict[str, str] = {}
    for pair in pairs:
        key, dash, label = pair.partition("-")
        if not dash or not key or not label or key in entities:
            return None
        entities[key] = label
    if not suffix or not dot or "-" in suffix:
        return None
    return BidsName(entities=entities, suffix=suffix, extension=dot + extension)


def applies_to(metadata: BidsName, scan: BidsName) -> bool:
    """Tell whether a metadata file applies to a scan by the inheritance principle.

    Parameters
    ----------
    metadata, scan : BidsName
        Names of a ``.json``, ``.bval`` or ``.bvec`` file and of an image.

    Returns
    -------
    bool
        True when the suffixes agree and every entity of the metadata file is the scan's.
    """
    if metadata.suffix != scan.suffix:
        return False
    return all(scan.entities.get(key) == label for key, label in metadata.entities.items())


def is_label(text: str) -> bool:
    """Tell whether a text may stand as a BIDS label (letters and digits only)."""
    return _LABEL.fullmatch(text) is not None


def natural_key(text: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sorting key that puts ``ses-2`` before ``ses-10``."""
    parts = re.findall(r"\d+|\D+", text)
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts)
