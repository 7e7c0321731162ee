"""One study's settings: read, checked against the schema, completed with its defaults."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from jsonschema.exceptions import ValidationError

from msimaging.errors import ConfigError, Finding

WORKFLOW = Path(__file__).resolve().parents[1]
SCHEMA = WORKFLOW / "workflow" / "schemas" / "config.schema.yaml"
#: Atlases that come with the package.
BUILT_IN_ATLASES = ("dosenbach160", "power264", "seitzman300", "whitematter")

#: Denoising strategies that come with the package.
BUILT_IN_STRATEGIES = (
    "none",
    "24p",
    "36p",
    "simple",
    "scrubbing",
    "acompcor",
    "acompcor+gsr",
)


def read_settings(path: Path) -> dict[str, Any]:
    """Read ``config.yaml``.

    Parameters
    ----------
    path : Path
        Settings of one study.

    Returns
    -------
    dict
        Complete: every key of the schema has a value.

    Raises
    ------
    ConfigError
        With one line for each fault.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        text = " ".join(str(error).split())
        raise ConfigError(
            [_fault(str(path), "the settings must be readable YAML", text)]
        ) from error
    if not isinstance(content, dict):
        raise ConfigError([_fault(str(path), "the settings must be a mapping", repr(content))])
    return validated(content, where=str(path))


def validated(settings: Mapping[str, Any], *, where: str = "config.yaml") -> dict[str, Any]:
    """Check settings and fill in the defaults.

    Parameters
    ----------
    settings : mapping
        As read; not changed.
    where : str
        Name of the file for messages.

    Returns
    -------
    dict
        Complete settings.

    Raises
    ------
    ConfigError
        With one line for each fault: key, rule, value found, nearest known key.
    """
    complete = _with_defaults(copy.deepcopy(dict(settings)), schema())
    validator = jsonschema.Draft202012Validator(schema())
    findings = [
        finding for error in validator.iter_errors(complete) for finding in _told(error, where)
    ]
    if not findings:
        _name_strategies(complete, settings)
        findings = [
            *_unknown_atlases(complete, where),
            *_faulty_strategies(complete, where),
            *_faulty_seeds(complete, where),
        ]
    if findings:
        raise ConfigError(findings)
    return complete


def _name_strategies(complete: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Make the list of strategies and the primary one agree, whichever was given."""
    functional = complete["functional"]
    if "strategies" not in functional:
        functional["strategies"] = [functional["strategy"]]
    elif "strategy" not in given["functional"]:
        functional["strategy"] = functional["strategies"][0]


@cache
def schema() -> dict[str, Any]:
    """Return the schema of the settings."""
    content: dict[str, Any] = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    return content


def _with_defaults(content: dict[str, Any], node: Mapping[str, Any]) -> dict[str, Any]:
    for key, child in node.get("properties", {}).items():
        if key not in content and "default" in child:
            content[key] = copy.deepcopy(child["default"])
        if isinstance(content.get(key), dict):
            content[key] = _with_defaults(content[key], child)
    return content


def _told(error: ValidationError, where: str) -> Iterable[Finding]:
    place = ".".join(str(part) for part in error.absolute_path)
    rule: Any = error.schema
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(rule.get("properties", {}))
        for key in sorted(set(error.instance) - set(known)):
            name = f"{place}.{key}" if place else str(key)
            yield _fault(
                where,
                "every key must be one that the schema knows",
                f"unknown key {name!r}",
                remedy=_nearest(str(key), known),
            )
        return
    yield _fault(where, f"{place or 'the settings'}: {error.message}", repr(error.instance))


def _nearest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    meant = f"Did you mean {close[0]!r}? " if close else ""
    return f"{meant}Known here: {', '.join(sorted(known))}."


def _unknown_atlases(settings: Mapping[str, Any], where: str) -> Iterable[Finding]:
    atlases = settings["atlases"]
    known = [*BUILT_IN_ATLASES, *atlases["files"]]
    for modality in ("diffusion", "functional"):
        for name in atlases[modality]:
            if name not in known:
                yield _fault(
                    where,
                    f"atlases.{modality} must name known atlases",
                    repr(name),
                    remedy=_nearest(name, known),
                )


def _faulty_strategies(settings: Mapping[str, Any], where: str) -> Iterable[Finding]:
    functional = settings["functional"]
    names = functional["strategies"]
    known = [*BUILT_IN_STRATEGIES, *functional["own_strategies"]]
    for name in names:
        if name not in known:
            rule = "functional.strategies must name known strategies"
            yield _fault(where, rule, repr(name), remedy=_nearest(name, known))
    if functional["strategy"] != names[0]:
        yield _fault(
            where,
            "functional.strategy must be the first of functional.strategies",
            f"{functional['strategy']!r} and {names}",
            remedy="Leave functional.strategy out.",
        )
    for name in functional["own_strategies"]:
        if name in {built_in.replace("+", "") for built_in in BUILT_IN_STRATEGIES}:
            rule = "functional.own_strategies must have names of their own"
            yield _fault(where, rule, repr(name), remedy="Give it another name.")


def _faulty_seeds(settings: Mapping[str, Any], where: str) -> Iterable[Finding]:
    seeds = settings["functional"]["seeds"]
    known = [*BUILT_IN_ATLASES, *settings["atlases"]["files"]]
    names = [seed["name"] for seed in seeds]
    for name in sorted({name for name in names if names.count(name) > 1}):
        rule = "functional.seeds must have names of their own"
        yield _fault(where, rule, repr(name), remedy="Rename one of them.")
    for seed in seeds:
        if seed.get("atlas", known[0]) not in known:
            rule = "functional.seeds must name known atlases"
            yield _fault(where, rule, repr(seed["atlas"]), remedy=_nearest(seed["atlas"], known))


def _fault(where: str, rule: str, found: str, *, remedy: str = "Correct the settings.") -> Finding:
    return Finding(where=where, rule=rule, found=found, remedy=remedy)
