"""BIDS names for the images of a visit, with run numbers where several are alike."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from msimaging.bids.names import parse_name
from msimaging.dicom.rules import ENTITIES, Choice

_ECHO = re.compile(r"e(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanName:
    """Where an image goes.

    Attributes
    ----------
    choice : Choice
        What it is, its entities complete with ``echo`` and ``run``.
    stem : str
        Path below the dataset without extension.
    """

    choice: Choice
    stem: str


def with_echo(choice: Choice, part: str) -> Choice | None:
    """Complete a choice for one of several images of a series.

    Parameters
    ----------
    choice : Choice
        By the rule table.
    part : str
        What dcm2niix added to the image's name.

    Returns
    -------
    Choice or None
        None for a part that has no place in BIDS here: a phase image, an ADC map, a piece of a
        series that dcm2niix had to split.
    """
    if not part:
        return choice
    echo = _ECHO.fullmatch(part)
    if echo is None or choice.suffix not in {"bold", "sbref"}:
        return None
    return replace(choice, entities={**choice.entities, "echo": echo.group(1)})


def name_scans(
    choices: Sequence[Choice], *, sub: str, ses: str, taken: Iterable[str]
) -> list[ScanName]:
    """Name the images of a visit.

    Parameters
    ----------
    choices : sequence of Choice
        In the order of the series.
    sub, ses : str
        With their prefixes.
    taken : iterable of str
        Names of the files that the visit holds already.

    Returns
    -------
    list of ScanName
        In the same order. Equal names get ``run-1``, ``run-2`` ..., behind the runs that are
        there.
    """
    alike = Counter(_key(choice) for choice in choices)
    there = _runs_there(taken)
    next_run: dict[str, int] = {}
    names = []
    for choice in choices:
        key = _key(choice)
        run = next_run.get(key, there.get(key, 0) + 1)
        next_run[key] = run + 1
        if alike[key] > 1 or key in there:
            labels = {**choice.entities, "run": str(run)}
            choice = replace(choice, entities=labels)  # noqa: PLW2901 - the same thing, complete
        name = "_".join([sub, ses, *_parts(choice), choice.suffix])
        names.append(ScanName(choice=choice, stem=f"{sub}/{ses}/{choice.datatype}/{name}"))
    return names


def _key(choice: Choice) -> str:
    return "_".join([choice.datatype, *_parts(choice, without="run"), choice.suffix])


def _parts(choice: Choice, *, without: str = "") -> list[str]:
    labels = choice.entities
    return [f"{key}-{labels[key]}" for key in ENTITIES if key in labels and key != without]


def _runs_there(taken: Iterable[str]) -> dict[str, int]:
    runs: dict[str, int] = {}
    for path in taken:
        parsed = parse_name(path)
        if parsed is None or parsed.extension not in {".nii", ".nii.gz"}:
            continue
        labels = dict(parsed.entities)
        datatype = PurePosixPath(path).parent.name
        key = _key(Choice(suffix=parsed.suffix, datatype=datatype, entities=labels))
        run = labels.get("run", "1")
        runs[key] = max(runs.get(key, 0), int(run) if run.isdigit() else 1)
    return runs
