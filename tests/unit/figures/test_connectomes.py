import numpy as np
import pytest

from msimaging.errors import InputError
from msimaging.figures.connectomes import (
    caption_connectivity_change,
    caption_network_blocks,
    draw_connectivity_change,
    draw_network_blocks,
    network_order,
    spread,
)

NETWORKS = ["visual", "default", "visual", "default", "motor"]


def _matrices():
    rng = np.random.default_rng(3)
    before = rng.normal(size=(5, 5))
    before = (before + before.T) / 2
    change = rng.normal(size=(5, 5))
    change = (change + change.T) / 2
    return before, before + change, change


def _image(axes):
    return axes.images[0].get_array()


def test_parcels_are_sorted_by_network_and_the_numbers_are_those_given():
    before, after, change = _matrices()
    figure = draw_connectivity_change(before, after, change, networks=NETWORKS)
    order = [0, 2, 1, 3, 4]
    assert network_order(NETWORKS).tolist() == order
    off_diagonal = ~np.eye(5, dtype=bool)
    for axes, matrix in zip(figure.axes[:3], (before, after, change), strict=True):
        expected = matrix[np.ix_(order, order)]
        np.testing.assert_allclose(_image(axes).data[off_diagonal], expected[off_diagonal])
        assert _image(axes).mask.diagonal().all()


def test_lower_triangle_shows_only_edges_whose_interval_excludes_zero():
    before, after, change = _matrices()
    sure = np.zeros((5, 5), dtype=bool)
    sure[0, 4] = sure[4, 0] = True
    figure = draw_connectivity_change(
        before, after, change, networks=NETWORKS, interval_excludes_zero=sure
    )
    drawn = _image(figure.axes[2])
    order = network_order(NETWORKS)
    expected = change[np.ix_(order, order)]
    upper = np.triu_indices(5, k=1)
    np.testing.assert_allclose(drawn[upper], expected[upper])
    lower = {(int(r), int(c)) for r, c in zip(*np.nonzero(np.tril(drawn, -1)), strict=True)}
    assert lower == {(4, 0)}
    assert "the 1 edges" in caption_connectivity_change(
        change, networks=NETWORKS, interval_excludes_zero=sure
    )


def test_colours_are_symmetric_about_zero():
    figure = draw_connectivity_change(*_matrices(), networks=NETWORKS, difference_limit=0.3)
    assert [axes.images[0].get_clim() for axes in figure.axes[:3]] == [
        (-1, 1),
        (-1, 1),
        (-0.3, 0.3),
    ]


def test_uncovered_parcels_have_no_colour_and_are_not_counted():
    before, after, change = _matrices()
    change[1] = change[:, 1] = np.nan
    figure = draw_connectivity_change(before, after, change, networks=NETWORKS)
    assert _image(figure.axes[2]).mask[2].all()
    assert "on 6 edges" in caption_connectivity_change(change, networks=NETWORKS)


def test_network_names_stand_in_the_first_panel():
    figure = draw_connectivity_change(*_matrices(), networks=NETWORKS)
    assert [text.get_text() for text in figure.axes[0].texts] == ["visual", "default", "motor"]


def test_wrong_shapes_are_refused():
    before, after, change = _matrices()
    with pytest.raises(InputError, match="one row and column per parcel"):
        draw_connectivity_change(before, after, change[:4, :4], networks=NETWORKS)


def test_blocks_print_their_numbers_and_frame_the_sure_ones():
    change = np.array([[0.11, -0.2], [-0.2, np.nan]])
    sure = np.array([[False, True], [True, False]])
    figure = draw_network_blocks(change, names=["visual", "motor"], interval_excludes_zero=sure)
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.texts] == ["+0.11", "-0.20", "-0.20"]
    assert [t.get_fontweight() for t in axes.texts] == ["normal", "bold", "bold"]
    assert len(axes.patches) == 2
    caption = caption_network_blocks(change, names=["a", "b"], interval_excludes_zero=sure)
    assert "2 blocks; framed: the 1 " in caption


def test_spread_keeps_order_distance_and_bounds():
    places = spread([1.0, 1.2, 9.0, 9.1, 9.9], 1.0, 10.0)
    assert min(np.diff(places)) >= 1.0 - 1e-12
    assert places[-1] <= 10.0
    assert spread([1.0, 5.0], 1.0, 10.0) == [1.0, 5.0]
