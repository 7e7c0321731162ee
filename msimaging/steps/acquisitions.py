"""How a scan was acquired and processed, gathered from its files for the comparability gate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from msimaging.bids.sidecars import read_acquisition
from msimaging.diffusion.gradients import B0_THRESHOLD
from msimaging.errors import Finding, InputError
from msimaging.gradient_files import read_numbers
from msimaging.longitudinal.comparability import Rule, compare_acquisitions
from msimaging.tables import read_json, sidecar_of

#: b-values nearer than this to a multiple of it count as one shell (s/mm2).
_SHELL = 50.0
#: Settings that the sidecar of a visit's table records.
_SETTINGS = ("Settings", "HighPassHz", "LowPassHz")


def acquisition_of(scan: Mapping[str, Any]) -> dict[str, Any]:
    """Gather what the comparability gate compares about one raw scan.

    Parameters
    ----------
    scan : mapping
        ``image``, ``sidecars`` (root first), for diffusion ``bval``, and the ``pipeline`` that
        preprocessed it where that was another.

    Returns
    -------
    dict
        Fields of the sidecars; ``DeviceSerialNumber`` only as a digest; ``VoxelSize`` [mm];
        ``Preprocessing``;
        ``BValues`` (shells, s/mm2) and ``DirectionCount`` of a diffusion series, else
        ``RunLength`` [s].

    Raises
    ------
    InputError
        For files that cannot be read.
    """
    found = read_acquisition(scan["sidecars"]) | _serial_number(scan["sidecars"])
    shape, sizes = _header(scan["image"])
    found["VoxelSize"] = sizes
    found["Preprocessing"] = scan.get("pipeline") or "msimaging"
    if scan.get("bval"):
        bvals = read_numbers(scan["bval"]).ravel()
        found["BValues"] = sorted({float(b) for b in _SHELL * np.round(bvals / _SHELL)})
        found["DirectionCount"] = int((bvals > B0_THRESHOLD).sum())
    elif len(shape) == 4 and isinstance(found.get("RepetitionTime"), int | float):
        found["RunLength"] = round(shape[3] * found["RepetitionTime"], 3)
    return found


def _serial_number(sidecars: Iterable[Path | str]) -> dict[str, str]:
    """Tell scanners apart without ever holding the number of one."""
    for path in reversed(list(sidecars)):
        number = json.loads(Path(path).read_text(encoding="utf-8-sig")).get("DeviceSerialNumber")
        if number:
            return {"DeviceSerialNumber": hashlib.sha256(str(number).encode()).hexdigest()}
    return {}


def _header(path: Path | str) -> tuple[tuple[int, ...], list[float]]:
    try:
        image = nib.load(path)
    except (OSError, ImageFileError) as error:
        fault = Finding(
            where=str(path),
            rule="an image must be readable",
            found=str(error),
            remedy="Convert the scan again.",
        )
        raise InputError([fault]) from error
    sizes = np.round(np.sqrt((image.affine[:3, :3] ** 2).sum(axis=0)), 3)
    return tuple(image.shape), [float(size) for size in sizes]


def processing_of(table: Path | str) -> dict[str, Any]:
    """Read from a table's sidecar with which version and settings it was made.

    Parameters
    ----------
    table : path
        Region table or network means of one visit.

    Returns
    -------
    dict
        ``PipelineVersion``, ``Settings`` and, where cleaning had a strategy, ``Strategy``.
    """
    sidecar = read_json(sidecar_of(table))
    found: dict[str, Any] = {"PipelineVersion": sidecar["GeneratedBy"][0]["Version"]}
    settings = [sidecar[name] for name in _SETTINGS if name in sidecar]
    found |= {"Settings": settings} if settings else {}
    return found | {name: sidecar[name] for name in ("Strategy",) if name in sidecar}


def gate_pair(
    scans: Sequence[Mapping[str, Any]], tables: Sequence[str], rules: Mapping[str, Rule]
) -> tuple[Finding, ...]:
    """Compare two visits just before their change is computed.

    Parameters
    ----------
    scans : sequence of mapping
        Raw files of baseline and follow-up.
    tables : sequence of str
        A table of the baseline and the same of the follow-up.
    rules : mapping
        See `compare_acquisitions`.

    Returns
    -------
    tuple of Finding
        Warnings and notes.

    Raises
    ------
    InputError
        For a difference that blocks the comparison.
    """
    both = [
        acquisition_of(scan) | processing_of(table)
        for scan, table in zip(scans, tables, strict=True)
    ]
    findings = compare_acquisitions(*both, rules=rules)
    blocking = [finding for finding in findings if finding.severity == "error"]
    if blocking:
        raise InputError(blocking)
    return findings
