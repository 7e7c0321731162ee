import numpy as np
import pandas as pd

from msimaging.figures.design import (
    caption_operating_characteristic,
    caption_power_curves,
    caption_recovery,
    caption_specification_curve,
    draw_operating_characteristic,
    draw_power_curves,
    draw_recovery,
    draw_specification_curve,
)


def test_power_curves_are_sorted_and_tell_the_sufficient_number():
    curves = pd.DataFrame(
        {
            "n": [20, 10, 10, 20],
            "effect": ["d = 0.5", "d = 0.5", "d = 1", "d = 1"],
            "power": [0.6, 0.3, 0.85, 0.99],
        }
    )
    axes = draw_power_curves(curves, wanted=0.8).axes[0]
    drawn = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert drawn["d = 0.5"] == [0.3, 0.6]
    assert drawn["d = 1"] == [0.85, 0.99]
    text = caption_power_curves(curves)
    assert "d = 0.5: not reached" in text
    assert "d = 1: 10 patients" in text


def test_specifications_stand_in_order_with_their_choices_below():
    table = pd.DataFrame(
        {
            "fit": ["wls", "ols", "wls"],
            "estimate": [0.3, -0.1, 0.1],
            "ci_low": [0.1, -0.3, -0.1],
            "ci_high": [0.5, 0.1, 0.3],
            "prespecified": [False, False, True],
        },
        index=[7, 2, 4],
    )
    above, below = draw_specification_curve(table, choices=["fit"]).axes
    (dots,) = [c for c in above.collections if c.get_gid() == "estimates"]
    np.testing.assert_allclose(dots.get_offsets(), [[0, -0.1], [1, 0.1], [2, 0.3]])
    ticks = {line.get_gid(): list(line.get_xdata()) for line in below.lines}
    assert ticks == {"fit=wls": [1, 2], "fit=ols": [0]}
    colours = dots.get_facecolors()
    assert colours[0].tolist() == colours[2].tolist() != colours[1].tolist()
    text = caption_specification_curve(table, units="z")
    assert "3 analyses" in text
    assert "excludes zero in 1." in text


def test_operating_characteristic_tells_false_alarms():
    rates = pd.DataFrame(
        {
            "planted": [0, 6, 0, 6],
            "verdict": ["rd", "rd", "fa", "fa"],
            "rate": [0.04, 0.9, 0.06, 0.5],
        }
    )
    axes = draw_operating_characteristic(rates, nominal=0.05).axes[0]
    drawn = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert drawn["rd"] == [0.04, 0.9]
    assert "rd 0.040, fa 0.060" in caption_operating_characteristic(rates)


def test_recovery_draws_the_pairs_and_names_what_was_planted():
    table = pd.DataFrame(
        {"label": ["genu", "fornix"], "planted": [-6.0, 0.0], "recovered": [-5.2, 0.3]}
    )
    axes = draw_recovery(table, units="%").axes[0]
    points = next(line for line in axes.lines if line.get_marker() == "o")
    assert points.get_xdata().tolist() == [-6.0, 0.0]
    assert points.get_ydata().tolist() == [-5.2, 0.3]
    assert [text.get_text() for text in axes.texts] == ["genu"]
    text = caption_recovery(table, units="%")
    assert "genu -6 → -5.2" in text
    assert "Nothing was planted in 1 others" in text
