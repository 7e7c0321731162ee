"""Make or update a study folder from a BIDS dataset, without touching what a person edited."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import yaml

from msimaging.bids.clinical import (
    ClinicalTable,
    find_tables,
    visits_in_tables,
    write_table_list,
)
from msimaging.bids.derivatives import (
    best_of_each_run,
    index_derivatives,
    mixed_stages,
    with_raw_sidecars,
)
from msimaging.bids.index import KINDS, IndexedVisit, index_dataset
from msimaging.bids.lesions import mask_of_scan
from msimaging.bids.names import parse_name
from msimaging.bids.rows import read_rows, write_rows
from msimaging.bids.scans import SCAN_COLUMNS, Scan, read_scans
from msimaging.bids.visits import MODALITIES, UNDECIDED, VISIT_COLUMNS, parse_visits
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
    mixed : tuple of str
        Patients of whom one visit would enter raw and another preprocessed, or differently so.
    pipelines : mapping
        From the path of a preprocessed scan to the pipeline behind it.
    """

    rows: list[dict[str, str]]
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    undecided: tuple[str, ...] = field(default=())
    mixed: tuple[str, ...] = field(default=())
    pipelines: Mapping[str, str] = field(default_factory=dict)


def create_study(
    bids_dir: Path,
    study: Path,
    *,
    select: Sequence[str] = (),
    derivatives: Sequence[Path] = (),
) -> Inventory:
    """Write ``config.yaml``, ``visits.tsv`` and ``scans.tsv``, or bring them up to date.

    Parameters
    ----------
    bids_dir : Path
        Root of the BIDS dataset.
    study : Path
        Study folder; made when missing.
    select : sequence of str
        Choices such as ``dwi:acq-ax20_dir-PA``, written into a new ``config.yaml``.
    derivatives : sequence of Path
        Outputs of fMRIPrep and QSIPrep, written into a new ``config.yaml``. Their scans stand in
        the rows of the visits that have them, in place of raw ones.

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
    folders = [str(folder.resolve()) for folder in derivatives]
    _require_dataset(bids_dir)
    config = study / "config.yaml"
    if not config.exists():
        study.mkdir(parents=True, exist_ok=True)
        text = _new_config(bids_dir, _parsed(select), folders)
        config.write_text(text, encoding="utf-8")
    elif select:
        raise ConfigError(
            [_fault(config, "an existing config.yaml is not changed", "--select was given")]
        )
    settings = read_settings(config)
    if folders and folders != _resolved(study, settings["derivatives"]):
        raise ConfigError([_other_derivatives(config, folders)])
    found = index_dataset(bids_dir)
    for folder in _resolved(study, settings["derivatives"]):
        found = _joined(found, index_derivatives(Path(folder), bids_dir))
    scans = _scan_rows(found, settings["select"]["lesion"])
    others = _with_other_files(study / "scans.tsv", scans)
    write_rows(study / "scans.tsv", SCAN_COLUMNS, scans)
    tables = find_tables(bids_dir)
    write_table_list(study, tables)
    fresh = [_visit_row(visit, settings) for visit in found]
    if not scans:
        # a study without images: its visits are those of the clinical tables
        fresh = _clinical_visits(bids_dir, tables) or fresh
    table = study / "visits.tsv"
    old = read_rows(table) if table.exists() else []
    inventory = _merged(old, fresh, others)
    write_rows(table, _columns(old), inventory.rows)
    return _with_stages(study, inventory)


def _resolved(study: Path, folders: Iterable[str]) -> list[str]:
    return [str(Path(study, folder).resolve()) for folder in folders]


def _other_derivatives(config: Path, folders: Sequence[str]) -> Finding:
    line = yaml.safe_dump({"derivatives": list(folders)}, default_flow_style=True, width=10_000)
    return Finding(
        where=str(config),
        rule="an existing config.yaml is not changed",
        found="--derivatives was given, and the file names others or none",
        remedy=f"Write into it: {line.strip().strip('{}')}. Then index again; rows of visits.tsv "
        "that exist keep their scans until you change them.",
    )


def _joined(
    raw: Sequence[IndexedVisit], preprocessed: Sequence[IndexedVisit]
) -> tuple[IndexedVisit, ...]:
    """Add preprocessed scans to the visits of the dataset, in front of their raw ones."""
    key = attrgetter("participant_id", "session_id")
    added = {key(visit): visit for visit in preprocessed}
    visits = [
        replace(visit, scans=_added(visit.scans, added.pop(key(visit)).scans))
        if key(visit) in added
        else visit
        for visit in raw
    ]
    # what was preprocessed elsewhere may come without its raw scans
    nothing: dict[str, tuple[Scan, ...]] = dict.fromkeys(KINDS, ())
    visits += [replace(visit, scans={**nothing, **visit.scans}) for visit in added.values()]
    return tuple(visits)


def _added(
    raw: Mapping[str, tuple[Scan, ...]], preprocessed: Mapping[str, tuple[Scan, ...]]
) -> dict[str, tuple[Scan, ...]]:
    joined = dict(raw)
    for kind, scans in preprocessed.items():
        own = [scan for scan in raw[kind] if not scan.pipeline]
        joined[kind] = (*(with_raw_sidecars(scan, own) for scan in scans), *raw[kind])
    return joined


def _with_stages(study: Path, inventory: Inventory) -> Inventory:
    visits, _ = parse_visits(study / "visits.tsv")
    scans = read_scans(study / "scans.tsv")
    mixed = (
        f"{patient} {modality}"
        for modality in MODALITIES
        for patient, _ in mixed_stages(visits, scans, modality)
    )
    pipelines = {path: scan.pipeline for path, scan in scans.items() if scan.pipeline}
    return replace(inventory, mixed=tuple(mixed), pipelines=pipelines)


def _require_dataset(bids_dir: Path) -> None:
    tables = ("participants.tsv", "phenotype/*.tsv", "sub-*/")
    if not bids_dir.is_dir() or not any(any(bids_dir.glob(name)) for name in tables):
        rule = "a BIDS dataset must hold folders sub-* or, without images, participants.tsv"
        raise ConfigError([_fault(bids_dir, rule, "none")])


def _clinical_visits(bids_dir: Path, tables: Sequence[ClinicalTable]) -> list[dict[str, str]]:
    empty = dict.fromkeys(("months", *_SCAN_CELLS, "exclude"), "")
    return [row | empty for row in visits_in_tables(bids_dir, tables)]


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


def _new_config(
    bids_dir: Path, select: Mapping[str, Mapping[str, str]], derivatives: Sequence[str]
) -> str:
    text = (WORKFLOW / "config" / "config.yaml").read_text(encoding="utf-8")
    root = yaml.safe_dump({"bids_dir": str(bids_dir)}, width=10_000).strip()
    text = re.sub(r"(?m)^bids_dir:.*$", lambda _: root, text)
    if select:
        block = yaml.safe_dump({"select": {k: dict(v) for k, v in select.items()}}).strip()
        text = re.sub(r"(?m)^select:.*$", lambda _: block, text)
    if derivatives:
        folders = yaml.safe_dump({"derivatives": list(derivatives)}, width=10_000).strip()
        text = re.sub(r"(?m)^derivatives:.*$", lambda _: folders, text)
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
            "lesions": UNDECIDED.join(
                # a mask drawn on the scanner's images does not lie on a pipeline's grid
                () if scan.pipeline else mask_of_scan(visit.lesions, scan.modality, select_lesion)
            ),
            "reversed": scan.reversed or "",
            "matched": scan.matched or "",
            "pipeline": scan.pipeline,
            "mask": scan.mask or "",
            "confounds": scan.confounds or "",
            "shape": "x".join(map(str, scan.shape)),
            "shells": ";".join(map(str, scan.shells)),
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
        "rescan": "yes" if visit.rescan else "",
    }


def _cell(scans: Sequence[Scan], select: Mapping[str, Any]) -> str:
    """Choose only where there is a choice; what fits no choice stays for a person to decide.

    A visit that was preprocessed enters so, each run in the space that is preferred among those
    that fit the choice.
    """
    wanted = {key: str(label) for key, label in select.items()}
    offered = [scan for scan in scans if scan.pipeline] or list(scans)
    fitting = [scan for scan in offered if _fits(scan.path, wanted)]
    if offered and offered[0].pipeline:
        return UNDECIDED.join(scan.path for scan in best_of_each_run(fitting or offered))
    chosen = fitting if len(offered) > 1 and fitting else offered
    return UNDECIDED.join(scan.path for scan in chosen)


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
