import json
import shutil
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from msimaging.bids.layout import output
from msimaging.steps.records import describe
from msimaging.study.outdated import PlannedFile
from msimaging.study.verify import (
    Difference,
    Verification,
    _against_plan,
    _against_records,
    _compared,
    _sample,
    told_in_lines,
)
from msimaging.xfms import write_transform

MAP = output("tensor", sub="sub-1", ses="ses-a")
#: Written by the job that writes the map, and named by no rule.
BESIDE = output("tensor_map", sub="sub-1", ses="ses-a", param="fa")
REGIONS = output("tensor_regions", sub="sub-1", ses="ses-a", atlas="whitematter")
RAW = "bids/sub-1/ses-a/dwi/sub-1_ses-a_dwi.nii.gz"


def write_map(path: Path, value: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.full((4, 4, 4), 0.5, np.float32)
    data[1, 2, 3] = value
    nib.save(nib.Nifti1Image(data, np.eye(4)), path)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A raw scan, a map made from it, and a table made from the map, as steps leave them."""
    (tmp_path / "config.yaml").write_text("bids_dir: bids\n")
    write_map(tmp_path / RAW)
    write_map(tmp_path / MAP)
    describe(tmp_path / MAP, "FA.", sources=[tmp_path / RAW])
    (tmp_path / REGIONS).write_text("label\tvalue\nCC\t0.5\n")
    describe(tmp_path / REGIONS, "Means.", sources=[tmp_path / MAP])
    return tmp_path


def found(study: Path) -> set[tuple[str, str]]:
    inputs = (str(study / RAW),)
    made = PlannedFile(path=MAP, rule="fit", log="l", inputs=inputs, status="ok", pending=False)
    checked, differences = _against_records(study, [made])
    assert checked == 2
    return {(one.kind, one.path) for one in differences}


def test_an_untouched_study_agrees_with_its_records(study: Path) -> None:
    assert found(study) == set()


def test_a_truncated_map_and_what_was_made_from_it_are_named(study: Path) -> None:
    content = (study / MAP).read_bytes()
    (study / MAP).write_bytes(content[: len(content) // 2])
    assert found(study) == {("edited", MAP), ("source changed", REGIONS.replace(".tsv", ".json"))}


def test_one_digit_of_a_table_is_enough(study: Path) -> None:
    (study / REGIONS).write_text("label\tvalue\nCC\t0.6\n")
    assert found(study) == {("edited", REGIONS)}


@pytest.mark.parametrize("change", ["edited", "removed"])
def test_a_scan_that_is_another_or_gone_is_told_where_it_was_used(study: Path, change: str) -> None:
    if change == "edited":
        write_map(study / RAW, 0.7)
    else:
        (study / RAW).unlink()
    assert found(study) == {("source changed", MAP.replace(".nii.gz", ".json"))}


def test_the_way_in_which_two_results_differ_is_told(study: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    write_map(again / MAP, 0.75)
    told = _compared(study, MAP, again / MAP)
    assert told == Difference(
        path=MAP, kind="different", told="1 of 64 numbers differ, by up to 0.25"
    )
    shutil.copy(study / MAP, again / MAP)
    assert _compared(study, MAP, again / MAP) is None
    (again / "t.tsv").write_text("label\tvalue\nCC\t0.5\n")
    (study / "t.tsv").write_text("label\tvalue\nCC\tn/a\n")
    assert "1 of 1 numbers differ: missing in one" in str(
        _compared(study, "t.tsv", again / "t.tsv")
    )
    (study / "t.json").write_text(json.dumps({"Seed": 1, "Model": "tensor"}))
    (again / "t.json").write_text(json.dumps({"Seed": 2, "Model": "tensor"}))
    assert "fields Seed" in str(_compared(study, "t.json", again / "t.json"))
    (study / MAP).write_bytes(b"cut")
    assert "cannot be read" in str(_compared(study, MAP, again / MAP))


def test_a_transform_written_at_another_time_is_the_same_and_another_is_not(
    tmp_path: Path,
) -> None:
    there, again = tmp_path / "there", tmp_path / "again"
    for folder in (there, again):
        folder.mkdir()
        write_transform(folder / "x.h5", sitk.TranslationTransform(3, (1.0, 0.0, 0.0)))
        time.sleep(1.1)  # HDF5 would store the second of writing
    assert _compared(there, "x.h5", again / "x.h5") is None
    write_transform(again / "x.h5", sitk.TranslationTransform(3, (1.5, 0.0, 0.0)))
    assert _compared(there, "x.h5", again / "x.h5") is not None


def planned(path: str, rule: str, log: str, *, status: str = "ok", pending: bool = False):
    return PlannedFile(path=path, rule=rule, log=log, inputs=(), status=status, pending=pending)


def test_missing_and_stale_results_are_told_apart(study: Path) -> None:
    files = [
        planned(MAP, "fit", "l", status="params changed", pending=True),
        planned(REGIONS, "measure", "m"),
        planned("gone.tsv", "measure", "m", status="missing", pending=True),
    ]
    write_map(study / BESIDE)
    unnamed = [BESIDE, BESIDE.replace("-fa_", "-md_")]
    told = {(one.kind, one.path, one.told) for one in _against_plan(study, files, unnamed)}
    assert told == {
        ("stale", MAP, "settings, code or visits changed"),
        ("stale", BESIDE, "settings, code or visits changed"),
        ("missing", unnamed[1], "no such file; a run would make it"),
        ("missing", "gone.tsv", "no such file; a run would make it"),
    }


def test_a_sample_takes_one_job_of_every_rule_before_a_second(study: Path) -> None:
    files = [
        planned(MAP, rule, f"{rule}/{number}") for rule in ("a", "b", "c") for number in range(4)
    ]
    files += [planned(REGIONS, "a", "a/0"), planned(MAP, "write_ledger", "w")]
    files += [planned("gone.tsv", "d", "d/0")]
    chosen = _sample(study, files, 3, 0)
    assert sorted(job[0].rule for job in chosen) == ["a", "b", "c"]
    assert len(_sample(study, files, 5, 0)) == 5
    every = _sample(study, files, None, 0)
    assert len(every) == 12
    assert {len(job) for job in every if job[0].log == "a/0"} == {2}
    assert _sample(study, files, 5, 0) == _sample(study, files, 5, 0)
    assert any(_sample(study, files, 3, 0) != _sample(study, files, 3, n) for n in range(1, 5))


def test_many_differences_of_a_kind_are_counted_for_people() -> None:
    many = tuple(Difference(path=f"{n}", kind="stale", told="x") for n in range(30))
    lines = list(told_in_lines(Verification(digests=1, jobs=0, files=0, differences=many)))
    assert len(lines) == 22
    assert lines[-2] == "stale: and 10 more (--json lists all)"
    assert lines[-1].endswith("30 differences")
