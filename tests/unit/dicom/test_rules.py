import re

import pytest

from msimaging.dicom.naming import name_scans, with_echo
from msimaging.dicom.rules import Choice, built_in_rules, choose, parse_rules
from msimaging.errors import ConfigError


def chosen(description: str, *, n_volumes: int = 1, gradients: bool = False, **fields: object):
    told = {"SeriesDescription": description, "ImageType": ["ORIGINAL", "PRIMARY"], **fields}
    return choose(built_in_rules(), told, n_volumes=n_volumes, has_gradients=gradients)


@pytest.mark.parametrize(
    ("description", "suffix", "entities"),
    [
        ("t1_mprage_sag_p2_iso", "T1w", {}),
        ("T1W_3D_TFE", "T1w", {}),
        ("Ax FSPGR BRAVO", "T1w", {}),
        ("t1_mprage_sag_post_gd", "T1w", {"ce": "contrast"}),
        ("t2_space_dark-fluid_sag", "FLAIR", {}),
        ("3D_FLAIR", "FLAIR", {}),
        ("t2_tse_tra", "T2w", {}),
    ],
)
def test_anatomy_by_the_names_of_the_vendors(description: str, suffix: str, entities: dict) -> None:
    choice = chosen(description)
    assert choice
    assert (choice.suffix, choice.datatype, choice.entities) == (suffix, "anat", entities)


@pytest.mark.parametrize(
    ("description", "n_volumes", "gradients", "told"),
    [
        ("ep2d_diff_b1000_AP", 31, True, ("dwi", {"dir": "AP"})),
        ("DTI_PA-ortho", 13, True, ("dwi", {"dir": "PA"})),
        ("cmrr_mbep2d_MAPPING", 31, True, ("dwi", {})),
        ("DTI_b0_PA", 2, False, ("epi", {"dir": "PA"})),
        ("rs_fMRI", 200, False, ("bold", {"task": "rest"})),
        ("BOLD_resting_state", 200, False, ("bold", {"task": "rest"})),
        ("rest_SBRef", 1, False, ("sbref", {"task": "rest"})),
    ],
)
def test_series_of_volumes(
    description: str, n_volumes: int, *, gradients: bool, told: tuple[str, dict]
) -> None:
    choice = chosen(description, n_volumes=n_volumes, gradients=gradients)
    assert choice
    assert (choice.suffix, choice.entities) == told


@pytest.mark.parametrize(
    ("description", "n_volumes"),
    # another task, a short test of the run, maps, and what only looks like a word
    [("fmri_nback", 200), ("rest_test", 3), ("T1_map", 1), ("Forest", 50), ("SWI", 1)],
)
def test_what_no_rule_knows_is_not_guessed(description: str, n_volumes: int) -> None:
    assert chosen(description, n_volumes=n_volumes) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"description": "localizer"},
        {"description": "AAHScout"},
        {"description": "ep2d_diff_ADC"},
        {"description": "DTI", "ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "FA"]},
    ],
)
def test_plans_and_maps_of_the_scanner_are_left_out(fields: dict) -> None:
    choice = chosen(**fields)
    assert choice
    assert choice.ignore
    assert not choice.suffix


def test_own_rules_come_first_and_take_labels_from_the_header() -> None:
    own = parse_rules(
        [
            {
                "match": {"SeriesDescription": r"diff_(?P<acq>\w+?)_(?P<dir>ap|pa)"},
                "unless": {"ProtocolName": "pilot"},
                "suffix": "dwi",
                "entities": {"rec": 2},
            }
        ],
        where="c",
    )
    rules = (*own, *built_in_rules())
    fields = {"SeriesDescription": "diff_b1500_ap", "ProtocolName": "trial"}
    choice = choose(rules, fields, n_volumes=3, has_gradients=False)
    assert choice == Choice(
        suffix="dwi", datatype="dwi", entities={"acq": "b1500", "rec": "2", "dir": "AP"}
    )
    fields["ProtocolName"] = "pilot"
    assert choose(own, fields, n_volumes=3, has_gradients=False) is None


def test_every_fault_of_a_rule_table_is_told() -> None:
    entries = [{"match": {"SeriesDescription": "(dti"}, "suffix": "dwi"}, {"suffix": ""}]
    with pytest.raises(ConfigError) as error:
        parse_rules(entries, where="mine.yaml")
    told = [str(finding) for finding in error.value.findings]
    assert re.search(r"mine.yaml: ingest.rules, rule 1.*regular expression", told[0])
    assert "rule 2: a rule gives either a suffix or a reason" in told[1]


def names(*choices: Choice, taken: tuple[str, ...] = ()) -> list[str]:
    found = name_scans(choices, sub="sub-1", ses="ses-a", taken=taken)
    return [scan.stem.rpartition("/")[2] for scan in found]


REST = Choice(suffix="bold", datatype="func", entities={"task": "rest"})
T1W = Choice(suffix="T1w", datatype="anat")


def test_equal_scans_get_runs_and_single_ones_do_not() -> None:
    assert names(REST, T1W, REST) == [
        "sub-1_ses-a_task-rest_run-1_bold",
        "sub-1_ses-a_T1w",
        "sub-1_ses-a_task-rest_run-2_bold",
    ]


def test_runs_go_on_behind_those_that_are_there() -> None:
    there = (
        "sub-1/ses-a/func/sub-1_ses-a_task-rest_run-2_bold.nii.gz",
        "sub-1/ses-a/func/sub-1_ses-a_task-rest_run-1_bold.nii.gz",
        "sub-1/ses-a/anat/sub-1_ses-a_T1w.nii.gz",
    )
    assert names(REST, T1W, taken=there) == [
        "sub-1_ses-a_task-rest_run-3_bold",
        "sub-1_ses-a_run-2_T1w",
    ]


def test_echoes_are_kept_apart_and_other_parts_have_no_name() -> None:
    echoes = [with_echo(REST, part) for part in ("e1", "e2")]
    assert names(*[echo for echo in echoes if echo]) == [
        "sub-1_ses-a_task-rest_echo-1_bold",
        "sub-1_ses-a_task-rest_echo-2_bold",
    ]
    assert with_echo(REST, "ph") is None
    assert with_echo(T1W, "e2") is None
