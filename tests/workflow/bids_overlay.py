"""The validator's schema with the names of the BIDS extensions that the outputs follow.

Released BIDS does not yet hold the entities of BEP016 (``model param``), BEP012 and BEP017
(``stat``, matrices, time series) and of transforms (``from to mode``).
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from bidsschematools.schema import load_schema

_ENTITIES = {
    "model": "model",
    "parameter": "param",
    "from": "from",
    "to": "to",
    "mode": "mode",
    "statistic": "stat",
}
_SUFFIXES = ("dwiref", "dwimap", "boldmap", "relmat", "timeseries", "boldref", "stats", "xfm")
_TABLE = {
    "model": "optional",
    "statistic": "optional",
    "atlas": "optional",
    "description": "optional",
}


def write_overlay(path: Path) -> Path:
    """Write the extended schema as JSON and return its path."""
    schema = load_schema().to_dict()
    _add_words(schema)
    rules = schema["rules"]["files"]["deriv"]["imaging"]
    maps = {"model": "required", "parameter": "required", "statistic": "optional"}
    _add(rules, "dwi_dwi_volumetric", ["dwi"], [".bval", ".bvec"], {"description": "required"})
    _add(rules, "dwi_dwi_volumetric", ["dwimap"], [".nii.gz", ".json"], maps)
    _add(rules, "dwi_dwi_volumetric", ["dwiref"], [".nii.gz", ".json"], {})
    _add(rules, "dwi_dwi_volumetric", ["stats", "timeseries"], [".tsv", ".json"], _TABLE)
    tables = ["relmat", "timeseries", "stats"]
    _add(rules, "func_volumetric", tables, [".tsv", ".json"], _TABLE)
    _add(rules, "func_volumetric", ["boldref"], [".nii.gz", ".json"], {})
    statistic = {"statistic": "required", "label": "optional"}
    _add(rules, "func_volumetric", ["boldmap"], [".nii.gz", ".json"], statistic)
    path.write_text(json.dumps(schema))
    return path


def _add_words(schema: dict[str, Any]) -> None:
    objects, order = schema["objects"], schema["rules"]["entities"]
    for key, name in _ENTITIES.items():
        objects["entities"][key] = {
            "name": name,
            "display_name": key,
            "description": key,
            "type": "string",
            "format": "label",
        }
    after_space = order.index("space") + 1
    order[after_space:after_space] = ["model", "parameter", "from", "to", "mode"]
    after_label = order.index("label") + 1
    order[after_label:after_label] = ["statistic"]
    for suffix in _SUFFIXES:
        word = {"value": suffix, "display_name": suffix, "description": suffix}
        objects["suffixes"].setdefault(suffix, word)


def _add(
    rules: dict[str, Any],
    model: str,
    suffixes: list[str],
    extensions: list[str],
    entities: dict[str, str],
) -> None:
    rule = copy.deepcopy(rules[model])
    rule["suffixes"], rule["extensions"] = suffixes, extensions
    rule["entities"] |= entities
    rules[f"own_{'_'.join(suffixes)}_{model}"] = rule
