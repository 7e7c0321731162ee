"""Ratings of scans by people: ``ratings.tsv``, as saved from the report's quality page.

A scan rated ``exclude`` leaves the statistics with its comment as the reason, ``doubtful`` becomes
a flag. Only the standard library is imported: every cluster job reads this table again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast, get_args

from msimaging.bids.rows import read_rows
from msimaging.bids.visits import MODALITIES, Modality, Visit, Visits
from msimaging.errors import ConfigError, Finding

Verdict = Literal["accept", "doubtful", "exclude"]
ScanKey = tuple[str, str, str]
#: Flag of every number that comes from a scan rated doubtful.
DOUBTFUL = "rated-doubtful"
_BLIND = "scan-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """What a person thinks of one scan.

    Attributes
    ----------
    participant_id, session_id, modality : str
        Which scan.
    verdict : {"accept", "doubtful", "exclude"}
        The rating.
    comment : str
        May be empty.
    """

    participant_id: str
    session_id: str
    modality: str
    verdict: Verdict
    comment: str

    @property
    def reason(self) -> str:
        """Return why the scan is left out, for the ledger."""
        return f"rated exclude: {self.comment}" if self.comment else "rated exclude"


def blind_code(participant_id: str, session_id: str, modality: str, *, seed: int) -> str:
    """Return the name under which a scan is rated blind: it tells neither patient nor visit.

    Parameters
    ----------
    participant_id, session_id, modality : str
        Which scan.
    seed : int
        Seed of the study.

    Returns
    -------
    str
        ``scan-`` and ten hexadecimal digits.
    """
    text = f"{seed} {participant_id} {session_id} {modality}"
    return f"{_BLIND}{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def read_ratings(path: Path, visits: Visits, *, seed: int) -> dict[ScanKey, Rating]:
    """Read the ratings of a study.

    Parameters
    ----------
    path : Path
        ``ratings.tsv``; a study without one has no ratings.
    visits : Visits
        All visits of the study.
    seed : int
        Seed of the study, by which scans that were rated blind are found again.

    Returns
    -------
    dict
        From patient, session and modality to the rating; rows with a comment only are left out.

    Raises
    ------
    ConfigError
        With every row that names no scan of the study, says something else, or says it twice.
    """
    if not path.exists():
        return {}
    keys = _keys(visits, seed)
    found: dict[ScanKey, Rating] = {}
    faults: list[Finding] = []
    for line, row in enumerate(read_rows(path), start=2):
        where = f"{path} line {line}"
        names = [row.get(name, "") for name in ("participant_id", "session_id", "modality")]
        verdict = row.get("rating", "")
        key = keys.get((names[0], names[1], names[2]))
        if key is None:
            rule = "a rating must name a scan of visits.tsv"
            faults.append(_fault(where, rule, " ".join(filter(None, names)) or "no name"))
        elif verdict and verdict not in get_args(Verdict):
            faults.append(_fault(where, f"a rating is one of {_WORDS}", repr(verdict)))
        elif verdict and key in found:
            faults.append(_fault(where, "a scan is rated once", f"{' '.join(key)} again"))
        elif verdict:
            participant, session, modality = key
            found[key] = Rating(
                participant_id=participant,
                session_id=session,
                modality=modality,
                verdict=cast("Verdict", verdict),
                comment=row.get("comment", ""),
            )
    if faults:
        raise ConfigError(faults)
    return found


_WORDS = ", ".join(get_args(Verdict))


def _keys(visits: Visits, seed: int) -> dict[ScanKey, ScanKey]:
    """Return every name that a rating may give a scan: its own, or the one for blind rating."""
    keys: dict[ScanKey, ScanKey] = {}
    for visit in visits.rows:
        for modality in MODALITIES:
            if visit.scan(modality):
                key = (visit.participant_id, visit.session_id, str(modality))
                code = blind_code(*key, seed=seed)
                keys[key] = key
                keys[code, code, modality] = key
    return keys


def _fault(where: str, rule: str, found: str) -> Finding:
    remedy = "Correct the row, or save ratings.tsv anew from the report's quality page."
    return Finding(where=where, rule=rule, found=found, remedy=remedy)


def without_rated_out(visits: Visits, ratings: Mapping[ScanKey, Rating]) -> Visits:
    """Take out the scans that people rated ``exclude``.

    Parameters
    ----------
    visits : Visits
        All visits.
    ratings : mapping
        From `read_ratings`.

    Returns
    -------
    Visits
        With these scans removed from their visits.
    """
    out = {key for key, rating in ratings.items() if rating.verdict == "exclude"}
    return Visits(rows=tuple(_without(visit, out) for visit in visits.rows)) if out else visits


def _without(visit: Visit, out: set[ScanKey]) -> Visit:
    def kept(modality: Modality) -> str | None:
        key = (visit.participant_id, visit.session_id, str(modality))
        return None if key in out else visit.scan(modality)

    return replace(visit, dwi=kept("dwi"), bold=kept("bold"))


def flags_of(ratings: Mapping[ScanKey, Rating], scans: Iterable[ScanKey]) -> str:
    """Return the flag of numbers that come from some scans.

    Parameters
    ----------
    ratings : mapping
        From `read_ratings`.
    scans : iterable of (str, str, str)
        Patient, session and modality of each.

    Returns
    -------
    str
        `DOUBTFUL` where one of them is rated so, else empty.
    """
    doubtful = any(key in ratings and ratings[key].verdict == "doubtful" for key in scans)
    return DOUBTFUL if doubtful else ""
