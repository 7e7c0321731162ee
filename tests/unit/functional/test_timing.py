from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from msimaging.errors import InputError
from msimaging.functional.masks import bold_brain_mask
from msimaging.functional.timing import correct_slice_timing, non_steady_state_volumes


@pytest.mark.real_data
def test_the_four_bad_volumes_of_a_real_run_are_found(shared_data):
    path = shared_data / "bids/sub-PH01/ses-01/func/sub-PH01_ses-01_task-rest_bold.nii.gz"
    image = nib.load(path)
    bold = np.asarray(image.dataobj, dtype=np.float32)
    mask = bold_brain_mask(bold, affine=image.affine)
    assert non_steady_state_volumes(bold[mask].mean(axis=0)) == 4
    assert non_steady_state_volumes(bold[mask].mean(axis=0)[4:]) == 0
    share = mask.mean()
    assert 0.12 < share < 0.25


def test_only_outliers_from_the_first_volume_on_count():
    signal = np.random.default_rng(0).normal(100, 1, size=80)
    assert non_steady_state_volumes(signal) == 0
    signal[5] = 200
    assert non_steady_state_volumes(signal) == 0
    signal[:3] += [40, 20, 10]
    assert non_steady_state_volumes(signal) == 3
    assert non_steady_state_volumes(np.full(20, 7.0)) == 0


@pytest.mark.parametrize("direction", ["k", "k-", "i"])
def test_slices_are_brought_to_one_time(direction):
    t_r, n_volumes = 2.0, 60
    times = np.array([0.0, 1.6, 0.4, 1.2])
    axis = "ijk".index(direction[0])
    acquired = times[::-1] if direction.endswith("-") else times

    def signal(t):
        return np.sin(2 * np.pi * 0.06 * t) + 0.5 * np.cos(2 * np.pi * 0.11 * t)

    volumes = np.arange(n_volumes) * t_r
    slices = np.stack([np.tile(signal(volumes + shift), (2, 3, 1)) for shift in acquired])
    bold = np.moveaxis(slices, 0, axis)
    bold[..., :2] += 50
    corrected = correct_slice_timing(
        bold, slice_times=times, t_r=t_r, encoding_direction=direction, n_skipped=2
    )
    wanted = signal(volumes + 0.8)
    inner = slice(6, -6)
    before = np.abs(bold[..., inner] - wanted[inner]).max()
    after = np.abs(corrected[..., inner] - wanted[inner]).max()
    print(f"largest error {before:.3f} before, {after:.4f} after")
    assert after < 0.03 * before
    np.testing.assert_array_equal(corrected[..., :2], bold[..., :2].astype(np.float32))


def test_unusable_slice_times_are_refused():
    bold = np.ones((2, 3, 4, 10))
    with pytest.raises(InputError, match="0 to 1500 at a repetition time of 2 s") as error:
        correct_slice_timing(bold, slice_times=[0, 500, 1000, 1500], t_r=2.0)
    assert len(error.value.findings) == 1
    with pytest.raises(InputError, match="3 times for 4 slices"):
        correct_slice_timing(bold, slice_times=[0, 0.5, 1], t_r=2.0)
    with pytest.raises(InputError, match="four or more volumes"):
        correct_slice_timing(bold[..., :5], slice_times=[0, 0.5, 1, 1.5], t_r=2.0, n_skipped=2)
