from pathlib import Path

import numpy as np
import pytest

from msimaging.errors import InputError
from msimaging.gradient_files import read_numbers, write_gradients


def test_spaces_commas_blank_lines_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.bval"
    path.write_text("\ufeff0, 1000,\t2000\n\n", encoding="utf-8")
    np.testing.assert_array_equal(read_numbers(path), [[0, 1000, 2000]])


@pytest.mark.parametrize("text", ["", "0 b", "1 2\n3\n"])
def test_what_is_no_table_of_numbers_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.bvec"
    path.write_text(text)
    with pytest.raises(InputError, match=r"x\.bvec: b-values and b-vectors must be numbers"):
        read_numbers(path)


def test_vectors_are_written_as_three_rows(tmp_path: Path) -> None:
    bvecs = np.array([[0, 0, 0], [1, 0, 0], [0, 0.6, 0.8], [0, 0, 1]])
    files = tmp_path / "x.bval", tmp_path / "x.bvec"
    write_gradients(*files, np.array([0.0, 995, 1000, 1005]), bvecs)
    np.testing.assert_array_equal(read_numbers(files[0]), [[0, 995, 1000, 1005]])
    np.testing.assert_array_equal(read_numbers(files[1]), bvecs.T)
