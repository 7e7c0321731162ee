"""Step: the HTML report, from the tables and figures of a finished study."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from msimaging.provenance import library_versions, version
from msimaging.reporting.content import (
    ComparisonContent,
    PatientContent,
    ReportContent,
    SectionContent,
    VolumeContent,
)
from msimaging.reporting.flow import ModalitySteps, flow_numbers
from msimaging.reporting.methods import methods_text
from msimaging.reporting.pages import report_pages
from msimaging.reporting.viewer import niivue_source
from msimaging.steps.blinding import record_blinding
from msimaging.steps.report_cohort import cohort_sections, shown_figure
from msimaging.steps.report_methods import step_records
from msimaging.steps.report_quality import scan_contents, strip_sections
from msimaging.steps.report_strength import strength_sections
from msimaging.tables import read_table
from msimaging.volumes import read_volume, whole_file

_BANNER = (
    "Exploratory and uncontrolled: without a control arm a change after treatment is not a change "
    "by treatment."
)
_STEPS = {
    "dwi": ModalitySteps(measured="measure_diffusion", compared="change_diffusion"),
    "bold": ModalitySteps(measured="extract_parcels", compared="change_connectivity"),
}
#: Steps of the integer grey values in which the viewer gets its volumes.
_LEVELS = 1000


def write_report(
    *,
    settings: Mapping[str, Any],
    patients: Sequence[str],
    scans: Sequence[Mapping[str, Any]],
    comparisons: Sequence[Mapping[str, Any]],
    ledger: str,
    measures: str,
    changes: str,
    results: str,
    quality: str,
    quality_tests: str,
    figures: Sequence[str],
    maps: Sequence[str],
    strengths: Sequence[str],
    strength_rows: Sequence[Mapping[str, Any]],
    more: Mapping[str, str],
    out_page: str,
) -> None:
    """Write every page of the report beside ``index.html``.

    Parameters
    ----------
    settings : mapping
        Complete settings.
    patients : sequence of str
        All patients of the study.
    scans : sequence of mapping
        Every scan that is shown to raters, with its rating and its pictures.
    comparisons : sequence of mapping
        Patient, measure, both visits and the three pictures of each.
    ledger, measures, changes, results, quality, quality_tests : str
        Tables of the cohort.
    figures : sequence of str
        One file of every figure, PNG or SVG.
    maps : sequence of str
        Baseline FA map and change of RD of every pair of visits, in template space.
    strengths : sequence of str
        Changes of the strength of parcels, one a pair of visits and atlas.
    strength_rows : sequence of mapping
        Patient, sessions and atlas of each.
    more : mapping of str to str
        ``model_notes model_tests next_trial`` of a trial with models of its own.
    out_page : str
        ``index.html``.
    """
    tables = {
        name: read_table(path)
        for name, path in (
            ("ledger", ledger),
            ("measures", measures),
            ("changes", changes),
            ("results", results),
            ("quality", quality),
            ("quality_tests", quality_tests),
        )
    }
    flow = flow_numbers(tables["ledger"], enrolled=patients, modalities=_STEPS)
    blind, seed = settings["report"]["blind"], settings["seed"]
    parcels = strength_sections(
        strengths, strength_rows, confidence=settings["statistics"]["confidence"]
    )
    content = ReportContent(
        title=settings["report"]["title"],
        blind=blind,
        banner=_BANNER,
        version=version(),
        patients=(
            _patient(name, tables, figures, maps, comparisons, parcels=parcels.get(name, ()))
            for name in patients
        ),
        patient_table=_patient_table(patients, tables),
        cohort=cohort_sections(
            tables, [path for path in figures if "/sub-" not in path], flow, more=more
        ),
        quality=strip_sections(tables["quality"], blind=blind, seed=seed),
        scans=scan_contents(scans, tables["quality"], blind=blind, seed=seed),
        methods=methods_text(step_records(tables["ledger"], settings), versions=library_versions()),
        ledger=tables["ledger"],
        viewer=niivue_source() if maps else "",
    )
    record_blinding(Path("blinding.tsv"), blind=blind)
    _write_pages(Path(out_page), report_pages(content))


def _write_pages(index: Path, pages: Iterable[tuple[str, str]]) -> None:
    """Write every page, the one that the workflow waits for last, and take away earlier ones."""
    first = ""
    written = {index.name}
    for name, text in pages:
        written.add(name)
        if name == index.name:
            first = text
        else:
            _write(index.with_name(name), text)
    for path in index.parent.glob("*.html"):
        if path.name not in written:
            path.unlink()
    _write(index, first)


def _write(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _patient_table(patients: Sequence[str], tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    changes, measures = tables["changes"], tables["measures"]
    rows = []
    for name in patients:
        own = changes[changes["participant_id"] == name]
        visits = measures.loc[measures["participant_id"] == name, "session_id"].nunique()
        rows.append(
            {
                "participant_id": name,
                "visits": visits,
                "changes": len(own),
                "detectable": int(_is_true(own["detectable"]).sum()),
                "reliable": int(_is_true(own["reliable"]).sum()),
            }
        )
    return pd.DataFrame(rows)


def _is_true(column: pd.Series[Any]) -> pd.Series[bool]:
    return column.astype(str).eq("True")


def _patient(
    name: str,
    tables: Mapping[str, pd.DataFrame],
    figures: Sequence[str],
    maps: Sequence[str],
    comparisons: Sequence[Mapping[str, Any]],
    *,
    parcels: Sequence[SectionContent],
) -> PatientContent:
    changes = tables["changes"]
    own = changes[changes["participant_id"] == name]
    measures = tables["measures"]
    visits = measures[measures["participant_id"] == name].drop_duplicates("session_id")
    pictures = [path for path in figures if f"/{name}/" in path]
    facts = {
        "Visits": ", ".join(
            f"{row['session_id']} (month {row['months']:g})" for row in visits.to_dict("records")
        )
        or "none usable"
    }
    shown = tuple(shown_figure(path) for path in pictures)
    drawn = [SectionContent(title="Figures", figures=shown)] if shown else []
    return PatientContent(
        participant_id=name,
        facts=facts,
        changes=own,
        comparisons=tuple(_comparison(row) for row in comparisons if row["participant_id"] == name),
        volumes=tuple(_volume(path) for path in maps if f"/{name}/" in path),
        sections=(*drawn, *parcels),
    )


def _comparison(row: Mapping[str, Any]) -> ComparisonContent:
    before, after = row["visits"]
    baseline, follow_up, difference = (
        shown_figure(path, title)
        for path, title in zip(row["pictures"], (before, after, "Difference"), strict=True)
    )
    return ComparisonContent(
        title=f"{row['measure'].upper()}, {before} and {after}",
        baseline=baseline,
        follow_up=follow_up,
        difference=difference,
    )


def _volume(path: str) -> VolumeContent:
    is_change = "_stat-change_" in path
    volume = read_volume(path, ndim=3)
    limit = 3e-4 if is_change else 1.0
    levels = np.rint(np.clip(volume.data / limit, -1, 1) * _LEVELS).astype(np.int16)
    image = nib.Nifti1Image(levels, volume.affine)
    image.header.set_slope_inter(limit / _LEVELS, 0)
    pair = Path(path).name.partition("_desc-")[2].partition("_")[0]
    return VolumeContent(
        name=f"change of RD, {pair}" if is_change else f"FA, {Path(path).parent.parent.name}",
        nifti=gzip.compress(image.to_bytes(), mtime=0),
        cal_min=0.5e-4 if is_change else 0.0,
        cal_max=2e-4 if is_change else 0.8,
        colormap="warm" if is_change else "gray",
        colormap_negative="winter" if is_change else "",
        opacity=0.6 if is_change else 1.0,
    )
