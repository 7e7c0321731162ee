"""What happened to results and scans between two runs: deleted, altered, or never finished.

Snakemake looks at modification times only: it takes a result that was cut off for a new one, does
not miss a file that nothing waits for, and trusts files of jobs that ended after their controlling
process had been killed. After each run size and time of every file are written down here, and
before the next one they are compared.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from msimaging.bids.companions import siblings, stand_in
from msimaging.bids.layout import DERIVATIVES, TEMPLATES, output
from msimaging.bids.plan import Plan
from msimaging.bids.rows import read_rows, write_rows
from msimaging.bids.visits import MODALITIES

_RECORD = Path(".msimaging") / "files.tsv"
_COLUMNS = ("path", "size", "mtime_ns")
#: Size and time of files.
States = Mapping[str, tuple[int, int]]
_METADATA = Path(".snakemake") / "metadata"
_INCOMPLETE = Path(".snakemake") / "incomplete"
#: Network file systems round times, in seconds.
_SAME_TIME = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A result that has to be made again.

    Attributes
    ----------
    path : str
        The result, below the study folder.
    file : str
        What is not as the last run left it: the result, its sidecar, or the scan behind it.
    cause : str
        What happened to it, for people.
    """

    path: str
    file: str
    cause: str

    def __str__(self) -> str:
        """Return one line for people."""
        return f"{self.file} {self.cause}"


def remember_files(study: Path, plan: Plan, *, complete: bool) -> None:
    """Write down size and time of all results, and of the scans they were made from.

    Parameters
    ----------
    study : Path
        Study folder, at the end of a run.
    plan : Plan
        What the study asks for.
    complete : bool
        Whether the run did everything that was asked for. If not, damage that it has not mended
        is kept in mind.
    """
    known = _remembered(study)
    states = {**_results(study), **_scans(study, plan)}
    for damage in () if complete else find_damage(study, plan):
        states.pop(damage.file, None)
        if damage.file in known:
            states[damage.file] = known[damage.file]
    rows = [
        {"path": path, "size": str(size), "mtime_ns": str(time)}
        for path, (size, time) in states.items()
    ]
    write_rows(study / _RECORD, _COLUMNS, rows)


def find_damage(study: Path, plan: Plan) -> list[Damage]:
    """List the results that must be made again although Snakemake would leave them.

    Parameters
    ----------
    study : Path
        Study folder, before a run.
    plan : Plan
        What the study asks for.

    Returns
    -------
    list of Damage
        By path.
    """
    if not (study / DERIVATIVES).is_dir():
        return []
    known, results = _remembered(study), _results(study)
    found = [
        *_missing(study, known, results),
        *_altered(study, known, results),
        *_changed_scans(study, plan, known),
        *_never_made(plan, known, results),
    ]
    return sorted(found, key=lambda damage: (damage.path, damage.file))


def _remembered(study: Path) -> dict[str, tuple[int, int]]:
    if not (study / _RECORD).exists():
        return {}
    rows = read_rows(study / _RECORD)
    return {row["path"]: (int(row["size"] or 0), int(row["mtime_ns"] or 0)) for row in rows}


