"""A tiny trial from index to report: tables, second runs, new and excluded visits, killed runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import correlation, median

import nibabel as nib
import numpy as np
import pytest
import report_pages
from bids_overlay import write_overlay
from derivative_folders import (
    describe_pipeline,
    fmriprep_from_results,
    qsiprep_from_results,
)

from msimaging.bids.companions import companions, stand_in
from msimaging.bids.plan import Plan
from msimaging.bids.rows import read_rows
from msimaging.phantom import simulate_trial
from msimaging.provenance import file_digest
from msimaging.settings import read_settings
from msimaging.study.outdated import planned_files
from msimaging.study.verify import _recompute

pytestmark = pytest.mark.slow

DERIVATIVES = Path("derivatives") / "msimaging"
HEADERS = {
    "measures": "participant_id session_id months modality atlas label measure value units "
    "coverage flags",
    "changes": "participant_id baseline follow_up months modality atlas label measure "
    "baseline_value follow_up_value change percent_change se ci_low ci_high sdc detectable "
    "reliable flags",
    "results": "model family modality atlas label measure n n_excluded estimate ci_low ci_high "
    "effect effect_name test statistic p p_floor p_adjusted adjustment flags",
    "ledger": "step participant_id session_id state reason",
}
COARSE = {
    "spatial__working_resolution": 6,
    "spatial__map_resolution": 6,
    "diffusion__bootstrap_samples": 50,
    "functional__min_minutes": 1,
    "functional__min_volumes": 30,
    "figures__formats": ["png"],
    "notify__command": 'cat > "$MSIMAGING_STUDY/mail.txt"',
}
LATER = {"sub-02": ["ses-month12"], "sub-03": ["ses-month06", "ses-month12"]}


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three patients, three visits each."""
    bids = tmp_path_factory.mktemp("trial") / "bids"
    simulate_trial(
        bids,
        n_patients=3,
        n_visits=3,
        n_lesions=1,
        dwi_voxel_size=6.0,
        n_b0=2,
        n_directions=12,
        bold_voxel_size=6.0,
        n_volumes=40,
    )
    report_pages.leave_in_sidecars(bids)
    return bids


@pytest.fixture(scope="module")
def study(
    trial: Path,
    tmp_path_factory: pytest.TempPathFactory,
    msimaging: Callable[..., subprocess.CompletedProcess[str]],
    edit_config: Callable[..., None],
) -> Path:
    """Two patients with two visits and one with one, run to the end on two cores."""
    root = tmp_path_factory.mktemp("run")
    shutil.copytree(trial, root / "bids")
    shutil.rmtree(root / "bids" / "sub-01" / "ses-month12")
    for sub, sessions in LATER.items():
        for session in sessions:
            shutil.rmtree(root / "bids" / sub / session)
    assert msimaging("index", root / "bids", root / "study").returncode == 0
    edit_config(root / "study", **COARSE)
    result = msimaging("run", root / "study", "--cores", 2)
    assert result.returncode == 0, result.stdout + result.stderr
    (root / "study" / "first_run.txt").write_text(result.stdout)
    return root / "study"


def jobs_of_last_run(study: Path) -> Counter[str]:
    record = (study / "logs" / "run.log").read_text()
    started = Counter(re.findall(r"^(?:local)?rule (\w+):", record, re.MULTILINE))
    started.pop("default", None)
    started.pop("all", None)
    return started


def times(study: Path) -> dict[str, int]:
    files = (path for path in (study / DERIVATIVES).rglob("*") if path.is_file())
    return {str(path): path.stat().st_mtime_ns for path in files}


def test_every_table_has_the_columns_of_the_contract(study: Path) -> None:
    for name, header in HEADERS.items():
        path = study / DERIVATIVES / "cohort" / f"{name}.tsv"
        first, *rows = path.read_text().splitlines()
        assert first.split("\t") == header.split()
        assert rows
        assert all(cell for row in rows for cell in row.split("\t")), "an empty cell is n/a"
        described = json.loads(path.with_suffix(".json").read_text())
        assert set(header.split()) <= set(described)


