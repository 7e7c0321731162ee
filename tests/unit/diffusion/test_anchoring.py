"""A shell is brought to the b=0s by what the images show and by where the head was just before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from msimaging.diffusion.alignment import Frame, align_shell, shell_features, still
from msimaging.diffusion.anchoring import anchor_shells

SHAPE, ZOOM = (36, 40, 28), 3.0
LABELS = np.r_[0, np.ones(10, dtype=np.intp)]
BVECS = np.r_[np.zeros((1, 3)), np.eye(3)[np.arange(10) % 3]]


@pytest.fixture(scope="module")
def head():
    """Signals of a b=0 with fluid on top of the brain that the ten weighted volumes lack."""
    rng = np.random.default_rng(3)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, extent) for extent in SHAPE), indexing="ij")
    brain = (x / 0.7) ** 2 + (y / 0.8) ** 2 + (z / 0.7) ** 2 < 1
    texture = ndimage.gaussian_filter(rng.normal(size=SHAPE), 2.0)
    texture /= texture.std()
    weighted = np.where(brain, 300 + 80 * texture, 0)
    above = np.roll(brain, 1, axis=2) & ~brain
    b0 = np.where(brain, 700 - 150 * texture, np.where(above, 700, 0))
    smooth = [ndimage.gaussian_filter(image, 0.7) for image in (b0, weighted)]
    signals = np.stack([smooth[0], *[smooth[1]] * 10], axis=-1).astype(np.float32)
    signals[..., 1:] *= (1 + 0.1 * rng.normal(size=(10,))).astype(np.float32)
    signals += rng.normal(0, 10, signals.shape).astype(np.float32)
    affine = np.diag([ZOOM, ZOOM, ZOOM, 1.0])
    voxels = np.stack(np.nonzero(ndimage.binary_dilation(brain, iterations=2)))
    centre = affine[:3, :3] @ voxels.mean(axis=1)
    points = (affine[:3, :3] @ voxels).T - centre
    frame = Frame(
        affine=affine,
        shape=SHAPE,
        voxels=voxels,
        points=points,
        centre=centre,
        direction=np.array([0.0, 1.0, 0.0]),
        floor=20.0,
    )
    return signals, frame


def shifted(poses, offset):
    """Poses with the shell moved as one."""
    return [
        replace(pose, translation=pose.translation + (label > 0) * np.asarray(offset))
        for pose, label in zip(poses, LABELS, strict=True)
    ]


def still_head(jitter):
    rng = np.random.default_rng(1)
    moved = [replace(still(), translation=rng.normal(0, jitter, 3)) for _ in LABELS]
    return [still(), *moved[1:]]


def test_fluid_that_only_the_b0_shows_does_not_move_a_still_head(head):
    signals, frame = head
    spline = ndimage.spline_filter(signals[..., 0], order=3, output=np.float32, mode="mirror")
    feigned = align_shell(spline, shell_features(signals[..., 1:], frame), frame).translation
    assert abs(feigned[2]) > 0.5
    poses = still_head(0.05)
    anchored = anchor_shells(signals, frame, poses, LABELS, BVECS)
    moved = np.stack([pose.translation for pose in anchored])
    assert np.abs(moved.mean(axis=0)).max() < 0.15


def test_a_jump_that_no_contrast_feigns_is_seen_in_the_images(head):
    signals, frame = head
    away = signals.copy()
    away[..., 1:] = np.roll(away[..., 1:], 2, axis=0)
    anchored = anchor_shells(away, frame, still_head(0.05), LABELS, BVECS)
    moved = np.mean([pose.translation[0] for pose in anchored[1:]])
    assert moved == pytest.approx(2 * ZOOM, abs=0.8)


def test_a_restless_head_is_only_seen(head):
    signals, frame = head
    away = signals.copy()
    away[..., 1:] = np.roll(away[..., 1:], 1, axis=0)
    anchored = anchor_shells(away, frame, shifted(still_head(3.0), [0, 0, 1.0]), LABELS, BVECS)
    before = np.mean([pose.translation for pose in still_head(3.0)[1:]], axis=0)
    moved = np.mean([pose.translation for pose in anchored[1:]], axis=0) - before
    assert moved[0] == pytest.approx(ZOOM, abs=0.8)


def test_a_shell_moves_as_one(head):
    signals, frame = head
    turn = Rotation.from_euler("z", 2, degrees=True).as_matrix()
    poses = still_head(0.5)
    poses[4] = replace(poses[4], rotation=turn)
    anchored = anchor_shells(signals, frame, poses, LABELS, BVECS)
    common = [a.rotation.T @ b.rotation for a, b in zip(anchored, poses, strict=True)]
    assert np.allclose(common[1:], common[1], atol=1e-12)
    assert anchored[0] is poses[0]
