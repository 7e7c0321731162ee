"""Regions divided by the lesions of all visits, on the grid of one visit."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from msimaging.atlases.templates import template_grid
from msimaging.parcellation import Parcellation
from msimaging.spatial.resampling import resample_image
from msimaging.spatial.transforms import compose, from_matrix
from msimaging.steps.carrying import (
    TISSUES,
    Tissues,
    carried_labels,
    points_in_template,
    points_in_visit,
    weigh_regions,
    weigh_tissues,
)
from msimaging.steps.change_lesions import change_lesions
from msimaging.steps.split_tissue import split_tissue
from msimaging.tables import read_json, read_table, sidecar_of
from msimaging.volumes import Volume, read_labels, write_volume
from msimaging.xfms import write_midpoint


def centred(shape: tuple[int, int, int], mm: float) -> np.ndarray:
    affine = np.diag([mm, mm, mm, 1.0])
    affine[:3, 3] = -mm * (np.array(shape) - 1) / 2
    return affine


def distance(shape: tuple[int, int, int], affine: np.ndarray, centre: np.ndarray) -> np.ndarray:
    points = np.stack(np.indices(shape), -1) @ affine[:3, :3].T + affine[:3, 3]
    return np.linalg.norm(points - centre, axis=-1)


FINE, COARSE = (60, 60, 60), (24, 24, 24)
FINE_AFFINE = centred(FINE, 1.0)
POSE = np.eye(4)
POSE[:3, :3] = Rotation.from_rotvec([0.1, -0.2, 0.15]).as_matrix()
POSE[:3, 3] = 3.0, -2.0, 1.0


def atlas() -> Parcellation:
    """Two halves of a ball of 20 mm."""
    inside = distance(FINE, FINE_AFFINE, np.zeros(3)) < 20
    labels = inside * np.where(np.arange(60)[:, None, None] < 30, 3, 8)
    rows = [
        {"index": index, "name": name, "network": None, "x": x, "y": 0.0, "z": 0.0}
        for index, name, x in ((3, "left", -8.0), (8, "right", 8.0))
    ]
    table = pd.DataFrame(rows)
    return Parcellation(
        name="halves", labels_img=labels.astype(np.int32), affine=FINE_AFFINE, table=table
    )


def test_tissues_divide_each_region_and_follow_the_pose_of_the_visit() -> None:
    midpoint_to_visit = POSE
    away = distance(FINE, FINE_AFFINE, np.array([9.0, 0, 0]))
    image = np.select([away < 5, away < 8], [1, 2], 3).astype(np.int32)
    visit = Volume(data=np.zeros(COARSE, np.float32), affine=centred(COARSE, 2.5))
    # where the lesion lies in the visit
    centre = (midpoint_to_visit @ [9.0, 0, 0, 1])[:3]
    own = (distance(COARSE, visit.affine, centre) < 5).astype(np.int32)
    back = from_matrix(np.linalg.inv(midpoint_to_visit))
    tissues = Tissues(
        image=Volume(data=image, affine=FINE_AFFINE),
        visit_to_midpoint=back,
        lesions=Volume(data=own, affine=visit.affine),
    )
    points = points_in_visit(atlas(), visit, back)
    whole, expected = weigh_regions(points)
    divided = weigh_tissues(points, tissues)
    rows = divided.weights.toarray().reshape(3, len(TISSUES), -1)
    np.testing.assert_allclose(rows[1:].sum(axis=1), whole.toarray(), atol=1e-9)
    np.testing.assert_allclose(rows[0], rows[1:].sum(axis=0), atol=1e-9)
    sizes = divided.expected.reshape(3, len(TISSUES))
    np.testing.assert_allclose(sizes[1:].sum(axis=1), expected)
    assert sizes[1, 0] == 0
    ball = 4 / 3 * np.pi * 5**3 / 2.5**3
    assert sizes[2, 0] == pytest.approx(ball, rel=0.06)
    assert divided.lesion_share[0] == 0
    assert divided.lesion_share[1] == pytest.approx(ball / expected[1], rel=0.25)
    # the lesion's weights lie where the lesion lies in this visit
    weights = rows[0, 0] / rows[0, 0].sum()
    points = np.indices(COARSE).reshape(3, -1).T @ visit.affine[:3, :3].T + visit.affine[:3, 3]
    assert np.linalg.norm(weights @ points - centre) < 0.3


def test_regions_read_in_the_template_are_means_of_the_map_carried_there() -> None:
    """The same number as averaging the map resampled onto the template's grid."""
    rng = np.random.default_rng(4)
    values = gaussian_filter(rng.normal(size=COARSE), 1.5).astype(np.float32)
    visit = Volume(data=values, affine=centred(COARSE, 2.5))
    to_visit = from_matrix(POSE)
    weights, expected = weigh_regions(points_in_template(atlas(), visit, to_visit, resolution=2))
    shape, affine = template_grid(resolution=2)
    moved, labels = (
        resample_image(
            data,
            own,
            target_to_source=way,
            target_shape=shape,
            target_affine=affine,
            interpolation=kernel,
        )
        for data, own, way, kernel in (
            (values, visit.affine, to_visit, "linear"),
            (atlas().labels_img, FINE_AFFINE, compose(np.eye(4)), "nearest"),
        )
    )
    means = (weights @ values.ravel().astype(float)) / expected
    np.testing.assert_allclose(means, [moved[labels == i].mean() for i in (3, 8)], rtol=1e-4)
    np.testing.assert_array_equal(expected, [(labels == i).sum() for i in (3, 8)])
    # and close to what is read in native space
    native, whole = weigh_regions(points_in_visit(atlas(), visit, from_matrix(np.linalg.inv(POSE))))
    np.testing.assert_allclose(
        (native @ values.ravel()) / whole, means, atol=0.02 * np.abs(values).max()
    )
    # the border between the halves runs through voxels of the template: only their sum is alike
    assert whole.sum() * 2.5**3 == pytest.approx(expected.sum() * 2.0**3, rel=0.02)


