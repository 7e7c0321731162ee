"""The patient page's words on the strength of parcels: which changed most, beyond which noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msimaging.reporting.content import SectionContent, TableContent
from msimaging.reporting.verdicts import verdicts
from msimaging.tables import read_table

#: Parcels that are told one by one.
MOST_TOLD = 10
_SHOWN = ("label", "baseline_value", "follow_up_value", "change", "ci_low", "ci_high", "verdict")
_EXPLANATION = (
    "Strength is the mean Fisher z of a parcel's edges to all other parcels that every visit "
    "covers. Limits and verdicts hold for one parcel by itself and are not corrected for their "
    "number. All parcels are in the patient's tables named stat-strengthchange."
)


def strength_sections(
    tables: Sequence[str], rows: Sequence[Mapping[str, Any]], *, confidence: float
) -> dict[str, tuple[SectionContent, ...]]:
    """Return what each patient's page tells of changed parcels.

    Parameters
    ----------
    tables : sequence of str
        Changes of strength, one a pair of visits and atlas.
    rows : sequence of mapping
        ``participant_id baseline follow_up atlas`` of each.
    confidence : float
        Coverage of the limits.

    Returns
    -------
    dict of str to tuple of SectionContent
        By patient; those without such tables are not in it.
    """
    shown: dict[str, list[TableContent]] = {}
    for path, row in zip(tables, rows, strict=True):
        shown.setdefault(row["participant_id"], []).append(_shown(path, row, confidence))
    title = "Change of the strength of parcels"
    return {
        name: (SectionContent(title=title, paragraphs=(_EXPLANATION,), tables=tuple(told)),)
        for name, told in shown.items()
    }


def _shown(path: str, row: Mapping[str, Any], confidence: float) -> TableContent:
    table = read_table(path)
    known = table[table["change"].notna()]
    found = int(known["detectable"].astype(str).eq("True").sum())
    by_chance = (1 - confidence) * len(known)
    caption = (
        f"{found} of {len(known)} parcels changed beyond the noise of these scans; about "
        f"{by_chance:.0f} would without any change. The {MOST_TOLD} largest changes in units of "
        "their standard errors:"
    )
    if known.empty:
        caption = "Not compared: too little data at a visit, or other parcels at one of them."
    size = (known["change"] / known["se"]).abs()
    told = known.loc[size.sort_values(ascending=False, kind="stable").index[:MOST_TOLD]]
    return TableContent(
        title=f"{row['atlas']}, {row['baseline']} and {row['follow_up']}",
        caption=caption,
        table=told.assign(verdict=verdicts(told))[list(_SHOWN)].reset_index(drop=True),
    )
