"""The report's words on whether visits were acquired alike."""

from __future__ import annotations

from typing import Any

import pandas as pd

from msimaging.reporting.content import SectionContent, TableContent
from msimaging.steps.changes import differing_in_all

_PAIR = ["modality", "participant_id", "baseline", "follow_up"]


def comparability_section(changes: pd.DataFrame, ledger: pd.DataFrame) -> SectionContent:
    """Tell which pairs differ, which were left out, and what that forbids.

    Parameters
    ----------
    changes : DataFrame
        ``changes.tsv``.
    ledger : DataFrame
        ``ledger.tsv``.

    Returns
    -------
    SectionContent
        Sentences and a table of pairs.
    """
    out = ledger["step"].astype(str).str.startswith("change of ") & ledger["state"].eq("excluded")
    kept_out = ledger[out][["step", "participant_id", "session_id", "reason"]]
    rows: list[dict[str, Any]] = [
        {
            **dict(zip(_PAIR, key, strict=True)),
            "differs in": ", ".join(differing_in_all(group["flags"])) or "nothing recorded",
        }
        for key, group in changes.groupby(_PAIR, sort=False)
    ]
    tables = [
        TableContent(title=title, table=table)
        for title, table in (
            ("Compared", pd.DataFrame(rows)),
            ("Not compared: the acquisitions are too unlike", kept_out),
        )
        if len(table)
    ]
    return SectionContent(
        title="Comparability of visits",
        paragraphs=(_acquired(rows, len(kept_out)), *_confounding(changes)),
        tables=tuple(tables),
    )


def _acquired(rows: list[dict[str, Any]], n_kept_out: int) -> str:
    unlike = sum(row["differs in"] != "nothing recorded" for row in rows)
    return (
        f"{unlike} of {len(rows)} compared pairs of scans differ in how they were acquired; "
        f"{n_kept_out} pairs were not compared for that reason."
    )


def _confounding(changes: pd.DataFrame) -> list[str]:
    found = []
    for modality, group in changes.groupby("modality", sort=False):
        fields = differing_in_all(group["flags"])
        if fields:
            found.append(
                f"In every {modality} pair {', '.join(fields)} differs between the visits: its "
                "effect cannot be told from that of time, it is not estimable, and no "
                "harmonisation can remove it."
            )
    return found
