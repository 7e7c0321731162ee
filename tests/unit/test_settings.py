from pathlib import Path

import pytest
import yaml

from msimaging.errors import ConfigError
from msimaging.settings import WORKFLOW, read_settings, schema, validated


def test_the_shipped_settings_are_the_defaults() -> None:
    shipped = read_settings(WORKFLOW / "config" / "config.yaml")
    assert shipped == validated({"bids_dir": "bids"})


def test_defaults_fill_what_is_missing_and_change_neither_input_nor_schema() -> None:
    given = {"bids_dir": "x", "functional": {"task": "movie"}}
    complete = validated(given)
    assert complete["functional"]["task"] == "movie"
    assert complete["functional"]["min_coverage"] == 0.5
    assert given == {"bids_dir": "x", "functional": {"task": "movie"}}
    complete["atlases"]["diffusion"].append("mine")
    assert schema()["properties"]["atlases"]["properties"]["diffusion"]["default"] == [
        "whitematter"
    ]


def test_every_object_of_the_schema_refuses_unknown_keys_and_describes_its_own() -> None:
    def objects(node: dict, place: str):
        if node.get("type") == "object" and "properties" in node:
            yield place, node
        for key, child in node.get("properties", {}).items():
            yield from objects(child, f"{place}.{key}")

    found = dict(objects(schema(), "settings"))
    assert len(found) > 5
    assert [place for place, node in found.items() if node.get("additionalProperties", True)] == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"functionl": {}}, "unknown key 'functionl'. Did you mean 'functional'?"),
        ({"functional": {"highpass": 1}}, "unknown key 'functional.highpass'. Did you mean"),
        ({"atlases": {"diffusion": ["whitmatter"]}}, "Did you mean 'whitematter'?"),
        ({"pairs": "first"}, "pairs: 'first' is not one of"),
        ({"figures": {"formats": ["png", "gif"]}}, "figures.formats.1"),
        ({"figures": {"formats": ["pdf"]}}, "figures.formats: ['pdf'] does not contain"),
        ({"statistics": {"confidence": 95}}, "statistics.confidence: 95"),
    ],
)
def test_a_fault_is_told_with_key_and_nearest_name(change: dict, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validated({"bids_dir": "x", **change}, where="my.yaml")
    assert str(caught.value).startswith("my.yaml: ")
    assert told in str(caught.value)


def test_all_faults_are_told_together() -> None:
    with pytest.raises(ConfigError) as caught:
        validated({"pairs": "x", "seed": -1, "unknown": 1})
    assert len(caught.value.findings) == 4  # bids_dir is missing too


@pytest.mark.parametrize("text", ["a: [", "- a\n- b\n", ""])
def test_what_is_no_mapping_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml: the settings must be"):
        read_settings(tmp_path / "config.yaml")


def test_settings_survive_a_round_through_yaml(tmp_path: Path) -> None:
    complete = validated({"bids_dir": "x"})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(complete))
    assert read_settings(tmp_path / "config.yaml") == complete
