from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from msimaging.errors import InputError
from msimaging.functional.strategies import MOTION, Strategy, expand, select_confounds

T = 40


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    names = [
        *expand((*MOTION, "csf", "white_matter", "global_signal")),
        *(f"cosine{i:02d}" for i in range(2)),
        *(f"a_comp_cor_{i:02d}" for i in range(6)),
        "framewise_displacement",
        "std_dvars",
    ]
    table = pd.DataFrame(rng.normal(size=(T, len(names))), columns=names)
    table[["framewise_displacement", "std_dvars"]] = 0.1
    table.loc[0, [name for name in names if "derivative1" in name]] = np.nan
    table.loc[0, ["framewise_displacement", "std_dvars"]] = np.nan
    table["non_steady_state_outlier00"] = np.eye(T)[0]
    return table


METADATA = {
    f"a_comp_cor_{i:02d}": {"Mask": mask, "Retained": i != 1}
    for i, mask in enumerate(["combined", "combined", "combined", "WM", "CSF", "CSF"])
}


@pytest.mark.parametrize(
    ("name", "n_columns"),
    [("none", 0), ("24p", 24), ("36p", 36), ("simple", 28), ("scrubbing", 34)],
)
def test_strategies_have_the_columns_they_are_named_for(table, name, n_columns):
    selected = select_confounds(table, name)
    assert selected.design.shape == (T, n_columns)
    assert len(set(selected.names)) == n_columns
    np.testing.assert_array_equal(selected.sample_mask, np.arange(1, T))


def test_compcor_reads_masks_from_the_metadata(table):
    selected = select_confounds(table, "acompcor", metadata=METADATA)
    assert selected.names[-2:] == ("a_comp_cor_00", "a_comp_cor_02")
    assert len(selected.names) == 24 + 2 + 2
    own = Strategy(name="own", description="", compcor="separated", n_components=1)
    assert select_confounds(table, own, metadata=METADATA).names == (
        "a_comp_cor_03",
        "a_comp_cor_04",
    )
    with_global = select_confounds(table, "acompcor+gsr", metadata=METADATA)
    assert set(with_global.names) - set(selected.names) == {"global_signal"}
    with pytest.raises(InputError, match="no JSON beside the table"):
        select_confounds(table, "acompcor")


def test_scrubbing_takes_short_segments_along(table):
    table.loc[10, "framewise_displacement"] = 0.6
    table.loc[14, "std_dvars"] = 1.6
    table.loc[20, "framewise_displacement"] = 0.5
    table.loc[37, "framewise_displacement"] = 9
    kept = select_confounds(table, "scrubbing").sample_mask
    assert set(range(T)) - set(kept.tolist()) == {0, 10, 11, 12, 13, 14, 37, 38, 39}


def test_missing_first_row_of_a_derivative_is_filled(table):
    selected = select_confounds(table, "24p")
    column = selected.names.index("rot_y_derivative1")
    assert selected.design[0, column] == table.loc[1, "rot_y_derivative1"]
    assert np.isnan(table.loc[0, "rot_y_derivative1"])


def test_missing_columns_are_named_together(table):
    table = table.drop(columns=["rot_x", "csf", "framewise_displacement"])
    with pytest.raises(InputError, match="no column csf, framewise_displacement, rot_x"):
        select_confounds(table, "scrubbing")
    with pytest.raises(InputError, match="Choose one of: none, 24p"):
        select_confounds(table, "25p")
