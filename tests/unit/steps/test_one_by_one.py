"""Jobs for a whole patient: a bad visit costs the others nothing; lists tell of every file."""

from __future__ import annotations

from pathlib import Path

import pytest

from msimaging.errors import ComputationError, Finding, InputError, MsimagingError
from msimaging.steps.file_list import write_list
from msimaging.steps.one_by_one import one_by_one
from msimaging.tables import read_table


def refused(name: str) -> InputError:
    return InputError([Finding(rule="whole", where=name, found="half", remedy="Copy it again.")])


def test_the_others_are_done_and_every_fault_is_told_once() -> None:
    done = []

    def work(part: str) -> None:
        if part.startswith("bad"):
            raise refused(part[:4])
        done.append(part)

    with pytest.raises(InputError) as told:
        one_by_one(["bad1", "a", "bad2", "bad2 again", "b"], work)
    assert done == ["a", "b"]
    assert [finding.where for finding in told.value.findings] == ["bad1", "bad2"]


def test_a_computation_that_failed_is_told_beside_a_refused_input() -> None:
    def work(part: str) -> None:
        raise ComputationError("no fit") if part == "fit" else refused(part)

    with pytest.raises(MsimagingError) as told:
        one_by_one(["fit", "scan"], work)
    assert str(told.value).splitlines() == ["no fit", str(refused("scan"))]


def test_what_is_no_fault_of_the_input_ends_the_job_at_once() -> None:
    done = []

    def work(part: str) -> None:
        done.append(part)
        raise KeyError(part)

    with pytest.raises(KeyError):
        one_by_one(["a", "b"], work)
    assert done == ["a"]


def test_a_list_is_another_one_as_soon_as_one_of_its_files_is(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("map.tsv", "a.png", "b.png")]
    for path in files:
        path.write_text("x")
    parts = [{"out_map": str(files[0]), "image": "read.nii.gz"}, {"out_pictures": files[1:]}]
    table = tmp_path / "list.tsv"
    write_list(parts, str(table), "Files.")
    before = table.read_bytes()
    assert list(read_table(table)["file"]) == ["map.tsv", "a.png", "b.png"]
    write_list(parts, str(table), "Files.")
    assert table.read_bytes() == before
    files[2].write_text("y")
    write_list(parts, str(table), "Files.")
    assert table.read_bytes() != before
    assert len(table.read_bytes()) == len(before)
