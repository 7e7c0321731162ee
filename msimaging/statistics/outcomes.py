"""Outcomes as they are declared, and cells of tables read by their declaration."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from msimaging.errors import Finding
from msimaging.statistics.edss import LEGAL_SCORES

OutcomeType = Literal["continuous", "count", "ordinal", "edss", "proportion", "msfc"]
Benefit = Literal["higher", "lower", "none"]
_BEYOND = re.compile(r"^([<>])\s*=?\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)$")
_NUMBER_WITH_UNIT = re.compile(r"^[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?\s*[A-Za-z%µμ/]+.*$")
_B_CELLS = re.compile(r"cd19|cd20|b[ _-]?cell|b[ _-]?lymph|memory[ _-]?b\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeDeclaration:
    """What a column of numbers means.

    Attributes
    ----------
    name : str
        Name in the models and results.
    type : str
        ``continuous``, ``count``, ``ordinal``, ``edss``, ``proportion``, or ``msfc``, which is
        computed from other outcomes.
    units : str
        Unit of the numbers; "%" for proportions of a hundred.
    better : {"higher", "lower", "none"}
        Direction of benefit.
    minimum, maximum : float or None
        Range that values must lie in.
    levels : tuple of float
        Allowed values of an ordinal outcome; empty for whole numbers.
    lower_limit, upper_limit : float or None
        Limits of the assay. ``<x`` at the lower limit counts as half of it, ``>x`` as the limit.
    b_cells : bool
        Whether it counts B cells, which concomitant drugs may deplete.
    responder_points, responder_fraction : float or None
        Change that counts as a response, in units or as part of baseline.
    retest : mapping
        ``sd reliability`` and, where known, ``sd_retest practice`` of a reference sample, for
        reliable change.
    parts : mapping
        Outcomes behind an ``msfc``: ``t25fw nhpt pasat``, of the peg test one or both hands.
    references : mapping
        Mean and SD of a reference sample of its parts.
    """

    name: str
    type: OutcomeType = "continuous"
    units: str = ""
    better: Benefit = "none"
    minimum: float | None = None
    maximum: float | None = None
    levels: tuple[float, ...] = ()
    lower_limit: float | None = None
    upper_limit: float | None = None
    b_cells: bool = False
    responder_points: float | None = None
    responder_fraction: float | None = None
    retest: Mapping[str, float] = field(default_factory=dict)
    parts: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    references: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def counts_b_cells(self) -> bool:
        """Return whether the outcome counts B cells, by declaration or by name."""
        return self.b_cells or _B_CELLS.search(self.name) is not None

    @property
    def lower_is_better(self) -> bool:
        """Return the direction of benefit; disability is better when low."""
        return self.better == "lower" or (self.type == "edss" and self.better == "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One cell as a number.

    Attributes
    ----------
    value : float
        NaN where the cell is empty or faulty.
    limit : str
        "below" or "above" where the assay could not measure, else empty.
    """

    value: float
    limit: str = ""


def read_cells(
    cells: Sequence[str], places: Sequence[str], declaration: OutcomeDeclaration
) -> tuple[list[Reading], list[Finding]]:
    """Read the cells of one column.

    Parameters
    ----------
    cells : sequence of str
        Text as it stands in the table; empty where a value is missing.
    places : sequence of str
        File, row and column of each cell, for messages.
    declaration : OutcomeDeclaration
        What the column holds.

    Returns
    -------
    readings : list of Reading
        One a cell.
    findings : list of Finding
        One for each cell that cannot be what is declared.
    """
    readings, findings = [], []
    for cell, place in zip(cells, places, strict=True):
        reading, fault = _read_cell(cell.strip(), declaration)
        if fault:
            rule, remedy = fault
            findings.append(Finding(where=place, rule=rule, found=repr(cell), remedy=remedy))
        readings.append(reading)
    return readings, findings


_NAN = Reading(value=math.nan)
_Fault = tuple[str, str]


def _read_cell(cell: str, declared: OutcomeDeclaration) -> tuple[Reading, _Fault | None]:
    beyond = _BEYOND.match(cell)
    if beyond:
        return _beyond_assay(beyond.group(1), float(beyond.group(2)), declared)
    try:
        value = float(cell) if cell else math.nan
    except ValueError:
        return _NAN, _no_number(cell, declared)
    if not cell:
        return _NAN, None
    fault = None if math.isfinite(value) else ("values are finite", "Leave the cell empty.")
    fault = fault or _illegal(value, declared) or _out_of_range(value, declared)
    return (_NAN, fault) if fault else (_within_assay(value, declared), None)