def test_tissues_lie_at_the_same_places_in_native_and_in_common_space() -> None:
    away = distance(FINE, FINE_AFFINE, np.array([9.0, 0, 0]))
    image = np.select([away < 5, away < 8], [1, 2], 3).astype(np.int32)
    visit = Volume(data=np.zeros(COARSE, np.float32), affine=centred(COARSE, 2.5))
    own = (distance(COARSE, visit.affine, (POSE @ [9.0, 0, 0, 1])[:3]) < 5).astype(np.int32)
    back = from_matrix(np.linalg.inv(POSE))
    tissues = Tissues(
        image=Volume(data=image, affine=FINE_AFFINE),
        visit_to_midpoint=back,
        lesions=Volume(data=own, affine=visit.affine),
    )
    native, common = (
        weigh_tissues(points, tissues)
        for points in (
            points_in_visit(atlas(), visit, back),
            points_in_template(atlas(), visit, from_matrix(POSE), resolution=2),
        )
    )
    np.testing.assert_allclose(
        common.expected * 2.0**3, native.expected * 2.5**3, rtol=0.12, atol=40
    )
    np.testing.assert_allclose(common.lesion_share, native.lesion_share, atol=0.01)
    assert common.lesion_share[1] > 0.02


def visit_files(folder: Path, masks: list[np.ndarray], affine: np.ndarray) -> dict[str, object]:
    """Write masks as two visits see them: the head turned between the visits."""
    poses = {"ses-a": np.linalg.inv(POSE), "ses-b": POSE}
    paths = []
    for (session, pose), mask in zip(poses.items(), masks, strict=True):
        path = folder / f"{session}.nii.gz"
        nib.save(nib.Nifti1Image(mask.astype(np.uint8), pose @ affine), path)
        paths.append(str(path))
    midpoint = str(folder / "midpoint.tsv")
    write_midpoint(midpoint, poses)
    return {"lesions": paths, "sessions": list(poses), "midpoints": [midpoint] * 2}


