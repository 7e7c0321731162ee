"""Which image of opposite phase encoding belongs to a diffusion series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from msimaging.bids.names import parse_name
from msimaging.bids.scans import Scan
from msimaging.bids.sidecars import read_acquisition
from msimaging.errors import InputError

#: Entities by which two series of one acquisition and opposite polarity may differ.
_OF_POLARITY = ("dir", "run")
#: Fields read out at other speeds are displaced by other lengths.
_SAME_READOUT = 0.02


def with_opposites(
    scans: Mapping[str, Sequence[Scan]], bids_dir: Path
) -> dict[str, tuple[Scan, ...]]:
    """Find the opposite-polarity image of each diffusion series of a visit.

    Parameters
    ----------
    scans : mapping
        Scans of one visit by kind; ``epi`` and ``dwi`` are looked at.
    bids_dir : Path
        Root of the dataset.

    Returns
    -------
    dict
        The same scans, `Scan.reversed` filled where there is one: an image of ``fmap/`` that is
        meant for the series by ``B0FieldSource`` or ``IntendedFor``, else a second diffusion
        series whose name differs in ``dir-`` and ``run-`` only.
    """
    kinds = {kind: tuple(found) for kind, found in scans.items()}
    series, maps = kinds.get("dwi", ()), kinds.get("epi", ())
    if not series or len(series) + len(maps) < 2:
        return kinds
    told = {scan.path: _told(scan, bids_dir) for scan in (*series, *maps)}
    filled = []
    for scan in series:
        own = told[scan.path]
        meant = [other for other in maps if _is_meant(told[other.path], scan, own)]
        alike = [other for other in series if other.bval and _is_alike(scan.path, other.path)]
        fitting = [other for other in (*meant, *alike) if _is_opposite(own, told[other.path])]
        filled.append(replace(scan, reversed=fitting[0].path if fitting else None))
    return kinds | {"dwi": tuple(filled)}


def why_uncorrected(asked: str, by_session: Mapping[str, Scan]) -> str:
    """Tell why the distortion of a patient's diffusion series is left as it is.

    Parameters
    ----------
    asked : {"auto", "none"}
        The setting.
    by_session : mapping
        From each session of the patient to its diffusion series.

    Returns
    -------
    str
        Empty when it is corrected: in all visits or in none, so that they stay comparable.
    """
    if asked == "none":
        return "switched off in the settings"
    lacking = [session for session, scan in by_session.items() if not scan.reversed]
    if len(lacking) == len(by_session):
        return "no image of opposite phase encoding"
    if lacking:
        names = ", ".join(lacking)
        return f"no image of opposite phase encoding in {names}; all visits are treated alike"
    return ""


def _told(scan: Scan, bids_dir: Path) -> dict[str, Any]:
    # an unreadable sidecar is told by the check, with every other fault
    with suppress(InputError):
        return read_acquisition([bids_dir / name for name in scan.sidecars])
    return {}


def _is_meant(field_map: Mapping[str, Any], scan: Scan, own: Mapping[str, Any]) -> bool:
    named = set(_texts(field_map.get("B0FieldIdentifier")))
    if named & set(_texts(own.get("B0FieldSource"))):
        return True
    for target in _texts(field_map.get("IntendedFor")):
        # a BIDS URI, or a path below the patient's folder
        path = target.rpartition(":")[2].lstrip("/")
        if scan.path == path or scan.path.endswith(f"/{path}"):
            return True
    return False


def _is_alike(path: str, other: str) -> bool:
    first, second = parse_name(path), parse_name(other)
    if first is None or second is None or path == other:
        return False
    keys = (first.entities.keys() | second.entities.keys()) - set(_OF_POLARITY)
    return all(first.entities.get(key) == second.entities.get(key) for key in keys)


def _is_opposite(own: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two scans are encoded along one axis, opposite ways, at one speed."""
    ways = [str(told.get("PhaseEncodingDirection", "")) for told in (own, other)]
    if not ways[0] or ways[0].rstrip("-") != ways[1].rstrip("-") or ways[0] == ways[1]:
        return False
    first, second = own.get("TotalReadoutTime"), other.get("TotalReadoutTime")
    if not isinstance(first, int | float) or not isinstance(second, int | float):
        return True
    return bool(abs(first - second) <= _SAME_READOUT * max(first, second))


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(text) for text in value) if isinstance(value, list) else ()