def test_changes_are_differences_of_the_measures(study: Path) -> None:
    measures = {
        (row["participant_id"], row["session_id"], row["atlas"], row["label"], row["measure"]): row
        for row in read_rows(study / DERIVATIVES / "cohort" / "measures.tsv")
    }
    changes = read_rows(study / DERIVATIVES / "cohort" / "changes.tsv")
    assert {row["participant_id"] for row in changes} == {"sub-01", "sub-02"}
    compared = 0
    for row in changes:
        key = (row["atlas"], row["label"], row["measure"])
        before = measures[row["participant_id"], row["baseline"], *key]["value"]
        after = measures[row["participant_id"], row["follow_up"], *key]["value"]
        if row["change"]:
            assert float(row["change"]) == pytest.approx(float(after) - float(before), abs=1e-8)
            compared += 1
    assert compared > len(changes) / 2


def test_the_results_are_valid_bids_derivatives(study: Path, tmp_path: Path) -> None:
    schema = write_overlay(tmp_path / "schema.json")
    validator = Path(sys.executable).with_name("bids-validator-deno")
    command = [validator, study / DERIVATIVES, "--schema", schema.as_uri(), "--ignoreWarnings"]
    result = subprocess.run(
        [*command, "--format", "json"], capture_output=True, text=True, check=False
    )
    issues = json.loads(result.stdout)["issues"]["issues"]
    errors = [issue for issue in issues if issue["severity"] == "error"]
    told = {(issue["code"], issue.get("subCode"), issue["location"]) for issue in errors}
    assert not told
    assert result.returncode == 0


def test_every_image_and_table_has_a_sidecar(study: Path) -> None:
    root = study / DERIVATIVES
    files = [*root.glob("sub-*/**/*.nii.gz"), *root.glob("sub-*/**/*.tsv"), *root.glob("*/*.tsv")]
    assert len(files) > 50
    missing = [path.name for path in files if not (path.parent / sidecar_name(path)).exists()]
    assert missing == []


def sidecar_name(path: Path) -> str:
    return path.name.split(".")[0] + ".json"


def test_no_temporary_file_is_left(study: Path) -> None:
    hidden = [path.name for path in (study / DERIVATIVES).rglob(".*") if path.is_file()]
    # Snakemake marks the folders of pictures
    assert set(hidden) == {".bidsignore", ".snakemake_timestamp"}


def test_the_report_is_whole_small_and_keeps_to_itself(study: Path) -> None:
    report = study / DERIVATIVES / "report"
    assert report_pages.broken_links(report) == []
    assert report_pages.outside_addresses(report) == []
    assert report_pages.identifying_words(study / DERIVATIVES) == []
    assert report_pages.left_in_files(study) == []
    pages = list(report.glob("*.html"))
    names = {path.name for path in pages}
    assert {"index.html", "quality.html", "methods.html", "ledger.html"} <= names
    assert {"patient-sub-01.html", "scan-sub-03-ses-baseline-dwi.html"} <= names
    assert max(path.stat().st_size for path in pages) < 5_000_000


@pytest.mark.chromium
def test_every_page_opens_without_complaint_and_the_viewer_draws(
    study: Path, tmp_path: Path
) -> None:
    open_page = report_pages.browser(tmp_path / "profile")
    for path in sorted((study / DERIVATIVES / "report").glob("*.html")):
        dom, complaints = open_page(path)
        assert complaints == [], path.name
        if path.name.startswith("patient-sub-01"):
            assert report_pages.said(dom, "viewer").startswith("ready")


def test_an_unpaired_patient_is_named_and_processed(study: Path, msimaging: Callable) -> None:
    assert "unpaired: change of dwi sub-03 ses-baseline" in (study / "first_run.txt").read_text()
    measures = read_rows(study / DERIVATIVES / "cohort" / "measures.tsv")
    processed = {(r["participant_id"], r["modality"]) for r in measures}
    assert {("sub-03", "dwi"), ("sub-03", "bold")} <= processed
    entries = json.loads(msimaging("status", study, "--json").stdout)
    unpaired = {(e["step"], e["participant_id"]) for e in entries if e["state"] == "unpaired"}
    assert unpaired == {("change of dwi", "sub-03"), ("change of bold", "sub-03")}
    # nothing of opposite phase encoding was scanned
    assert {entry["state"] for entry in entries} == {"done", "unpaired", "absent"}


