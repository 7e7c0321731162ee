"""A planted field is found from its opposite effects and undone in shape and brightness."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from msimaging.diffusion.distortion import correct_distortion, estimate_field
from msimaging.errors import InputError

AFFINE = np.diag([-3.0, 2.5, 2.0, 1.0])


def distorted(truth, displacement, axis):
    """Push the truth along an axis: density is kept, found by inverting y + d(y) per line."""
    shift = np.moveaxis(displacement / abs(AFFINE[axis, axis]), axis, 2)
    image = np.moveaxis(truth, axis, 2)
    y = np.arange(image.shape[2], dtype=float)
    source = np.stack([np.interp(y, y + line, y) for line in shift.reshape(-1, len(y))])
    source = source.reshape(shift.shape)
    i, j, _ = np.indices(shift.shape)
    pushed = ndimage.map_coordinates(image, [i, j, source], order=3, mode="nearest")
    return np.moveaxis(pushed * np.gradient(source, axis=2), 2, axis)


def head_and_field(axis, seed=4):
    rng = np.random.default_rng(seed)
    shape = (36, 40, 32)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, extent) for extent in shape), indexing="ij")
    head = (x / 0.7) ** 2 + (y / 0.75) ** 2 + (z / 0.7) ** 2 < 1
    texture = ndimage.gaussian_filter(rng.normal(size=shape), 1.5)
    truth = ndimage.gaussian_filter((800 + 300 * texture / texture.std()).clip(200) * head, 0.8)
    field = 5 * np.exp(-((x - 0.2) ** 2 + (y - 0.4) ** 2 + (z + 0.3) ** 2) / 0.12) - 0.4 * x
    return truth, head, field, rng


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_field_is_found_to_a_tenth_of_a_millimetre(axis):
    truth, head, field, rng = head_and_field(axis)
    up = distorted(truth, field, axis) + rng.normal(0, 15, truth.shape)
    down = distorted(truth, -field, axis) + rng.normal(0, 15, truth.shape)
    found = estimate_field(up, down, affine=AFFINE, phase_encoding_axis=axis)
    assert np.abs(field[head]).mean() > 0.3
    assert np.abs(found - field)[head].mean() < 0.1
    swapped = estimate_field(down, up, affine=AFFINE, phase_encoding_axis=axis)
    assert np.abs(swapped + found)[head].max() < 0.05


def test_correction_restores_shape_and_brightness():
    truth, head, field, _ = head_and_field(1)
    up = np.stack([distorted(truth, field, 1), 2 * distorted(truth, field, 1)], axis=-1)
    mended = correct_distortion(up, field, affine=AFFINE, phase_encoding_axis=1)
    inner = ndimage.binary_erosion(head, iterations=2)

    def error(image):
        return np.abs(image - truth)[inner].mean()

    assert error(mended[..., 0]) < 0.25 * error(up[..., 0])
    np.testing.assert_allclose(mended[..., 1], 2 * mended[..., 0], rtol=1e-3, atol=0.1)
    assert mended.dtype == np.float32


def test_constant_displacement_is_a_plain_shift():
    ramp = np.broadcast_to(np.arange(20.0)[None, None, :], (4, 5, 20))
    moved = correct_distortion(ramp, np.full(ramp.shape, 5.0), affine=AFFINE, phase_encoding_axis=2)
    np.testing.assert_allclose(moved[:, :, 3:14], ramp[:, :, 3:14] + 2.5, atol=0.02)


def test_equal_images_have_no_field():
    truth = head_and_field(1)[0]
    found = estimate_field(truth, truth, affine=AFFINE, phase_encoding_axis=1)
    assert np.abs(found).max() < 1e-6


def test_faults_are_told_together():
    ones = np.ones((8, 8, 8))
    with pytest.raises(InputError) as caught:
        estimate_field(ones, 0 * ones[:4], affine=AFFINE, phase_encoding_axis=3)
    assert len(caught.value.findings) == 3
    with pytest.raises(InputError, match="grid of the volumes"):
        correct_distortion(ones, ones[:3], affine=AFFINE, phase_encoding_axis=1)
