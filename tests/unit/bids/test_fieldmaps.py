"""The image of opposite polarity is found by what the sidecars say, and only then."""

from __future__ import annotations

import json

import pytest

from msimaging.bids.index import index_dataset

DWI = "sub-01/ses-a/dwi/sub-01_ses-a_{}dwi"
EPI = "sub-01/ses-a/fmap/sub-01_ses-a_dir-PA_epi"
MINE = "sub-01/ses-a/dwi/sub-01_ses-a_dwi.nii.gz"


def written(root, name, *, table=True, **fields):
    image = root / f"{name}.nii.gz"
    image.parent.mkdir(parents=True, exist_ok=True)
    image.touch()
    image.with_name(image.name.replace(".nii.gz", ".json")).write_text(json.dumps(fields))
    for kind in ("bval", "bvec") if table else ():
        image.with_name(image.name.replace("nii.gz", kind)).touch()


def found(root):
    (visit,) = index_dataset(root)
    return {scan.path: scan.reversed for scan in visit.scans["dwi"]}


@pytest.mark.parametrize(
    ("own", "field_map"),
    [
        ({}, {"IntendedFor": f"bids::{MINE}"}),
        ({}, {"IntendedFor": ["ses-a/dwi/other_dwi.nii.gz", "ses-a/dwi/sub-01_ses-a_dwi.nii.gz"]}),
        ({"B0FieldSource": "pepolar"}, {"B0FieldIdentifier": ["x", "pepolar"]}),
    ],
)
def test_a_field_map_meant_for_the_series_is_found(tmp_path, own, field_map):
    written(tmp_path, DWI.format(""), PhaseEncodingDirection="j-", **own)
    written(tmp_path, EPI, table=False, PhaseEncodingDirection="j", **field_map)
    assert found(tmp_path) == {MINE: f"{EPI}.nii.gz"}


@pytest.mark.parametrize(
    ("own", "field_map"),
    [
        ({"PhaseEncodingDirection": "j"}, {}),
        ({"PhaseEncodingDirection": "i-"}, {}),
        ({}, {}),
        ({"PhaseEncodingDirection": "j-"}, {"IntendedFor": "ses-a/dwi/other_dwi.nii.gz"}),
        (
            {"PhaseEncodingDirection": "j-", "TotalReadoutTime": 0.05},
            {"TotalReadoutTime": 0.03},
        ),
    ],
)
def test_what_is_not_opposite_or_not_meant_is_left_alone(tmp_path, own, field_map):
    written(tmp_path, DWI.format(""), **own)
    fields = {"PhaseEncodingDirection": "j", "IntendedFor": f"bids::{MINE}"} | field_map
    written(tmp_path, EPI, table=False, **fields)
    assert found(tmp_path) == {MINE: None}


def test_a_second_series_of_the_same_acquisition_serves_both_ways(tmp_path):
    written(tmp_path, DWI.format("acq-x_dir-AP_"), PhaseEncodingDirection="j-")
    written(tmp_path, DWI.format("acq-x_dir-PA_"), PhaseEncodingDirection="j")
    written(tmp_path, DWI.format("acq-y_dir-PA_"), PhaseEncodingDirection="j")
    names = [DWI.format(f"{text}_") + ".nii.gz" for text in ("acq-x_dir-AP", "acq-x_dir-PA")]
    third = DWI.format("acq-y_dir-PA_") + ".nii.gz"
    assert found(tmp_path) == {names[0]: names[1], names[1]: names[0], third: None}


def test_an_unreadable_sidecar_does_not_end_the_indexing(tmp_path):
    written(tmp_path, DWI.format(""), PhaseEncodingDirection="j-")
    written(tmp_path, EPI, table=False)
    (tmp_path / f"{EPI}.json").write_text("{")
    assert found(tmp_path) == {MINE: None}


BOLD = "sub-01/ses-a/func/sub-01_ses-a_task-rest_{}bold"
RUN = "sub-01/ses-a/func/sub-01_ses-a_task-rest_bold.nii.gz"
FMAP = "sub-01/ses-a/fmap/sub-01_ses-a_dir-{}_epi"


def found_for_run(root):
    (visit,) = index_dataset(root)
    return {scan.path: (scan.reversed, scan.matched) for scan in visit.scans["bold"]}


def test_a_run_finds_its_field_map_and_where_there_are_both_polarities_both(tmp_path):
    meant = {"IntendedFor": f"bids::{RUN}"}
    written(tmp_path, BOLD.format(""), table=False, PhaseEncodingDirection="j-")
    written(tmp_path, FMAP.format("PA"), table=False, PhaseEncodingDirection="j", **meant)
    opposite = FMAP.format("PA") + ".nii.gz"
    assert found_for_run(tmp_path) == {RUN: (opposite, None)}
    written(tmp_path, FMAP.format("AP"), table=False, PhaseEncodingDirection="j-", **meant)
    assert found_for_run(tmp_path) == {RUN: (opposite, FMAP.format("AP") + ".nii.gz")}


def test_a_map_read_out_at_another_speed_needs_its_own_opposite(tmp_path):
    meant = {"B0FieldIdentifier": "pepolar"}
    run = {"PhaseEncodingDirection": "j", "TotalReadoutTime": 0.04, "B0FieldSource": "pepolar"}
    written(tmp_path, BOLD.format(""), table=False, **run)
    for way, sign in (("AP", "j-"), ("PA", "j")):
        fields = {"PhaseEncodingDirection": sign, "TotalReadoutTime": 0.08, **meant}
        written(tmp_path, FMAP.format(way), table=False, **fields)
        pair = (FMAP.format("AP") + ".nii.gz", FMAP.format("PA") + ".nii.gz")
        assert found_for_run(tmp_path) == {RUN: (None, None) if way == "AP" else pair}


def test_runs_of_opposite_polarity_serve_each_other(tmp_path):
    for way, sign in (("AP", "j-"), ("PA", "j")):
        written(tmp_path, BOLD.format(f"dir-{way}_"), table=False, PhaseEncodingDirection=sign)
    names = [BOLD.format(f"dir-{way}_") + ".nii.gz" for way in ("AP", "PA")]
    assert found_for_run(tmp_path) == {names[0]: (names[1], None), names[1]: (names[0], None)}
