"""A figure on disk: every format, its data, its caption, and one command for one figure."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from docutils.core import publish_parts
from PIL import Image

from msimaging.bids.plan import Plan
from msimaging.bids.trial_plan import TrialPlan
from msimaging.bids.visits import Visit, Visits
from msimaging.errors import ConfigError
from msimaging.figures.style import new_figure, styled
from msimaging.settings import validated
from msimaging.steps.pictures import figure_style, save_figure, with_few_colours
from msimaging.study.drawing import chosen_figures, figures_by_name
from msimaging.tables import read_table

STYLE = validated({"bids_dir": "bids"})["figures"]["style"]


@styled
def _draw(*, style):
    figure = new_figure(style.single_width_mm, 40)
    figure.subplots().plot([0, 1], [1, 0])
    return figure


def _save(folder: Path, caption: str = "Two points.", **style: object) -> list[Path]:
    source = folder / "source.tsv"
    source.write_text("x\n1\n")
    paths = [folder / f"plot.{suffix}" for suffix in ("pdf", "svg", "png", "tsv", "rst")]
    look = figure_style(STYLE | style)
    data = pd.DataFrame({"label": ["a_b", "c"], "value": [0.123456789, float("nan")]})
    save_figure(_draw(style=look), paths, data=data, caption=caption, sources=[source], style=look)
    return paths


def test_pictures_data_caption_and_sidecar_lie_side_by_side(tmp_path: Path) -> None:
    pdf, svg, png, data, caption = _save(tmp_path)
    assert pdf.read_bytes().startswith(b"%PDF")
    assert b"<svg" in svg.read_bytes()
    assert png.read_bytes().startswith(b"\x89PNG")
    table = read_table(data)
    assert table["label"].tolist() == ["a_b", "c"]
    assert table["value"][0] == 0.123457
    assert pd.isna(table["value"][1])
    assert caption.read_text() == "Two points.\n"
    sidecar = json.loads((tmp_path / "plot.json").read_text())
    assert sidecar["Description"] == "Two points."


def test_drawing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in _save(tmp_path)]
    assert [path.read_bytes() for path in _save(tmp_path)] == first


def test_the_settings_reach_width_and_resolution(tmp_path: Path) -> None:
    png = _save(tmp_path, single_width_mm=50.8, dpi=100)[2].read_bytes()
    assert int.from_bytes(png[16:20], "big") == 200


def test_a_caption_is_no_markup(tmp_path: Path) -> None:
    words = "A *star*, `ticks`, |change| > 2, CC_ and p_adjusted, back\\slash: Δ ± 3."
    caption = _save(tmp_path, caption=words)[-1]
    body = publish_parts(caption.read_text(), writer="html")["body"]
    assert body.strip() == f"<p>{words.replace('>', '&gt;')}</p>"


@pytest.fixture
def plan() -> Plan:
    def visit(ses: str, row: int) -> Visit:
        paths = {"dwi": f"{ses}_dwi.nii.gz", "bold": None, "acq_time": None, "exclude": None}
        return Visit(participant_id="sub-01", session_id=ses, months=row, row=row, **paths)

    visits = Visits(rows=(visit("ses-a", 0), visit("ses-b", 6)))
    settings = validated({"bids_dir": "bids"})
    trial = TrialPlan(settings=settings)
    return Plan(settings=settings, visits=visits, scans={}, trial=trial)


def test_a_figure_is_found_by_its_name_in_every_format(plan: Plan) -> None:
    name = "param-rd_atlas-whitematter_desc-forest_regions"
    assert name in figures_by_name(plan)
    files = chosen_figures(plan, name)
    assert [Path(path).suffix for path in files] == [".pdf", ".svg", ".png"]
    assert {Path(path).stem for path in files} == {name}


def test_a_pattern_stands_for_several_figures(plan: Plan) -> None:
    # slopes, forest and agreement of two measures, each in three formats
    assert len(chosen_figures(plan, "param-*_regions")) == 3 * 2 * 3


def test_an_unknown_figure_is_told_with_the_nearest_names(plan: Plan) -> None:
    with pytest.raises(ConfigError, match="param-rd_atlas-whitematter_desc-forest_regions"):
        chosen_figures(plan, "param-rd_forest")


def test_a_page_shows_the_same_picture_with_fewer_bytes(tmp_path: Path) -> None:
    drawn = _save(tmp_path)[2].read_bytes()
    small = with_few_colours(drawn)
    before, after = (
        np.asarray(Image.open(BytesIO(b)).convert("RGB"), dtype=int) for b in (drawn, small)
    )
    assert len(small) < 0.6 * len(drawn)
    assert before.shape == after.shape
    assert np.abs(before - after).max() <= 16
    assert with_few_colours(small) == small
