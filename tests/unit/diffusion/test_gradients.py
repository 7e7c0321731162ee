"""The gradient gate on tables with one fault each."""

import numpy as np
import pytest

from msimaging.diffusion.gradients import (
    check_gradients,
    check_table,
    gradient_table,
    standard_table,
)
from msimaging.errors import InputError


@pytest.fixture
def table():
    """Two b=0s, one written as 0.002, and 12 spread directions at b=1000."""
    steps = np.arange(12) + 0.5
    polar, azimuth = np.arccos(1 - steps / 12), np.pi * (1 + 5**0.5) * steps
    directions = np.stack(
        [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)]
    )
    bvecs = np.concatenate([np.zeros((3, 1)), directions, np.full((3, 1), 3**-0.5)], axis=1)
    return np.r_[0.0, np.full(12, 1000.0), 0.002], bvecs


def errors(findings):
    return [finding for finding in findings if finding.severity == "error"]


def test_right_table_passes_with_its_shells_named(table):
    findings = check_table(*table, 14, where="sub-01_dwi.bval")
    assert [finding.severity for finding in findings] == ["note"]
    assert "b=0: 2, b=1000: 12" in str(findings[0])
    assert str(findings[0]).startswith("sub-01_dwi.bval: ")


def replaced(array, place, value):
    changed = array.copy()
    changed[place] = value
    return changed


def coplanar(bvecs):
    flat = replaced(bvecs, (2, slice(1, 13)), 0)
    return np.where(np.arange(14) % 13 > 0, flat / np.linalg.norm(flat + 1e-9, axis=0), bvecs)


# name of the fault -> (bvals, bvecs, volumes) made from the right table
FAULTS = {
    "short bval": lambda a, v: (a[:-1], v, 14),
    "short bvec": lambda a, v: (a, v[:, :-1], 14),
    "other image": lambda a, v: (a, v, 15),
    "swapped": lambda a, v: (v, a, 14),
    "swapped rows": lambda a, v: (v.T, a[None], 14),
    "zero vector": lambda a, v: (a, replaced(v, (slice(None), 4), 0), 14),
    "trace appended": lambda a, v: (replaced(a, -1, 1000), replaced(v, (slice(None), -1), 0), 14),
    "long vector": lambda a, v: (a, v * np.where(np.arange(14) == 5, 0.5**0.5, 1), 14),
    "no b=0": lambda a, v: (np.maximum(a, 60), replaced(v, (slice(None), 0), [0.6, 0, 0.8]), 14),
    "negative": lambda a, v: (replaced(a, 3, -1000), v, 14),
    "nan": lambda a, v: (a, replaced(v, (1, 3), np.nan), 14),
    "ms": lambda a, v: (a / 1000, v, 14),
    "per m2": lambda a, v: (a * 1e6, v, 14),
    "five directions": lambda a, v: (a, replaced(v, (slice(None), slice(6, 13)), -v[:, [1]]), 14),
    "coplanar": lambda a, v: (a, coplanar(v), 14),
    "four rows": lambda a, v: (a, np.concatenate([v, a[None]]), 14),
}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("short bval", "13 b-values, 14 b-vectors and 14 volumes"),
        ("short bvec", "14 b-values, 13 b-vectors and 14 volumes"),
        ("other image", "14 b-values, 14 b-vectors and 15 volumes"),
        ("swapped", "swapped"),
        ("swapped rows", "swapped"),
        ("zero vector", "zero b-vector with b > 50 at volume 4 "),
        ("trace appended", "volume 13 (counted from 0): trace or ADC images"),
        ("long vector", "lengths 0.707 to 0.707 at volume 5"),
        ("no b=0", "the lowest b-value is 60"),
        ("negative", "-1000 s/mm2 at volume 3"),
        ("nan", "other values at volume 3"),
        ("ms", "ms/um2"),
        ("per m2", "s/m2"),
        ("five directions", "5 different directions"),
        ("coplanar", "determine 3 of 6"),
        ("four rows", "a table of 4 x 14"),
    ],
)
def test_each_fault_is_one_clear_error(table, name, words):
    found = errors(check_table(*FAULTS[name](*table)))
    assert len(found) == 1
    assert words in str(found[0])
    assert found[0].remedy


