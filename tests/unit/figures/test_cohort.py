import numpy as np
import pandas as pd
import pytest

from msimaging.errors import InputError
from msimaging.figures.cohort import (
    caption_bland_altman,
    caption_completeness_grid,
    caption_flow,
    caption_forest,
    caption_region_slopes,
    draw_bland_altman,
    draw_completeness_grid,
    draw_flow,
    draw_forest,
    draw_region_slopes,
)


def _changes():
    rows = []
    for label, shift in (("genu", -0.03), ("fornix", 0.01)):
        for patient, start in (("01", 0.50), ("02", 0.56), ("03", 0.62)):
            for months, part in ((6.2, 1.0), (12.1, 1.5)):
                follow_up = start + part * shift
                rows.append(
                    {
                        "participant_id": patient,
                        "baseline": "baseline",
                        "months": months,
                        "label": label,
                        "measure": "rd",
                        "baseline_value": start,
                        "follow_up_value": follow_up,
                        "change": follow_up - start,
                        "sdc": 0.04 if label == "genu" else np.nan,
                        "detectable": patient == "01",
                    }
                )
    return pd.DataFrame(rows)


def _results():
    return pd.DataFrame(
        {
            "label": ["genu", "fornix"],
            "estimate": [-0.03, 0.01],
            "ci_low": [-0.05, -0.02],
            "ci_high": [-0.01, 0.04],
            "n": [3, 3],
            "p_adjusted": [0.25, np.nan],
            "p_floor": [0.25, 0.25],
            "test": ["sign flip", "sign flip"],
        }
    )


def test_one_panel_per_region_one_line_per_patient():
    figure = draw_region_slopes(_changes())
    genu, fornix = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["genu", "fornix"]
    lines = [line for line in genu.lines if len(line.get_xdata()) == 3]
    assert len(lines) == 3
    np.testing.assert_allclose(lines[1].get_xdata(), [0, 6.2, 12.1])
    np.testing.assert_allclose(lines[1].get_ydata(), [0.56, 0.53, 0.515])
    assert sum(len(line.get_xdata()) == 3 for line in fornix.lines) == 3


def test_band_spans_the_smallest_detectable_change_where_it_is_known():
    genu, fornix = draw_region_slopes(_changes()).axes
    (band,) = [patch for patch in genu.patches if patch.get_gid() == "sdc-band"]
    assert band.get_y() == pytest.approx(0.52)
    assert band.get_height() == pytest.approx(0.08)
    assert not fornix.patches


def test_undetectable_changes_are_open_dots_also_when_read_as_text():
    changes = _changes().assign(detectable=lambda t: t["detectable"].astype(str).str.lower())
    genu = draw_region_slopes(changes).axes[0]
    hollow = [line for line in genu.lines if line.get_markerfacecolor() == "w"]
    assert sum(len(line.get_xdata()) for line in hollow) == 4


def test_slopes_of_two_measures_are_refused():
    mixed = pd.concat([_changes(), _changes().assign(measure="fa")])
    with pytest.raises(InputError, match=r"one measure.*rd, fa"):
        draw_region_slopes(mixed)


def test_missing_columns_are_all_named():
    with pytest.raises(InputError, match="no baseline_value, months"):
        draw_region_slopes(_changes().drop(columns=["baseline_value", "months"]))


def test_slopes_caption_counts_patients_regions_and_verdicts():
    text = caption_region_slopes(_changes(), units="mm2/s")
    assert "RD [mm2/s] of 3 patients in 2 regions" in text
    assert "(4 of 12)" in text
    assert "±0.04" in text


def test_forest_draws_estimates_intervals_and_patients():
    results = _results()
    six = _changes()[lambda t: t["months"] < 7]
    axes = draw_forest(results, six).axes[0]
    squares = [line for line in axes.lines if line.get_gid() == "estimate"]
    assert [line.get_xdata()[0] for line in squares] == [-0.03, 0.01]
    spans = [line.get_xdata() for line in axes.lines if list(line.get_ydata()) == [1, 1]]
    np.testing.assert_allclose(spans[0], [-0.02, 0.04])
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in dots] == [3, 3]
    notes = [text.get_text() for text in axes.texts]
    assert notes == ["n = 3, adj. p = 0.25", "n = 3"]


def test_forest_caption_gives_intervals_and_the_smallest_possible_p():
    text = caption_forest(_results(), units="mm2/s")
    assert "genu -0.03 [-0.05, -0.01]" in text
    assert "smallest p this test can give: 0.25" in text


def test_bland_altman_draws_differences_and_the_given_limits():
    changes = _changes()[lambda t: t["label"] == "genu"]
    axes = draw_bland_altman(changes, bias=-0.0375, limits=(-0.05, -0.02)).axes[0]
    dots = axes.lines[0]
    np.testing.assert_allclose(dots.get_ydata(), changes["change"])
    np.testing.assert_allclose(dots.get_xdata()[0], 0.485)
    heights = {line.get_gid(): line.get_ydata()[0] for line in axes.lines if line.get_gid()}
    assert heights["bias"] == -0.0375
    assert heights["limit"] == -0.02
    caption = caption_bland_altman(changes, bias=-0.0375, limits=(-0.05, -0.02))
    assert "6 pairs" in caption
    assert "-0.05 to -0.02" in caption


def test_grid_marks_every_scan_once_and_absent_ones_as_missing():
    visits = pd.DataFrame(
        [
            ("01", "baseline", "dwi", "used"),
            ("01", "month06", "dwi", "excluded"),
            ("02", "baseline", "dwi", "used"),
        ],
        columns=["participant_id", "session_id", "modality", "state"],
    )
    axes = draw_completeness_grid(visits).axes[0]
    marks = {
        line.get_gid(): list(zip(line.get_xdata(), line.get_ydata(), strict=True))
        for line in axes.lines
    }
    assert marks == {"used": [(0, 0), (0, 1)], "excluded": [(1, 0)], "missing": [(1, 1)]}
    assert (
        caption_completeness_grid(visits) == "Scans of 2 patients: 2 used, 1 excluded, 0 missing."
    )


def test_flow_prints_every_box_and_who_was_lost():
    flow = pd.DataFrame(
        [
            ("Enrolled", "", 9, 0, ""),
            ("Passed quality", "dwi", 8, 1, "sub-03 moved"),
            ("Passed quality", "bold", 7, 2, ""),
        ],
        columns=["stage", "modality", "n", "n_lost", "reasons"],
    )
    axes = draw_flow(flow).axes[0]
    boxes = [text.get_text() for text in axes.texts if text.get_gid() == "flow-box"]
    assert boxes == [
        "Enrolled\nn = 9",
        "Passed quality (dwi)\nn = 8",
        "Passed quality (bold)\nn = 7",
    ]
    lost = [text.get_text() for text in axes.texts if text.get_gid() == "flow-lost"]
    assert lost == ["−1: sub-03 moved", "−2"]
    assert "Passed quality (bold) 7" in caption_flow(flow)
