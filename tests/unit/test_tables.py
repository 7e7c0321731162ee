from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msimaging.errors import InputError
from msimaging.tables import read_json, read_table, sidecar_of, write_json, write_table


def test_missing_values_and_empty_text_are_written_as_na(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "participant_id": ["01", "02"],
            "value": [1 / 3, np.nan],
            "n": [3, 4],
            "known": [True, None],
            "flags": ["", "differs:EchoTime"],
        }
    )
    write_table(tmp_path / "t.tsv", table)
    assert (tmp_path / "t.tsv").read_text() == (
        "participant_id\tvalue\tn\tknown\tflags\n"
        "01\t0.3333333333\t3\tTrue\tn/a\n"
        "02\tn/a\t4\tn/a\tdiffers:EchoTime\n"
    )
    back = read_table(tmp_path / "t.tsv")
    assert list(back["participant_id"]) == ["01", "02"]
    assert np.isnan(back["value"][1])
    assert table["flags"][0] == ""


def test_only_na_is_missing_words_stay_words(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("label\tvalue\nNA\t1\nnull\t2\nn/a\t3\n")
    labels = read_table(tmp_path / "t.tsv")["label"]
    assert list(labels[:2]) == ["NA", "null"]
    assert labels.isna().tolist() == [False, False, True]


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.tsv").write_text("")
    for name in ("empty.tsv", "missing.tsv"):
        with pytest.raises(InputError, match=f"{name}: a table must be tab-separated"):
            read_table(tmp_path / name)


def test_json_comes_back_and_not_a_number_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"Units": "mm²/s"})
    assert read_json(tmp_path / "a.json") == {"Units": "mm²/s"}
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert read_json(tmp_path / "a.json") == {"Units": "mm²/s"}


@pytest.mark.parametrize(("text", "rule"), [("{", "readable JSON"), ("[1]", "one JSON object")])
def test_broken_json_is_named(text: str, rule: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=rf"a\.json: a sidecar must .*{rule}"):
        read_json(tmp_path / "a.json")


def test_the_sidecar_drops_every_extension() -> None:
    assert sidecar_of("sub-01/x_dwi.nii.gz") == Path("sub-01/x_dwi.json")
