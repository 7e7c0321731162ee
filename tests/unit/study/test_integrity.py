"""Results deleted, altered or orphaned between two runs, and scans that were exchanged."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from msimaging.bids.companions import siblings
from msimaging.bids.layout import output
from msimaging.bids.plan import Plan
from msimaging.bids.rows import write_rows
from msimaging.bids.scans import SCAN_COLUMNS
from msimaging.bids.visits import VISIT_COLUMNS
from msimaging.settings import validated
from msimaging.study.integrity import find_damage, mark_for_repair, remember_files

SUB, SES = "sub-01", "ses-a"
MAP = output("tensor", sub=SUB, ses=SES)
SIDECAR = MAP.replace(".nii.gz", ".json")
SERIES = output("dwi", sub=SUB, ses=SES)
LONG = output("seed_change", sub=SUB, pair="aToB", task="rest", seed="A" * 130)
CONNECTED = output("bold_connected", sub=SUB, task="rest")
MATRIX = output("connectivity", sub=SUB, ses=SES, task="rest", atlas="a", stat="covariance")
SCAN = "bids/sub-01/ses-a/dwi/x.nii.gz"


class Study:
    """A study after a run: results with Snakemake's records, one scan."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        scan = {"path": SCAN.removeprefix("bids/"), "modality": "dwi"}
        scan |= {"bval": "dwi.bval", "bvec": "dwi.bvec"}
        write_rows(folder / "scans.tsv", SCAN_COLUMNS, [scan])
        visit = {"participant_id": SUB, "session_id": SES, "dwi": scan["path"]}
        write_rows(folder / "visits.tsv", VISIT_COLUMNS, [visit])
        self.write(SCAN, "scan", age=1000)
        for path in (MAP, SERIES, LONG, CONNECTED):
            self.made(path)
        for path in (SIDECAR, MATRIX, MATRIX.replace(".tsv", ".json")):
            self.write(path, "{}")
        self.plan = Plan.of_study(folder, validated({"bids_dir": "bids"}))
        for known, path in siblings(self.plan):
            if (folder / known).exists() and not (folder / path).exists():
                self.write(path, "made")
        self.remember()

    def remember(self, *, complete: bool = True) -> None:
        remember_files(self.folder, self.plan, complete=complete)

    def write(self, name: str, text: str = "result", age: float = 100) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        time = 1_700_000_000 - age
        os.utime(path, (time, time))

    def made(self, name: str, age: float = 100) -> None:
        """Write a result as a job does, with the record that Snakemake keeps."""
        self.write(name, "made", age)
        text = base64.urlsafe_b64encode(name.encode()).decode()
        pieces = [text[i : i + 254] for i in range(0, len(text), 254)]
        folder = self.folder.joinpath(".snakemake/metadata", *[f"@{p}" for p in pieces[:-1]])
        folder.mkdir(parents=True, exist_ok=True)
        log = f"logs/{'tensor' if 'model-tensor' in name else Path(name).name[-80:]}.log"
        self.write(log, "done in 1 s", age)
        record = {"endtime": (self.folder / name).stat().st_mtime, "log": [log]}
        (folder / pieces[-1]).write_text(json.dumps(record))

    def damage(self) -> dict[str, str]:
        return {each.path: str(each) for each in find_damage(self.folder, self.plan)}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def test_nothing_happened(study: Study) -> None:
    assert len(LONG) > 192  # its record does not fit into one file name
    assert study.damage() == {}


def test_a_deleted_result_and_a_deleted_sidecar_are_made_again(study: Study) -> None:
    (study.folder / SERIES).unlink()
    (study.folder / SIDECAR).unlink()
    assert study.damage() == {SERIES: f"{SERIES} was deleted", MAP: f"{SIDECAR} was deleted"}


def test_a_whole_folder_is_missed_by_snakemake_itself(study: Study) -> None:
    for path in (study.folder / MAP).parent.iterdir():
        path.unlink()
    (study.folder / MAP).parent.rmdir()
    assert study.damage() == {}


@pytest.mark.parametrize("path", [MAP, LONG])
def test_a_result_that_was_cut_off_is_made_again(path: str, study: Study) -> None:
    study.write(path, "re", age=10)
    assert study.damage() == {path: f"{path} was altered after it had been made"}


def test_an_altered_sidecar_is_made_again_with_its_result(study: Study) -> None:
    study.write(SIDECAR, "{", age=10)
    assert study.damage() == {MAP: f"{SIDECAR} was altered"}


