"""Brain mask on drawn heads whose brain is known."""

import numpy as np
import pytest

from msimaging.diffusion.masks import brain_mask
from msimaging.errors import ComputationError


def ellipsoid(shape, centre, radii, sizes):
    grid = np.indices(shape).transpose(1, 2, 3, 0) * sizes
    return (((grid - centre) / radii) ** 2).sum(axis=-1) < 1


@pytest.fixture
def head():
    """Brain with bright ventricles, bright eyes on thin stalks, dim scalp, shading and noise."""
    sizes = np.array([3.0, 3.0, 4.0])
    shape, centre = (64, 72, 40), np.array([95.0, 100.0, 75.0])
    brain = ellipsoid(shape, centre, (68, 82, 60), sizes)
    image = np.where(brain, 1000.0, 0.0)
    image[ellipsoid(shape, centre, (85, 98, 74), sizes) & ~brain] = 60
    skull = ellipsoid(shape, centre, (80, 94, 70), sizes) & ~brain
    image[skull] = 20
    image[ellipsoid(shape, centre + 5, (18, 30, 16), sizes)] = 4000
    for side in (-32, 32):
        eye = ellipsoid(shape, centre + np.array([side, 92, -35]), (12, 12, 12), sizes)
        image[eye] = 5000
    shading = np.exp(-(np.indices(shape)[0] - 10) / 60)
    rng = np.random.default_rng(4)
    noisy = np.abs(image * shading + rng.normal(scale=15, size=shape))
    return noisy, brain, np.diag([*sizes, 1.0])


def dice(first, second):
    return 2 * (first & second).sum() / (first.sum() + second.sum())


def test_brain_is_found_without_eyes_and_with_ventricles(head):
    image, brain, affine = head
    mask = brain_mask(image, affine)
    assert dice(mask, brain) > 0.97
    assert mask[image > 3000].sum() / (brain & (image > 3000)).sum() <= 1.01


def test_slab_keeps_its_end_slices(head):
    image, brain, affine = head
    slab = slice(14, 24)
    mask = brain_mask(image[:, :, slab], affine)
    for place in (0, -1):
        assert dice(mask[:, :, place], brain[:, :, slab][:, :, place]) > 0.96


def test_brightness_does_not_matter(head):
    image, _, affine = head
    np.testing.assert_array_equal(brain_mask(image, affine), brain_mask(image * 1e-3, affine))


@pytest.mark.parametrize("value", [0.0, 700.0])
def test_image_without_contrast_is_refused(value):
    with pytest.raises(ComputationError, match="no contrast"):
        brain_mask(np.full((10, 10, 10), value), np.eye(4))
