"""Shells and wording of the table's rules; the faults themselves are in test_gradients."""

import numpy as np
import pytest

from msimaging.diffusion.table_rules import list_volumes, rows_of_vectors, shells


def test_shells_hold_together_jitter_and_part_at_steps():
    bvals = np.array([2000, 0, 995, 1000, 1005, 1990, 0.002, 700])
    assert {key: value.tolist() for key, value in shells(bvals).items()} == {
        0: [1, 6],
        700: [7],
        1000: [2, 3, 4],
        2000: [0, 5],
    }


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([3], "volume 3 (counted from 0)"),
        ([0, 5], "volumes 0, 5 (counted from 0)"),
        (range(2, 12), "volumes 2, 3, 4, 5, 6, 7, 8, 9 and 2 more (counted from 0)"),
    ],
)
def test_volumes_are_listed_briefly(numbers, text):
    which = np.zeros(20, dtype=bool)
    which[list(numbers)] = True
    assert list_volumes(which) == text


def test_three_by_three_is_read_as_the_norm():
    table = np.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(rows_of_vectors(np.zeros((1, 3)), table)[1], table.T)
