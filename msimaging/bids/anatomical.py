"""The T1-weighted image over which a patient's resting runs are registered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msimaging.bids.scans import Scan
from msimaging.bids.visits import Visits, is_decided
from msimaging.errors import Finding

if TYPE_CHECKING:
    from msimaging.bids.selection import Selection


def unknown_anatomicals(visits: Visits, scans: Mapping[str, Scan], *, table: Path) -> list[Finding]:
    """Find T1-weighted images that the visits table names and no index has found.

    Parameters
    ----------
    visits : Visits
        All visits.
    scans : mapping
        Files of each scan, by path.
    table : Path
        ``visits.tsv``, for messages.

    Returns
    -------
    list of Finding
        One a cell; a workflow would stop at the first of them.
    """
    return [
        Finding(
            where=f"{table} line {visit.row}",
            rule="a cell of column anat must name a T1w image that index found",
            found=visit.anat,
            remedy="Correct the path, run msimaging index again after adding the image, or write "
            "n/a.",
        )
        for visit in visits.rows
        if is_decided(visit.anat)
        if getattr(scans.get(visit.anat), "modality", "") != "T1w"
    ]


def anatomical_of(plan: Selection, sub: str) -> tuple[str, str] | None:
    """Return a patient's T1-weighted image and its visit.

    One for all visits, so that they share one way to the template: that of the earliest visit
    among those that make the midpoint space. Later visits change it as little as that space.

    Parameters
    ----------
    plan : Selection
        The study.
    sub : str
        Patient.

    Returns
    -------
    image, session : str
        Path from the study folder, and the visit; None without an image, or where it is switched
        off.
    """
    if plan.settings["functional"]["anatomical"] == "none":
        return None
    founding = plan.founders("bold", sub)
    for visit in plan.visits_of("bold", sub):
        if visit.session_id in founding and is_decided(visit.anat):
            return plan.below(visit.anat), visit.session_id
    return None


def why_directly(plan: Selection, sub: str) -> str:
    """Return why a patient's runs come to the template without a T1-weighted image, or nothing."""
    if anatomical_of(plan, sub):
        return ""
    return (
        "no T1w in the column anat of visits.tsv at a visit that makes the patient's space: "
        "registered to the template directly"
    )