def test_the_run_is_recorded_and_told(study: Path) -> None:
    (path,) = (study / "runs").glob("*.json")
    record = json.loads(path.read_text())
    assert record["ExitCode"] == 0
    assert record["Jobs"]["fit_tensor"] == 5
    assert record["Settings"]["spatial"]["map_resolution"] == 6
    assert "visits.tsv" in record["TableDigests"]
    scans = [name for name in record["InputDigests"] if name.endswith(".nii.gz")]
    assert len(scans) == 10
    mail = (study / "mail.txt").read_text()
    assert "unpaired: change of dwi sub-03" in mail
    assert mail.strip() in (study / "first_run.txt").read_text()


def test_results_verify_and_what_was_cut_or_is_stale_does_not(
    study: Path, msimaging: Callable
) -> None:
    clean = msimaging("verify", study, "--sample", 4, "--cores", 2, "--json")
    told = json.loads(clean.stdout)
    assert (clean.returncode, told["differences"]) == (0, [])
    assert told["jobs"] == 4
    assert told["files"] >= 4
    assert told["digests"] > 100
    image = next((study / DERIVATIVES).glob("sub-01/ses-*/dwi/*_param-fa_dwimap.nii.gz"))
    bval = next((study.parent / "bids").glob("sub-02/ses-*/dwi/*.bval"))
    kept = {path: (path.read_bytes(), path.stat()) for path in (image, bval)}
    image.write_bytes(kept[image][0][:-100])
    os.utime(image, ns=(kept[image][1].st_atime_ns, kept[image][1].st_mtime_ns))
    # a new date alone would make nothing stale: small inputs are compared by their content
    bval.write_bytes(kept[bval][0] + b"\n")
    found = msimaging("verify", study, "--sample", 0, "--json")
    for path, (content, state) in kept.items():
        path.write_bytes(content)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert found.returncode == 1
    kinds = Counter(one["kind"] for one in json.loads(found.stdout)["differences"])
    by_path = {one["path"]: one["kind"] for one in json.loads(found.stdout)["differences"]}
    assert by_path[image.relative_to(study).as_posix()] == "edited"
    assert kinds["edited"] == 1
    assert kinds["source changed"] >= 2
    stale = {path for path, kind in by_path.items() if kind == "stale"}
    assert any("/sub-02/" in path and path.endswith("desc-preproc_dwi.nii.gz") for path in stale)
    assert not any("/sub-01/" in path for path in stale)


def test_a_forged_result_with_a_fitting_digest_is_computed_otherwise(
    study: Path, tmp_path: Path
) -> None:
    files = [f for f in planned_files(study) if f.rule == "change_connectivity"]
    job = [file for file in files if file.log == files[0].log]
    unnamed = list(companions(Plan.of_study(study, read_settings(study / "config.yaml"))))
    assert _recompute(study, job, unnamed, tmp_path / "before")[1] == []
    (changed,) = {file.path for file in job}
    beside = (path for path in unnamed if stand_in(path) == changed)
    table = study / next(path for path in beside if path.endswith("_relmat.tsv"))
    sidecar = table.with_suffix(".json")
    kept = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (table, sidecar)}
    table.write_text(re.sub(r"\t0\.(\d)", r"\t0.9\1", table.read_text(), count=1))
    record = json.loads(sidecar.read_text())
    record["Digests"][table.name] = file_digest(table)
    sidecar.write_text(json.dumps(record, indent=2) + "\n")
    found = _recompute(study, job, unnamed, tmp_path / "after")[1]
    for path, (content, time_ns) in kept.items():
        path.write_bytes(content)
        os.utime(path, ns=(time_ns, time_ns))
    told = {one.path: one.told for one in found}
    assert set(told) == {path.relative_to(study).as_posix() for path in kept}
    assert "1 of " in told[table.relative_to(study).as_posix()]


def test_a_second_run_does_nothing(study: Path, msimaging: Callable) -> None:
    before = times(study)
    result = msimaging("run", study, "--cores", 2)
    assert result.returncode == 0
    assert jobs_of_last_run(study) == Counter()
    assert times(study) == before


