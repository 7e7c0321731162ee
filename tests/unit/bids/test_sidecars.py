import json
from pathlib import Path

import pytest

from msimaging.bids.sidecars import check_repetition_time, read_acquisition
from msimaging.errors import InputError


def test_nearer_sidecars_override_and_nothing_personal_is_read(tmp_path: Path) -> None:
    far, near = tmp_path / "far.json", tmp_path / "near.json"
    far.write_text(json.dumps({"RepetitionTime": 2, "EchoTime": 0.03, "PatientName": "X"}))
    near.write_text("\ufeff" + json.dumps({"RepetitionTime": 1.5, "InstitutionName": "Y"}))
    assert read_acquisition([far, near]) == {"RepetitionTime": 1.5, "EchoTime": 0.03}


def test_every_broken_sidecar_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text("[]")
    with pytest.raises(InputError) as caught:
        read_acquisition([tmp_path / name for name in ("a.json", "b.json", "c.json")])
    assert [Path(f.where).name for f in caught.value.findings] == ["a.json", "b.json", "c.json"]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "no RepetitionTime"),
        (2000, "write 2."),
        ("2", "'2'"),
        (0, "0"),
        (True, "True"),
        (float("nan"), "nan"),
    ],
)
def test_a_repetition_time_that_cannot_be_meant_is_told(value: object, told: str) -> None:
    (finding,) = check_repetition_time({"RepetitionTime": value}, where="x_bold.nii.gz")
    assert told in str(finding)


def test_seconds_pass() -> None:
    assert check_repetition_time({"RepetitionTime": 0.72}, where="x") == []
