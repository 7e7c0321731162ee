"""Confounds of a pipeline must tell where the head was at every volume."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from msimaging.errors import InputError
from msimaging.functional.strategies import MOTION
from msimaging.steps.derivative_files import read_bold_confounds


def written(path: Path, **cells: object) -> Path:
    """Six motion columns of five volumes; the first row of a derivative is n/a as ever."""
    table = pd.DataFrame({name: [0.1, 0.2, 0.3, 0.4, 0.5] for name in MOTION}, dtype=object)
    table["trans_x_derivative1"] = ["n/a", 0.1, 0.1, 0.1, 0.1]
    for column, value in cells.items():
        table.loc[3, column] = value
    table.to_csv(path, sep="\t", index=False)
    return path


@pytest.mark.parametrize("gap", ["n/a", "", "x", "inf"])
def test_a_gap_in_the_head_motion_is_told_with_its_place(tmp_path: Path, gap: str) -> None:
    path = written(tmp_path / "gap.tsv", rot_y=gap)
    with pytest.raises(InputError, match="rot_y at volume 3") as caught:
        read_bold_confounds(str(path), 5)
    (finding,) = caught.value.findings
    assert finding.where == str(path)
    assert finding.rule == "the head motion of a run must be a number at every volume"


def test_a_table_without_gaps_is_read_as_it_is(tmp_path: Path) -> None:
    table = read_bold_confounds(str(written(tmp_path / "whole.tsv")), 5)
    assert table["trans_x_derivative1"].isna().tolist() == [True, *[False] * 4]