def test_lesions_of_both_visits_meet_in_the_midpoint(tmp_path: Path) -> None:
    first = distance(FINE, FINE_AFFINE, np.array([10.0, 0, 0])) < 4
    second = first | (distance(FINE, FINE_AFFINE, np.array([-12.0, 3, 0])) < 3)
    files = visit_files(tmp_path, [first, second], FINE_AFFINE)
    template = str(tmp_path / "template.nii.gz")
    write_volume(template, np.zeros(COARSE, np.float32), centred(COARSE, 2.5))
    tissue, table = str(tmp_path / "tissue.nii.gz"), str(tmp_path / "lesions.tsv")
    split_tissue(**files, template=template, rim_mm=2.0, out_image=tissue)
    change_lesions(**files, template=template, out_table=table)
    image = read_labels(tissue)
    assert (image.data == 1).sum() == pytest.approx(second.sum(), rel=0.05)
    # normal-appearing tissue keeps away from the lesions of either visit
    for centre, radius in ((np.array([10.0, 0, 0]), 4), (np.array([-12.0, 3, 0]), 3)):
        near = distance(image.data.shape, image.affine, centre) < radius + 1
        assert (image.data[near] != 3).all()
    found = read_table(table).set_index("kind")
    assert sorted(found.index) == ["new", "stable"]
    assert found.loc["new", ["x_mm", "y_mm", "z_mm"]].to_numpy(float) == pytest.approx(
        [-12, 3, 0], abs=0.3
    )
    counts = read_json(sidecar_of(table))["Counts"]
    assert (counts["new"], counts["stable"], counts["gone"]) == (1, 1, 0)


@pytest.mark.real_data
def test_a_real_load_of_lesions_drawn_on_two_grids_is_stable(
    shared_data: Path, tmp_path: Path
) -> None:
    """The head turned by 31 degrees between the visits: each grid cuts every lesion anew."""
    folder = shared_data / "ms_ljubljana" / "cross_sectional_MNI"
    real = read_labels(folder / "patient10_space-MNI_label-lesion_mask.nii.gz").data > 0
    box = tuple(slice(a.min() - 20, a.max() + 21) for a in np.nonzero(real))
    mask = real[box]
    affine = centred(mask.shape, 1.0)
    affine[:3, 3] += 0.3  # no voxel of the midpoint grid lies between two of the mask
    first, second = (
        carried_labels(mask, affine, matrix, mask.shape, affine) > 0
        for matrix in (POSE, np.linalg.inv(POSE))
    )
    template, table = str(tmp_path / "template.nii.gz"), str(tmp_path / "lesions.tsv")
    shape = tuple(int(np.ceil(size / 3)) for size in mask.shape)
    write_volume(template, np.zeros(shape, np.float32), centred(shape, 3.0))
    poses = {"ses-a": np.linalg.inv(POSE), "ses-b": POSE}
    paths = [str(tmp_path / f"{session}.nii.gz") for session in poses]
    for path, drawn in zip(paths, (first, second), strict=True):
        write_volume(path, drawn.astype(np.uint8), affine)
    midpoint = str(tmp_path / "midpoint.tsv")
    write_midpoint(midpoint, poses)
    change_lesions(
        lesions=paths,
        sessions=list(poses),
        midpoints=[midpoint] * 2,
        template=template,
        out_table=table,
    )
    found = read_table(table)
    volumes = found.groupby("kind")[["baseline_mm3", "follow_up_mm3"]].sum()
    print(found["kind"].value_counts().to_dict(), volumes)
    total = volumes.to_numpy().sum()
    appeared = found[found["kind"].isin(["new", "gone"])][["baseline_mm3", "follow_up_mm3"]]
    assert appeared.to_numpy().sum() < 0.01 * total
    # a bridge one voxel wide is cut by one grid and not by the other: merged, split, never gone
    resized = found[found["kind"].isin(["enlarged", "shrunken"])]
    assert resized[["baseline_mm3", "follow_up_mm3"]].to_numpy().sum() < 0.05 * total
    assert abs(found["change_mm3"].sum()) < 0.02 * total


def test_a_mask_is_read_in_its_own_frame() -> None:
    """A lesion mask on another grid than the visit's is found at the same place in mm."""
    visit = Volume(data=np.zeros(COARSE, np.float32), affine=centred(COARSE, 2.5))
    centre = np.array([9.0, 4.0, -3.0])
    fine = (distance(FINE, FINE_AFFINE, centre) < 6).astype(np.int32)
    still = sitk.Transform(3, sitk.sitkIdentity)
    everything = Volume(data=np.full(FINE, 3, np.int32), affine=FINE_AFFINE)
    lesions = Volume(data=fine, affine=FINE_AFFINE)
    tissues = Tissues(image=everything, visit_to_midpoint=still, lesions=lesions)
    share = weigh_tissues(points_in_visit(atlas(), visit, still), tissues).lesion_share
    labels = atlas().labels_img
    truth = [(fine[labels == index] > 0).mean() for index in (3, 8)]
    np.testing.assert_allclose(share, truth, rtol=0.05)
