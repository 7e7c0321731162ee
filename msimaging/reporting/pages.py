"""Pages of the report: self-contained HTML that opens from disk with the network cut."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from msimaging.reporting.content import (
    PatientContent,
    ReportContent,
    ScanContent,
    SectionContent,
    TableContent,
)
from msimaging.reporting.names import page_name, scan_page_name
from msimaging.reporting.pictures import display_width, inline_svg, picture_source, volume_list
from msimaging.reporting.privacy import shareable, without_identifying
from msimaging.reporting.verdicts import EXPLANATION, summary, verdicts

VIEWER_FILE = "niivue.js"
ALL_PAGES = {name: name for name in ("index.html", "quality.html", "methods.html", "ledger.html")}
#: What raters see while they must not know visits and arms.
BLIND_PAGES = {
    "index.html": "blind.html",
    "quality.html": "quality.html",
    "methods.html": "methods.html",
}
MOST_ROWS = 3000
SHARED_COLUMNS = ("baseline", "follow_up", "modality", "atlas", "measure")
CHANGE_COLUMNS = (
    *("label", "measure", "verdict", "change", "percent_change", "ci_low", "ci_high", "sdc"),
    *("baseline_value", "follow_up_value", "baseline", "follow_up", "modality", "atlas"),
)


def report_pages(content: ReportContent) -> Iterator[tuple[str, str]]:
    """Write the pages of a report, one after the other: all at once they would fill the memory.

    Parameters
    ----------
    content : ReportContent
        Everything that is shown.

    Yields
    ------
    tuple of str
        Path of a file relative to the report's folder and its text: ``index.html``,
        ``quality.html``, ``methods.html``, ``ledger.html``, ``patient-<id>.html``, a page for each
        scan and, when a viewer is given and a page uses it, ``niivue.js``.
    """
    shared = _share(content)
    environment = _environment(shared)
    names = BLIND_PAGES if shared.blind else ALL_PAGES
    for name, template in names.items():
        yield name, environment.get_template(template).render(report=shared, page=name)
    yield from _scan_pages(shared, environment)
    if not shared.blind:
        yield from _patient_pages(shared, environment)


def _patient_pages(
    content: ReportContent, environment: jinja2.Environment
) -> Iterator[tuple[str, str]]:
    template = environment.get_template("patient.html")
    names = _patient_ids(content)
    has_volumes = False
    for place, patient in enumerate(content.patients):
        name = page_name(patient.participant_id)
        has_volumes = has_volumes or bool(patient.volumes)
        text = template.render(
            report=content,
            page=name,
            patient=patient,
            previous=names[place - 1] if place else None,
            following=names[place + 1] if place + 1 < len(names) else None,
            summary=summary(patient.changes),
            changes=change_table(patient.changes),
            explanation=EXPLANATION,
        )
        yield name, text
    if content.viewer and has_volumes:
        yield VIEWER_FILE, content.viewer


def _patient_ids(content: ReportContent) -> list[str]:
    return [str(name) for name in content.patient_table["participant_id"]]


def _scan_pages(
    content: ReportContent, environment: jinja2.Environment
) -> Iterator[tuple[str, str]]:
    template = environment.get_template("scan.html")
    scans = [scan for scan in content.scans if scan.pictures or not scan.numbers.empty]
    for place, scan in enumerate(scans):
        name = scan_page_name(scan.participant_id, scan.session_id, scan.modality)
        text = template.render(
            report=content,
            page=name,
            scan=scan,
            previous=scans[place - 1] if place else None,
            following=scans[place + 1] if place + 1 < len(scans) else None,
            numbers=TableContent(title="Numbers", table=scan.numbers),
        )
        yield name, text


def change_table(changes: pd.DataFrame) -> TableContent:
    """Return a patient's changes with the verdicts in words.

    Parameters
    ----------
    changes : DataFrame
        Rows of ``changes.tsv``.

    Returns
    -------
    TableContent
        Without the columns that say the same in every row; these go into the caption.
    """
    told = changes.assign(verdict=verdicts(changes))
    kept = [name for name in CHANGE_COLUMNS if name in told.columns]
    same = [name for name in SHARED_COLUMNS if name in kept and _says_the_same(told[name])]
    facts = "; ".join(f"{name.replace('_', ' ')}: {told[name].iloc[0]}" for name in same)
    return TableContent(
        title="Changes of regions and networks",
        caption=f"Of all rows: {facts}." if facts else "",
        table=told[[name for name in kept if name not in same]],
    )


def _says_the_same(column: pd.Series[Any]) -> bool:
    return len(column) > 0 and len(column.unique()) == 1


def _share(content: ReportContent) -> ReportContent:
    """Take out what identifies a person and what is masked."""
    masked = content.masked_columns
    return replace(
        content,
        patients=(_share_patient(patient, masked) for patient in content.patients),
        patient_table=shareable(content.patient_table, masked),
        cohort=_share_sections(content.cohort, masked),
        quality=_share_sections(content.quality, masked),
        ledger=shareable(content.ledger, masked),
    )


def _share_patient(patient: PatientContent, masked: tuple[str, ...]) -> PatientContent:
    facts = without_identifying(patient.facts)
    return replace(
        patient,
        facts={name: value for name, value in facts.items() if name not in masked},
        changes=shareable(patient.changes, masked),
        sections=_share_sections(patient.sections, masked),
    )


def _share_sections(
    sections: tuple[SectionContent, ...], masked: tuple[str, ...]
) -> tuple[SectionContent, ...]:
    return tuple(
        replace(
            section,
            tables=tuple(replace(t, table=shareable(t.table, masked)) for t in section.tables),
        )
        for section in sections
    )


def _environment(content: ReportContent) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("msimaging.reporting", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    known = set() if content.blind else set(_patient_ids(content))
    environment.filters |= {
        "picture": picture_source,
        "inline_svg": inline_svg,
        "display_width": display_width,
        "cells": lambda table: [[_cell(value) for value in row] for row in table_rows(table)],
        "volumes": volume_list,
        "page_name": page_name,
        "scan_page": lambda scan: scan_page_name(
            scan.participant_id, scan.session_id, scan.modality
        ),
        "scan_name": scan_name,
    }
    environment.globals |= {
        "patient_ids": known,
        "most_rows": MOST_ROWS,
        "viewer_file": VIEWER_FILE,
        "asset": lambda name: Markup(environment.get_template(name).render()),  # noqa: S704 own files
    }
    return environment


def table_rows(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Return the rows that a page shows, at most `MOST_ROWS`.

    Parameters
    ----------
    table : DataFrame
        Any table.

    Returns
    -------
    list of tuple
        Values as they are.
    """
    return list(table.head(MOST_ROWS).itertuples(index=False, name=None))


def _cell(value: object) -> dict[str, str]:
    """Return what a cell shows and what it is sorted by."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return {"text": "n/a", "sort": "", "kind": "missing"}
    if isinstance(value, (bool, np.bool_)):
        return {"text": "yes" if value else "no", "sort": str(int(value)), "kind": "text"}
    if isinstance(value, (int, float, np.integer, np.floating)):
        return {"text": f"{value:.4g}", "sort": repr(float(value)), "kind": "number"}
    return {"text": str(value), "sort": str(value).casefold(), "kind": "text"}


def scan_name(scan: ScanContent) -> str:
    """Return how a page calls a scan.

    Parameters
    ----------
    scan : ScanContent
        A scan, perhaps under the code by which it is rated blind.

    Returns
    -------
    str
        Patient, session and modality, or code and modality.
    """
    same = scan.participant_id == scan.session_id
    who = scan.participant_id if same else f"{scan.participant_id}, {scan.session_id}"
    return f"{who}, {scan.modality}"
