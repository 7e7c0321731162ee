"""What the verbs show on a terminal or in a log file."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from msimaging.bids.layout import DERIVATIVES, output
from msimaging.bids.ledger import Entry, State
from msimaging.bids.plan import Plan
from msimaging.errors import ComputationError, Finding, InputError
from msimaging.settings import read_settings
from msimaging.study.creation import Inventory
from msimaging.study.notify import notify
from msimaging.study.outdated import outdated_results
from msimaging.study.process import Progress
from msimaging.study.run_log import RUN_LOG, last_words, read_run_log, refusals

if TYPE_CHECKING:  # reading DICOM is imported by the verb that needs it
    from msimaging.study.check import StudyReport
    from msimaging.study.forecast import Forecast
    from msimaging.study.ingest import IngestReport

#: Lines of one kind that are shown before the others are counted.
_MOST = 20
_out = Console(soft_wrap=True, highlight=False)


def print_inventory(inventory: Inventory) -> None:
    """Print patient by visit by modality, and what is new, gone, changed or undecided."""
    table = Table("patient", "visit", "date", "dwi", "bold", "anat", box=None, pad_edge=False)
    for row in inventory.rows:
        cells = [_cell(row.get(kind, ""), inventory.pipelines) for kind in ("dwi", "bold", "anat")]
        date = row.get("acq_time", "")[:10] or "-"
        table.add_row(row["participant_id"], row["session_id"], date, *cells)
    _out.print(table)
    notes = (
        ("new", inventory.new),
        ("no longer in the dataset", inventory.gone),
        (
            "scans or their files changed in the dataset, visits.tsv left as it is",
            inventory.changed,
        ),
        ("several scans: choose one in visits.tsv", inventory.undecided),
        ("visits at different stages, which cannot be compared", inventory.mixed),
    )
    for text, visits in notes:
        if visits:
            print(f"{text}: {_some(visits)}")


def _cell(text: str, pipelines: Mapping[str, str]) -> str:
    count = len([part for part in text.split(" | ") if part])
    return {0: "-", 1: pipelines.get(text, "yes")}.get(count, f"{count}: choose")


def _some(names: Sequence[str], most: int = _MOST) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def owner_of(path: str) -> str:
    """Return the visit, the patient or the cohort that a result belongs to."""
    parts = path.removeprefix(f"{DERIVATIVES}/").split("/")
    found = [part for part in parts[:-1] if part.startswith(("sub-", "ses-"))]
    return " ".join(found) or "cohort"


def print_findings(findings: Iterable[Finding]) -> None:
    """Print errors and warnings, one line each."""
    for finding in findings:
        if finding.severity != "note":
            print(f"{finding.severity}: {finding}")


@contextmanager
def shown_progress() -> Iterator[Callable[[Progress], None]]:
    """Show a bar on a terminal, and one line for every tenth of the jobs elsewhere."""
    if not _out.is_terminal:
        yield _TenthByTenth()
        return
    columns = (TextColumn("{task.description:<26}"), BarColumn(), MofNCompleteColumn())
    with ProgressBar(*columns, TimeElapsedColumn(), console=_out) as bar:
        task = bar.add_task("planning", total=None)

        def show(progress: Progress) -> None:
            total = progress.total or None
            bar.update(task, completed=progress.done, total=total, description=progress.step)

        yield show


class _TenthByTenth:
    """Prints how far a run is whenever another tenth of its jobs has ended."""

    def __init__(self) -> None:
        self._told = 0
        self._started = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        tenth = 10 * progress.done // progress.total if progress.total else 0
        if tenth > self._told:
            self._told = tenth
            seconds = time.monotonic() - self._started
            print(
                f"{progress.done} of {progress.total} jobs done after {seconds:.0f} s", flush=True
            )


def summary_lines(study: Path, entries: list[Entry], returncode: int) -> Iterator[str]:
    """Yield how a run ended: what failed or was left out and why, and where the report is.

    Parameters
    ----------
    study : Path
        Study folder.
    entries : list of Entry
        The ledger after the run.
    returncode : int
        Of Snakemake.

    Yields
    ------
    str
        One line.
    """
    shown = [e for e in entries if e.state in {"failed", "excluded", "unpaired"}]
    yield from (_line(study, entry) for entry in _once_a_job(shown))
    counts = Counter(entry.state for entry in entries)
    yield ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    if returncode:
        record = read_run_log(study)
        yield from (f"refused by the cluster: {line}" for line in refusals(record))
        failed = any(entry.state == "failed" for entry in entries)
        unbegun = len({entry.log for entry in entries if entry.state == "pending"})
        told = "a step failed" if failed else f"no step failed, but {unbegun} jobs did not begin"
        yield f"{told}; Snakemake's own record: {study / RUN_LOG}"
        yield from () if failed else last_words(record)
    elif (study / output("report")).exists():
        yield f"report: {study / output('report')}"


def tell_end(study: Path, entries: list[Entry], *, returncode: int, code: int) -> None:
    """Print how a run ended, and give the same to the user's own command."""
    summary = "\n".join(summary_lines(study, entries, returncode))
    print(summary)
    settings = read_settings(study / "config.yaml")["notify"]
    trouble = notify(settings, f"{summary}\n", study=study, code=code)
    if trouble:
        print(f"warning: {trouble}", file=sys.stderr)


