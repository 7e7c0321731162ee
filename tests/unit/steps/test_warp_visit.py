"""A ventricle that grows by 2 mm: the warp brings its border back and leaves tissue alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from msimaging.spatial.midpoint import MidpointSpace, VisitImage, midpoint_template
from msimaging.spatial.reorientation import jacobian
from msimaging.spatial.resampling import resample_image
from msimaging.spatial.transforms import compose, from_matrix, transform_points
from msimaging.steps.carrying import template_to_visit, visit_to_template
from msimaging.steps.warp_visit import warp_visit
from msimaging.volumes import read_volume, write_volume
from msimaging.xfms import read_transform, write_midpoint, write_transform

SHAPE, MM = (36, 40, 34), 2.5
AFFINE = np.diag([MM, MM, MM, 1.0])
AFFINE[:3, 3] = -MM * (np.array(SHAPE) - 1) / 2
VENTRICLE, BRAIN = np.array([9.0, 18.0, 8.0]), np.array([38.0, 43.0, 36.0])
LESION = np.array([24.0, 10.0, 6.0])
GROWTH = 2.0
POSE = np.eye(4)
POSE[:3, :3] = Rotation.from_rotvec(np.radians([1.0, -1.5, 2.0])).as_matrix()
POSE[:3, 3] = 0.8, -0.6, 0.7
SESSIONS = ("ses-a", "ses-b")


def from_border(points: np.ndarray) -> np.ndarray:
    """Distance from the ventricle's border in mm, negative inside (first order)."""
    radius = np.linalg.norm(points / VENTRICLE, axis=-1)
    slope = np.linalg.norm(points / VENTRICLE**2, axis=-1)
    return radius * (radius - 1) / np.maximum(slope, 1e-3)


def shrunk(points: np.ndarray, growth: float) -> np.ndarray:
    """Where tissue was before the ventricle grew: 2 mm at its border, fading over 12 mm."""
    away = from_border(points)
    outwards = points / VENTRICLE**2
    outwards /= np.maximum(np.linalg.norm(outwards, axis=-1, keepdims=True), 1e-3)
    size = np.where(away > 0, np.exp(-((away / 12) ** 2)), np.clip(1 + away / 8, 0, 1))
    return points - growth * size[..., None] * outwards


def anatomy(points: np.ndarray) -> np.ndarray:
    """FA of white matter with bundles, a rim of grey matter, and a ventricle of fluid."""
    rng = np.random.default_rng(7)
    waves = [
        np.sin(points @ (rng.normal(size=3) / 3.2) + rng.uniform(0, 2 * np.pi)) for _ in range(12)
    ]
    white = 0.48 + 0.13 * np.sum(waves, axis=0) / np.sqrt(12)
    depth = 1 - np.linalg.norm(points / BRAIN, axis=-1)
    outer = 1 / (1 + np.exp(-(0.16 - depth) * 45))
    fluid = 1 / (1 + np.exp(from_border(points) / 1.2))
    tissue = white * (1 - outer) + 0.16 * outer
    return (tissue * (1 - fluid) + 0.05 * fluid) / (1 + np.exp(-depth * 45))


