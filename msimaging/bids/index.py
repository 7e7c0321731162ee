"""Find the scans of a BIDS dataset and the metadata files that go with each."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from msimaging.bids.fieldmaps import with_opposites
from msimaging.bids.lesions import derivative_roots, find_lesion_masks
from msimaging.bids.names import BidsName, applies_to, natural_key, parse_name
from msimaging.bids.rows import read_rows
from msimaging.bids.scans import Scan
from msimaging.bids.shells import shells_of

#: Folder and suffix by which the scans of each kind are known.
KINDS: Mapping[str, tuple[str, str]] = {
    "dwi": ("dwi", "dwi"),
    "bold": ("func", "bold"),
    "anat": ("anat", "T1w"),
    "epi": ("fmap", "epi"),
}
IMAGE_EXTENSIONS = (".nii.gz", ".nii")
#: Groups of `participants.tsv` in which nothing is treated. "control" is not among them: in a trial
#: that may be the untreated patients, whose change is what is asked for.
HEALTHY = ("healthy", "healthy control", "healthy controls", "healthy volunteer", "hc")
#: Session given to a patient whose dataset has no session folders.
ONLY_SESSION = "ses-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedVisit:
    """The scans found for one patient at one visit.

    Attributes
    ----------
    participant_id, session_id : str
        ``sub-01``, ``ses-baseline``.
    acq_time : str
        As ``sessions.tsv`` gives it, empty where it does not.
    rescan : bool
        Whether the visit repeats the one before without treatment in between: ``sessions.tsv``
        says so in a column ``rescan``, or ``participants.tsv`` has the person in a healthy group.
    scans : mapping
        From the kind (``dwi bold anat epi``) to its scans.
    lesions : tuple of str
        Lesion masks of the visit, in the dataset or in derivatives kept inside it.
    """

    participant_id: str
    session_id: str
    acq_time: str
    rescan: bool
    scans: Mapping[str, tuple[Scan, ...]]
    lesions: tuple[str, ...] = ()


class MetadataFiles:
    """The metadata files above a scan, found by BIDS inheritance; each folder is read once.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.
    """

    def __init__(self, bids_dir: Path) -> None:
        self._root = bids_dir
        self._folders: dict[Path, list[tuple[BidsName, str]]] = {}
        self._names: dict[Path, list[str]] = {}

    def names_in(self, folder: Path) -> list[str]:
        """Return the sorted names in a folder; none where there is no such folder."""
        if folder not in self._names:
            try:
                self._names[folder] = sorted(path.name for path in folder.iterdir())
            except (FileNotFoundError, NotADirectoryError):
                self._names[folder] = []
        return self._names[folder]

    def images(self, session: Path, kind: str) -> Iterator[tuple[Path, BidsName]]:
        """Find the images of one kind in the folder of a session.

        Parameters
        ----------
        session : Path
            Its folder.
        kind : str
            One of `KINDS`.

        Yields
        ------
        path : Path
            In natural order.
        name : BidsName
            Its parts.
        """
        folder_name, suffix = KINDS[kind]
        folder = session / folder_name
        for name in sorted(self.names_in(folder), key=natural_key):
            parsed = parse_name(name)
            if parsed and parsed.suffix == suffix and parsed.extension in IMAGE_EXTENSIONS:
                yield folder / name, parsed

    def of(self, scan: Path) -> Scan:
        """Return a scan with its b-values, b-vectors and sidecars.

        Parameters
        ----------
        scan : Path
            An image inside the dataset.

        Returns
        -------
        Scan
            Sidecars from the root downwards: later ones override earlier ones.
        """
        name = parse_name(scan.name)
        found: dict[str, list[str]] = {".bval": [], ".bvec": [], ".json": []}
        for folder in self._from_root_to(scan.parent):
            for candidate, path in self._metadata_in(folder):
                if name is not None and applies_to(candidate, name):
                    found[candidate.extension].append(path)
        bval = found[".bval"][-1] if found[".bval"] else None
        return Scan(
            path=scan.relative_to(self._root).as_posix(),
            modality=name.suffix if name else "",
            bval=bval,
            bvec=found[".bvec"][-1] if found[".bvec"] else None,
            sidecars=tuple(found[".json"]),
            shape=image_shape(scan),
            shells=shells_of(self._root / bval) if bval else (),
        )

    def _from_root_to(self, folder: Path) -> Iterator[Path]:
        yield self._root
        current = self._root
        for part in folder.relative_to(self._root).parts:
            current = current / part
            yield current

    def _metadata_in(self, folder: Path) -> list[tuple[BidsName, str]]:
        if folder not in self._folders:
            prefix = folder.relative_to(self._root).as_posix()
            start = "" if prefix == "." else f"{prefix}/"
            names = (name for name in self.names_in(folder) if _is_metadata(name))
            parsed = ((parse_name(name), start + name) for name in names)
            found = [(name, path) for name, path in parsed if name is not None]
            # the more entities a name has, the nearer it is to the scan
            self._folders[folder] = sorted(found, key=lambda item: len(item[0].entities))
        return self._folders[folder]


#: Size of a NIfTI-2 header; that of NIfTI-1 is 348.
_HEADER_BYTES = 540


def image_shape(path: Path) -> tuple[int, ...]:
    """Read the size of an image from its header, without the libraries that read its voxels.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``, NIfTI-1 or NIfTI-2.

    Returns
    -------
    tuple of int
        Voxels along each axis; empty where no header can be read (the check tells why).
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as handle:
            header = handle.read(_HEADER_BYTES)
        for order in "<>":
            if header[:4] == struct.pack(f"{order}i", 348):
                return _axes(struct.unpack_from(f"{order}8h", header, 40))
            if header[:4] == struct.pack(f"{order}i", _HEADER_BYTES):
                return _axes(struct.unpack_from(f"{order}8q", header, 16))
    except (OSError, EOFError, zlib.error, struct.error):
        return ()
    return ()