def _results(study: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of every file below the derivatives."""
    found: dict[str, tuple[int, int]] = {}
    folders = [os.fspath(study / DERIVATIVES)]
    start = len(os.fspath(study)) + 1
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif not entry.name.startswith("."):
                    state = entry.stat()
                    found[entry.path[start:]] = (state.st_size, state.st_mtime_ns)
    return found


def _scans(study: Path, plan: Plan) -> dict[str, tuple[int, int]]:
    states = {}
    for path, _ in _scans_and_results(plan):
        if (study / path).exists():
            state = (study / path).stat()
            states[path] = (state.st_size, state.st_mtime_ns)
    return states


def _scans_and_results(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield each file of each scan with the first result that is made from it."""
    task = plan.settings["functional"]["task"]
    for modality in MODALITIES:
        for visit in plan.visits_with(modality):
            sub, ses = visit.participant_id, visit.session_id
            made = output(modality, sub=sub, ses=ses, task=task)
            for value in plan.raw(modality, sub, ses).values():
                for path in [value] if isinstance(value, str) else value:
                    yield path, made


def _missing(study: Path, known: States, results: States) -> Iterator[Damage]:
    for file in known:
        if not file.startswith(DERIVATIVES) or file in results:
            continue
        path = _result_of(file, known)
        # with its whole folder gone a result is missed by Snakemake, too
        if path and (study / path).parent.is_dir():
            yield Damage(path=path, file=file, cause="was deleted")


def _never_made(plan: Plan, known: States, results: States) -> Iterator[Damage]:
    """Find what an earlier version of a step did not write; only its other files are waited for."""
    for path, file in siblings(plan):
        if path in results and file not in results and file not in known:
            yield Damage(path=path, file=file, cause="is not there beside it")


def _altered(study: Path, known: States, results: States) -> Iterator[Damage]:
    for file, state in results.items():
        if known.get(file) == state:
            continue
        path = _result_of(file, results)
        if path is None:
            continue
        if path != file:  # a companion, which no job waits for
            # a job would have renewed both
            alone = file in known and path in results and known.get(path) == results[path]
            if alone or _after_its_job(study, path, state[1]):
                yield Damage(path=path, file=file, cause="was altered")
            continue
        ended = _recorded_end(study, path)
        if ended is None and path == output("ledger"):
            continue  # brought up to date at the end of a run that failed, by no job
        if ended is None:
            yield Damage(path=path, file=file, cause="was left by a run that had been killed")
        elif file in known and abs(ended - state[1] / 1e9) > _SAME_TIME:
            yield Damage(path=path, file=file, cause="was altered after it had been made")


def _after_its_job(study: Path, path: str, time_ns: int) -> bool:
    """Tell whether a file is younger than the log of the job that wrote it, its last words."""
    logs = _record_of(study, path).get("log") or ()
    ends = [(study / log).stat().st_mtime for log in logs if (study / log).exists()]
    return bool(ends) and time_ns / 1e9 - max(ends) > _SAME_TIME


def _changed_scans(study: Path, plan: Plan, known: States) -> Iterator[Damage]:
    for file, made in _scans_and_results(plan):
        if file not in known or not (study / file).exists() or not (study / made).exists():
            continue
        state = (study / file).stat()
        # a newer scan is noticed by Snakemake; one that was copied with its old date is not
        changed = (state.st_size, state.st_mtime_ns) != known[file]
        if changed and state.st_mtime < (study / made).stat().st_mtime:
            yield Damage(path=made, file=file, cause="is another file than before")


def _result_of(file: str, others: Iterable[str]) -> str | None:
    """Return the output by which the workflow knows a file or a sidecar; None for others' files."""
    if _is_output(file):
        return stand_in(file)
    stem, json_suffix, _ = file.partition(".json")
    candidates = [f"{stem}{suffix}" for suffix in (".nii.gz", ".tsv", ".h5") if json_suffix]
    found = next((path for path in candidates if path in others and _is_output(path)), None)
    return None if found is None else stand_in(found)


def mark_for_repair(study: Path, damage: Iterable[Damage]) -> list[str]:
    """Let Snakemake make damaged results again, by the marks that it sets on unfinished files.

    Parameters
    ----------
    study : Path
        Study folder. Snakemake has to be called with ``--rerun-incomplete``.
    damage : iterable of Damage
        From `find_damage`. Results that are no longer asked for are left alone.

    Returns
    -------
    list of str
        Results that are gone with all others of their jobs: there is nothing to set a mark on.
    """
    gone = []
    for each in damage:
        path = each.path if (study / each.path).exists() else _beside(study, each.path)
        if path is None:
            gone.append(each.path)
        else:
            mark = _place(study, _INCOMPLETE, path)
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.write_text('{"external_jobid": null}', encoding="utf-8")
    return gone


def _beside(study: Path, path: str) -> str | None:
    """Return another output of the job that made a file; None when all of them are gone."""
    log = _record_of(study, path).get("log")
    for entry in sorted((study / path).parent.iterdir()):
        other = entry.relative_to(study).as_posix()
        if log and _record_of(study, other).get("log") == log:
            return other
    return None


def _recorded_end(study: Path, path: str) -> float | None:
    """Return when Snakemake saw an output finished; None where it never did."""
    end = _record_of(study, path).get("endtime")
    return None if end is None else float(end)


def _record_of(study: Path, path: str) -> dict[str, Any]:
    """Return what Snakemake wrote down about an output; empty where it did not."""
    try:
        content = json.loads(_place(study, _METADATA, path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _place(study: Path, folder: Path, path: str) -> Path:
    """Return where Snakemake keeps its record of an output."""
    name = base64.urlsafe_b64encode(path.encode()).decode()
    # as Snakemake does with names longer than a file system allows
    longest = os.pathconf(study, "PC_NAME_MAX") - 1
    pieces = [name[i : i + longest] for i in range(0, len(name), longest)]
    return study.joinpath(folder, *[f"@{piece}" for piece in pieces[:-1]], pieces[-1])


@cache
def _outputs() -> re.Pattern[str]:
    # a folder is no file, and no figure is drawn as JSON: that is its sidecar
    files = (re.escape(text) for text in TEMPLATES.values() if PurePosixPath(text).suffix)
    figures = (text.replace(r"\{ext\}", "(?!json$)[^/]+") for text in files)
    patterns = (re.sub(r"\\\{\w+\\\}", "[^/]+", text) for text in figures)
    return re.compile(f"{re.escape(DERIVATIVES)}/(?:{'|'.join(patterns)})")


def _is_output(path: str) -> bool:
    return _outputs().fullmatch(path) is not None
