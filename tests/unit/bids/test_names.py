import pytest

from msimaging.bids.names import applies_to, is_label, natural_key, parse_name


def test_a_name_is_split_into_entities_suffix_and_extension() -> None:
    name = parse_name("sub-01/ses-b/dwi/sub-01_ses-b_acq-ax20_dir-PA_dwi.nii.gz")
    assert name is not None
    assert list(name.entities.items()) == [
        ("sub", "01"),
        ("ses", "b"),
        ("acq", "ax20"),
        ("dir", "PA"),
    ]
    assert (name.suffix, name.extension) == ("dwi", ".nii.gz")


@pytest.mark.parametrize(
    "text", ["README", "sub-01_dwi", "sub-01_sub-02_dwi.bval", "sub_dwi.json", "sub-01_task-.json"]
)
def test_what_is_not_a_bids_name_is_none(text: str) -> None:
    assert parse_name(text) is None


@pytest.mark.parametrize(
    ("metadata", "applies"),
    [
        ("dwi.bval", True),
        ("sub-01_dwi.bval", True),
        ("acq-ax20_dwi.json", True),
        ("acq-ortho_dwi.json", False),
        ("sub-01_ses-a_acq-ax20_run-1_dwi.json", False),
        ("bold.json", False),
    ],
)
def test_inheritance_asks_for_equal_suffix_and_no_foreign_entity(
    metadata: str, applies: bool
) -> None:
    scan = parse_name("sub-01_ses-a_acq-ax20_dwi.nii.gz")
    found = parse_name(metadata)
    assert scan is not None
    assert found is not None
    assert applies_to(found, scan) is applies


def test_numbers_in_labels_sort_as_numbers() -> None:
    assert sorted(["ses-10", "ses-2", "ses-baseline"], key=natural_key) == [
        "ses-2",
        "ses-10",
        "ses-baseline",
    ]


@pytest.mark.parametrize(("text", "label"), [("month06", True), ("month-06", False), ("", False)])
def test_labels_are_letters_and_digits(text: str, label: bool) -> None:
    assert is_label(text) is label
