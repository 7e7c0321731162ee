import numpy as np
import pandas as pd

from msimaging.figures.clinical import (
    caption_edss_swimmers,
    caption_responders,
    caption_time_courses,
    draw_edss_swimmers,
    draw_responders,
    draw_time_courses,
)


def _visits():
    return pd.DataFrame(
        {
            "participant_id": ["01", "01", "02", "02"],
            "months": [0.0, 6.2, 0.0, 5.8],
            "edss": [3.5, 2.0, 6.5, np.nan],
        }
    )


def test_swimmers_print_every_known_score_in_its_lane():
    treatments = pd.DataFrame(
        {"participant_id": ["02", "09"], "months": [0.4, 1.0], "treatment": "cells"}
    )
    axes = draw_edss_swimmers(_visits(), treatments).axes[0]
    scores = {(t.get_position()[0], t.get_position()[1]): t.get_text() for t in axes.texts}
    assert scores == {(0.0, 0): "3.5", (6.2, 0): "2", (0.0, 1): "6.5"}
    (marks,) = [line for line in axes.lines if line.get_label() == "cells"]
    assert marks.get_xdata().tolist() == [0.4]
    assert round(marks.get_ydata()[0]) == 1
    text = caption_edss_swimmers(_visits(), treatments)
    assert "3 visits of 2 patients" in text
    assert "cells (2)" in text


def test_time_courses_draw_patients_and_the_given_centre():
    values = pd.DataFrame(
        {
            "participant_id": ["01", "01", "02", "02", "01"],
            "months": [6.0, 0.0, 0.0, 6.0, 0.0],
            "measure": ["IL-6"] * 4 + ["IL-10"],
            "value": [4.0, 2.0, 8.0, np.nan, 1.0],
            "centre": [4.0, 5.0, 5.0, 4.0, 1.0],
        }
    )
    figure = draw_time_courses(values, units="pg/mL")
    first = figure.axes[0]
    lines = {line.get_gid(): line.get_ydata().tolist() for line in first.lines}
    assert first.lines[0].get_ydata().tolist() == [2.0, 4.0]
    assert lines["centre"] == [5.0, 4.0]
    assert "IL-6 (2 patients, 3 values), IL-10 (1 patients, 1 values)" in caption_time_courses(
        values
    )


def test_responder_bars_have_the_lengths_of_the_shares():
    counts = pd.DataFrame(
        [("a", "improved", 3), ("a", "stable", 1), ("b", "improved", 1), ("b", "worsened", 1)],
        columns=["group", "outcome", "n"],
    ).assign(ci_low=[0.3, np.nan, 0.1, np.nan], ci_high=[0.95, np.nan, 0.9, np.nan])
    axes = draw_responders(counts, placebo_rate=0.12).axes[0]
    widths = [bar.get_width() for bar in axes.patches]
    np.testing.assert_allclose(widths, [0.75, 0.5, 0.25, 0, 0, 0.5])
    (reference,) = [line for line in axes.lines if line.get_gid() == "placebo"]
    assert reference.get_xdata()[0] == 0.12
    spans = [list(line.get_xdata()) for line in axes.lines if line.get_gid() is None]
    assert spans == [[0.3, 0.95], [0.1, 0.9]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a (n = 4)", "b (n = 2)"]
    text = caption_responders(counts, placebo_rate=0.12)
    assert "a: 3 improved, 1 stable" in text
    assert "12% improved under placebo" in text
