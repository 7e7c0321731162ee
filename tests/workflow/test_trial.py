"""A trial without images from index to report, and what its tables say."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from msimaging.bids.rows import read_rows
from msimaging.phantom.clinical import simulate_clinical

pytestmark = pytest.mark.slow

COHORT = Path("derivatives") / "msimaging" / "cohort"
MODELS = ("dose", "disability", "sdmt-reliable")


@pytest.fixture(scope="module")
def study(
    tmp_path_factory: pytest.TempPathFactory,
    msimaging: Callable[..., subprocess.CompletedProcess[str]],
    edit_config: Callable[..., None],
) -> Path:
    """24 patients, up to 48 months, up to 9 treatments, drop-out; no scan."""
    root = tmp_path_factory.mktemp("clinical")
    truth = simulate_clinical(root / "bids", shape="long")
    indexed = msimaging("index", root / "bids", root / "study")
    assert indexed.returncode == 0, indexed.stdout + indexed.stderr
    wanted = {name: truth.settings["models"][name] for name in MODELS}
    edit_config(
        root / "study",
        trial=truth.settings["trial"],
        outcomes=truth.settings["outcomes"],
        models=wanted,
        figures__formats=["png"],
    )
    result = msimaging("run", root / "study", "--cores", 2)
    assert result.returncode == 0, result.stdout + result.stderr
    return root / "study"


def test_the_claim_that_depends_on_the_test_is_told(study: Path) -> None:
    rows = {row["model"].split(":")[0]: row for row in read_rows(study / COHORT / "results.tsv")}
    assert set(rows) == set(MODELS)
    assert float(rows["dose"]["p"]) == pytest.approx(0.0791, abs=5e-5)
    assert "depends-on-test" in rows["dose"]["flags"]
    notes = [row["sentence"] for row in read_rows(study / COHORT / "notes.tsv")]
    (told,) = [note for note in notes if note.startswith("9 of 16")]
    assert "chi-square, uncorrected p = 0.040" in told
    assert "Fisher exact p = 0.079" in told
    pages = (study / "derivatives" / "msimaging" / "report").glob("*.html")
    assert any("The claim depends on the test" in page.read_text() for page in pages)


def test_every_table_and_figure_of_the_trial_is_there(study: Path) -> None:
    for name in ("outcomes", "patients", "safety", "next_trial", "specification_curve", "tests"):
        assert read_rows(study / COHORT / f"{name}.tsv"), name
        assert (study / COHORT / f"{name}.json").exists()
    figures = study / "derivatives" / "msimaging" / "figures"
    for name in ("swimmers_trial", "courses_trial", "power_trial", "dose_responders"):
        assert (figures / f"desc-{name}.png").stat().st_size > 5000
    assert (study / "derivatives" / "msimaging" / "report" / "index.html").exists()


def test_the_ledger_lists_the_models_and_misses_no_scan(study: Path) -> None:
    entries = read_rows(study / COHORT / "ledger.tsv")
    assert {e["session_id"] for e in entries if e["step"] == "fit_model"} == set(MODELS)
    assert not [entry for entry in entries if entry["state"] in {"absent", "failed", "excluded"}]


def test_no_size_is_given_for_the_observed_effect(study: Path) -> None:
    rows = read_rows(study / COHORT / "next_trial.tsv")
    (observed,) = [row for row in rows if row["planned_on"] == "observed"]
    assert observed["n_per_arm"] == ""
    assert "too large on average" in observed["remark"]
    sized = {row["planned_on"]: row for row in rows if row["design"] == "paired"}
    assert int(float(sized["lower limit of 95 %"]["n_per_arm"])) > int(
        float(sized["shrunken"]["n_per_arm"])
    )