def test_visits_enter_after_qsiprep_and_fmriprep_with_the_results_of_raw_scans(
    study: Path, tmp_path: Path, msimaging: Callable, edit_config: Callable
) -> None:
    """What the raw scans became, in the pipelines' names and spaces, ends in the same changes."""
    folders = {name: tmp_path / name.lower() for name in ("QSIPrep", "fMRIPrep")}
    for (name, folder), release in zip(folders.items(), ("1.0.0", "20.2.7"), strict=True):
        describe_pipeline(folder, name, release)
    for turn, session in ((8.0, "ses-baseline"), (-5.0, "ses-month06")):
        visit = ("sub-01", session)
        qsiprep_from_results(study / DERIVATIVES, folders["QSIPrep"], visit, turn)
        fmriprep_from_results(study / DERIVATIVES, folders["fMRIPrep"], visit)
    bids, later = study.parent / "bids", tmp_path / "study"
    shutil.copytree(bids, tmp_path / "bids", ignore=shutil.ignore_patterns("sub-02", "sub-03"))
    given = [word for folder in folders.values() for word in ("--derivatives", folder)]
    indexed = msimaging("index", tmp_path / "bids", later, *given)
    assert "QSIPrep 1.0.0  fMRIPrep 20.2.7" in indexed.stdout, indexed.stdout + indexed.stderr
    edit_config(later, **COARSE)
    result = msimaging("run", later, "--cores", 2)
    assert result.returncode == 0, result.stdout + result.stderr
    jobs = jobs_of_last_run(later)
    assert [jobs[f"import_{kind}"] for kind in ("dwi", "bold")] == [2, 2]
    assert jobs["adopt_bold_space"] == 1
    assert not {"preprocess_dwi", "preprocess_bold", "build_bold_space"} & set(jobs)
    (sidecar,) = (later / DERIVATIVES).glob("sub-01/ses-baseline/dwi/*_desc-preproc_dwi.json")
    told = json.loads(sidecar.read_text())
    assert told["PreprocessedBy"] == "QSIPrep 1.0.0"
    assert told["MagneticFieldStrength"] == 3  # of the scanner: from the raw series' sidecar
    report = (later / DERIVATIVES / "report" / "methods.html").read_text()
    assert "fMRIPrep had brought to a space of the MNI152 family" in report
    agree_with(study, later)


def agree_with(study: Path, later: Path) -> None:
    """Compare the maps and measures of sub-01 from raw scans with those after the pipelines."""
    for param in ("fa", "rd"):
        name = f"sub-01_ses-month06_model-tensor_param-{param}_dwimap.nii.gz"
        raw, given = (
            nib.load(folder / DERIVATIVES / "sub-01" / "ses-month06" / "dwi" / name).get_fdata()
            for folder in (study, later)
        )
        # the pipeline's axes run the other way; no voxel was resampled
        inside = given[::-1, ::-1] != 0
        assert inside.sum() > 3000
        assert np.allclose(given[::-1, ::-1][inside], raw[inside], rtol=1e-4, atol=1e-8)
    raw, given = (measures_of(folder, "sub-01") for folder in (study, later))
    # lesions drawn on raw scans are not used for preprocessed ones
    raw = {
        key: value for key, value in raw.items() if key[-1] in {"fa", "md", "ad", "rd", "fisherz"}
    }
    shared = set(raw) & set(given)
    assert len(shared) > 0.95 * len(raw)
    for measure in ("fa", "md", "rd"):
        ratios = [given[key] / raw[key] for key in shared if key[-1] == measure and raw[key]]
        assert len(ratios) > 50
        # regions of some voxels of 6 mm: a registration of turned heads moves single ones
        assert abs(median(ratios) - 1) < 0.02, measure
    networks = sorted(key for key in shared if key[-1] == "fisherz")
    assert len(networks) > 10
    x, y = ([table[key] for key in networks] for table in (raw, given))
    assert correlation(x, y) > 0.95


def measures_of(study: Path, patient: str) -> dict[tuple[str, ...], float]:
    keys = ("session_id", "atlas", "label", "measure")
    return {
        tuple(row[key] for key in keys): float(row["value"])
        for row in read_rows(study / DERIVATIVES / "cohort" / "measures.tsv")
        if row["participant_id"] == patient and row["value"]
    }


