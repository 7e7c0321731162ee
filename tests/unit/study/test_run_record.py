import hashlib
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from msimaging.bids.layout import output
from msimaging.bids.ledger import Entry
from msimaging.bids.rows import write_rows
from msimaging.bids.scans import SCAN_COLUMNS
from msimaging.bids.visits import VISIT_COLUMNS
from msimaging.steps.records import describe
from msimaging.study.run_record import git_state, record_run


def study_of_one_visit(study: Path) -> Path:
    (study / "config.yaml").write_text("bids_dir: bids\nseed: 7\n")
    row = {"participant_id": "sub-1", "session_id": "ses-a", "dwi": "sub-1/ses-a/dwi/x_dwi.nii"}
    write_rows(study / "visits.tsv", VISIT_COLUMNS, [row])
    write_rows(study / "scans.tsv", SCAN_COLUMNS, [{"path": row["dwi"], "modality": "dwi"}])
    raw = study / "bids" / row["dwi"]
    raw.parent.mkdir(parents=True)
    raw.write_bytes(b"a scan")
    made = study / output("dwi", sub="sub-1", ses="ses-a")
    made.parent.mkdir(parents=True)
    made.write_bytes(b"a result")
    describe(made, "Made.", sources=[raw])
    return study


def test_a_run_is_recorded_with_what_it_worked_on(tmp_path: Path) -> None:
    study = study_of_one_visit(tmp_path)
    (study / "logs").mkdir()
    log = (
        "localrule default:\nrule fit_tensor:\nrule fit_tensor:\nlocalrule all:\nfit_tensor rule\n"
    )
    (study / "logs" / "run.log").write_text(log)
    entries = [
        Entry(step="fit_tensor", participant_id="sub-1", session_id=s, state="done", reason="")
        for s in ("ses-a", "ses-b")
    ]
    path = record_run(
        study,
        started=datetime(2026, 3, 9, 14, 30, tzinfo=UTC),
        arguments=["msimaging", "run"],
        command=["snakemake"],
        code=3,
        entries=entries,
    )
    assert path == study / "runs" / "20260309T143000Z.json"
    record = json.loads(path.read_text())
    assert (record["ExitCode"], record["Jobs"]) == (3, {"fit_tensor": 2})
    assert record["States"] == {"done": 2}
    assert record["Settings"]["seed"] == 7
    assert record["Settings"]["statistics"]["adjustment"] == "bh"  # defaults are settings, too
    assert set(record["TableDigests"]) == {"config.yaml", "visits.tsv", "scans.tsv"}
    scan = "bids:raw:sub-1/ses-a/dwi/x_dwi.nii"
    assert record["InputDigests"] == {scan: hashlib.sha256(b"a scan").hexdigest()}
    assert {"msimaging", "python", "snakemake", "dipy"} <= set(record["Versions"])


def test_the_state_of_a_clone_is_told(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        command = ["git", "-C", tmp_path, *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert git_state(tmp_path) is None
    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "one")
    assert git_state(tmp_path) == {"Commit": git("rev-parse", "HEAD"), "Modified": False}
    (tmp_path / "file").write_text("2")
    assert git_state(tmp_path)["Modified"]
    # a folder inside some other clone is not that clone
    (tmp_path / "inner").mkdir()
    assert git_state(tmp_path / "inner") is None
