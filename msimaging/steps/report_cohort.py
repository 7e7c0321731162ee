"""The cohort page's content: flow, comparability, quality, and results model by model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from msimaging.figures.style import render
from msimaging.figures.visits import caption_flow, draw_flow
from msimaging.reporting.content import FigureContent, SectionContent, TableContent
from msimaging.steps.pictures import with_few_colours
from msimaging.steps.report_comparability import comparability_section
from msimaging.steps.report_quality import comparison_section
from msimaging.tables import read_json, read_table, sidecar_of

#: Columns of ``results.tsv`` that a model's table shows, most telling first.
_SHOWN = (
    *("modality", "atlas", "measure", "label", "n", "n_excluded", "estimate", "ci_low", "ci_high"),
    *("effect", "effect_name", "p", "p_floor", "p_adjusted", "adjustment", "test", "flags"),
)
_MORE = {
    "model_tests": "Labelled alternatives to the tests above",
    "next_trial": "The next trial",
}
#: What a figure is called, by its entity ``stat`` or ``desc`` and its suffix.
_KINDS = {
    ("", "maps"): "Tensor maps",
    ("change", "maps"): "Change maps",
    ("glass", "maps"): "Mean change in a glass brain",
    ("", "connectivity"): "Connectivity",
    ("mean", "connectivity"): "Mean connectivity",
    ("blocks", "connectivity"): "Change within and between networks",
    ("glass", "connectivity"): "Changed edges in a glass brain",
    ("slopes", "regions"): "Courses of single patients",
    ("forest", "regions"): "Mean change of regions",
    ("agreement", "regions"): "Agreement of the visits",
    ("detection", "rates"): "Detection of planted change by the method",
    ("swimmers", "trial"): "Disability and treatments",
    ("courses", "trial"): "Time courses of outcomes",
    ("power", "trial"): "Power of the next trial",
    ("specifications", "trial"): "Specification curve",
    ("", "responders"): "Responders",
}


def cohort_sections(
    tables: Mapping[str, pd.DataFrame],
    figures: Sequence[str],
    flow: pd.DataFrame,
    *,
    more: Mapping[str, str],
) -> tuple[SectionContent, ...]:
    """Return the sections of the cohort page.

    Parameters
    ----------
    tables : mapping
        ``changes ledger quality_tests results``.
    figures : sequence of str
        Figures of the cohort, one file each.
    flow : DataFrame
        From `reporting.flow.flow_numbers`.
    more : mapping of str to str
        ``model_notes model_tests next_trial``: files of a trial with models of its own.

    Returns
    -------
    tuple of SectionContent
        In the order of the page.
    """
    notes = read_table(more["model_notes"]) if "model_notes" in more else pd.DataFrame()
    diagram = FigureContent(
        title="From enrolled to analysed",
        caption=caption_flow(flow),
        picture=render(draw_flow(flow), "svg"),
        media_type="image/svg+xml",
    )
    return (
        SectionContent(title="Flow of patients", figures=(diagram,)),
        SectionContent(title="Figures", figures=tuple(shown_figure(path) for path in figures)),
        *model_sections(tables["results"], notes),
        *_further_tables(more),
        comparison_section(tables["quality_tests"]),
        comparability_section(tables["changes"], tables["ledger"]),
    )


def model_sections(results: pd.DataFrame, notes: pd.DataFrame) -> Iterable[SectionContent]:
    """Return one section a model: its notes, and a table of each of its families.

    Parameters
    ----------
    results : DataFrame
        ``results.tsv``.
    notes : DataFrame
        ``model topic sentence``; may be empty.

    Yields
    ------
    SectionContent
        Estimates with their intervals stand before the tests.
    """
    for model, rows in results.groupby("model", sort=False):
        # a declared model has a row for each thing it asked: "name: what was asked"
        name = str(model).partition(":")[0]
        told = notes[notes["model"] == name] if len(notes) else notes
        sentences = [f"{row['topic']}: {row['sentence']}" for row in told.to_dict("records")]
        uncontrolled = rows["flags"].astype(str).str.contains("uncontrolled").any()
        if uncontrolled:
            sentences.append("Uncontrolled: a change here is not a change by treatment.")
        yield SectionContent(
            title=f"Results: {model}",
            paragraphs=tuple(dict.fromkeys(sentences)),
            tables=tuple(
                _family_table(str(family), part)
                for family, part in rows.groupby("family", sort=False, dropna=False)
            ),
        )


def _family_table(family: str, rows: pd.DataFrame) -> TableContent:
    kept = [name for name in _SHOWN if name in rows and not rows[name].isna().all()]
    fixed = ("modality", "atlas", "measure", "effect_name", "adjustment", "test", "flags")
    same = [name for name in kept if name in fixed and len(rows) > 1 and _says_the_same(rows[name])]
    facts = [f"{name.replace('_', ' ')}: {rows[name].iloc[0]}" for name in same]
    known = int(rows["p"].notna().sum())
    facts.append(f"{known} of {len(rows)} rows tested; p adjusted holds within this family")
    table = rows[[name for name in kept if name not in same]]
    return TableContent(title=family, table=table, caption="; ".join(facts) + ".")


def _says_the_same(column: pd.Series[Any]) -> bool:
    return bool((column == column.iloc[0]).all())


def _further_tables(more: Mapping[str, str]) -> Iterable[SectionContent]:
    for key, title in _MORE.items():
        if key in more:
            table = read_table(more[key])
            caption = str(read_json(sidecar_of(more[key])).get("Description", ""))
            if len(table):
                shown = TableContent(title=title, table=table, caption=caption)
                yield SectionContent(title=title, tables=(shown,))


def shown_figure(path: str, title: str = "") -> FigureContent:
    """Return a figure with its caption.

    Parameters
    ----------
    path : str
        PNG or SVG with its sidecar.
    title : str
        Else it is made from the file's name.

    Returns
    -------
    FigureContent
        For a page.
    """
    picture, is_png = Path(path).read_bytes(), path.endswith(".png")
    return FigureContent(
        title=title or figure_title(path),
        caption=str(read_json(sidecar_of(path))["Description"]),
        picture=with_few_colours(picture) if is_png else picture,
        media_type="image/png" if is_png else "image/svg+xml",
    )


def figure_title(path: str) -> str:
    """Return a title made from the entities of a figure's name.

    Parameters
    ----------
    path : str
        For example ``sub-01_stat-change_desc-aToB_maps.png``.

    Returns
    -------
    str
        ``Change maps, a to B``.
    """
    *entities, kind = Path(path).stem.split("_")
    known = dict(part.split("-", 1) for part in entities)
    name = known.pop("desc", "")
    start, to, end = name.partition("To")
    what = _KINDS.get((known.pop("stat", "") or name, kind)) or _KINDS.get(("", kind))
    words = [what or f"{name} {kind}", known.get("param", "").upper(), known.get("atlas", "")]
    if to:
        words.append(f"{start} to {end[:1].lower()}{end[1:]}")
    if kind == "responders":
        words.append(name)
    return ", ".join(word for word in words if word)
