"""Verdicts on single changes in words: the scan's noise is one question, a rescan another."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import pandas as pd

RELIABLE = "detectable and reliable"
DETECTABLE = "detectable but not reliable"
UNSURE = "large but not detectable"
RESCAN_UNKNOWN = "detectable (rescans unknown)"
NOISE = "within the noise"
UNKNOWN = "not judged"
_PHRASES = (RELIABLE, DETECTABLE, RESCAN_UNKNOWN, UNSURE, NOISE, UNKNOWN)

EXPLANATION = (
    "Detectable: larger than the noise of these two scans. Reliable: larger than what an untreated "
    "patient scanned again would show (the smallest detectable change between sessions). "
    "Only a change that is both counts as a change of the patient."
)


def verdict(row: Mapping[Hashable, object]) -> str:
    """Return the verdict on one row of ``changes.tsv``.

    Parameters
    ----------
    row : mapping
        With ``detectable`` and ``reliable`` (true, false or missing; also as words).

    Returns
    -------
    str
        One of six phrases.
    """
    detectable, reliable = _answer(row.get("detectable")), _answer(row.get("reliable"))
    if detectable is None and reliable is None:
        return UNKNOWN
    if detectable and reliable:
        return RELIABLE
    if detectable:
        return DETECTABLE if reliable is False else RESCAN_UNKNOWN
    return UNSURE if reliable else NOISE


def _answer(value: object) -> bool | None:
    """Read true, false or missing, whatever a table made of it."""
    word = str(value).strip().lower()
    if word in {"true", "1", "1.0", "yes"}:
        return True
    return False if word in {"false", "0", "0.0", "no"} else None


def verdicts(changes: pd.DataFrame) -> list[str]:
    """Return the verdict on every row.

    Parameters
    ----------
    changes : DataFrame
        Rows of ``changes.tsv``.

    Returns
    -------
    list of str
        As long as the table.
    """
    return [verdict(row) for row in changes.to_dict("records")]


def summary(changes: pd.DataFrame) -> list[str]:
    """Say in a sentence per measure how many changes count.

    Parameters
    ----------
    changes : DataFrame
        One patient's rows of ``changes.tsv``.

    Returns
    -------
    list of str
        For example "RD: of 20, 2 detectable and reliable, 18 within the noise."
    """
    if changes.empty:
        return ["No pair of visits to compare."]
    told = changes.assign(verdict=verdicts(changes))
    sentences = []
    for measure, rows in told.groupby("measure", sort=False):
        counts = rows["verdict"].value_counts()
        parts = [f"{counts[phrase]} {phrase}" for phrase in _PHRASES if phrase in counts]
        sentences.append(f"{str(measure).upper()}: of {len(rows)}, {', '.join(parts)}.")
    return sentences
