from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, label

from msimaging.errors import InputError
from msimaging.longitudinal.lesions import lesion_changes, lesion_share, split_white_matter

AFFINE = np.array([[-1.0, 0, 0, 12], [0, 1.5, 0, -20], [0, 0, 2, -9], [0, 0, 0, 1]])
VOXEL = 3.0
SHAPE = (26, 24, 20)


def box(x, y, z, size=(3, 3, 3)):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[x : x + size[0], y : y + size[1], z : z + size[2]] = True
    return mask


def story():
    """One lesion of every kind, each with its own volume."""
    stays = box(1, 1, 1)
    before = stays | box(1, 8, 1) | box(8, 1, 1, (4, 4, 4)) | box(15, 1, 1, (2, 2, 2))
    after = stays | box(1, 8, 1, (5, 3, 3)) | box(8, 1, 1, (2, 4, 4)) | box(15, 10, 1, (4, 3, 2))
    two, one = box(1, 14, 1) | box(6, 14, 1), box(1, 14, 1, (8, 3, 3))
    before, after = before | two, after | one
    before, after = before | box(1, 18, 12, (9, 3, 3)), after | box(1, 18, 12) | box(7, 18, 12)
    # two overlap two others
    before |= box(14, 16, 12, (3, 3, 3)) | box(20, 16, 12, (3, 3, 3))
    after |= box(15, 16, 12, (6, 3, 3)) | box(22, 16, 12, (3, 3, 3))
    return before, after


def test_every_lesion_gets_its_word():
    changes = lesion_changes(*story(), AFFINE)
    assert changes.counts == {
        "new": 1,
        "gone": 1,
        "enlarged": 1,
        "shrunken": 1,
        "stable": 1,
        "merged": 1,
        "split": 1,
        "regrouped": 1,
    }
    rows = changes.table.set_index("kind")
    assert rows.loc["new", ["baseline_mm3", "follow_up_mm3"]].tolist() == pytest.approx(
        [0, 24 * VOXEL]
    )
    assert rows.loc["gone", "change_mm3"] == pytest.approx(-8 * VOXEL)
    assert rows.loc["enlarged", ["baseline_mm3", "follow_up_mm3"]].tolist() == pytest.approx(
        [27 * VOXEL, 45 * VOXEL]
    )
    assert rows.loc["merged", ["n_baseline", "n_follow_up"]].tolist() == [2, 1]
    assert rows.loc["split", ["n_baseline", "n_follow_up"]].tolist() == [1, 2]
    assert rows.loc["regrouped", ["n_baseline", "n_follow_up"]].tolist() == [2, 2]
    new_centre = AFFINE @ [16.5, 11, 1.5, 1]
    np.testing.assert_allclose(
        rows.loc["new", ["x_mm", "y_mm", "z_mm"]].to_numpy(float), new_centre[:3]
    )
    before, after = story()
    assert changes.baseline_mm3 == pytest.approx(before.sum() * VOXEL)
    assert changes.table["follow_up_mm3"].sum() == pytest.approx(after.sum() * VOXEL)


def test_exchanging_the_visits_exchanges_the_words():
    before, after = story()
    after[11:13, 9, 9] = True
    there, back = (lesion_changes(*pair, AFFINE) for pair in ((before, after), (after, before)))
    opposite = {"new": "gone", "enlarged": "shrunken", "merged": "split"}
    opposite |= {b: a for a, b in opposite.items()} | {"stable": "stable", "regrouped": "regrouped"}
    assert {opposite[kind]: count for kind, count in there.counts.items()} == back.counts
    assert there.counts["new"] == 2
    assert there.table["change_mm3"].sum() == pytest.approx(-back.table["change_mm3"].sum())


def test_specks_are_ignored_but_counted_and_stay_in_the_volume():
    before, after = box(1, 1, 1), box(1, 1, 1)
    after[20, 20, 15] = True
    changes = lesion_changes(before, after, AFFINE, min_mm3=3.1)
    assert (changes.n_ignored, changes.counts["new"], len(changes.table)) == (1, 0, 1)
    assert changes.follow_up_mm3 - changes.baseline_mm3 == pytest.approx(VOXEL)
    assert lesion_changes(before, after, AFFINE, min_mm3=2.9).counts["new"] == 1


