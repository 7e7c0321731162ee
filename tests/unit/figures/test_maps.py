from dataclasses import replace

import numpy as np
import pytest

from msimaging.errors import InputError
from msimaging.figures.maps import (
    ChangeMapPanel,
    ScalarMapPanel,
    caption_change_maps,
    caption_scalar_maps,
    draw_change_maps,
    draw_scalar_maps,
    scale_exponent,
)

SHAPE = (20, 24, 10)
LAS = np.array([[-2.0, 0, 0, 19], [0, 2.0, 0, -23], [0, 0, 3.0, -15], [0, 0, 0, 1]])
RAS = np.array([[2.0, 0, 0, -19], [0, 2.0, 0, -23], [0, 0, 3.0, -15], [0, 0, 0, 1]])


def _volume(affine):
    """Tissue of 0.2 with a bright patch on the patient's left (negative x), in front."""
    data = np.full(SHAPE, 0.2)
    i, j, k = np.indices(SHAPE)
    world = np.moveaxis(np.stack([i, j, k, np.ones(SHAPE)]), 0, -1) @ affine.T
    data[(world[..., 0] < -8) & (world[..., 1] > 10)] = 0.7
    return data


def _panel(data, visit="Baseline", label="FA", **kwargs):
    return ScalarMapPanel(
        data=data, visit=visit, label=label, units="", **{"vmin": 0, "vmax": 0.8, **kwargs}
    )


def _pictures(figure):
    return [axes for axes in figure.axes if axes.images and axes.texts]


@pytest.mark.parametrize("affine", [LAS, RAS], ids=["las", "ras"])
def test_the_patients_left_is_drawn_on_the_side_of_the_letter_l(affine):
    figure = draw_scalar_maps([_panel(_volume(affine))], affine, n_slices=1)
    (axes,) = _pictures(figure)
    picture = axes.images[0].get_array()
    half = picture.shape[1] // 2
    assert picture[:, :half].max() > 0.6 > picture[:, half:].max()
    assert picture[picture.shape[0] // 2 :].max() > 0.6 > picture[: picture.shape[0] // 2].max()
    letters = {text.get_text(): text.get_position()[0] for text in axes.texts}
    assert letters["L"] < 0.5 < letters["R"]


def test_swapped_axes_are_turned_upright():
    affine = RAS[:, [2, 0, 1, 3]]  # voxel axes run z, x, y
    data = np.transpose(_volume(RAS), (2, 0, 1))
    straight = draw_scalar_maps([_panel(_volume(RAS))], RAS, n_slices=1)
    turned = draw_scalar_maps([_panel(data)], affine, n_slices=1)
    expected = _pictures(straight)[0].images[0].get_array()
    np.testing.assert_array_equal(_pictures(turned)[0].images[0].get_array(), expected)


def test_visits_share_slices_and_windows_and_stand_side_by_side():
    before, after = _volume(RAS), _volume(RAS) * 1.1
    panels = [_panel(before), _panel(after, visit="Month 06")]
    figure = draw_scalar_maps(panels, RAS, slices_mm=[-6, 9])
    pictures = _pictures(figure)
    assert [axes.get_title() for axes in pictures] == ["Baseline", "Month 06"] * 2
    assert {axes.images[0].get_clim() for axes in pictures} == {(0.0, 0.8)}
    first, second = (axes.images[0].get_array() for axes in pictures[:2])
    np.testing.assert_allclose(second, first * 1.1)
    assert "z = -6 mm" in [text.get_text() for text in pictures[0].texts]


def test_an_extent_makes_separate_figures_fit_on_each_other():
    small = np.zeros(SHAPE)
    small[8:12, 10:14, 4:6] = 0.5
    extent = _volume(RAS)
    figures = [draw_scalar_maps([_panel(d)], RAS, extent=extent) for d in (small, extent)]
    shapes, places = zip(
        *(
            (axes.images[0].get_array().shape, axes.texts[-1].get_text())
            for axes in (_pictures(figure)[0] for figure in figures)
        ),
        strict=True,
    )
    assert shapes[0] == shapes[1] == (24, 20)
    assert places[0] == places[1]


def test_anisotropic_voxels_keep_their_shape():
    figure = draw_scalar_maps([_panel(_volume(RAS))], RAS, plane="coronal", n_slices=1)
    (axes,) = _pictures(figure)
    assert axes.get_aspect() == pytest.approx(1.5)
    width, height = axes.get_window_extent().size
    assert height / width == pytest.approx((10 * 3) / (20 * 2), rel=0.02)


def test_different_windows_are_refused():
    panels = [_panel(_volume(RAS)), _panel(_volume(RAS), visit="Month 06", vmax=0.9)]
    with pytest.raises(InputError, match=r"one window.*2 windows"):
        draw_scalar_maps(panels, RAS)


def test_different_grids_are_refused():
    with pytest.raises(InputError, match="one three-dimensional grid"):
        draw_scalar_maps([_panel(_volume(RAS)), _panel(np.ones((4, 4, 4)), visit="b")], RAS)


def test_change_is_symmetric_about_zero_and_masked_outside():
    change = _volume(RAS) - 0.3
    mask = np.zeros(SHAPE, dtype=bool)
    mask[3:9, 5:20, 2:8] = True
    panel = ChangeMapPanel(data=change, label="RD", units="mm2/s", limit=0.4, mask=mask)
    figure = draw_change_maps([panel], RAS, background=np.ones(SHAPE), n_slices=2)
    for axes in _pictures(figure):
        below, above = axes.images
        assert above.get_clim() == (-0.4, 0.4)
        assert above.get_array().count() == 6 * 15
        assert below.get_array().count() == below.get_array().size
    np.testing.assert_array_equal(change, _volume(RAS) - 0.3)


def test_outline_encloses_what_was_given():
    outline = np.zeros(SHAPE, dtype=bool)
    outline[4:8, 6:12, 3:7] = True
    panel = ChangeMapPanel(data=_volume(RAS), label="RD", units="", limit=1, outline=outline)
    with_line, without = (
        draw_change_maps([p], RAS, n_slices=1) for p in (panel, replace(panel, outline=None))
    )
    assert len(_pictures(with_line)[0].collections) == len(_pictures(without)[0].collections) + 1


def test_captions_print_the_windows_used():
    text = caption_scalar_maps([_panel(_volume(RAS)), _panel(_volume(RAS), visit="Month 06")])
    assert "FA 0 to 0.8" in text
    assert "Baseline, Month 06" in text
    panel = ChangeMapPanel(data=_volume(RAS), label="RD", units="mm2/s", limit=1e-4)
    assert "RD ±0.0001 mm2/s" in caption_change_maps([panel])


@pytest.mark.parametrize(("largest", "power"), [(1e-3, -3), (1.5e-3, -3), (5e-4, -6), (0.8, 0)])
def test_scale_exponent(largest, power):
    assert scale_exponent(largest) == power