def test_one_core_and_a_killed_run_give_the_same_bytes(
    trial: Path, study: Path, tmp_path: Path, msimaging: Callable, edit_config: Callable
) -> None:
    """One patient alone on one core, killed on the way, against the study on two cores."""
    shutil.copytree(trial, tmp_path / "bids", ignore=shutil.ignore_patterns("sub-02", "sub-03"))
    shutil.rmtree(tmp_path / "bids" / "sub-01" / "ses-month12")
    alone = tmp_path / "study"
    msimaging("index", tmp_path / "bids", alone)
    edit_config(alone, **COARSE)
    kill_when_something_is_written(alone)
    for path in (alone / DERIVATIVES).rglob("[!.]*.nii.gz"):
        nib.load(path).get_fdata()  # what stands under a final name is whole

    tables = ("collect_measures", "collect_changes")
    finished = msimaging("run", alone, "--cores", 1, "--", "--until", *tables)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "was killed; going on" in finished.stdout
    # the ledger tells how far it came, although its own job was not reached
    ledger = read_rows(alone / DERIVATIVES / "cohort" / "ledger.tsv")
    states = {row["step"]: row["state"] for row in ledger}
    assert (states["change_diffusion"], states["draw_regions"]) == ("done", "pending")

    compared = Counter()
    for path in sorted((alone / DERIVATIVES / "sub-01").rglob("[!.]*")):
        of_the_group = "stat-tangent" in path.name
        if path.is_file() and path.suffix in {".gz", ".tsv", ".bvec", ".bval"} and not of_the_group:
            other = study / path.relative_to(alone)
            assert path.read_bytes() == other.read_bytes(), path.name
            compared[path.suffix] += 1
    assert compared[".gz"] > 20
    assert compared[".tsv"] > 20
    for name in ("measures", "changes"):
        assert lines_of(alone, name, "sub-01") == lines_of(study, name, "sub-01")


def lines_of(study: Path, table: str, patient: str) -> list[str]:
    lines = (study / DERIVATIVES / "cohort" / f"{table}.tsv").read_text().splitlines()
    found = [line for line in lines if line.startswith(patient)]
    assert found
    return found


