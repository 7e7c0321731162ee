"""Shears and shifts that follow the gradients are told from the head's own motion."""

from __future__ import annotations

import numpy as np
import pytest

from msimaging.diffusion.alignment import Pose
from msimaging.diffusion.eddy import eddy_priors, eddy_shifts

DIRECTION = np.array([0.0, 1.0, 0.0])


@pytest.fixture
def series():
    rng = np.random.default_rng(7)
    bvecs = np.r_[np.zeros((1, 3)), rng.normal(size=(20, 3))]
    bvecs[1:] /= np.linalg.norm(bvecs[1:], axis=1)[:, None]
    labels = np.r_[0, np.ones(20, dtype=np.intp)]
    return bvecs, labels, rng


def posed(along, eddy):
    return [
        Pose(rotation=np.eye(3), translation=t * DIRECTION, eddy=e)
        for t, e in zip(along, eddy, strict=True)
    ]


def test_the_line_in_the_gradients_is_expected_and_what_scatters_sets_the_width(series):
    bvecs, labels, rng = series
    slope = np.array([[0.02, 0.0, 0.001], [0.01, 0.004, 0.0], [0.0, 0.0, -0.03]])
    noise = rng.normal(0, 0.002, (21, 3)) * (labels > 0)[:, None]
    poses = posed(np.zeros(21), bvecs @ slope + noise)
    priors = eddy_priors(poses, bvecs, labels, known=True)
    expected = np.stack([prior.expected for prior in priors])
    assert np.abs(expected - bvecs @ slope).max() < 0.002
    assert (expected[0] == 0).all()
    assert 0.001 < priors[5].spread.mean() < 0.003
    free = eddy_priors(poses, bvecs, labels, known=False)
    assert (free[5].expected == 0).all()
    assert free[5].spread.min() > 3 * priors[5].spread.max()


def test_few_directions_expect_nothing(series):
    bvecs, labels, _ = series
    few = np.arange(6)
    poses = posed(np.zeros(6), bvecs[few] @ np.full((3, 3), 0.02))
    priors = eddy_priors(poses, bvecs[few], labels[few], known=True)
    assert all((prior.expected == 0).all() for prior in priors)
    assert (eddy_shifts(poses, bvecs[few], labels[few], DIRECTION) == 0).all()


def test_shifts_follow_the_gradients_and_drift_stays_with_the_head(series):
    bvecs, labels, rng = series
    eddy = bvecs @ [0.8, -0.4, 0.3]
    drift = np.linspace(0, 1.5, 21)
    poses = posed(drift + eddy + rng.normal(0, 0.05, 21), np.zeros((21, 3)))
    found = eddy_shifts(poses, bvecs, labels, DIRECTION)
    assert found[0] == 0
    assert np.abs(found - eddy).max() < 0.12
    assert np.abs(eddy).max() > 0.5


def test_a_head_that_moves_at_random_keeps_its_motion(series):
    bvecs, labels, rng = series
    walk = rng.normal(0, 2, 21)
    found = eddy_shifts(posed(walk, np.zeros((21, 3))), bvecs, labels, DIRECTION)
    assert found.std() < 0.25 * walk.std()
