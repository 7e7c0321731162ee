import numpy as np
import pytest

from msimaging.grids import check_finite, check_same_grid
from msimaging.volumes import Volume


def volume(shape=(3, 4, 5), affine=None) -> Volume:
    return Volume(data=np.ones(shape), affine=np.eye(4) if affine is None else affine)


def test_nan_and_infinity_are_counted() -> None:
    broken = volume()
    broken.data[0, 0, :2] = [np.nan, np.inf]
    (finding,) = check_finite(broken, where="x.nii.gz")
    assert str(finding).startswith("x.nii.gz: every voxel must be a finite number; found 2 of 60")
    assert check_finite(volume(), where="x") == []


@pytest.mark.parametrize(("tilt", "faults"), [(0.001, 0), (0.01, 1)])
def test_grids_differ_by_their_farthest_corner(tilt: float, faults: int) -> None:
    turned = np.eye(4)
    turned[0, 2] = tilt  # 4 voxels away the shift is four times as large
    found = check_same_grid(volume(), volume(affine=turned), where="second.nii.gz")
    assert len(found) == faults


def test_grids_of_other_shape_are_told_and_volumes_do_not_count() -> None:
    assert check_same_grid(volume(), volume((3, 4, 5, 7)), where="b") == []
    (finding,) = check_same_grid(volume(), volume((3, 5, 4)), where="b")
    assert "(3, 4, 5) and (3, 5, 4)" in finding.found