def _axes(dim: tuple[int, ...]) -> tuple[int, ...]:
    sizes = dim[1 : dim[0] + 1]
    return sizes if 1 <= dim[0] <= 7 and all(n > 0 for n in sizes) else ()


def _is_metadata(name: str) -> bool:
    return name.endswith((".json", ".bval", ".bvec"))


def index_dataset(bids_dir: Path) -> tuple[IndexedVisit, ...]:
    """List the visits of a BIDS dataset.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.

    Returns
    -------
    tuple of IndexedVisit
        Patients in natural order, visits in the order of ``sessions.tsv`` where there is one.
    """
    metadata = MetadataFiles(bids_dir)
    roots = derivative_roots(bids_dir)

    def scans_of(session: Path) -> dict[str, tuple[Scan, ...]]:
        found = {kind: tuple(_scans(session, kind, metadata)) for kind in KINDS}
        return with_opposites(found, bids_dir)

    return tuple(_with_lesions(visit, bids_dir, roots) for visit in walk_visits(bids_dir, scans_of))


def _with_lesions(visit: IndexedVisit, bids_dir: Path, roots: tuple[Path, ...]) -> IndexedVisit:
    session = visit.session_id
    if not (bids_dir / visit.participant_id / session).is_dir():
        session = ""
    return replace(visit, lesions=find_lesion_masks(bids_dir, roots, visit.participant_id, session))


def walk_visits(
    root: Path, scans_of: Callable[[Path], Mapping[str, tuple[Scan, ...]]]
) -> tuple[IndexedVisit, ...]:
    """List the visits of a folder of patients and sessions.

    Parameters
    ----------
    root : Path
        Holds ``sub-*`` with or without ``ses-*``.
    scans_of : callable
        From the folder of a session to its scans by kind.

    Returns
    -------
    tuple of IndexedVisit
        Patients in natural order, visits in the order of ``sessions.tsv`` where there is one.
    """
    healthy = _healthy_people(root / "participants.tsv")
    visits: list[IndexedVisit] = []
    for subject in _folders(root, "sub-"):
        known = _known_sessions(subject)
        dates = {name: row.get("acq_time", "") for name, row in known.items()}
        sessions = {path.name: path for path in _folders(subject, "ses-")}
        sessions = sessions or {ONLY_SESSION: subject}
        order = [name for name in dates if name in sessions]
        order += [name for name in sessions if name not in dates]
        visits += [
            IndexedVisit(
                participant_id=subject.name,
                session_id=name,
                acq_time=dates.get(name, ""),
                rescan=place > 0
                and (subject.name in healthy or known.get(name, {}).get("rescan", "") == "yes"),
                scans=scans_of(sessions[name]),
            )
            for place, name in enumerate(order)
        ]
    return tuple(visits)


def _folders(parent: Path, prefix: str) -> list[Path]:
    with os.scandir(parent) as entries:
        found = [Path(e.path) for e in entries if e.name.startswith(prefix) and e.is_dir()]
    return sorted(found, key=lambda path: natural_key(path.name))


def _known_sessions(subject: Path) -> dict[str, dict[str, str]]:
    table = subject / f"{subject.name}_sessions.tsv"
    return {row["session_id"]: row for row in read_rows(table)} if table.exists() else {}


def _healthy_people(table: Path) -> set[str]:
    rows = read_rows(table) if table.exists() else []
    healthy = [row for row in rows if row.get("group", "").lower().replace("_", " ") in HEALTHY]
    return {row["participant_id"] for row in healthy if "participant_id" in row}


def _scans(session: Path, kind: str, metadata: MetadataFiles) -> Iterator[Scan]:
    for path, name in metadata.images(session, kind):
        # space- and desc- belong to derivatives: a raw scan has neither
        if not {"space", "desc"} & set(name.entities):
            yield metadata.of(path)
