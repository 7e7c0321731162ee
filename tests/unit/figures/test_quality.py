import numpy as np
import pandas as pd
import pytest

from msimaging.errors import InputError
from msimaging.figures.quality import (
    caption_carpet,
    caption_gradients,
    caption_motion,
    caption_quality_strips,
    draw_carpet,
    draw_gradients,
    draw_motion,
    draw_quality_strips,
)
from msimaging.figures.style import render

DISPLACEMENT = np.array([np.nan, 0.1, 0.9, 0.2, 0.6])


def test_carpet_shows_the_rows_given_under_the_motion():
    rows = np.arange(20.0).reshape(4, 5) / 10
    groups = ["grey", "grey", "grey", "white"]
    figure = draw_carpet(
        rows, groups=groups, framewise_displacement=DISPLACEMENT, t_r=2.5, threshold=0.5
    )
    motion, carpet = figure.axes[:2]
    np.testing.assert_array_equal(carpet.images[0].get_array(), rows)
    assert carpet.images[0].get_extent() == [0, 12.5, 4, 0]
    assert list(carpet.get_yticks()) == [1.5, 3.5]
    (above,) = [line for line in motion.lines if line.get_gid() == "above"]
    np.testing.assert_allclose(above.get_xdata(), [5.0, 10.0])
    assert "5 volumes, one every 2.5 s. Rows: grey 3, white 1." in caption_carpet(
        groups, t_r=2.5, n_volumes=5
    )


def test_carpet_refuses_rows_without_names():
    with pytest.raises(InputError, match=r"shape \(4, 5\)"):
        draw_carpet(
            np.zeros((4, 5)), groups=["grey"] * 3, framewise_displacement=DISPLACEMENT, t_r=2.0
        )


def test_motion_of_visits_shares_one_scale_and_counts_above():
    visits = {"Baseline": DISPLACEMENT, "Month 06": np.array([0.0, 1.5, 0.2])}
    figure = draw_motion(visits, t_r=2.0, threshold=0.5)
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert figure.axes[0].get_ylim()[1] > 1.5
    assert figure.axes[0].get_xlim() == (0, 10)
    assert "Baseline 2 of 5, Month 06 1 of 3" in caption_motion(visits, threshold=0.5)


def test_gradients_draw_each_direction_with_its_opposite_and_leave_out_b0():
    bvecs = np.array([[0, 0, 0], [1.0, 0, 0], [0, 0.6, 0.8]])
    bvals = np.array([5.0, 995, 2010])
    figure = draw_gradients(bvals, bvecs)
    seen = {
        (round(float(x), 2), round(float(y), 2))
        for line in figure.axes[2].lines[:-1]  # the last is the circle
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }
    assert seen == {(0.0, 0.0), (-0.0, -0.0), (0.6, 0.8), (-0.6, -0.8)}
    assert "b=0: 1, b=1000: 1, b=2000: 1" in caption_gradients(bvals)


def _quality():
    rows = [
        ("01", "baseline", "mean FD", 0.1, False),
        ("01", "month06", "mean FD", 0.3, False),
        ("02", "month06", "mean FD", 0.9, True),
        ("01", "baseline", "tSNR", 40.0, False),
    ]
    columns = ["participant_id", "session_id", "number", "value", "excluded"]
    table = pd.DataFrame(rows, columns=columns, index=[5, 3, 8, 1])
    return table.assign(address="patient-" + table["participant_id"] + ".html")


def test_strips_have_one_dot_per_scan_and_join_the_visits_of_a_patient():
    figure = draw_quality_strips(_quality(), limits={"mean FD": 0.5})
    motion, snr = figure.axes
    dots = np.concatenate([np.asarray(c.get_offsets()) for c in motion.collections])
    assert sorted(dots[:, 1]) == [0.1, 0.3, 0.9]
    crosses = np.asarray(motion.collections[1].get_offsets())
    assert crosses[:, 1].tolist() == [0.9]
    assert round(crosses[0, 0]) == 1
    (joined,) = [line.get_ydata() for line in motion.lines if line.get_gid() == "visits"]
    # a gap after each patient; the second came once
    assert np.array_equal(joined, [0.1, 0.3, np.nan, 0.9, np.nan], equal_nan=True)
    assert [line.get_gid() for line in snr.lines] == ["visits"]
    assert "2 patients" in caption_quality_strips(_quality())


def test_a_click_on_a_dot_leads_to_the_scan():
    svg = render(draw_quality_strips(_quality()), "svg").decode()
    assert svg.count('xlink:href="patient-01.html"') == 3
    assert svg.count('xlink:href="patient-02.html"') == 1


def test_hostile_names_stay_text_in_drawings():
    quality = _quality().assign(session_id="<script>alert(1)</script>")
    svg = render(draw_quality_strips(quality), "svg").decode()
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg
