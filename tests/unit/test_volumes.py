from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from msimaging.errors import InputError
from msimaging.volumes import read_labels, read_volume, whole_file, write_volume

AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])


def test_what_a_killed_writer_leaves_never_stands_under_the_final_name(tmp_path: Path) -> None:
    path = tmp_path / "map.nii.gz"
    path.write_bytes(b"old")

    def killed_while_writing() -> None:
        with whole_file(path) as temporary:
            temporary.write_bytes(b"half")
            assert (temporary.parent, temporary.name[-7:]) == (tmp_path, ".nii.gz")
            assert path.read_bytes() == b"old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed_while_writing()
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["map.nii.gz"]


def test_two_writers_have_names_of_their_own_and_the_last_one_wins_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "table.tsv"
    with whole_file(path) as first, whole_file(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert path.stat().st_mode & 0o444 == 0o444


def test_values_and_affine_come_back_and_bytes_repeat(tmp_path: Path) -> None:
    data = np.random.default_rng(1).normal(size=(3, 4, 5, 2))
    write_volume(tmp_path / "a.nii.gz", data, AFFINE, repetition_time=1.5)
    write_volume(tmp_path / "b.nii.gz", data, AFFINE, repetition_time=1.5)
    volume = read_volume(tmp_path / "a.nii.gz", ndim=4)
    np.testing.assert_array_equal(volume.data, data.astype(np.float32))
    np.testing.assert_array_equal(volume.voxel_sizes, [2, 3, 4])
    assert nib.load(tmp_path / "a.nii.gz").header.get_zooms()[3] == 1.5
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


@pytest.mark.parametrize(
    ("dtype", "stored"), [(bool, np.uint8), (np.int64, np.int32), (np.float64, np.float32)]
)
def test_types_are_stored_small(dtype: type, stored: type, tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii.gz", np.eye(3, dtype=dtype)[..., None], AFFINE)
    assert nib.load(tmp_path / "a.nii.gz").get_data_dtype() == stored


def test_a_single_volume_along_the_fourth_axis_counts_as_3d(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii.gz", np.ones((2, 3, 4, 1), dtype=np.int16), AFFINE)
    assert read_labels(tmp_path / "a.nii.gz").data.shape == (2, 3, 4)
    assert read_labels(tmp_path / "a.nii.gz").data.dtype == np.int32


@pytest.mark.parametrize("content", [b"", b"not an image", bytes(500)])
def test_what_is_no_image_is_refused_with_its_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.nii: the image must be whole and readable"):
        read_volume(path)
    with pytest.raises(InputError, match="no such file"):
        read_volume(tmp_path / "missing.nii.gz")