def outdated_or_warning(study: Path) -> dict[str, str]:
    """Return which results a run would replace; where nothing can be planned, say so."""
    try:
        return outdated_results(study)
    except ComputationError as error:
        print(f"warning: whether results are out of date is not known; {error}", file=sys.stderr)
        return {}


def print_stale(outdated: Iterable[str]) -> None:
    """Print how many results of whom a run would replace."""
    counts = Counter(owner_of(path) for path in outdated)
    if counts:
        print(f"stale, and computed again by the next run: {counts.total()} results of")
    for name, count in list(counts.items())[:_MOST]:
        print(f"  {name}: {count}")
    if len(counts) > _MOST:
        print(f"  and {len(counts) - _MOST} more visits and patients")


def print_report(report: StudyReport) -> None:
    """Print what the check found, and what will be left out."""
    print_findings(report.faults)
    print_findings(report.notices)
    print_findings(finding for scan in report.scans for finding in scan.findings)
    for pair in report.comparability:
        for finding in pair.findings:
            if finding.severity != "note":
                print(f"{finding.severity}: {pair.place}: {finding}")
    for modality, finding in report.cohort:
        print(f"warning: {modality} of the cohort: {finding}")
    for refused in report.refused:
        visit = f"{refused.participant_id} {refused.session_id} {refused.modality}"
        print(f"excluded: {visit} will be left out")
    for rating in report.rated_out:
        scan = f"{rating.participant_id} {rating.session_id} {rating.modality}"
        print(f"excluded: {scan} will be left out: {rating.reason}")
    for pair in report.incomparable:
        print(f"excluded: change of {pair.place} will not be computed")
    usable = len(report.scans) - len(report.refused)
    print(f"{usable} of {len(report.scans)} scans usable")


def forecast_or_warning(study: Path) -> Forecast | None:
    """Return what a run will take; where nothing can be planned, say so."""
    from msimaging.study.forecast import forecast_study  # noqa: PLC0415 - by one verb only

    try:
        return forecast_study(study, Plan.of_study(study, read_settings(study / "config.yaml")))
    except (ComputationError, InputError) as error:
        print(f"warning: no forecast; {error}", file=sys.stderr)
        return None


def print_forecast(forecast: Forecast, *, cores: int) -> None:
    """Print what the rest of a study will take, step by step and in all."""
    names = ("step", "jobs", "to do", "MB a job", "core hours", "known from")
    table = Table(*names, box=None, pad_edge=False)
    for one in forecast.steps:
        known = f"{one.records} jobs" if one.records else "sizes"
        numbers = (str(one.jobs), str(one.to_do), f"{one.memory_mb:.0f}", f"{one.hours:.2f}")
        table.add_row(one.step, *numbers, known)
    _out.print(table)
    print(
        f"forecast: {forecast.jobs} jobs, {forecast.core_hours:.1f} core hours "
        f"(at least {forecast.hours_with(cores):.1f} h with {cores} cores), "
        f"{forecast.memory_mb / 1000:.1f} GB of memory for the largest job, "
        f"{forecast.gigabytes:.2f} GB of disk, {forecast.files} files"
    )


def print_ingest(report: IngestReport) -> None:
    """Print what became of each series, with warnings and notes."""
    for one in report.series:
        what = f"series {one.number} {one.description} ({one.n_files} files)"
        print(f"{one.state}: {what}: {one.told}")
        for text in one.warnings:
            print(f"warning: series {one.number}: {text}")
    for text in report.notes:
        print(f"note: {text}")


def print_states(study: Path, entries: list[Entry], *, everything: bool) -> None:
    """Print what needs attention, one line each, and the states of every step in numbers."""
    shown = [e for e in entries if everything or e.state not in {"done", "pending", "absent"}]
    for entry in _once_a_job(shown):
        print(_line(study, entry))
    steps = dict.fromkeys(entry.step for entry in entries)
    counts = Counter((entry.step, entry.state) for entry in entries)
    states = [s for s in get_args(State) if any(entry.state == s for entry in entries)]
    table = Table("step", *states, box=None, pad_edge=False)
    for step in steps:
        table.add_row(step, *(str(counts[step, state] or "-") for state in states))
    _out.print(table)


def _once_a_job(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Name each visit of a job that has failed, all in one entry: its reason is told once."""
    for (_, state, _), found in groupby(entries, key=lambda e: (e.log, e.state, e.reason)):
        group = list(found)
        if state == "failed":
            visits = dict.fromkeys(entry.session_id for entry in group)
            yield replace(group[0], session_id=", ".join(visits))
        else:
            yield from group


def _line(study: Path, entry: Entry) -> str:
    where = " ".join(filter(None, (entry.step, entry.participant_id, entry.session_id)))
    log = f" (log: {study / entry.log})" if entry.state == "failed" else ""
    return f"{entry.state}: {where}{': ' if entry.reason else ''}{entry.reason}{log}"
