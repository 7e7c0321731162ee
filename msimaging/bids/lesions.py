"""Lesion masks of a visit: where they lie, and which of them belongs to which scan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from msimaging.bids.names import natural_key, parse_name

#: ``label-`` and suffix by which BIDS derivatives name a lesion mask.
LABEL, SUFFIX = "lesion", "mask"
#: Spaces that are the scanner's own at that visit; masks in a template's space fit no visit.
NATIVE_SPACES = frozenset({"orig", "T1w", "T2w", "FLAIR", "dwi", "b0", "bold", "boldref"})
#: Folders in which the mask of a scan is looked for, nearest first.
_NEAREST: Mapping[str, tuple[str, ...]] = {
    "dwi": ("dwi", "anat"),
    "bold": ("func", "anat", "dwi"),
}
_DATATYPES = ("dwi", "anat", "func")


def derivative_roots(bids_dir: Path) -> tuple[Path, ...]:
    """Return the dataset and the derivatives kept inside it.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.

    Returns
    -------
    tuple of Path
        The dataset first.
    """
    inside = bids_dir / "derivatives"
    nested = sorted(p for p in inside.iterdir() if p.is_dir()) if inside.is_dir() else []
    return (bids_dir, *nested)


def find_lesion_masks(bids_dir: Path, roots: Iterable[Path], sub: str, ses: str) -> tuple[str, ...]:
    """Find the lesion masks of one visit.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.
    roots : iterable of Path
        Datasets that may hold masks.
    sub, ses : str
        ``sub-01``; ``ses-baseline``, or empty in a dataset without sessions.

    Returns
    -------
    tuple of str
        Paths below the dataset, absolute where they lie outside it. Masks in the space of a
        template are left out.
    """
    return tuple(
        _below(bids_dir, path)
        for root in roots
        for datatype in _DATATYPES
        for path in _masks_in(root / sub / ses / datatype)
    )


def _masks_in(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for name in sorted((path.name for path in folder.iterdir()), key=natural_key):
        parsed = parse_name(name)
        if (
            parsed is not None
            and (parsed.entities.get("label"), parsed.suffix) == (LABEL, SUFFIX)
            and parsed.extension in {".nii.gz", ".nii"}
            and parsed.entities.get("space", "orig") in NATIVE_SPACES
        ):
            yield folder / name


def _below(bids_dir: Path, path: Path) -> str:
    inside = path.is_relative_to(bids_dir)
    return (path.relative_to(bids_dir) if inside else path.resolve()).as_posix()


def mask_of_scan(
    masks: Sequence[str], modality: str, select: Mapping[str, object]
) -> tuple[str, ...]:
    """Choose among a visit's lesion masks the one for a scan.

    Parameters
    ----------
    masks : sequence of str
        From `find_lesion_masks`.
    modality : str
        Suffix of the scan.
    select : mapping
        Entities that a person chose.

    Returns
    -------
    tuple of str
        Empty without a mask, one mask, or several among which a person has still to choose.
    """
    for datatype in _NEAREST.get(modality, ()):
        near = [path for path in masks if f"/{datatype}/" in f"/{path}"]
        fitting = [path for path in near if _fits(path, select)] if len(near) > 1 else []
        if near:
            return tuple(fitting or near)
    return ()


def _fits(path: str, select: Mapping[str, object]) -> bool:
    name = parse_name(path)
    return name is not None and all(
        name.entities.get(key) == str(label) for key, label in select.items()
    )
