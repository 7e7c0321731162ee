from pathlib import Path

import pytest

from msimaging.bids.anatomical import anatomical_of
from msimaging.bids.plan import Plan
from msimaging.bids.rows import read_rows, write_rows
from msimaging.bids.scans import SCAN_COLUMNS
from msimaging.bids.visits import EXCLUSION_COLUMNS, VISIT_COLUMNS
from msimaging.errors import ConfigError
from msimaging.settings import validated


@pytest.fixture
def study(tmp_path: Path) -> Path:
    visits, scans = [], []
    for sub, months in (("sub-1", (1, 7)), ("sub-2", (2,))):
        for month in months:
            ses = f"ses-m{month}"
            row = {"participant_id": sub, "session_id": ses, "acq_time": f"2021-0{month}-01"}
            for kind in ("dwi", "bold"):
                path = f"{sub}_{ses}_{kind}.nii.gz"
                row[kind] = path
                scans.append({"path": path, "modality": kind, "sidecars": "a.json;b.json"})
            visits.append(row)
    scans[0] |= {"bval": "dwi.bval", "bvec": "dwi.bvec"}
    write_rows(tmp_path / "visits.tsv", VISIT_COLUMNS, visits)
    write_rows(tmp_path / "scans.tsv", SCAN_COLUMNS, scans)
    return tmp_path


def plan(study: Path, **settings: object) -> Plan:
    return Plan.of_study(study, validated({"bids_dir": "raw", **settings}))


def test_raw_files_lie_below_the_dataset(study: Path) -> None:
    assert plan(study).raw("dwi", "sub-1", "ses-m1") == {
        "image": "raw/sub-1_ses-m1_dwi.nii.gz",
        "sidecars": ["raw/a.json", "raw/b.json"],
        "bval": "raw/dwi.bval",
        "bvec": "raw/dwi.bvec",
    }
    assert "bval" not in plan(study).raw("bold", "sub-1", "ses-m1")


def test_rows_stand_in_the_order_of_the_files(study: Path) -> None:
    atlases = ["one", "two"]
    whole = plan(study)
    files = whole.of_all_visits("dwi", "tensor_regions", atlas=atlases)
    rows = whole.visit_rows("dwi", atlases)
    assert len(files) == len(rows) == 6
    for path, row in zip(files, rows, strict=True):
        assert f"{row['participant_id']}_{row['session_id']}" in path
        assert f"atlas-{row['atlas']}_" in path
    (pair,) = whole.pair_rows("bold", ["one"])
    assert (pair["baseline"], pair["follow_up"], pair["months"]) == ("ses-m1", "ses-m7", 5.95)


def test_a_refused_scan_is_out_and_its_visit_stays(study: Path) -> None:
    refused = {"participant_id": "sub-1", "session_id": "ses-m7", "modality": "dwi"}
    write_rows(study / "exclusions.tsv", EXCLUSION_COLUMNS, [{**refused, "reason": "cut"}])
    assert plan(study).sessions("dwi", "sub-1") == ["ses-m1"]
    assert plan(study).sessions("bold", "sub-1") == ["ses-m1", "ses-m7"]
    assert plan(study).pairs("dwi") == ()
    assert not any("forest" in path for path in plan(study).figures())


def with_anatomicals(study: Path, **cells: str) -> None:
    """Name T1-weighted images of sub-1 at its visits; index has found those of sub-1."""
    visits, scans = read_rows(study / "visits.tsv"), read_rows(study / "scans.tsv")
    for visit in visits:
        if visit["participant_id"] == "sub-1":
            visit["anat"] = cells.get(visit["session_id"].removeprefix("ses-"), "")
    scans += [{"path": f"sub-1_ses-{name}_T1w.nii.gz", "modality": "T1w"} for name in ("m1", "m7")]
    write_rows(study / "visits.tsv", VISIT_COLUMNS, visits)
    write_rows(study / "scans.tsv", SCAN_COLUMNS, scans)


def test_one_anatomical_image_serves_all_visits_of_a_patient(study: Path) -> None:
    first, second = (f"sub-1_ses-{name}_T1w.nii.gz" for name in ("m1", "m7"))
    with_anatomicals(study, m1=first, m7=second)
    assert anatomical_of(plan(study), "sub-1") == (f"raw/{first}", "ses-m1")
    assert anatomical_of(plan(study), "sub-2") is None
    assert anatomical_of(plan(study, functional={"anatomical": "none"}), "sub-1") is None
    with_anatomicals(study, m1=f"{first} | {second}", m7=second)
    assert anatomical_of(plan(study), "sub-1") == (f"raw/{second}", "ses-m7")


