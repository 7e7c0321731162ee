from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

from msimaging.errors import InputError
from msimaging.spatial.registration import register_affine, register_rigid, register_template
from msimaging.spatial.resampling import resample_image
from msimaging.spatial.search import halfway
from msimaging.spatial.transforms import (
    compose,
    displacement_transform,
    image_from_array,
    transform_points,
)

SHAPES = ((32, 30, 28), (34, 30, 26))


@pytest.fixture(scope="module")
def pair(head):
    fixed_affine = head.centred(SHAPES[0], (-2.5, 2.5, 2.5))
    moving_affine = head.centred(SHAPES[1], (2.2, 2.5, 3.0))
    truth = head.pose([1, 2, 3], 4, [2, -3, 1.5])
    fixed = head.sampled(SHAPES[0], fixed_affine, np.eye(4), seed=1)
    moving = head.sampled(SHAPES[1], moving_affine, np.linalg.inv(truth), seed=2)
    return fixed, fixed_affine, moving, moving_affine, truth


@pytest.mark.parametrize("metric", ["correlation", "mattes"])
def test_rigid_finds_the_pose(pair, head, metric):
    *images, truth = pair
    found = register_rigid(*images, metric=metric)
    assert head.distance(found, truth, head.grid_points(SHAPES[0], pair[1])).max() < 0.12
    np.testing.assert_allclose(found[:3, :3].T @ found[:3, :3], np.eye(3), atol=1e-12)


def test_mattes_reads_other_contrasts(pair, head):
    fixed, fixed_affine, moving, moving_affine, truth = pair
    found = register_rigid(fixed, fixed_affine, np.exp(-moving), moving_affine, metric="mattes")
    assert head.distance(found, truth, head.grid_points(SHAPES[0], fixed_affine)).max() < 0.3


def test_exchanging_the_images_gives_the_inverse(pair):
    fixed, fixed_affine, moving, moving_affine, _ = pair
    there = register_rigid(fixed, fixed_affine, moving, moving_affine, sampling=0.3)
    back = register_rigid(moving, moving_affine, fixed, fixed_affine, sampling=0.3)
    np.testing.assert_allclose(there @ back, np.eye(4), atol=1e-10)


def test_threads_change_nothing(pair):
    *images, _ = pair
    alone = register_rigid(*images, sampling=0.3)
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(3)
    try:
        np.testing.assert_array_equal(register_rigid(*images, sampling=0.3), alone)
        assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == 3
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def test_a_mask_hides_what_must_not_count(pair, head):
    fixed, fixed_affine, moving, moving_affine, truth = pair
    spoilt = moving.copy()
    spoilt[20:30, 5:20, 5:20] = 6.0
    mask = np.ones(moving.shape, dtype=bool)
    mask[18:32, 3:22, 3:22] = False  # a margin of two voxels
    points = head.grid_points(SHAPES[0], fixed_affine)
    masked = register_rigid(fixed, fixed_affine, spoilt, moving_affine, moving_mask=mask)
    plain = register_rigid(fixed, fixed_affine, spoilt, moving_affine)
    assert head.distance(masked, truth, points).max() < 0.2
    assert head.distance(plain, truth, points).max() > 1.0


def test_affine_finds_scale_and_shear(head):
    affines = [head.centred(SHAPES[0], (2.5, 2.5, 2.5)), head.centred(SHAPES[1], (2.2, 2.5, 3.0))]
    truth = head.pose([1, 2, 3], 4, [2, -3, 1.5])
    truth[:3, :3] = (
        truth[:3, :3] @ np.diag([1.08, 0.93, 1.04]) @ [[1, 0.03, 0], [0, 1, 0], [0, 0.02, 1]]
    )
    fixed = head.sampled(SHAPES[0], affines[0], np.eye(4), seed=1)
    moving = head.sampled(SHAPES[1], affines[1], np.linalg.inv(truth), seed=2)
    found = register_affine(fixed, affines[0], moving, affines[1])
    back = register_affine(moving, affines[1], fixed, affines[0])
    assert head.distance(found, truth, head.grid_points(SHAPES[0], affines[0])).max() < 0.25
    np.testing.assert_allclose(found @ back, np.eye(4), atol=1e-10)


def test_halfway_is_the_same_from_both_ends(head):
    one, two = head.pose([1, 0, 2], 10, [3, 4, 5]), head.pose([0, 1, 1], -7, [-2, 0, 9])
    middle = halfway(one, two)
    np.testing.assert_allclose(halfway(two, one), middle, atol=1e-12)
    np.testing.assert_allclose(middle @ np.linalg.solve(one, middle), two, atol=1e-12)


