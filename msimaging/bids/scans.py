"""The table of scans: which files belong to each, and how large it is. It is the program's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from msimaging.bids.rows import read_rows

SCAN_COLUMNS = (
    *("path", "modality", "bval", "bvec", "sidecars", "reversed", "lesions", "shape"),
    *("pipeline", "mask", "confounds", "matched", "shells"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The files that belong to one scan, and its size.

    Paths are below the BIDS folder, or from the root where a file lies elsewhere.

    Attributes
    ----------
    path, bval, bvec, reversed, lesions : str or None
        Image, gradient files, series of the opposite polarity, lesion mask.
    modality : str
        BIDS suffix.
    sidecars : tuple of str
        JSON files, root first.
    shape : tuple of int
        Voxels along each axis and volumes, as the header says; empty where none was readable.
    pipeline : str
        What preprocessed it, such as ``fMRIPrep 23.2.1``; empty for a raw scan.
    mask, confounds : str or None
        Brain mask and nuisance signals that the pipeline wrote.
    matched : str or None
        Field-map image of the polarity of a resting run, where ``fmap/`` holds both.
    shells : tuple of int
        b-values of a diffusion series [s/mm2], ascending; empty where they are not known.
    """

    path: str
    modality: str
    bval: str | None
    bvec: str | None
    sidecars: tuple[str, ...]
    reversed: str | None = None
    lesions: str | None = None
    shape: tuple[int, ...] = ()
    pipeline: str = ""
    mask: str | None = None
    confounds: str | None = None
    matched: str | None = None
    shells: tuple[int, ...] = ()


def read_scans(path: Path) -> dict[str, Scan]:
    """Read ``scans.tsv``.

    Parameters
    ----------
    path : Path
        The table that ``index`` wrote.

    Returns
    -------
    dict
        From the path of a scan below the BIDS folder to its files.
    """
    return {
        row["path"]: Scan(
            path=row["path"],
            modality=row["modality"],
            bval=row["bval"] or None,
            bvec=row["bvec"] or None,
            sidecars=tuple(name for name in row["sidecars"].split(";") if name),
            reversed=row.get("reversed") or None,
            lesions=row.get("lesions") or None,
            shape=tuple(int(n) for n in (row.get("shape") or "").split("x") if n.isdigit()),
            pipeline=row.get("pipeline", ""),
            mask=row.get("mask") or None,
            confounds=row.get("confounds") or None,
            matched=row.get("matched") or None,
            shells=tuple(int(b) for b in (row.get("shells") or "").split(";") if b.isdigit()),
        )
        for row in read_rows(path)
    }
