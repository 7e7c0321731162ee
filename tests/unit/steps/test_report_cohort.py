"""The cohort page shows any results there are, model by model, with what speaks against them."""

from __future__ import annotations

import pandas as pd
import pytest

from msimaging.steps.report_cohort import figure_title, model_sections


def _rows(model: str, family: str, **more: object) -> list[dict[str, object]]:
    shared = {"modality": "dwi", "atlas": "wm", "measure": "fa", "n": 5, "estimate": 0.1}
    shared |= {"ci_low": -0.1, "ci_high": 0.3, "p": 0.04, "test": "sign-flip", "flags": None}
    both = [{"label": "genu"}, {"label": "fornix"}]
    return [{**shared, **row, "model": model, "family": family, **more} for row in both]


def test_every_model_and_family_has_its_table_and_its_warnings() -> None:
    results = pd.DataFrame(
        [
            *_rows("paired", "fa over wm", flags="uncontrolled"),
            *_rows("paired", "rd over wm", measure="rd", flags="uncontrolled"),
            *_rows("between arms", "fa over wm", p=float("nan")),
        ]
    )
    notes = pd.DataFrame(
        [{"model": "between arms", "topic": "guard", "sentence": "Too few patients for the model."}]
    )
    first, second = model_sections(results, notes)
    assert first.title == "Results: paired"
    assert [table.title for table in first.tables] == ["fa over wm", "rd over wm"]
    assert first.paragraphs == ("Uncontrolled: a change here is not a change by treatment.",)
    assert second.paragraphs == ("guard: Too few patients for the model.",)
    assert "0 of 2 rows tested" in second.tables[0].caption
    table = first.tables[1]
    assert "measure: rd" in table.caption
    assert list(table.table["label"]) == ["genu", "fornix"]
    # what says the same in every row stands in the caption, not in a column
    assert not {"measure", "flags", "test"} & set(table.table.columns)
    assert "flags: uncontrolled" in table.caption


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("sub-01_desc-baselineToMonth06_maps.png", "Tensor maps, baseline to month06"),
        ("sub-01_stat-change_desc-baselineToMonth06_maps", "Change maps, baseline to month06"),
        ("sub-01_atlas-mine_desc-aToB_connectivity.png", "Connectivity, mine, a to b"),
        ("param-rd_atlas-mine_desc-forest_regions.svg", "Mean change of regions, RD, mine"),
        ("desc-walking_responders.png", "Responders, walking"),
        ("desc-power_trial.png", "Power of the next trial"),
    ],
)
def test_figures_are_titled_in_words(name: str, title: str) -> None:
    assert figure_title(f"figures/{name}") == title
