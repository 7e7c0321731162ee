"""Which images of opposite phase encoding belong to a diffusion series or a resting run."""

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
    """Find the opposite-polarity image of each diffusion series and resting run of a visit.

    Parameters
    ----------
    scans : mapping
        Scans of one visit by kind; ``epi``, ``dwi`` and ``bold`` are looked at.
    bids_dir : Path
        Root of the dataset.

    Returns
    -------
    dict
        The same scans, `Scan.reversed` filled where there is one: an image of ``fmap/`` that is
        meant for the scan by ``B0FieldSource`` or ``IntendedFor``, else a second diffusion
        series or run whose name differs in ``dir-`` and ``run-`` only. `Scan.matched` of a run is
        the image of ``fmap/`` with its own polarity, where both polarities were scanned apart.
    """
    kinds = {kind: tuple(found) for kind, found in scans.items()}
    maps = kinds.get("epi", ())
    for kind in ("dwi", "bold"):
        series = kinds.get(kind, ())
        if series and len(series) + len(maps) > 1:
            told = {scan.path: _told(scan, bids_dir) for scan in (*series, *maps)}
            kinds[kind] = tuple(_with_opposite(scan, series, maps, told) for scan in series)
    return kinds


def _with_opposite(
    scan: Scan,
    series: Sequence[Scan],
    maps: Sequence[Scan],
    told: Mapping[str, Mapping[str, Any]],
) -> Scan:
    own = told[scan.path]
    meant = [other for other in maps if _is_meant(told[other.path], scan, own)]
    if scan.modality == "bold":
        for matched in meant:
            if _is_parallel(own, told[matched.path]) and not _is_against(own, told[matched.path]):
                for other in meant:
                    if _is_opposite(told[matched.path], told[other.path]):
                        return replace(scan, reversed=other.path, matched=matched.path)
    whole = [other for other in series if other.bval or scan.modality == "bold"]
    alike = [other for other in whole if _is_alike(scan.path, other.path)]
    fitting = [other for other in (*meant, *alike) if _is_opposite(own, told[other.path])]
    return replace(scan, reversed=fitting[0].path if fitting else None)


def why_uncorrected(asked: str, by_session: Mapping[str, Scan]) -> str:
    """Tell why field maps do not correct the distortion of a patient's scans.

    Parameters
    ----------
    asked : {"auto", "none"}
        The setting.
    by_session : mapping
        From each session of the patient to its diffusion series or run.

    Returns
    -------
    str
        Empty when they do: in all visits or in none, so that they stay comparable.
    """
    if asked == "none":
        return "switched off in the settings"
    lacking = [session for session, scan in by_session.items() if not scan.reversed]
    if len(lacking) == len(by_session):
        return "no image of opposite phase encoding"
    if lacking:
        names = ", ".join(lacking)
        return f"no image of opposite phase encoding in {names}; all visits are treated alike"
    # a field between two spin echoes and one between gradient echoes are not the same estimate
    ways = {bool(scan.matched) for scan in by_session.values()}
    if len(ways) > 1:
        names = ", ".join(session for session, scan in by_session.items() if not scan.matched)
        return f"only one polarity in fmap/ of {names}; all visits are treated alike"
    return ""


def why_moving(asked: bool | str, why_distorted: str) -> str:
    """Tell why head motion in a patient's diffusion series is left as it is.

    Parameters
    ----------
    asked : bool or "auto"
        The setting; ``auto`` lets motion go with distortion.
    why_distorted : str
        Why distortion is left as it is, empty when it is corrected.

    Returns
    -------
    str
        Empty when it is corrected.
    """
    if asked is False:
        return "switched off in the settings"
    if asked == "auto" and why_distorted:
        return f"diffusion.motion is auto and distortion is not corrected ({why_distorted})"
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
    if not _is_parallel(own, other) or not _is_against(own, other):
        return False
    first, second = own.get("TotalReadoutTime"), other.get("TotalReadoutTime")
    if not isinstance(first, int | float) or not isinstance(second, int | float):
        return True
    return bool(abs(first - second) <= _SAME_READOUT * max(first, second))


def _is_parallel(own: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    ways = [str(told.get("PhaseEncodingDirection", "")) for told in (own, other)]
    return bool(ways[0]) and ways[0].rstrip("-") == ways[1].rstrip("-")


def _is_against(own: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(own.get("PhaseEncodingDirection") != other.get("PhaseEncodingDirection"))


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(text) for text in value) if isinstance(value, list) else ()
