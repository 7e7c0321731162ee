"""Planted drop-outs are found, only they are, and their replacement is near the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from msimaging.diffusion.outliers import replace_against, replace_dropped_slices
from msimaging.errors import InputError

SHAPE, SIGMA = (24, 26, 18), 40.0


@pytest.fixture(scope="module")
def series():
    """Two shells of a head with fibres; one slice in twenty lost 40 to 90 per cent."""
    rng = np.random.default_rng(11)
    bvecs = rng.normal(size=(46, 3))
    bvecs /= np.linalg.norm(bvecs, axis=1, keepdims=True)
    bvals = np.r_[0.0, np.full(25, 1000.0), np.full(20, 2000.0)]
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, extent) for extent in SHAPE), indexing="ij")
    mask = (x / 0.8) ** 2 + (y / 0.9) ** 2 + (z / 0.9) ** 2 < 1
    angle = ndimage.gaussian_filter(rng.normal(size=SHAPE), 3)
    angle *= 2 / angle.std()
    fibre = np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)
    s0 = (1000 + 200 * x - 150 * z) * mask
    truth = s0[..., None] * np.exp(-bvals * (4e-4 + 1.1e-3 * (fibre @ bvecs.T) ** 2))
    noise = rng.normal(0, SIGMA, (2, *truth.shape))
    data = np.hypot(truth + noise[0], noise[1])
    judged = ndimage.binary_erosion(mask).sum(axis=(0, 1)) >= 20
    dropped = (rng.random((SHAPE[2], 46)) < 0.05) & judged[:, None]
    dropped[:, 0] = False
    loss = np.where(dropped, rng.uniform(0.4, 0.9, dropped.shape), 0)
    arguments = {"bvals": bvals, "bvecs": bvecs, "mask": mask}
    return data * (1 - loss), truth, dropped, arguments


def test_dropped_slices_are_found_and_no_others(series):
    data, _, dropped, arguments = series
    found = replace_dropped_slices(data, **arguments)
    assert dropped.sum() > 20
    np.testing.assert_array_equal(found.outliers, dropped)
    judged = np.isfinite(found.z_scores)
    assert found.share == pytest.approx(dropped.sum() / judged.sum())
    assert not judged[:, 0].any()  # the only b=0 has no one to speak for it


def test_replacement_is_near_the_truth_and_the_rest_is_kept(series):
    data, truth, dropped, arguments = series
    found = replace_dropped_slices(data, **arguments)
    at = arguments["mask"][..., None] & dropped
    rms_before, rms_after = (
        np.sqrt(np.mean((volumes - truth)[at] ** 2)) for volumes in (data, found.data)
    )
    assert rms_after < 1.3 * SIGMA < rms_before
    np.testing.assert_array_equal(found.weights[at], 0)
    kept = np.broadcast_to(~dropped, data.shape)
    np.testing.assert_array_equal(found.data[kept], data[kept].astype(np.float32))
    np.testing.assert_array_equal(found.weights[kept], 1)


def test_clean_series_has_no_outliers(series):
    _, truth, _, arguments = series
    rng = np.random.default_rng(3)
    clean = np.abs(truth + rng.normal(0, SIGMA, truth.shape))
    assert replace_dropped_slices(clean, **arguments).share == 0


def test_head_motion_is_not_taken_for_drop_outs(series):
    _, truth, _, arguments = series
    rng = np.random.default_rng(8)
    moved = [ndimage.shift(truth[..., n], rng.uniform(-1, 1, 3), order=1) for n in range(46)]
    moved = np.abs(np.stack(moved, -1) + rng.normal(0, SIGMA, truth.shape))
    assert replace_dropped_slices(moved, **arguments).share < 0.01


def test_slices_along_another_axis(series):
    data, _, dropped, arguments = series
    turned = dict(arguments, mask=np.moveaxis(arguments["mask"], 2, 0))
    found = replace_dropped_slices(np.moveaxis(data, 2, 0), **turned, slice_axis=0)
    np.testing.assert_array_equal(found.outliers, dropped)
    assert found.data.shape == found.weights.shape == (18, 24, 26, 46)


def test_faults_are_told_together(series):
    data, _, _, arguments = series
    with pytest.raises(InputError) as caught:
        replace_dropped_slices(
            data, **dict(arguments, bvals=np.zeros(2), mask=data[..., 0] < 0), threshold=0.0
        )
    assert len(caught.value.findings) == 3


def test_a_prediction_that_knows_the_pose_finds_the_same_and_no_false_ones(series):
    data, truth, dropped, arguments = series
    # a head that has moved two voxels: slices foretold elsewhere look dropped, these do not
    moved = [np.roll(image, 2, axis=2) for image in (data, truth)]
    foretold = moved[1].copy()
    foretold[..., 0] = 0  # the only b=0 has no one to speak for it
    mask = np.roll(arguments["mask"], 2, axis=2)
    found = replace_against(moved[0], foretold, bvals=arguments["bvals"], mask=mask)
    planted = np.roll(dropped, 2, axis=0)
    np.testing.assert_array_equal(found.outliers, planted)
    assert not np.isfinite(found.z_scores[:, 0]).any()
    at = np.broadcast_to(planted, foretold.shape)
    np.testing.assert_array_equal(found.data[at], foretold.astype(np.float32)[at])
    np.testing.assert_array_equal(found.weights[at], 0)