@pytest.mark.parametrize("path", [MATRIX, MATRIX.replace(".tsv", ".json")])
def test_what_a_patients_job_writes_beside_its_table_is_made_again_with_it(
    path: str, study: Study
) -> None:
    study.write(path, "{", age=10)
    assert study.damage() == {CONNECTED: f"{path} was altered"}
    (study.folder / path).unlink()
    assert study.damage() == {CONNECTED: f"{path} was deleted"}
    for file in (study.folder / MATRIX).parent.iterdir():
        file.unlink()
    (study.folder / MATRIX).parent.rmdir()
    assert CONNECTED in study.damage()


def test_what_was_cut_off_before_a_killed_run_could_note_it_is_made_again(study: Study) -> None:
    beside = MATRIX.replace("covariance", "precision")
    study.made(CONNECTED, age=50)
    study.write(beside, "whole", age=51)
    assert study.damage() == {}
    study.write(beside, "who", age=10)
    assert study.damage() == {CONNECTED: f"{beside} was altered"}


def test_results_of_a_later_job_are_sound(study: Study) -> None:
    study.made(MAP, age=10)
    study.write(SIDECAR, "{  }", age=10)
    assert study.damage() == {}


def test_the_ledger_of_a_failed_run_was_not_left_by_a_killed_one(study: Study) -> None:
    study.write(output("ledger"))
    assert study.damage() == {}


def test_sidecars_of_figures_and_pictures_are_no_results_of_their_own(study: Study) -> None:
    figure = output("forest_figure", param="fa", atlas="whitematter", ext="tsv")
    pictures = output("patient_pictures", sub=SUB, modality="dwi")
    for path in (figure, pictures):
        study.made(path)
        study.write(path.replace(".tsv", ".json"))
    for known, path in siblings(study.plan):
        if known == pictures:
            study.write(path)
    assert study.damage() == {}


def test_a_result_without_a_record_was_left_by_a_killed_run(study: Study) -> None:
    path = output("lesion_change", sub=SUB, pair="aToB")
    study.write(path)
    assert study.damage() == {path: f"{path} was left by a run that had been killed"}


def test_files_of_other_people_are_left_alone(study: Study) -> None:
    study.write("derivatives/msimaging/cohort/truth.tsv")
    study.write("derivatives/msimaging/notes.json")
    assert study.damage() == {}


def test_an_exchanged_scan_with_an_old_date_is_noticed(study: Study) -> None:
    study.write(SCAN, "another scan", age=5000)
    assert study.damage() == {SERIES: f"{SCAN} is another file than before"}


def test_a_newer_scan_is_left_to_snakemake(study: Study) -> None:
    study.write(SCAN, "another scan", age=10)
    assert study.damage() == {}


def test_damage_is_kept_in_mind_until_a_run_did_everything(study: Study) -> None:
    (study.folder / SERIES).unlink()
    study.write(MAP, "re", age=10)
    study.write(SCAN, "another scan", age=5000)
    before = study.damage()
    study.remember(complete=False)
    assert study.damage() == before
    study.remember(complete=True)
    assert study.damage() == {}


def marks(study: Study) -> set[str]:
    folder = study.folder / ".snakemake" / "incomplete"
    mark_for_repair(study.folder, find_damage(study.folder, study.plan))
    return {base64.urlsafe_b64decode(path.name).decode() for path in folder.glob("*")}


def test_what_is_damaged_is_marked_by_itself_and_what_is_gone_by_its_neighbour(
    study: Study,
) -> None:
    neighbour = output("dwi_weights", sub=SUB, ses=SES)
    study.made(neighbour)
    study.remember()
    assert marks(study) == set()
    (study.folder / MAP).unlink()
    study.write(SERIES, "cut", age=10)
    assert marks(study) == {neighbour, SERIES}


def test_what_is_gone_with_all_that_its_job_made_is_told(study: Study) -> None:
    (study.folder / SERIES).unlink()
    assert mark_for_repair(study.folder, find_damage(study.folder, study.plan)) == [SERIES]
    assert marks(study) == set()


def test_a_file_that_an_earlier_version_did_not_write_is_asked_for(study: Study) -> None:
    path = output("dwi_series_quality", sub=SUB, ses=SES)
    (study.folder / path).unlink()
    study.remember()
    assert study.damage() == {SERIES: f"{path} is not there beside it"}
    assert marks(study) == {SERIES}
