"""Ratings of scans: read back, told wrong, taken out of the plan, and blind."""

from __future__ import annotations

from pathlib import Path

import pytest

from msimaging.bids.ledger import left_out
from msimaging.bids.plan import Plan
from msimaging.bids.ratings import blind_code, read_ratings
from msimaging.bids.rows import write_rows
from msimaging.bids.visits import VISIT_COLUMNS, read_visits
from msimaging.errors import ConfigError
from msimaging.settings import validated
from msimaging.steps.collect_changes import collect_changes
from msimaging.tables import read_table

SETTINGS = validated({"bids_dir": "bids"})
SEED = SETTINGS["seed"]
HEADER = ("participant_id", "session_id", "modality", "rating", "comment")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two patients with both modalities at two visits."""
    rows, scans = [], []
    for sub in ("sub-01", "sub-02"):
        for ses in ("ses-a", "ses-b"):
            paths = {"dwi": f"{sub}/{ses}_dwi.nii.gz", "bold": f"{sub}/{ses}_bold.nii.gz"}
            rows.append({"participant_id": sub, "session_id": ses, **paths})
            scans += [{"path": path, "modality": kind} for kind, path in paths.items()]
    write_rows(tmp_path / "visits.tsv", VISIT_COLUMNS, rows)
    write_rows(tmp_path / "scans.tsv", ("path", "modality", "bval", "bvec", "sidecars"), scans)
    return tmp_path


def rate(study: Path, *rows: str) -> None:
    lines = ["\t".join(HEADER), *rows]
    (study / "ratings.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_a_scan_rated_exclude_leaves_pairs_and_statistics_but_stays_on_show(study: Path) -> None:
    rate(
        study, 'sub-01\tses-b\tdwi\texclude\t"moved ""a lot"""', "sub-02\tses-a\tbold\taccept\tn/a"
    )
    plan = Plan.of_study(study, SETTINGS)
    assert [pair.participant_id for pair in plan.pairs("dwi")] == ["sub-02"]
    assert len(plan.pairs("bold")) == 2
    assert len(plan.looked_at_with("dwi")) == 4
    assert plan.raw("dwi", "sub-01", "ses-b")["image"] == "bids/sub-01/ses-b_dwi.nii.gz"
    entries = [(e.step, e.participant_id, e.state, e.reason) for e in left_out(study, plan)]
    assert entries == [
        ("dwi", "sub-01", "excluded", 'rated exclude: moved "a lot"'),
        ("change of dwi", "sub-01", "unpaired", "only ses-a has usable dwi; 2 visit(s) listed"),
    ]


def test_a_doubtful_scan_becomes_a_flag_of_its_change_only(study: Path, tmp_path: Path) -> None:
    rate(study, "sub-01\tses-b\tdwi\tdoubtful\tn/a")
    plan = Plan.of_study(study, SETTINGS)
    rows = plan.pair_rows("dwi", ["wm"])
    tables = []
    for row in rows:
        tables.append(tmp_path / f"{row['participant_id']}.tsv")
        tables[-1].write_text("label\tflags\ngenu\tfa-below-0.2\nsplenium\tn/a\n")
    out = tmp_path / "changes.tsv"
    collect_changes(
        diffusion=list(map(str, tables)),
        functional=[],
        diffusion_rows=rows,
        functional_rows=[],
        out_table=str(out),
    )
    found = read_table(out)[["participant_id", "label", "flags"]].fillna("").to_numpy().tolist()
    assert found == [
        ["sub-01", "genu", "fa-below-0.2;rated-doubtful"],
        ["sub-01", "splenium", "rated-doubtful"],
        ["sub-02", "genu", "fa-below-0.2"],
        ["sub-02", "splenium", ""],
    ]


def test_every_wrong_row_is_told(study: Path) -> None:
    rate(
        study,
        "sub-01\tses-b\tdwi\tbad\tn/a",
        "sub-09\tses-b\tdwi\taccept\tn/a",
        "sub-02\tses-a\tbold\taccept\tn/a",
        "sub-02\tses-a\tbold\texclude\tn/a",
        "sub-02\tses-a\tdwi\tn/a\tonly a comment",
    )
    with pytest.raises(ConfigError) as caught:
        read_ratings(study / "ratings.tsv", read_visits(study / "visits.tsv"), seed=SEED)
    told = [(f.where.rpartition(" ")[2], f.found) for f in caught.value.findings]
    assert told == [
        ("2", "'bad'"),
        ("3", "sub-09 ses-b dwi"),
        ("5", "sub-02 ses-a bold again"),
    ]


def test_a_blind_rating_finds_its_scan(study: Path) -> None:
    code = blind_code("sub-02", "ses-b", "bold", seed=SEED)
    assert code.startswith("scan-")
    assert "sub" not in code
    assert code != blind_code("sub-02", "ses-a", "bold", seed=SEED)
    rate(study, f"{code}\t{code}\tbold\texclude\tn/a")
    ratings = read_ratings(study / "ratings.tsv", read_visits(study / "visits.tsv"), seed=SEED)
    assert list(ratings) == [("sub-02", "ses-b", "bold")]
    assert ratings["sub-02", "ses-b", "bold"].reason == "rated exclude"


def test_a_study_without_ratings_has_none(study: Path) -> None:
    assert Plan.of_study(study, SETTINGS).ratings == {}