def _within_assay(value: float, declared: OutcomeDeclaration) -> Reading:
    if declared.lower_limit is not None and value < declared.lower_limit:
        return Reading(value=declared.lower_limit / 2, limit="below")
    if declared.upper_limit is not None and value > declared.upper_limit:
        return Reading(value=declared.upper_limit, limit="above")
    return Reading(value=value)


def _no_number(cell: str, declared: OutcomeDeclaration) -> _Fault:
    if _NUMBER_WITH_UNIT.match(cell):
        remedy = f"Write the number only; its unit ({declared.units or 'none'}) is declared once."
        return f"{declared.name} is a number without its unit", remedy
    remedy = "Correct the cell, or write n/a where the value is unknown."
    return f"{declared.name} is a number", remedy


def _beyond_assay(
    sign: str, value: float, declared: OutcomeDeclaration
) -> tuple[Reading, _Fault | None]:
    key, limit = (
        ("lower_limit", declared.lower_limit)
        if sign == "<"
        else ("upper_limit", declared.upper_limit)
    )
    if limit is None or not math.isclose(value, limit):
        told = "none is declared" if limit is None else f"it is declared as {limit:g}"
        remedy = f"Declare outcomes.{declared.name}.{key}, or correct the cell."
        return _NAN, (f"{sign}{value:g} needs that limit of the assay; {told}", remedy)
    if sign == "<":
        return Reading(value=limit / 2, limit="below"), None
    return Reading(value=limit, limit="above"), None


def _illegal(value: float, declared: OutcomeDeclaration) -> _Fault | None:
    """Return what a value of this type cannot be."""
    remedy = "Correct the cell, or write n/a where the value is unknown."
    if declared.type == "edss" and value not in LEGAL_SCORES:
        return "EDSS is 0 or a half point from 1.0 to 10.0 (0.5 does not exist)", remedy
    if declared.type == "count" and (value < 0 or value != int(value)):
        return f"{declared.name} is a count: a whole number of 0 or more", remedy
    if declared.type == "ordinal":
        if declared.levels and value not in declared.levels:
            levels = ", ".join(f"{level:g}" for level in declared.levels)
            return f"{declared.name} is one of {levels}", remedy
        if not declared.levels and value != int(value):
            return f"{declared.name} is ordinal: a whole number", remedy
    if declared.type == "proportion":
        highest = 100.0 if declared.units in {"%", "percent"} else 1.0
        if not 0 <= value <= highest:
            units = "%" if highest > 1 else "as parts of 1"
            remedy = "Correct the value, or declare the unit in which it stands ('%' or none)."
            return f"{declared.name} is a proportion {units}: 0 to {highest:g}", remedy
    return None


def _out_of_range(value: float, declared: OutcomeDeclaration) -> _Fault | None:
    low = -math.inf if declared.minimum is None else declared.minimum
    high = math.inf if declared.maximum is None else declared.maximum
    if low <= value <= high:
        return None
    units = f" {declared.units}" if declared.units else ""
    remedy = "Correct the value (a wrong unit?), or the declared range."
    return f"{declared.name} lies in {low:g} to {high:g}{units}", remedy


def unit_fault(found: str, declaration: OutcomeDeclaration, place: str) -> list[Finding]:
    """Compare a unit that a table gives with the declared one.

    Parameters
    ----------
    found : str
        Unit in the table's sidecar or in a cell beside the value; empty where none is given.
    declaration : OutcomeDeclaration
        What was declared.
    place : str
        File and column, for the message.

    Returns
    -------
    list of Finding
        Empty where both agree or one of them is not given.
    """
    if not found or not declaration.units or _plain(found) == _plain(declaration.units):
        return []
    return [
        Finding(
            where=place,
            rule=f"{declaration.name} is declared in {declaration.units}",
            found=f"{found!r}",
            remedy="Convert the values, or correct the unit in the table or the declaration.",
        )
    ]


def _plain(unit: str) -> str:
    text = unit.strip().casefold().replace("μ", "u").replace("µ", "u").replace(" ", "")
    return {
        "sec": "s",
        "second": "s",
        "seconds": "s",
        "percent": "%",
        "years": "year",
        "arbitrary": "1",
    }.get(text, text)
