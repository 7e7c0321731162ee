"""Pairs of visits that the check found too unlike to be compared: the door to their table."""

from __future__ import annotations

from pathlib import Path

from msimaging.bids.rows import read_rows

INCOMPARABLE_COLUMNS = ("participant_id", "baseline", "follow_up", "modality", "reason")


def read_incomparable(path: Path) -> dict[tuple[str, str, str, str], str]:
    """Read which pairs of visits must not be compared.

    Parameters
    ----------
    path : Path
        ``incomparable.tsv``; nothing is kept out where it does not exist.

    Returns
    -------
    dict
        From patient, baseline, follow-up and modality to the reasons, joined by ``; ``.
    """
    reasons: dict[tuple[str, str, str, str], str] = {}
    for row in read_rows(path) if path.exists() else ():
        key = (row["participant_id"], row["baseline"], row["follow_up"], row["modality"])
        reasons[key] = "; ".join(filter(None, (reasons.get(key), row["reason"])))
    return reasons
