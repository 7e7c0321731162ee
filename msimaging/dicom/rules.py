"""The rule table: what a converted series is, by what its header says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from msimaging.errors import ConfigError, Finding

BUILT_IN = Path(__file__).with_name("rules.yaml")
#: Folder of each suffix that a rule may give; of ``sbref``, that of the run it belongs to.
DATATYPES: Mapping[str, str] = {
    "dwi": "dwi",
    "bold": "func",
    "sbref": "dwi",
    "epi": "fmap",
    "T1w": "anat",
    "T2w": "anat",
    "FLAIR": "anat",
    "PDw": "anat",
    "T2starw": "anat",
}
#: Entities in the order of BIDS, as far as a raw scan of these kinds may carry them.
ENTITIES = ("task", "acq", "ce", "rec", "dir", "run", "echo", "part", "chunk")
_NOT_A_LABEL = re.compile(r"[^A-Za-z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of the rule table.

    Attributes
    ----------
    match, unless : mapping
        From fields to regular expressions: all of ``match`` and none of ``unless`` must be found.
    volumes : (int, int) or None
        Smallest and largest number of volumes.
    gradients : bool or None
        Whether a series must, or must not, carry diffusion gradients.
    suffix : str
        BIDS suffix; empty for a rule that leaves series out.
    entities : mapping
        Fixed labels; named groups of the patterns add to them.
    fields : mapping
        Sidecar fields that the study knows and the header does not tell.
    intended_for : str
        Suffix of the scans that a field map is meant for.
    ignore : str
        Why series of this kind are left out.
    """

    match: Mapping[str, str] = field(default_factory=dict)
    unless: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[int, int] | None = None
    gradients: bool | None = None
    suffix: str = ""
    entities: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    intended_for: str = ""
    ignore: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a series becomes by the first rule that fits.

    Attributes
    ----------
    suffix, datatype : str
        Empty when the series is left out.
    entities : mapping
        In the order of BIDS, without ``sub`` and ``ses``.
    fields, intended_for, ignore : mapping, str, str
        As in the rule.
    """

    suffix: str = ""
    datatype: str = ""
    entities: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    intended_for: str = ""
    ignore: str = ""


def parse_rules(entries: Iterable[Mapping[str, Any]], *, where: str) -> tuple[Rule, ...]:
    """Turn the entries of a table into rules.

    Parameters
    ----------
    entries : iterable of mapping
        As the schema of the settings describes them.
    where : str
        The file, for messages.

    Returns
    -------
    tuple of Rule
        In their order.

    Raises
    ------
    ConfigError
        Naming every pattern that is no regular expression, and rules that say nothing.
    """
    findings: list[Finding] = []
    rules = []
    for number, entry in enumerate(entries, start=1):
        place = f"{where}: ingest.rules, rule {number}"
        findings += _faults(entry, place)
        volumes = entry.get("volumes")
        entities = {key: str(label) for key, label in entry.get("entities", {}).items()}
        known = {key: value for key, value in entry.items() if key not in {"volumes", "entities"}}
        span = (volumes[0], volumes[1]) if volumes else None
        rules.append(Rule(**known, volumes=span, entities=entities))
    if findings:
        raise ConfigError(findings)
    return tuple(rules)


def _faults(entry: Mapping[str, Any], where: str) -> Iterable[Finding]:
    for key in ("match", "unless"):
        for name, pattern in entry.get(key, {}).items():
            try:
                re.compile(pattern)
            except re.error as error:
                rule = "a pattern must be a regular expression"
                found = f"{name}: {pattern!r} ({error})"
                yield Finding(where=where, rule=rule, found=found, remedy="Correct the pattern.")
    if bool(entry.get("suffix")) == bool(entry.get("ignore")):
        rule = "a rule gives either a suffix or a reason to ignore"
        remedy = "Add suffix: or ignore: to the rule, not both."
        yield Finding(where=where, rule=rule, found=str(dict(entry)), remedy=remedy)


@cache
def built_in_rules() -> tuple[Rule, ...]:
    """Return the rules that come with the package."""
    entries = yaml.safe_load(BUILT_IN.read_text(encoding="utf-8"))
    return parse_rules(entries, where=BUILT_IN.name)


def choose(
    rules: Sequence[Rule], fields: Mapping[str, Any], *, n_volumes: int, has_gradients: bool
) -> Choice | None:
    """Find what a series is.

    Parameters
    ----------
    rules : sequence of Rule
        The first that fits counts.
    fields : mapping
        The sidecar as dcm2niix wrote it. Where there is no ``SeriesDescription``, the protocol's
        name stands for it.
    n_volumes : int
        Volumes of the converted image.
    has_gradients : bool
        Whether b-vectors came with it.

    Returns
    -------
    Choice or None
        None when no rule fits.
    """
    told = {"SeriesDescription": fields.get("ProtocolName", ""), **fields}
    for rule in rules:
        if rule.gradients is not None and rule.gradients != has_gradients:
            continue
        if rule.volumes is not None and not rule.volumes[0] <= n_volumes <= rule.volumes[1]:
            continue
        labels = _matched(rule, told)
        if labels is not None:
            return _choice(rule, labels)
    return None


def _matched(rule: Rule, fields: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the labels of the named groups, None where the rule does not fit."""
    labels: dict[str, str] = {}
    for name, pattern in rule.match.items():
        found = re.search(pattern, _text(fields.get(name)), re.IGNORECASE)
        if found is None:
            return None
        labels |= {key: text for key, text in found.groupdict().items() if text}
    for name, pattern in rule.unless.items():
        if re.search(pattern, _text(fields.get(name)), re.IGNORECASE):
            return None
    return labels


def _text(value: object) -> str:
    if isinstance(value, list):
        return "\\".join(str(part) for part in value)
    return "" if value is None else str(value)


def _choice(rule: Rule, labels: Mapping[str, str]) -> Choice:
    if rule.ignore:
        return Choice(ignore=rule.ignore)
    every = {**labels, **rule.entities}
    cleaned = {key: _NOT_A_LABEL.sub("", every[key]) for key in ENTITIES if key in every}
    if "dir" in cleaned:
        cleaned["dir"] = cleaned["dir"].upper()
    datatype = DATATYPES[rule.suffix]
    if rule.suffix == "sbref" and "task" in cleaned:
        datatype = "func"
    return Choice(
        suffix=rule.suffix,
        datatype=datatype,
        entities={key: label for key, label in cleaned.items() if label},
        fields=rule.fields,
        intended_for=rule.intended_for,
    )
