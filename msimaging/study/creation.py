"""Make or update a study folder from a BIDS dataset, without touching what a person edited."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from msimaging.bids.index import IndexedVisit, index_dataset
from msimaging.bids.lesions import mask_of_scan
from msimaging.bids.names import parse_name
from msimaging.bids.rows import read_rows, write_rows
from msimaging.bids.scans import SCAN_COLUMNS, Scan
from msimaging.bids.visits import UNDECIDED, VISIT_COLUMNS
from msimaging.errors import ConfigError, Finding
from msimaging.settings import WORKFLOW, read_settings

#: Columns of visits.tsv that hold scans, and the kind of scan in the index.
_SCAN_CELLS = ("dwi", "bold", "anat")
#: What a person may choose among by entities.
_CHOICES = (*_SCAN_CELLS, "lesion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What ``index`` found and did.

    Attributes
    ----------
    rows : list of dict
        Rows of ``visits.tsv`` as they now stand.
    new, gone, changed : tuple of str
        Visits that were added, that the dataset no longer holds, and whose scans are others than
        the table names (the table is left as it is) or came with other files or sizes before.
    undecided : tuple of str
        Visits in which a person has to choose among several scans.
    """

    rows: list[dict[str, str]]
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    undecided: tuple[str, ...] = field(default=())


def create_study(bids_dir: Path, study: Path, *, select: Sequence[str] = ()) -> Inventory:
    """Write ``config.yaml``, ``visits.tsv`` and ``scans.tsv``, or bring them up to date.

    Parameters
    ----------
    bids_dir : Path
        Root of the BIDS dataset.
    study : Path
        Study folder; made when missing.
    select : sequence of str
        Choices such as ``dwi:acq-ax20_dir-PA``, written into a new ``config.yaml``.

    Returns
    -------
    Inventory
        What was found.

    Raises
    ------
    ConfigError
        When the dataset has no patients or the settings are unusable.
    """
    bids_dir = bids_dir.resolve()
    _require_dataset(bids_dir)
    config = study / "config.yaml"
    if not config.exists():
        study.mkdir(parents=True, exist_ok=True)
        config.write_text(_new_config(bids_dir, _parsed(select)), encoding="utf-8")
    elif select:
        raise ConfigError(
            [_fault(config, "an existing config.yaml is not changed", "--select was given")]
        )
    settings = read_settings(config)
    found = index_dataset(bids_dir)
    scans = _scan_rows(found, settings["select"]["lesion"])
    others = _with_other_files(study / "scans.tsv", scans)
    write_rows(study / "scans.tsv", SCAN_COLUMNS, scans)
    table = study / "visits.tsv"
    old = read_rows(table) if table.exists() else []
    inventory = _merged(old, [_visit_row(visit, settings) for visit in found], others)
    write_rows(table, _columns(old), inventory.rows)
    return inventory


def _require_dataset(bids_dir: Path) -> None:
    if not bids_dir.is_dir() or not any(bids_dir.glob("sub-*/")):
        rule = "a BIDS dataset must hold folders sub-*"
        raise ConfigError([_fault(bids_dir, rule, "none")])


def _fault(path: Path, rule: str, found: str) -> Finding:
    remedy = "Give the dataset's root, or edit the file by hand."
    return Finding(where=str(path), rule=rule, found=found, remedy=remedy)


def _parsed(select: Iterable[str]) -> dict[str, dict[str, str]]:
    choices: dict[str, dict[str, str]] = {}
    for text in select:
        kind, colon, entities = text.partition(":")
        pairs = [pair.partition("-") for pair in re.split(r"[_ ,]+", entities.strip())]
        if kind not in _CHOICES or not colon or not all(dash for _, dash, _ in pairs):
            rule = "a choice looks like dwi:acq-ax20_dir-PA"
            raise ConfigError([_fault(Path("--select"), rule, repr(text))])
        choices[kind] = {key: label for key, _, label in pairs}
    return choices


def _new_config(bids_dir: Path, select: Mapping[str, Mapping[str, str]]) -> str:
    text = (WORKFLOW / "config" / "config.yaml").read_text(encoding="utf-8")
    root = yaml.safe_dump({"bids_dir": str(bids_dir)}, width=10_000).strip()
    text = re.sub(r"(?m)^bids_dir:.*$", lambda _: root, text)
    if select:
        block = yaml.safe_dump({"select": {k: dict(v) for k, v in select.items()}}).strip()
        text = re.sub(r"(?m)^select:.*$", lambda _: block, text)
    return text


