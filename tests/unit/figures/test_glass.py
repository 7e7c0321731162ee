import matplotlib as mpl
import numpy as np

from msimaging.figures.glass import (
    caption_glass_change,
    caption_glass_connectome,
    draw_glass_change,
    draw_glass_connectome,
)
from msimaging.figures.style import render


def _texts(figure):
    return {text.get_text() for axes in figure.axes for text in axes.texts}


def test_glass_change_has_sides_and_symmetric_colours():
    change = np.zeros((20, 24, 20))
    change[12:14, 10:14, 10:13] = -8e-5
    affine = np.array([[8.0, 0, 0, -76], [0, 8, 0, -110], [0, 0, 8, -70], [0, 0, 0, 1]])
    before = dict(mpl.rcParams)
    figure = draw_glass_change(change, affine, limit=1e-4, threshold=4e-5, label="RD")
    assert {"L", "R"} <= _texts(figure)
    assert render(figure, "png") == render(figure, "png")
    assert dict(mpl.rcParams) == before


def test_glass_connectome_draws_only_the_chosen_edges():
    difference = np.array([[0, 0.2, -0.1], [0.2, 0, 0.3], [-0.1, 0.3, 0]])
    places = np.array([[-40.0, -20, 30], [40, -20, 30], [0, 50, 10]])
    shown = np.zeros((3, 3), dtype=bool)
    shown[0, 1] = shown[1, 0] = True
    counts = [
        sum(len(axes.lines) + len(axes.patches) for axes in figure.axes)
        for figure in (
            draw_glass_connectome(difference, places, shown=shown, limit=0.3),
            draw_glass_connectome(difference, places, shown=~np.eye(3, dtype=bool), limit=0.3),
        )
    ]
    assert counts[1] > counts[0]
    assert "on 1 chosen edges" in caption_glass_connectome(shown=shown, limit=0.3)


def test_glass_caption_tells_limit_and_threshold():
    text = caption_glass_change(limit=1e-4, threshold=4e-5, label="RD", units="mm2/s")
    assert "±0.0001 mm2/s, smaller than 4e-05" in text


def test_a_connectome_without_edges_is_drawn_empty():
    places = np.array([[-30.0, 0, 10], [30, 0, 10], [0, 40, 0]])
    figure = draw_glass_connectome(
        np.zeros((3, 3)), places, shown=np.zeros((3, 3), bool), limit=0.1
    )
    assert figure.texts[-1].get_text() == "change of connectivity [z]"
