from __future__ import annotations

import numpy as np
import pytest

from msimaging.errors import InputError
from msimaging.spatial.resampling import grid_at, resample_image
from msimaging.spatial.transforms import compose, from_matrix

SHAPE = (9, 8, 7)
AFFINE = np.array([[-2.0, 0, 0, 9], [0, 2.5, 0, -8], [0, 0, 3, -7], [0, 0, 0, 1]])


def values(dtype=np.float64):
    return np.random.default_rng(0).integers(1, 200, SHAPE).astype(dtype)


def resampled(data, transform=None, **changes):
    settings = {
        "target_to_source": compose() if transform is None else transform,
        "target_shape": SHAPE,
        "target_affine": AFFINE,
        "interpolation": "linear",
    }
    return resample_image(data, AFFINE, **{**settings, **changes})


@pytest.mark.parametrize(("kernel", "atol"), [("nearest", 0), ("linear", 1e-9), ("bspline", 1e-4)])
def test_the_identity_keeps_the_values(kernel, atol):
    np.testing.assert_allclose(resampled(values(), interpolation=kernel), values(), atol=atol)


def test_values_are_pulled_along_the_transform():
    # A target point lies two voxels (4 mm) to the right of its source point; x runs right to left.
    shift = np.eye(4)
    shift[0, 3] = -4.0
    moved = resampled(values(), from_matrix(shift), fill=-5)
    np.testing.assert_allclose(moved[:-2], values()[2:], atol=1e-9)
    assert (moved[-2:] == -5).all()


def test_linear_weights_neighbours():
    shift = np.eye(4)
    shift[1, 3] = 0.25 * 2.5
    moved = resampled(values(), from_matrix(shift))
    expected = 0.75 * values()[:, :-1] + 0.25 * values()[:, 1:]
    np.testing.assert_allclose(moved[:, :-1], expected, atol=1e-9)


def test_every_volume_moves_alike_and_keeps_its_place():
    series = np.stack([values(), 10 * values(), -values()], axis=-1)
    shift = np.eye(4)
    shift[2, 3] = 1.3
    moved = resampled(series, from_matrix(shift))
    for index, factor in enumerate((1, 10, -1)):
        alone = resampled(factor * values(), from_matrix(shift))
        np.testing.assert_array_equal(moved[..., index], alone)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int16, np.int32, np.int64, np.float32])
def test_nearest_keeps_the_type(dtype):
    data = values() % 2 if dtype == np.bool_ else values()
    moved = resampled(data.astype(dtype), interpolation="nearest")
    assert moved.dtype == dtype
    np.testing.assert_array_equal(moved, data.astype(dtype))


@pytest.mark.parametrize(("given", "kept"), [(np.int16, np.float32), (np.float64, np.float64)])
def test_mixing_kernels_give_floats(given, kept):
    assert resampled(values(given)).dtype == kept


def test_masks_are_not_blurred():
    with pytest.raises(InputError, match="masks are resampled with the nearest"):
        resampled(values() > 100)


def test_the_spline_refuses_holes_that_it_would_spread():
    data = values()
    data[1, 2, 3] = np.nan
    with pytest.raises(InputError, match="1 not finite"):
        resampled(data, interpolation="bspline")
    assert np.isnan(resampled(data, interpolation="nearest")).sum() == 1


def test_the_input_stays_as_it_was():
    data = values()
    before = data.copy()
    resampled(data, interpolation="bspline")
    np.testing.assert_array_equal(data, before)


def test_all_faults_come_together():
    with pytest.raises(InputError) as caught:
        resampled(np.zeros((3, 3)), interpolation="cubic")
    assert len(caught.value.findings) == 2


def test_a_grid_of_other_voxels_keeps_centre_and_cover():
    shape, affine = grid_at(SHAPE, AFFINE, voxel_mm=1.5)
    assert shape == (12, 14, 14)
    old = AFFINE @ [*((np.array(SHAPE) - 1) / 2), 1]
    new = affine @ [*((np.array(shape) - 1) / 2), 1]
    np.testing.assert_allclose(new, old)
    assert affine[0, 0] == pytest.approx(-1.5)