@dataclass(frozen=True)
class Visits:
    """Two visits of one head, and what the step made of them."""

    growths: tuple[float, float]
    images: tuple[np.ndarray, np.ndarray]
    folder: Path

    def way(self, index: int, *, bent: bool):
        if not bent:
            return from_matrix(poses()[index])
        return read_transform(self.folder / f"to_{SESSIONS[index]}.h5")

    def places(self, index: int, *, bent: bool) -> np.ndarray:
        """Carry the grid's points to the visit, and back to the anatomy by the planted truth."""
        there = transform_points(self.way(index, bent=bent), POINTS.reshape(-1, 3))
        head = there @ inverse(index)[:3, :3].T + inverse(index)[:3, 3]
        return shrunk(head, self.growths[index]).reshape(*SHAPE, 3)

    def carried(self, index: int, *, bent: bool) -> np.ndarray:
        return resample_image(
            self.images[index],
            AFFINE,
            target_to_source=self.way(index, bent=bent),
            target_shape=SHAPE,
            target_affine=AFFINE,
            interpolation="linear",
        )

    def error_and_change(self, *, bent: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return how far the visits' anatomies lie apart, mm, and the change of FA."""
        first, second = (self.places(index, bent=bent) for index in (0, 1))
        change = self.carried(1, bent=bent) - self.carried(0, bent=bent)
        return np.linalg.norm(second - first, axis=-1), change

    def volume(self, index: int) -> np.ndarray:
        return read_volume(self.folder / f"volume_{SESSIONS[index]}.nii.gz").data


POINTS = np.stack(np.indices(SHAPE), -1) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
INSIDE = np.linalg.norm(POINTS / BRAIN, axis=-1) < 0.9
AWAY = from_border(POINTS)
BORDER, SHELL, FAR = np.abs(AWAY) < MM, (AWAY > MM) & (AWAY < 7.5), AWAY > 18


def poses() -> list[np.ndarray]:
    return [np.linalg.inv(POSE), POSE]


def inverse(index: int) -> np.ndarray:
    return np.linalg.inv(poses()[index])


@lru_cache
def scanned(index: int, growth: float, *, lesion: bool) -> np.ndarray:
    """The head as a visit sees it, averaged over each voxel, with Rician noise."""
    total = np.zeros(SHAPE)
    for corner in np.ndindex(2, 2, 2):
        points = POINTS + (np.array(corner) - 0.5) * MM / 2
        head = shrunk(points @ inverse(index)[:3, :3].T + inverse(index)[:3, 3], growth)
        total += np.where(lesion & (ball(head)), 0.1, anatomy(head)) / 8
    real, imaginary = np.random.default_rng(index).normal(0, 0.05, (2, *SHAPE))
    outside = np.linalg.norm(POINTS / BRAIN, axis=-1) > 1.05
    return np.where(outside, 0, np.hypot(total + real, imaginary)).astype(np.float32)


def ball(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points - LESION, axis=-1) < 7


def warped(folder: Path, growths: tuple[float, float], *, lesion: str = "none") -> Visits:
    """Write two visits and run the step on both; ``lesion``: none, hidden, or told."""
    folder.mkdir(exist_ok=True)
    images = tuple(
        scanned(index, growth, lesion=lesion != "none" and index == 1)
        for index, growth in enumerate(growths)
    )
    space = MidpointSpace(
        shape=SHAPE, affine=AFFINE, midpoint_to_visit=tuple(poses()), disagreement_mm=0.0
    )
    visits = [VisitImage(data=image, affine=AFFINE) for image in images]
    write_volume(folder / "mean.nii.gz", midpoint_template(visits, space), AFFINE)
    write_midpoint(folder / "midpoint.tsv", dict(zip(SESSIONS, poses(), strict=True)))
    masks = []
    for index, session in enumerate(SESSIONS):
        write_volume(folder / f"{session}.nii.gz", images[index], AFFINE)
        write_volume(
            folder / f"mask_{session}.nii.gz", (images[index] > 0).astype(np.uint8), AFFINE
        )
        head = POINTS @ inverse(index)[:3, :3].T + inverse(index)[:3, 3]
        drawn = ball(head) & (index == 1)
        masks.append(str(folder / f"lesion_{session}.nii.gz"))
        write_volume(masks[-1], drawn.astype(np.uint8), AFFINE)
    for session in SESSIONS:
        warp_visit(
            image=str(folder / f"{session}.nii.gz"),
            mask=str(folder / f"mask_{session}.nii.gz"),
            midpoint=str(folder / "midpoint.tsv"),
            template=str(folder / "mean.nii.gz"),
            lesions=masks if lesion == "told" else (),
            poses=[str(folder / "midpoint.tsv")] * 2,
            session=session,
            sessions=SESSIONS,
            out_to_visit=str(folder / f"to_{session}.h5"),
            out_from_visit=str(folder / f"from_{session}.h5"),
            out_log_jacobian=str(folder / f"volume_{session}.nii.gz"),
        )
    return Visits(growths=growths, images=images, folder=folder)


@pytest.fixture(scope="module")
def atrophy(tmp_path_factory: pytest.TempPathFactory) -> Visits:
    return warped(tmp_path_factory.mktemp("atrophy"), (0.0, GROWTH))


def test_the_border_meets_and_tissue_around_it_shows_no_change(atrophy: Visits) -> None:
    found = {}
    for bent in (False, True):
        error, change = atrophy.error_and_change(bent=bent)
        found[bent] = {
            name: (error[where & INSIDE].mean(), change[where & INSIDE].mean())
            for name, where in (("border", BORDER), ("shell", SHELL), ("far", FAR))
        }
        print("bent" if bent else "rigid", found[bent])
    assert found[False]["border"][0] > 1.5
    assert found[True]["border"][0] < 0.5 * found[False]["border"][0]
    assert abs(found[True]["border"][1]) < 0.4 * abs(found[False]["border"][1])
    assert abs(found[True]["shell"][1]) < 0.005 < abs(found[False]["shell"][1])
    assert found[True]["far"][0] < 0.3
    assert abs(found[True]["far"][1]) < 0.002


def test_the_map_of_volume_shows_the_ventricle_and_nothing_folds(atrophy: Visits) -> None:
    found = atrophy.volume(1) - atrophy.volume(0)
    before = shrunk(POINTS, GROWTH)
    steps = np.stack([np.gradient(before, MM, axis=axis) for axis in range(3)], axis=-1)
    truth = -np.log(np.linalg.det(steps))
    for name, where in (("ventricle", AWAY < -MM), ("far", FAR & INSIDE)):
        print(f"{name}: {found[where].mean():+.3f}, planted {truth[where].mean():+.3f}")
    assert found[AWAY < -MM].mean() > 0.25
    assert found[FAR & INSIDE].mean() == pytest.approx(truth[FAR & INSIDE].mean(), abs=0.01)
    assert (found - truth)[FAR & INSIDE].std() < 0.05
    for index in (0, 1):
        local = jacobian(atrophy.way(index, bent=True), shape=SHAPE, affine=AFFINE)
        assert np.linalg.det(local).min() > 0.4


def test_there_and_back_is_a_tenth_of_a_voxel(atrophy: Visits) -> None:
    points = POINTS[INSIDE][::9]
    for index, session in enumerate(SESSIONS):
        there = transform_points(atrophy.way(index, bent=True), points)
        back = transform_points(read_transform(atrophy.folder / f"from_{session}.h5"), there)
        assert np.linalg.norm(back - points, axis=1).max() < 0.1 * MM


def test_other_steps_take_the_bent_way_where_there_is_one(atrophy: Visits) -> None:
    folder, session = atrophy.folder, SESSIONS[1]
    still, midpoint = str(folder / "still.h5"), str(folder / "midpoint.tsv")
    write_transform(still, compose(np.eye(4)))
    warps = [str(folder / f"{way}_{session}.h5") for way in ("to", "from")]
    points = POINTS[INSIDE & BORDER][::5]
    bent, rigid = (
        transform_points(template_to_visit(still, midpoint, session, warps=used), points)
        for used in (warps, ())
    )
    np.testing.assert_allclose(bent, transform_points(atrophy.way(1, bent=True), points))
    np.testing.assert_allclose(rigid, transform_points(atrophy.way(1, bent=False), points))
    assert np.linalg.norm(bent - rigid, axis=1).mean() > 0.5
    back = transform_points(visit_to_template(still, midpoint, session, warps=warps), bent)
    assert np.linalg.norm(back - points, axis=1).max() < 0.1 * MM


def test_noise_alone_moves_nothing_much(tmp_path: Path) -> None:
    still = warped(tmp_path, (0.0, 0.0))
    error, change = still.error_and_change(bent=True)
    print(f"error {error[INSIDE].mean():.2f} mm, FA {change[BORDER].mean():+.4f}")
    assert error[INSIDE].mean() < 0.3
    assert abs(change[BORDER].mean()) < 0.005
    assert abs(change[INSIDE].mean()) < 0.001


@pytest.mark.slow
def test_a_lesion_that_is_told_does_not_pull(tmp_path: Path) -> None:
    around = INSIDE & (np.linalg.norm(POINTS - LESION, axis=-1) < 12)
    error = {
        lesion: warped(tmp_path / lesion, (0.0, 0.0), lesion=lesion).error_and_change(bent=True)[0]
        for lesion in ("hidden", "told")
    }
    print({lesion: values[around].mean() for lesion, values in error.items()})
    assert error["hidden"][around].mean() > 1
    assert error["told"][around].mean() < 0.4
