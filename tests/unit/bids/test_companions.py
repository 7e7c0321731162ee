from pathlib import Path

import pytest

from msimaging.bids.companions import companions, stand_in
from msimaging.bids.drawn_files import drawn_dwi_pairs
from msimaging.bids.job_records import files_written
from msimaging.bids.layout import output
from msimaging.bids.plan import Plan
from msimaging.bids.rows import write_rows
from msimaging.bids.scans import SCAN_COLUMNS
from msimaging.bids.visits import MODALITIES, VISIT_COLUMNS
from msimaging.settings import validated


@pytest.fixture
def study(tmp_path: Path) -> Plan:
    visits, scans = [], []
    for sub, months in (("sub-1", (1, 7)), ("sub-2", (2,))):
        for month in months:
            row = {"participant_id": sub, "session_id": f"ses-m{month}"}
            row["acq_time"] = f"2021-0{month}-01"
            for kind in ("dwi", "bold"):
                row[kind] = f"{sub}_m{month}_{kind}.nii.gz"
                scans.append({"path": row[kind], "modality": kind})
            visits.append(row)
    write_rows(tmp_path / "visits.tsv", VISIT_COLUMNS, visits)
    write_rows(tmp_path / "scans.tsv", SCAN_COLUMNS, scans)
    functional = {"strategies": ["simple", "acompcor+gsr"]}
    return Plan.of_study(tmp_path, validated({"bids_dir": "raw", "functional": functional}))


def test_every_file_that_no_rule_names_has_one_that_stands_for_it(study: Plan) -> None:
    known = {*study.connected(), *study.drawn("dwi"), *study.drawn("bold")}
    known |= {*study.measured(), *study.changed("dwi"), *study.changed("bold")}
    known |= {*study.of_all_visits("bold", "bold", task="rest")}
    for key in ("dwi", "tensor"):
        known |= {*study.of_all_visits("dwi", key)}
    for sub in ("sub-1", "sub-2"):
        known.add(output("bold_extracted", sub=sub, task="rest"))
        known |= {
            output(f"{modality}_from_template", sub=sub, task="rest") for modality in MODALITIES
        }
    files = list(companions(study))
    assert len(files) == len(set(files)) > 80
    assert {stand_in(path) for path in files} == known
    for path in files:
        assert "sub-1" in stand_in(path) if "sub-1" in path else "sub-2" in stand_in(path)


@pytest.mark.parametrize(
    "path",
    [
        output("dwi", sub="sub-1", ses="ses-m1"),
        output("dwi_from_template", sub="sub-1"),
        output("dwi_pose", sub="sub-1", ses="ses-m1"),
        output("tensor", sub="sub-1", ses="ses-m1"),
        output("connectivity", sub="sub-1", ses="a", task="rest", atlas="b", stat="tangent"),
        output("seed_change", sub="sub-1", pair="aToB", task="rest", seed="b"),
        output("bold_connected", sub="sub-1", task="rest"),
        output("forest_figure", param="fa", atlas="whitematter", ext="png"),
        "bids/sub-1/ses-m1/dwi/sub-1_ses-m1_dwi.nii.gz",
    ],
)
def test_what_a_rule_names_stands_for_itself(path: str) -> None:
    assert stand_in(path) == path


def test_weights_stand_beside_the_series_and_maps_beside_the_tensor() -> None:
    visit = {"sub": "sub-1", "ses": "ses-m1"}
    assert stand_in(output("dwi_weights", **visit)) == output("dwi", **visit)
    assert stand_in(output("tensor_map", param="fa", **visit)) == output("tensor", **visit)


def test_pairs_are_drawn_from_the_earlier_to_the_later_visit(study: Plan) -> None:
    (pair,) = drawn_dwi_pairs(study, "sub-1")
    assert pair["visits"] == ["m1", "m7"]
    assert ["ses-m1" in path for path in pair["maps"][:2]] == [True, False]
    assert set(files_written(pair)) >= {*pair["out_maps"], *pair["out_compared"]}
    assert drawn_dwi_pairs(study, "sub-2") == []