def _scan_rows(
    found: Iterable[IndexedVisit], select_lesion: Mapping[str, Any]
) -> list[dict[str, str]]:
    scans = [(v, scan) for v in found for kind in v.scans.values() for scan in kind]
    return [
        {
            "path": scan.path,
            "modality": scan.modality,
            "bval": scan.bval or "",
            "bvec": scan.bvec or "",
            "sidecars": ";".join(scan.sidecars),
            "lesions": UNDECIDED.join(mask_of_scan(visit.lesions, scan.modality, select_lesion)),
            "shape": "x".join(map(str, scan.shape)),
        }
        for visit, scan in scans
    ]


def _visit_row(visit: IndexedVisit, settings: Mapping[str, Any]) -> dict[str, str]:
    task = {"task": settings["functional"]["task"]}
    offered = {
        "dwi": visit.scans["dwi"],
        "bold": [scan for scan in visit.scans["bold"] if _fits(scan.path, task)],
        "anat": visit.scans["anat"],
    }
    return {
        "participant_id": visit.participant_id,
        "session_id": visit.session_id,
        "acq_time": visit.acq_time,
        "months": "",
        **{kind: _cell(offered[kind], settings["select"][kind]) for kind in _SCAN_CELLS},
        "exclude": "",
    }


def _cell(scans: Sequence[Scan], select: Mapping[str, Any]) -> str:
    """Choose only where there is a choice; what fits no choice stays for a person to decide."""
    paths = [scan.path for scan in scans]
    wanted = {key: str(label) for key, label in select.items()}
    fitting = [path for path in paths if _fits(path, wanted)]
    return UNDECIDED.join(fitting if len(paths) > 1 and fitting else paths)


def _fits(path: str, wanted: Mapping[str, str]) -> bool:
    name = parse_name(path)
    return name is not None and all(name.entities.get(k) == v for k, v in wanted.items())


def _key(row: Mapping[str, str]) -> str:
    return f"{row['participant_id']} {row['session_id']}"


def _columns(old: Sequence[Mapping[str, str]]) -> list[str]:
    own = [name for name in (old[0] if old else ()) if name not in VISIT_COLUMNS]
    return [*VISIT_COLUMNS, *own]


def _with_other_files(table: Path, scans: Iterable[Mapping[str, str]]) -> set[str]:
    """Return the scans whose size or whose gradients, sidecars or masks are others than before."""
    before = {row["path"]: row for row in read_rows(table)} if table.exists() else {}
    return {
        scan["path"]
        for scan in scans
        for old in [before.get(scan["path"], {})]
        if any(name in old and old[name] != scan.get(name, "") for name in SCAN_COLUMNS)
    }


def _merged(
    old: list[dict[str, str]], found: list[dict[str, str]], others: Container[str]
) -> Inventory:
    """Keep every row a person may have edited; put new visits behind their patient's last."""
    known = {_key(row): row for row in old}
    fresh = {_key(row): row for row in found}
    patients = dict.fromkeys(row["participant_id"] for row in (*old, *found))
    rows: list[dict[str, str]] = []
    for patient in patients:
        rows += [row for row in old if row["participant_id"] == patient]
        rows += [
            row for row in found if row["participant_id"] == patient and _key(row) not in known
        ]
    return Inventory(
        rows=rows,
        new=tuple(key for key in fresh if key not in known),
        gone=tuple(key for key in known if key not in fresh),
        changed=tuple(
            key
            for key, row in known.items()
            if key in fresh
            and (_moved(row, fresh[key]) or any(row.get(c) in others for c in _SCAN_CELLS))
        ),
        undecided=tuple(
            _key(row) for row in rows if any(UNDECIDED in row.get(c, "") for c in _SCAN_CELLS)
        ),
    )


def _moved(row: Mapping[str, str], fresh: Mapping[str, str]) -> bool:
    """Tell whether the dataset now offers other scans than the row was made from."""
    for kind in _SCAN_CELLS:
        offered = set(filter(None, fresh[kind].split(UNDECIDED)))
        named = set(filter(None, row.get(kind, "").split(UNDECIDED)))
        if not named <= offered and offered:
            return True
        if offered and not named:
            return True
    return False
