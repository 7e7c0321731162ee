import nibabel as nib
import numpy as np
import pytest
from nilearn.maskers import NiftiLabelsMasker

from msimaging.errors import InputError
from msimaging.parcellation import parcel_time_series, region_statistics, sphere_labels

AFFINE = np.array([[-2.0, 0, 0, 20], [0, 3.0, 0, -15], [0, 0, 2.5, -10], [0, 0, 0, 1]])
SHAPE = (20, 12, 14)


@pytest.fixture
def labelled():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 6, SHAPE).astype(np.int32) * 3
    bold = rng.normal(500, 40, (*SHAPE, 37)).astype(np.float32)
    return labels, bold


def test_spheres_hold_exactly_the_voxels_within_reach():
    centres, radii = np.array([[3.0, 1.0, 4.0], [-3.0, 4.0, 4.0]]), [6.0, 4.5]
    labels = sphere_labels(centres, radius=radii, shape=SHAPE, affine=AFFINE)
    grid = np.indices(SHAPE).reshape(3, -1).T @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    distance = np.linalg.norm(grid[:, None] - centres, axis=2)
    inside = distance <= radii
    assert (inside.sum(axis=1) == 2).any()
    nearest = np.where(inside, distance, np.inf).argmin(axis=1) + 1
    expected = np.where(inside.any(axis=1), nearest, 0).reshape(SHAPE)
    np.testing.assert_array_equal(labels, expected)


def test_a_sphere_smaller_than_a_voxel_is_the_nearest_voxel_and_none_outside():
    labels = sphere_labels(
        [[2.9, 0.9, 3.9], [500.0, 0, 0]], radius=0.01, shape=SHAPE, affine=AFFINE
    )
    assert np.argwhere(labels).tolist() == [[9, 5, 6]]
    assert labels.max() == 1


@pytest.mark.parametrize("order", ["C", "F"])
def test_time_series_equal_nilearn(labelled, order):
    labels, bold = labelled
    mask = np.random.default_rng(4).random(SHAPE) > 0.3
    masker = NiftiLabelsMasker(
        nib.Nifti1Image(labels, AFFINE),
        mask_img=nib.Nifti1Image(mask.astype(np.uint8), AFFINE),
        standardize=None,
        resampling_target=None,
    )
    expected = masker.fit_transform(nib.Nifti1Image(bold, AFFINE))
    signals = parcel_time_series(
        np.asarray(bold, order=order), labels, [3, 6, 9, 12, 15], mask=mask
    )
    np.testing.assert_allclose(signals.time_series, expected, rtol=1e-6)


def test_columns_follow_the_indices_asked_for(labelled):
    labels, bold = labelled
    forward = parcel_time_series(bold, labels, [3, 12]).time_series
    backward = parcel_time_series(bold, labels, [12, 3]).time_series
    np.testing.assert_array_equal(forward, backward[:, ::-1])
    assert forward.shape == (37, 2)
    assert abs(forward[0, 0] - bold[labels == 3, 0].mean()) < 1e-3


def test_thin_parcels_become_nan_and_bad_voxels_leave_everywhere(labelled):
    labels, bold = labelled
    bad = np.argwhere(labels == 6)[::3]
    bold[(*bad.T, 5)] = np.nan
    mask = np.ones(SHAPE, dtype=bool)
    mask[tuple(np.argwhere(labels == 9)[10:].T)] = False
    signals = parcel_time_series(bold, labels, [3, 6, 9, 99], mask=mask)
    size = (labels == 6).sum()
    assert signals.coverage[1] == pytest.approx(1 - len(bad) / size)
    assert signals.n_voxels.tolist() == [(labels == 3).sum(), size - len(bad), 10, 0]
    assert np.isnan(signals.time_series[:, 2:]).all()
    kept = (labels == 6).copy()
    kept[tuple(bad.T)] = False
    np.testing.assert_allclose(signals.time_series[:, 1], bold[kept].mean(axis=0), rtol=1e-6)


def test_coverage_counts_against_what_was_expected(labelled):
    labels, bold = labelled
    expected = np.array([2.0, 8.0]) * (labels == 3).sum()
    signals = parcel_time_series(bold, labels, [3, 6], expected_voxels=expected, min_coverage=0.3)
    assert signals.coverage[0] == pytest.approx(0.5)
    assert np.isnan(signals.time_series).all(axis=0).tolist() == [False, True]


def test_region_statistics_equal_numpy_on_each_parcel(labelled):
    labels, bold = labelled
    values = np.exp(bold[..., 0] / 100.0)
    values[tuple(np.argwhere(labels == 3)[0])] = np.inf
    mask = np.random.default_rng(5).random(SHAPE) > 0.2
    found = region_statistics(values, labels, [15, 3, 77], mask=mask)
    for place, label in enumerate([15, 3]):
        inside = values[(labels == label) & mask & np.isfinite(values)]
        assert found.mean[place] == pytest.approx(inside.mean())
        assert found.median[place] == pytest.approx(np.median(inside))
        assert found.sd[place] == pytest.approx(inside.std(ddof=1))
        assert found.n_voxels[place] == len(inside)
        assert found.coverage[place] == pytest.approx(len(inside) / (labels == label).sum())
    assert np.isnan([found.mean[2], found.median[2], found.sd[2]]).all()
    assert (found.n_voxels[2], found.coverage[2]) == (0, 0)


def test_grids_and_indices_that_do_not_fit_are_refused_together(labelled):
    labels, bold = labelled
    with pytest.raises(InputError) as refusal:
        region_statistics(bold[1:, ..., 0], labels, [3, 3])
    assert len(refusal.value.findings) == 2
