"""The boundary of the white matter finds the pose of a distorted image of another contrast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from msimaging.errors import InputError
from msimaging.phantom.anatomical import simulate_t1w
from msimaging.phantom.anatomy import tissue_at
from msimaging.phantom.functional import simulate_bold
from msimaging.phantom.head import Pose, grid_points, random_head, random_pose
from msimaging.spatial.boundary import Boundary, register_boundary, white_boundary
from msimaging.volumes import Volume


@dataclass(frozen=True)
class Heads:
    """One head in two contrasts."""

    t1w: Volume
    bold: Volume
    mask: NDArray[np.bool_]
    white: NDArray[np.float64]
    grey: NDArray[np.float64]
    brain: NDArray[np.bool_]
    bold_to_t1w: NDArray[np.float64]


@pytest.fixture(scope="module")
def heads() -> Heads:
    """Between the scans the head turns by 3 degrees and moves by 3 mm; BOLD is distorted by 4."""
    rng = np.random.default_rng(3)
    head, first = random_head(rng, scale_sd=0.03), random_pose(rng)
    turn = Rotation.from_rotvec([2.0, -1.5, 1.5], degrees=True).as_matrix()
    second = Pose(
        rotation=turn @ first.rotation, translation=first.translation + np.array([2.0, -1.0, 2.0])
    )
    run = simulate_bold(head=head, pose=first, voxel_size=3.5, n_volumes=4, distortion_mm=4.0)
    t1w = simulate_t1w(head=head, pose=second, voxel_size=2.0)
    tissue = tissue_at(
        head.to_template(second.to_head(grid_points(t1w.data.shape, t1w.affine))), fwhm=2.0
    )
    rigid = np.eye(4)
    rigid[:3, :3] = second.rotation @ first.rotation.T
    rigid[:3, 3] = second.translation - rigid[:3, :3] @ first.translation
    return Heads(
        t1w=t1w,
        bold=Volume(data=run.data.mean(axis=3), affine=run.affine),
        mask=run.mask,
        white=tissue.white.reshape(t1w.data.shape),
        grey=tissue.grey.reshape(t1w.data.shape),
        brain=tissue.brain.reshape(t1w.data.shape),
        bold_to_t1w=rigid,
    )


@pytest.fixture(scope="module")
def boundary(heads: Heads) -> Boundary:
    return white_boundary(
        heads.t1w.data,
        heads.t1w.affine,
        white_matter=heads.white,
        grey_matter=heads.grey,
        brain=heads.brain,
    )


def error_mm(heads: Heads, bold_to_t1w: NDArray[np.float64]) -> float:
    places = grid_points(heads.mask.shape, heads.bold.affine)[heads.mask.ravel()]
    apart = (bold_to_t1w - heads.bold_to_t1w)[:3]
    return float(np.linalg.norm(places @ apart[:, :3].T + apart[:, 3], axis=1).mean())


def test_normals_lead_from_white_to_grey_matter(heads: Heads, boundary: Boundary) -> None:
    def white(places: NDArray[np.float64]) -> float:
        inverse = np.linalg.inv(heads.t1w.affine)
        voxels = np.rint(places @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
        return float(heads.white[tuple(voxels.T)].mean())

    assert np.linalg.norm(boundary.normals, axis=1) == pytest.approx(1)
    inwards, on, outwards = (white(boundary.points + d * boundary.normals) for d in (-3, 0, 3))
    print(f"white matter 3 mm inside {inwards:.2f}, at {on:.2f}, 3 mm outside {outwards:.2f}")
    assert inwards > on + 0.15 > outwards + 0.3


def test_the_pose_is_found_from_where_the_scanner_says(heads: Heads, boundary: Boundary) -> None:
    found = register_boundary(
        heads.bold.data, heads.bold.affine, boundary, mask=heads.mask, starts=[np.eye(4)]
    )
    before = error_mm(heads, np.eye(4))
    after = error_mm(heads, np.linalg.inv(found.boundary_to_image))
    print(f"{before:.2f} mm before, {after:.2f} mm after, {found.contrast_percent:.1f} %")
    assert before > 2.5
    assert after < 0.7
    assert found.contrast_percent > 8
    assert found.cost < 0.8


def test_the_better_of_two_starts_is_taken(heads: Heads, boundary: Boundary) -> None:
    away = np.eye(4)
    away[:3, 3] = [0, 60, 0]
    asked = {"mask": heads.mask, "boundary": boundary}
    lost, found = (
        register_boundary(heads.bold.data, heads.bold.affine, starts=starts, **asked)
        for starts in ([away], [away, np.eye(4)])
    )
    assert error_mm(heads, np.linalg.inv(lost.boundary_to_image)) > 10
    assert error_mm(heads, np.linalg.inv(found.boundary_to_image)) < 0.7


def test_an_image_without_brighter_white_matter_is_refused(heads: Heads) -> None:
    with pytest.raises(InputError, match="white matter must be brighter than grey matter"):
        white_boundary(
            -heads.t1w.data + heads.t1w.data.max(),
            heads.t1w.affine,
            white_matter=heads.white,
            grey_matter=heads.grey,
            brain=heads.brain,
        )


def test_a_run_that_does_not_cover_the_head_is_refused(heads: Heads, boundary: Boundary) -> None:
    mask = heads.mask.copy()
    mask[:, :, 12:] = False
    with pytest.raises(InputError, match="must cover the head") as caught:
        register_boundary(
            heads.bold.data, heads.bold.affine, boundary, mask=mask, starts=[np.eye(4)]
        )
    assert "functional.anatomical: none" in caught.value.findings[0].remedy
