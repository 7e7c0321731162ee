from __future__ import annotations

import numpy as np
import pytest

from msimaging.errors import InputError
from msimaging.spatial.midpoint import (
    VisitImage,
    midpoint_space,
    midpoint_template,
    poses_from_pairs,
)
from msimaging.spatial.search import logarithm

SHAPES = ((32, 30, 28), (34, 30, 26), (30, 32, 30))
SIZES = ((2.5, 2.5, 2.5), (-2.2, 2.5, 3.0), (2.5, 2.4, 2.6))


@pytest.fixture(scope="module")
def poses(head):
    return [
        np.eye(4),
        head.pose([1, 2, 3], 6, [3, -4, 2]),
        head.pose([-2, 1, 1], 9, [-2, 5, 3]),
        head.pose([0, 1, -1], 15, [4, 1, -4]),
    ]


@pytest.fixture(scope="module")
def visits(head, poses):
    images = []
    for index, (shape, sizes) in enumerate(zip(SHAPES, SIZES, strict=True)):
        affine = head.centred(shape, sizes)
        data = head.sampled(shape, affine, np.linalg.inv(poses[index]), seed=index)
        images.append(VisitImage(data=data, affine=affine))
    return images


@pytest.fixture(scope="module")
def space(visits):
    return midpoint_space(visits, sampling=0.3)


def pairs_of(poses):
    return np.array([[b @ np.linalg.inv(a) for b in poses] for a in poses])


def test_two_visits_meet_at_the_square_root(poses):
    pairs = pairs_of(poses[:2])
    first, second = poses_from_pairs(pairs)
    np.testing.assert_allclose(second @ second, pairs[0, 1], atol=1e-12)
    np.testing.assert_allclose(first @ second, np.eye(4), atol=1e-12)


def test_more_visits_agree_with_their_pairs_and_balance(poses):
    pairs = pairs_of(poses)
    found = poses_from_pairs(pairs)
    for i, j in np.ndindex(4, 4):
        np.testing.assert_allclose(found[j] @ np.linalg.inv(found[i]), pairs[i, j], atol=1e-9)
    np.testing.assert_allclose(sum(logarithm(pose) for pose in found), 0, atol=1e-9)


def test_the_scanner_origin_does_not_matter(poses, head):
    elsewhere = head.pose([3, 1, 2], 40, [100, -50, 20])
    moved = [elsewhere @ pose @ np.linalg.inv(elsewhere) for pose in poses]
    expected = [elsewhere @ p @ np.linalg.inv(elsewhere) for p in poses_from_pairs(pairs_of(poses))]
    np.testing.assert_allclose(poses_from_pairs(pairs_of(moved)), expected, atol=1e-8)


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 0, 1)])
def test_the_order_of_visits_only_orders_the_result(visits, space, order):
    again = midpoint_space([visits[index] for index in order], sampling=0.3)
    assert again.shape == space.shape
    np.testing.assert_allclose(again.affine, space.affine, atol=1e-8)
    expected = [space.midpoint_to_visit[index] for index in order]
    np.testing.assert_allclose(again.midpoint_to_visit, expected, atol=1e-8)
    template = midpoint_template(visits, space)
    shuffled = midpoint_template([visits[index] for index in order], again)
    np.testing.assert_allclose(shuffled, template, atol=1e-8)


def test_the_midpoint_finds_the_planted_poses(space, poses, head):
    expected = poses_from_pairs(pairs_of(poses[:3]))
    points = head.grid_points(space.shape, space.affine)
    for found, truth in zip(space.midpoint_to_visit, expected, strict=True):
        assert head.distance(found, truth, points).max() < 0.25
    assert 0 < space.disagreement_mm < 0.3


def test_the_grid_is_isotropic_and_holds_every_visit(visits, space):
    size = np.mean(np.abs(SIZES))
    np.testing.assert_allclose(np.diag(space.affine), [size, size, size, 1])
    for image, matrix in zip(visits, space.midpoint_to_visit, strict=True):
        corners = np.array(list(np.ndindex(2, 2, 2))) * np.array(image.data.shape) - 0.5
        voxel = np.linalg.inv(matrix @ space.affine) @ image.affine
        inside = corners @ voxel[:3, :3].T + voxel[:3, 3]
        assert inside.min() > -0.501
        assert (inside < np.array(space.shape) - 0.499).all()


def test_two_visits_lie_on_the_grid_as_mirror_images(head):
    """Both are then smoothed alike by any symmetric kernel, whatever the shift."""
    shape, affine = (24, 23, 22), head.centred((24, 23, 22), (2.5, 2.5, 2.5))
    shift = head.pose([1, 0, 0], 0, [1.9, -0.7, 3.1])
    pair = [
        VisitImage(data=head.sampled(shape, affine, world, noise=0), affine=affine)
        for world in (np.eye(4), np.linalg.inv(shift))
    ]
    found = midpoint_space(pair, sampling=0.3)
    voxel = np.array([11, 10, 9, 1])
    places = [np.linalg.inv(affine) @ m @ found.affine @ voxel for m in found.midpoint_to_visit]
    offsets = [place[:3] % 1 for place in places]
    unlike = (offsets[0] + offsets[1] + 0.5) % 1 - 0.5
    np.testing.assert_allclose(unlike, 0, atol=0.01)
    assert (np.abs(offsets[0] - offsets[1]) > 0.05).any()


def test_one_visit_keeps_its_grid(visits):
    space = midpoint_space(visits[1:2])
    assert space.shape == SHAPES[1]
    np.testing.assert_array_equal(space.affine, visits[1].affine)
    np.testing.assert_array_equal(space.midpoint_to_visit[0], np.eye(4))


def test_the_template_is_sharper_than_visits_left_where_they_were(visits, space, head, poses):
    template = midpoint_template(visits, space)
    to_head = np.linalg.inv(poses[0]) @ space.midpoint_to_visit[0]
    truth = head.sampled(space.shape, space.affine, to_head, noise=0)
    seen = template > 0.2 * template.max()
    assert np.corrcoef(template[seen], truth[seen])[0, 1] > 0.998


def test_voxels_seen_by_some_visits_are_not_darkened(visits, space):
    flat = [
        VisitImage(data=np.full(image.data.shape, 7.0), affine=image.affine) for image in visits
    ]
    template = midpoint_template(flat, space, interpolation="nearest")
    assert set(np.unique(template.round(9))) == {0.0, 7.0}


def test_no_visit_is_refused():
    with pytest.raises(InputError, match="a patient has a visit"):
        midpoint_space([])