def test_all_faults_of_an_image_are_told():
    good = np.random.default_rng(0).random((8, 8, 8))
    hole = good.copy()
    hole[0, 0, 0] = np.inf
    with pytest.raises(InputError) as caught:
        register_rigid(hole, np.eye(4), good, np.eye(4), fixed_mask=np.ones((2, 2, 2), dtype=bool))
    assert len(caught.value.findings) == 2
    with pytest.raises(InputError, match="contrast"):
        register_rigid(np.ones((8, 8, 8)), np.eye(4), good, np.eye(4))


@pytest.fixture(scope="module")
def warped(head):
    """A template and a subject made from it by a known affine and a smooth warp of up to 7 mm."""
    shape = (40, 38, 36)
    affine = head.centred(shape, (-2.0, 2.0, 2.0))
    # Fine structure for the warp to hold on to, inside a ball.
    points = head.grid_points(shape, affine)
    noise = gaussian_filter(np.random.default_rng(5).normal(size=shape), 1.5)
    ball = (points**2).sum(-1) < 28.0**2
    template = np.where(ball, 2 + head.intensity(points) + 6 * noise, 0)
    rng = np.random.default_rng(8)
    field = np.stack([gaussian_filter(rng.normal(size=shape), 5) for _ in range(3)], axis=-1)
    field *= 7 / np.sqrt((field**2).sum(-1)).max()
    linear = head.pose([1, 2, 3], 4, [3, -2, 2])
    linear[:3, :3] = linear[:3, :3] @ np.diag([1.05, 0.96, 1.02])
    template_to_subject = compose(displacement_transform(field, affine), linear)
    inverse = sitk.InvertDisplacementField(
        image_from_array(field * [-1, -1, 1], affine, vector=True),
        maximumNumberOfIterations=60,
        meanErrorToleranceThreshold=1e-4,
        maxErrorToleranceThreshold=1e-3,
    )
    subject_to_template = compose(
        np.linalg.inv(linear),
        sitk.DisplacementFieldTransform(sitk.Cast(inverse, sitk.sitkVectorFloat64)),
    )
    subject_affine = head.centred((42, 40, 36), (2.0, 2.1, 2.2))
    subject = resample_image(
        template,
        affine,
        target_to_source=subject_to_template,
        target_shape=(42, 40, 36),
        target_affine=subject_affine,
        interpolation="linear",
    )
    inner = points[(points**2).sum(-1) < 24.0**2][::7]
    return subject, subject_affine, template, affine, template_to_subject, inner


@pytest.fixture(scope="module")
def aligned(warped):
    return register_template(*warped[:4], working_mm=2.0, level_iterations=(25, 12))


def test_syn_recovers_a_known_warp(warped, aligned):
    *_, truth, points = warped
    goal = transform_points(truth, points)

    def error(transform):
        return np.linalg.norm(transform_points(transform, points) - goal, axis=1).mean()

    linear, nonlinear = error(compose(aligned.affine)), error(aligned.template_to_subject)
    print(f"mean error: affine {linear:.3f} mm, SyN {nonlinear:.3f} mm")
    assert linear > 1.0
    assert nonlinear < 0.6 * linear
    assert aligned.similarity_before < aligned.similarity_affine < aligned.similarity_after


def test_there_and_back_is_less_than_half_a_voxel(warped, aligned):
    points = warped[-1]
    back = compose(aligned.template_to_subject, aligned.subject_to_template)
    shift = np.linalg.norm(transform_points(back, points) - points, axis=1)
    assert shift.max() < 0.5 * 2.0
    # not because nothing moves
    there = transform_points(aligned.template_to_subject, points)
    assert np.linalg.norm(there - points, axis=1).mean() > 2.0


def test_a_filled_lesion_does_not_pull_the_warp(warped, aligned):
    subject, subject_affine, template, affine, _, points = warped
    lesion = np.zeros(subject.shape, dtype=bool)
    lesion[16:24, 18:26, 14:20] = True
    spoilt = np.where(lesion, 15.0, subject)

    def pull(**masks):
        found = register_template(
            spoilt,
            subject_affine,
            template,
            affine,
            working_mm=2.0,
            level_iterations=(25, 12),
            **masks,
        )
        moved = transform_points(found.template_to_subject, points)
        return np.linalg.norm(moved - transform_points(aligned.template_to_subject, points), axis=1)

    assert pull(lesion_mask=lesion).mean() < 0.7 * pull().mean()


def test_levels_that_the_grid_cannot_hold_are_left_out(warped):
    points = warped[-1]

    def moved(*level_iterations):
        found = register_template(*warped[:4], working_mm=4.0, level_iterations=level_iterations)
        return transform_points(found.template_to_subject, points)

    held = moved(6, 2)
    np.testing.assert_array_equal(moved(9, 8, 6, 2), held)
    assert np.abs(moved(2) - held).max() > 0.01


def test_a_grid_smaller_than_the_window_is_named(warped):
    with pytest.raises(InputError, match="working_resolution"):
        register_template(*warped[:4], working_mm=20.0)