def test_an_anatomical_image_that_was_not_indexed_is_told_with_its_line(study: Path) -> None:
    with_anatomicals(study, m7="sub-1_nowhere_T1w.nii.gz")
    with pytest.raises(ConfigError, match="line 3: a cell of column anat must name") as caught:
        plan(study)
    assert "sub-1_nowhere_T1w.nii.gz" in caught.value.findings[0].found
    assert plan(study, functional={"anatomical": "none"}).sessions("bold", "sub-1")


def test_a_tangent_space_needs_two_visits_and_the_setting(study: Path) -> None:
    assert len(plan(study).group_matrices()) == 3
    kinds = {"functional": {"kinds": {"correlation": "empirical"}}}
    assert plan(study, **kinds).group_matrices() == []
    assert plan(study, **kinds).stats(tangent=False) == ["pearsoncorrelation"]


def test_the_ledger_waits_for_every_table(study: Path) -> None:
    waited = plan(study).results()
    for name in ("measures", "results"):
        assert f"derivatives/msimaging/cohort/{name}.tsv" in waited
    assert not set(waited) & set(plan(study).targets())


def test_every_unknown_scan_is_named_with_its_line(study: Path) -> None:
    table = study / "visits.tsv"
    table.write_text(table.read_text().replace("sub-2_ses-m2_dwi", "other"))
    with pytest.raises(ConfigError, match=r"line 4: every scan .* found other\.nii\.gz"):
        plan(study)


def field_maps(study: Path, **of_visit: str) -> None:
    """Give runs of the first patient an image of opposite polarity, or of their own one."""
    scans = read_rows(study / "scans.tsv")
    for scan in list(scans):
        visit = scan["path"].removeprefix("sub-1_ses-").removesuffix("_bold.nii.gz")
        for kind in filter(None, of_visit.get(visit, "").split()):
            name = f"{visit}_{kind}.nii.gz"
            scans.append({"path": name, "modality": "epi", "sidecars": f"{visit}_{kind}.json"})
            scan[kind] = name
    write_rows(study / "scans.tsv", SCAN_COLUMNS, scans)


def test_runs_of_a_patient_are_undistorted_together_or_not_at_all(study: Path) -> None:
    field_maps(study, m1="reversed", m7="")
    told = plan(study).why_distorted("bold", "sub-1")
    assert told == "no image of opposite phase encoding in ses-m7; all visits are treated alike"
    assert "opposite" not in plan(study).raw("bold", "sub-1", "ses-m1")
    field_maps(study, m7="reversed matched")
    assert "only one polarity in fmap/ of ses-m1" in plan(study).why_distorted("bold", "sub-1")
    field_maps(study, m1="matched")
    whole = plan(study)
    assert whole.why_distorted("bold", "sub-1") == ""
    files = whole.raw("bold", "sub-1", "ses-m1")
    assert files["opposite"] == ["raw/m1_reversed.nii.gz"]
    assert files["matched"] == ["raw/m1_matched.nii.gz", "raw/m1_matched.json"]
    off = plan(study, functional={"distortion": "none"})
    assert off.why_distorted("bold", "sub-1") == "switched off in the settings"
    assert "opposite" not in off.raw("bold", "sub-1", "ses-m1")
    assert whole.why_distorted("dwi", "sub-1") == "no image of opposite phase encoding"


@pytest.mark.parametrize(
    ("motion", "opposite", "told"),
    [
        ("auto", ("m1", "m7"), ""),
        ("auto", ("m1",), "no image of opposite phase encoding in ses-m7; all visits"),
        ("auto", (), "distortion is not corrected (no image of opposite phase encoding)"),
        (True, (), ""),
        (False, ("m1", "m7"), "switched off"),
    ],
)
def test_motion_goes_with_distortion_unless_it_is_set(
    study: Path, motion: object, opposite: tuple[str, ...], told: str
) -> None:
    paths = {f"sub-1_ses-{month}_dwi.nii.gz" for month in opposite}
    scans = [
        row | {"reversed": "epi" if row["path"] in paths else ""}
        for row in read_rows(study / "scans.tsv")
    ]
    write_rows(study / "scans.tsv", SCAN_COLUMNS, [*scans, {"path": "epi", "modality": "epi"}])
    why = plan(study, diffusion={"motion": motion}).why_moving("sub-1")
    assert told in why
    assert bool(why) is bool(told)