def test_length_of_a_vector_is_named_as_scaling_of_b(table):
    (fault,) = errors(check_table(*FAULTS["long vector"](*table)))
    assert "500 to 500 s/mm2" in fault.remedy


def test_faults_of_values_come_together(table):
    bvals, bvecs, _ = FAULTS["zero vector"](*table)
    bvecs[:, 7] *= 2
    assert len(errors(check_table(bvals, bvecs, 14))) == 2


def test_transposed_file_is_a_warning_and_read_right(table):
    bvals, bvecs = table
    findings = check_table(bvals[:, None], bvecs.T, 14)
    assert [finding.severity for finding in findings] == ["warning", "note"]
    flat, rows = standard_table(bvals[:, None], bvecs.T)
    np.testing.assert_array_equal(flat, bvals)
    np.testing.assert_array_equal(rows, bvecs.T)
    np.testing.assert_array_equal(standard_table(bvals[None], bvecs)[1], bvecs.T)


def test_standard_table_refuses_shapes_that_do_not_belong_together(table):
    with pytest.raises(InputError, match="14 b-values, 13 b-vectors"):
        standard_table(table[0], table[1][:, :-1])


def test_gradient_table_takes_b_up_to_50_as_unweighted(table):
    bvals, bvecs = table
    gtab = gradient_table(np.where(bvals < 1, 50, bvals), bvecs.T)
    assert gtab.b0s_mask.tolist() == [True] + [False] * 12 + [True]


def test_b_values_in_another_order_than_the_volumes_are_seen(table):
    bvals, bvecs = table
    signal = np.where(bvals > 1, 400.0, 1000.0) * np.ones((4, 4, 4, 1))
    mask = np.ones((4, 4, 4), dtype=bool)
    assert not errors(check_gradients(signal, bvals, bvecs, np.eye(4), mask))
    shifted = np.roll(signal, 3, axis=-1)
    (fault,) = errors(check_gradients(shifted, bvals, bvecs, np.eye(4), mask))
    assert "volume" in fault.found
    signal[2, 2, 2, 5] = np.nan
    (fault,) = errors(check_gradients(signal, bvals, bvecs, np.eye(4), mask))
    assert "volume 5" in fault.found


def test_three_dimensional_data_are_refused(table):
    (fault,) = check_gradients(np.ones((4, 4, 4)), *table, np.eye(4))
    assert "(4, 4, 4)" in fault.found


def test_affine_without_directions_is_refused(table):
    data = np.ones((4, 4, 4, 14)) * np.where(table[0] > 1, 400.0, 1000.0)
    (fault,) = errors(check_gradients(data, *table, np.diag([2.0, 0.0, 2.0, 1.0])))
    assert "affine" in fault.rule


def test_nan_background_is_no_fault_but_nan_brain_is(table):
    grid = np.indices((30, 30, 20)).transpose(1, 2, 3, 0) - [15, 15, 10]
    brain = (grid**2).sum(axis=-1) < 80
    rng = np.random.default_rng(0)
    signal = np.where(table[0] > 1, 400.0, 1000.0) * rng.uniform(0.95, 1.05, (30, 30, 20, 14))
    data = np.where(brain[..., None], signal, 5.0)
    data[0] = np.nan
    affine = np.diag([-3.0, 3.0, 3.0, 1.0])
    assert not [f for f in check_gradients(data, *table, affine) if "finite" in f.rule]
    data[15, 15, 10, 6] = np.nan
    assert [f for f in check_gradients(data, *table, affine) if "volume 6" in f.found]
