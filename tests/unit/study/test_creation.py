from pathlib import Path

import pytest

from msimaging.bids.rows import read_rows
from msimaging.errors import ConfigError
from msimaging.settings import read_settings
from msimaging.study.creation import create_study


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    root = tmp_path / "bids"
    for acq in ("ax20", "ortho"):
        touch(root / "sub-1" / "ses-a" / "dwi" / f"sub-1_ses-a_acq-{acq}_dwi.nii.gz")
    for task in ("rest", "movie"):
        touch(root / "sub-1" / "ses-a" / "func" / f"sub-1_ses-a_task-{task}_bold.nii.gz")
    return root


def test_several_scans_wait_for_a_choice_and_other_tasks_do_not_count(
    bids: Path, tmp_path: Path
) -> None:
    inventory = create_study(bids, tmp_path / "study")
    (row,) = read_rows(tmp_path / "study" / "visits.tsv")
    assert row["dwi"].count(" | ") == 1
    assert row["bold"] == "sub-1/ses-a/func/sub-1_ses-a_task-rest_bold.nii.gz"
    assert inventory.undecided == inventory.new == ("sub-1 ses-a",)


def test_a_choice_by_entities_is_kept_in_the_settings(bids: Path, tmp_path: Path) -> None:
    inventory = create_study(bids, tmp_path / "study", select=["dwi:acq-ortho"])
    assert inventory.undecided == ()
    assert "acq-ortho" in inventory.rows[0]["dwi"]
    settings = read_settings(tmp_path / "study" / "config.yaml")
    assert settings["select"]["dwi"] == {"acq": "ortho"}
    assert settings["bids_dir"] == str(bids)
    with pytest.raises(ConfigError, match=r"an existing config\.yaml is not changed"):
        create_study(bids, tmp_path / "study", select=["dwi:acq-ax20"])


@pytest.mark.parametrize("text", ["dwi", "pet:acq-x", "dwi:ax20"])
def test_a_choice_in_another_form_is_refused(text: str, bids: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a choice looks like"):
        create_study(bids, tmp_path / "study", select=[text])


def test_what_a_person_edited_stays_and_news_are_told(bids: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    create_study(bids, study)
    table = study / "visits.tsv"
    (row,) = read_rows(table)
    chosen = row["dwi"].split(" | ")[1]
    header, line = table.read_text().splitlines()
    line = line.replace(row["dwi"], chosen) + "\tblind reader 2"
    table.write_text(f"{header}\tcomment\n{line}\n")
    (study / "config.yaml").write_text(f"# mine\nbids_dir: {bids}\n")
    touch(bids / "sub-1" / "ses-b" / "dwi" / "sub-1_ses-b_dwi.nii.gz")
    inventory = create_study(bids, study)
    first, second = read_rows(table)
    assert (first["dwi"], first["comment"]) == (chosen, "blind reader 2")
    assert second["session_id"] == "ses-b"
    assert (inventory.new, inventory.changed, inventory.gone) == (("sub-1 ses-b",), (), ())
    assert (study / "config.yaml").read_text().startswith("# mine")
    (bids / chosen).unlink()
    assert create_study(bids, study).changed == ("sub-1 ses-a",)


def test_other_files_beside_a_scan_are_a_change(bids: Path, tmp_path: Path) -> None:
    study, scan = tmp_path / "study", bids / "sub-1" / "ses-a" / "func" / "sub-1_ses-a_task-rest"
    create_study(bids, study)
    assert create_study(bids, study).changed == ()
    Path(f"{scan}_bold.json").write_text("{}")
    assert create_study(bids, study).changed == ("sub-1 ses-a",)
    assert create_study(bids, study).changed == ()
