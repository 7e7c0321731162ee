"""Which series a dataset already holds, kept as digests that tell nothing without its key."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from msimaging.bids.rows import read_rows, write_rows

#: Below the dataset; ``sourcedata`` is what is left out when a dataset is shared.
FOLDER = Path("sourcedata") / "msimaging"
COLUMNS = ("series", "patient", "participant_id", "session_id", "path")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """A series that was made into a scan.

    Attributes
    ----------
    series, patient : str
        Keyed digests of SeriesInstanceUID and of the patient's identifier and name.
    participant_id, session_id, path : str
        What it became; the path is below the dataset.
    """

    series: str
    patient: str
    participant_id: str
    session_id: str
    path: str


class Register:
    """The series of one dataset.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset; nothing is written before `write`.
    """

    def __init__(self, bids_dir: Path) -> None:
        self._root = bids_dir
        self._folder = bids_dir / FOLDER
        path = self._folder / "key"
        self._stored = path.exists()
        self.key = bytes.fromhex(path.read_text()) if self._stored else secrets.token_bytes(32)
        table = self._folder / "series.tsv"
        rows = read_rows(table) if table.exists() else []
        self._rows = [Ingested(**{name: row[name] for name in COLUMNS}) for row in rows]

    def digest(self, text: str) -> str:
        """Return the keyed digest of an identifier."""
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()

    def known(self, series_uid: str) -> Ingested | None:
        """Return what a series became, None when it is new or its scan was removed since."""
        wanted = self.digest(series_uid)
        for row in self._rows:
            if row.series == wanted and (self._root / row.path).exists():
                return row
        return None

    def patients_of(self, participant_id: str) -> set[str]:
        """Return the digests of the identifiers under which a participant was ingested."""
        return {row.patient for row in self._rows if row.participant_id == participant_id}

    def participants_of(self, patient: str) -> set[str]:
        """Return the participants that were ingested from one identifier."""
        return {row.participant_id for row in self._rows if row.patient == self.digest(patient)}

    def write(self, new: Iterable[Ingested]) -> None:
        """Add series and bring the table to disk."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._stored:
            path = self._folder / "key"
            # readable for the owner and the group: others of the lab ingest too
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
            with os.fdopen(handle, "w") as file:
                file.write(self.key.hex())
            self._stored = True
        added = list(new)
        replaced = {row.series for row in added}
        self._rows = [row for row in self._rows if row.series not in replaced] + added
        write_rows(self._folder / "series.tsv", COLUMNS, [asdict(row) for row in self._rows])