def test_no_lesions_at_all():
    empty = np.zeros(SHAPE, dtype=bool)
    changes = lesion_changes(empty, empty, AFFINE)
    assert changes.table.empty
    assert sum(changes.counts.values()) == 0
    assert list(changes.table)[:2] == ["kind", "n_baseline"]


def test_normal_appearing_is_outside_the_lesions_of_every_visit():
    white = np.ones(SHAPE, dtype=bool)
    white[:, :, 15:] = False
    before, after = box(4, 4, 5), box(14, 14, 5)
    split = split_white_matter([before, after], white, AFFINE, rim_mm=2.0)
    np.testing.assert_array_equal(split.lesion, before | after)
    parts = np.stack([split.lesion, split.rim, split.normal_appearing])
    np.testing.assert_array_equal(parts.sum(axis=0), white)
    # 2 mm reach two voxels along x (1 mm), one along y (1.5 mm) and one along z (2 mm)
    assert split.rim[2, 5, 6]
    assert not split.rim[1, 5, 6]
    assert split.rim[5, 3, 6]
    assert not split.rim[5, 2, 6]
    assert split.rim[5, 5, 4]
    assert not split.rim[5, 5, 3]
    swapped = split_white_matter([after, before], white, AFFINE, rim_mm=2.0)
    np.testing.assert_array_equal(swapped.rim, split.rim)


def test_without_lesions_all_white_matter_is_normal_appearing():
    white = box(2, 2, 2, (8, 8, 8))
    split = split_white_matter([np.zeros(SHAPE, dtype=bool)], white, AFFINE)
    np.testing.assert_array_equal(split.normal_appearing, white)
    assert not split.rim.any()


def test_share_of_lesion_per_region():
    labels = np.zeros(SHAPE, dtype=np.int32)
    labels[:4], labels[4:10], labels[10:] = 7, 0, 30
    table = lesion_share(box(2, 2, 2, (4, 3, 3)), labels)
    assert table["label"].tolist() == [7, 30]
    assert table["n_lesion"].tolist() == [18, 0]
    assert table["share"].tolist() == [18 / (4 * 24 * 20), 0]


@pytest.mark.parametrize(
    "call",
    [
        lambda mask: lesion_changes(mask, mask[1:], AFFINE),
        lambda mask: lesion_changes(mask, mask.astype(np.uint8), AFFINE),
        lambda mask: split_white_matter([], mask, AFFINE),
        lambda mask: lesion_share(mask, np.zeros((2, 2, 2), dtype=int)),
    ],
)
def test_masks_that_do_not_fit_are_named(call):
    with pytest.raises(InputError, match="Check the masks"):
        call(box(1, 1, 1))


@pytest.mark.real_data
def test_real_lesions_made_to_come_go_and_grow(shared_data):
    path = (
        shared_data
        / "ms_ljubljana/cross_sectional_MNI/patient10_space-MNI_label-lesion_mask.nii.gz"
    )
    image = nib.load(path)
    lesions = np.asarray(image.dataobj) > 0
    numbers, count = label(lesions, np.ones((3, 3, 3)))
    sizes = np.bincount(numbers.ravel())
    big = [index for index in np.argsort(-sizes) if index and sizes[index] >= 40]
    gone, grown = big[3:6], big[8]
    ball = binary_dilation(numbers == grown, iterations=2)
    alone = not (ball & lesions & (numbers != grown)).any()
    assert alone
    after = (lesions & ~np.isin(numbers, gone)) | ball
    after[90:94, 180:184, 120:124] |= ~lesions[90:94, 180:184, 120:124]
    changes = lesion_changes(lesions, after, image.affine, min_mm3=3)
    print(f"{count} real lesions: {changes.counts}, {changes.n_ignored} specks ignored")
    assert (changes.counts["gone"], changes.counts["enlarged"], changes.counts["new"]) == (3, 1, 1)
    assert changes.counts["stable"] == (sizes[1:] >= 3).sum() - 4
    assert changes.counts["merged"] == changes.counts["split"] == 0
    assert changes.table.query("kind == 'gone'")["baseline_mm3"].sum() == sizes[gone].sum()
