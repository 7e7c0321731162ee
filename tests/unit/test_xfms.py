from pathlib import Path

import numpy as np
import SimpleITK as sitk

from msimaging.xfms import read_midpoint, read_transform, write_midpoint, write_transform


def test_matrices_come_back_to_the_last_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    matrices = {"ses-01": rng.normal(size=(4, 4)) / 3, "ses-10": rng.normal(size=(4, 4)) * 1e-9}
    write_midpoint(tmp_path / "m.tsv", matrices)
    back = read_midpoint(tmp_path / "m.tsv")
    assert list(back) == ["ses-01", "ses-10"]
    for session, matrix in matrices.items():
        np.testing.assert_array_equal(back[session], matrix)


def test_a_transform_maps_points_as_before(tmp_path: Path) -> None:
    transform = sitk.AffineTransform(3)
    transform.SetMatrix([1, 0.1, 0, 0, 0.9, 0.2, 0.3, 0, 1.1])
    transform.SetTranslation([4, -5, 6])
    write_transform(tmp_path / "a.h5", transform)
    point = (10.0, -20.0, 30.0)
    back = read_transform(tmp_path / "a.h5")
    np.testing.assert_allclose(back.TransformPoint(point), transform.TransformPoint(point))