def kill_when_something_is_written(study: Path) -> None:
    command = [sys.executable, "-m", "msimaging", "run", str(study), "--cores", "1"]
    running = subprocess.Popen(
        command,
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list((study / DERIVATIVES).rglob("*.nii.gz")) and time.monotonic() < deadline:
        time.sleep(0.02)
    # Snakemake and its job are in a group of their own and live on; the next run ends them
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert list((study / ".snakemake" / "locks").iterdir())


def test_deleted_and_cut_off_results_are_made_again_with_the_same_bytes(
    study: Path, msimaging: Callable
) -> None:
    folder = study / DERIVATIVES / "sub-02"
    deleted = next(folder.glob("dwi/*_stat-change_*_stats.tsv"))  # nothing waits for it
    cut = next(folder.glob("func/*_stat-change_*_relmat.tsv"))
    before = {path: path.read_bytes() for path in folder.rglob("[!.]*") if path.is_file()}
    deleted.unlink()
    cut.write_bytes(before[cut][:100])
    told = json.loads(msimaging("status", study, "--json").stdout)
    stale = {
        (entry["step"], entry["participant_id"], entry["session_id"]): entry["reason"]
        for entry in told
        if entry["state"] == "stale"
    }
    place = deleted.relative_to(study)
    pair = "baselineToMonth06"
    assert stale["change_diffusion", "sub-02", pair] == f"{place} was deleted"
    assert stale["change_connectivity", "sub-02", pair] == f"{cut.relative_to(study)} was altered"
    result = msimaging("run", study, "--cores", 2)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"made again: {deleted.relative_to(study)} was deleted" in result.stdout
    assert f"made again: {cut.relative_to(study)} was altered" in result.stdout
    jobs = jobs_of_last_run(study)
    assert jobs["change_diffusion"] == jobs["change_connectivity"] == 1
    assert not {"preprocess_dwi", "measure_diffusion", "connect_parcels"} & set(jobs)
    assert {path: path.read_bytes() for path in before} == before
    ledger = read_rows(study / DERIVATIVES / "cohort" / "ledger.tsv")
    assert {row["state"] for row in ledger} == {"done", "absent", "unpaired"}
    assert msimaging("run", study, "--cores", 2).returncode == 0
    assert jobs_of_last_run(study) == Counter()


def test_a_new_visit_runs_only_its_own_jobs_and_what_depends_on_them(
    trial: Path, study: Path, msimaging: Callable
) -> None:
    bids = study.parent / "bids"
    shutil.copytree(trial / "sub-01" / "ses-month12", bids / "sub-01" / "ses-month12")
    indexed = msimaging("index", bids, study)
    assert "new: sub-01 ses-month12" in indexed.stdout
    before = times(study)
    result = msimaging("run", study, "--cores", 2)
    assert result.returncode == 0, result.stdout + result.stderr
    own = ("preprocess_dwi", "fit_tensor", "preprocess_bold")
    # the midpoint of three visits is another than that of two
    of_the_patient = ("build_dwi_space", "measure_diffusion", "change_diffusion")
    of_the_patient += ("build_bold_space", "extract_parcels", "connect_parcels")
    of_the_patient += ("change_connectivity", "draw_patient_dwi", "draw_patient_bold")
    of_the_cohort = ("connect_group", "collect_measures", "collect_changes", "test_changes")
    of_the_cohort += ("collect_specifications", "collect_qcfc")
    of_the_report = ("draw_cohort_connectivity", "collect_quality", "write_ledger", "write_report")
    assert jobs_of_last_run(study) == {
        **dict.fromkeys((*own, *of_the_patient, "split_tissue"), 1),
        "change_lesions": 2,
        **dict.fromkeys((*of_the_cohort, *of_the_report), 1),
        **dict.fromkeys(("draw_regions", "draw_cohort_maps"), 2),
    }
    others = {p: t for p, t in before.items() if "/sub-02" in p and "tangent" not in p}
    assert len(others) > 50
    assert others.items() <= times(study).items()


def test_an_excluded_visit_ends_with_3_and_stands_in_the_ledger(
    study: Path, msimaging: Callable
) -> None:
    table = study / "visits.tsv"
    lines = [line.split("\t") for line in table.read_text().splitlines()]
    place = lines[0].index("exclude")
    for cells in lines:
        if cells[0] == "sub-03":
            cells[place] = "fell asleep"
    table.write_text("\n".join("\t".join(cells) for cells in lines) + "\n")
    result = msimaging("run", study, "--cores", 2)
    assert result.returncode == 3, result.stdout + result.stderr
    assert "excluded: dwi sub-03 ses-baseline: fell asleep" in result.stdout
    jobs = jobs_of_last_run(study)
    assert not {"preprocess_dwi", "fit_tensor", "build_dwi_space", "extract_parcels"} & set(jobs)
    ledger = read_rows(study / DERIVATIVES / "cohort" / "ledger.tsv")
    told = [row for row in ledger if row["state"] == "excluded"]
    assert [(r["step"], r["participant_id"], r["reason"]) for r in told] == [
        ("dwi", "sub-03", "fell asleep"),
        ("bold", "sub-03", "fell asleep"),
    ]
    measured = read_rows(study / DERIVATIVES / "cohort" / "measures.tsv")
    assert "sub-03" not in {row["participant_id"] for row in measured}


def test_a_new_reason_alone_reaches_the_ledger(study: Path, msimaging: Callable) -> None:
    table = study / "visits.tsv"
    table.write_text(table.read_text().replace("fell asleep", "withdrew consent"))
    assert msimaging("run", study, "--cores", 2).returncode == 3
    assert jobs_of_last_run(study) == {"write_ledger": 1, "write_report": 1}
    assert "withdrew consent" in (study / DERIVATIVES / "cohort" / "ledger.tsv").read_text()


@pytest.mark.chromium
def test_a_rating_saved_from_the_page_leaves_the_next_statistics(
    study: Path, tmp_path: Path, msimaging: Callable
) -> None:
    report, changes = study / DERIVATIVES / "report", study / DERIVATIVES / "cohort" / "changes.tsv"
    pairs = {(r["participant_id"], r["modality"]) for r in read_rows(changes)}
    assert ("sub-02", "dwi") in pairs
    page = report / "quality-being-rated.html"
    text = (report / "quality.html").read_text(encoding="utf-8")
    rate = report_pages.RATE.replace("PATIENT", "sub-02")
    page.write_text(text.replace("</body>", f"{rate}</body>"), encoding="utf-8")
    dom, _ = report_pages.browser(tmp_path / "profile")(page)
    page.unlink()
    assert report_pages.said(dom, "file") == "ratings.tsv"
    (study / "ratings.tsv").write_text(json.loads(report_pages.said(dom, "saved")))
    result = msimaging("run", study, "--cores", 2)
    assert result.returncode == 3, result.stdout + result.stderr
    assert 'rated exclude: he said "no" & left' in result.stdout
    left = {(r["participant_id"], r["modality"]) for r in read_rows(changes)}
    assert pairs - left == {("sub-02", "dwi")}
    assert "rated exclude" in (report / "ledger.html").read_text(encoding="utf-8")
