"""Verbs for people: ingest, index, check, run, status, verify, report, figure, demo."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from msimaging import __version__
from msimaging.bids.companions import stand_in
from msimaging.bids.layout import DERIVATIVES, output
from msimaging.bids.ledger import read_ledger
from msimaging.bids.plan import Plan
from msimaging.data_verbs import ingest, verify
from msimaging.errors import Finding, InputError
from msimaging.settings import read_settings
from msimaging.study.activity import activity_of
from msimaging.study.creation import create_study
from msimaging.study.drawing import chosen_figures, figures_by_name
from msimaging.study.lock import hold_study
from msimaging.study.run_log import RUN_LOG
from msimaging.study.run_record import record_run
from msimaging.study.runner import (
    DONE,
    DONE_WITH_EXCLUSIONS,
    FAILED,
    UNUSABLE,
    RunOptions,
    close_run,
    mend,
    perform,
    profile_folder,
    snakemake_command,
)
from msimaging.terminal import (
    forecast_or_warning,
    outdated_or_warning,
    print_forecast,
    print_inventory,
    print_report,
    print_stale,
    print_states,
    shown_progress,
    tell_end,
)

app = typer.Typer(
    name="msimaging",
    help="Diffusion MRI and resting-state fMRI of two or more visits, to the paired result.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
StudyArgument = Annotated[Path, typer.Argument(help="Study folder.", show_default=False)]
CoresOption = Annotated[
    int | None,
    typer.Option(
        help="Jobs at once on this machine, by default all its cores; with a cluster profile the "
        "most cores of one submission, by default the profile's.",
        show_default=False,
        min=1,
    ),
]
ProfileOption = Annotated[str, typer.Option(help="Folder below workflow/profiles, or a path.")]
OrphansOption = Annotated[
    Literal["cancel", "wait"],
    typer.Option(help="What to do with cluster jobs of an earlier run that was killed."),
]
LostOption = Annotated[
    float,
    typer.Option(
        help="Minutes after which a cluster run that waits for nothing is resumed; 0 never.", min=0
    ),
]
TakeOverOption = Annotated[
    bool, typer.Option("--take-over", help="Take the study from a dead run on another machine.")
]


def main() -> None:
    """Run the command line; faults of the input end with one line each and exit code 2."""
    try:
        app()
    except InputError as error:
        for finding in error.findings:
            print(f"error: {finding}", file=sys.stderr)
        raise SystemExit(UNUSABLE) from error


@app.callback(invoke_without_command=True)
def _version(
    *, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        print(f"msimaging {__version__}")
        raise typer.Exit(DONE)


app.command()(ingest)


@app.command()
def index(
    bids: Annotated[Path, typer.Argument(help="Root of the BIDS dataset.", show_default=False)],
    study: StudyArgument,
    select: Annotated[
        list[str] | None,
        typer.Option(help="Choice among several scans of a visit, e.g. dwi:acq-ax20_dir-PA."),
    ] = None,
    derivatives: Annotated[
        list[Path] | None,
        typer.Option(help="Output of fMRIPrep or QSIPrep, to enter after preprocessing."),
    ] = None,
) -> None:
    """Make or update a study folder from a BIDS dataset.

    Writes config.yaml and visits.tsv for you to edit, and never overwrites what you edited.

    Example: msimaging index /data/bids /data/study --select dwi:acq-ax20_dir-PA

    Example: msimaging index /data/bids /data/study --derivatives /data/bids/derivatives/fmriprep
    """
    inventory = create_study(bids, study, select=select or [], derivatives=derivatives or [])
    print_inventory(inventory)
    if (study / DERIVATIVES).is_dir():
        print_stale(outdated_or_warning(study.resolve()))
    if (study / "ratings.tsv").exists():
        plan = Plan.of_study(study, read_settings(study / "config.yaml"))
        for rating in (one for one in plan.ratings.values() if one.verdict == "exclude"):
            scan = f"{rating.participant_id} {rating.session_id} {rating.modality}"
            print(f"left out of the statistics: {scan}: {rating.reason}")
    print(f"\nNext: look at {study / 'visits.tsv'}, then: msimaging run {study}")


@app.command()
def check(
    study: StudyArgument,
    cores: CoresOption = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check settings, tables and every scan before any computing, and forecast what a run takes.

    The forecast counts the jobs still to be done, with processor time, memory, disk and files. It
    goes by the sizes of the scans, and by what this study's own jobs took once some are done.

    Example: msimaging check /data/study --cores 16

    Example: msimaging check /data/study --json | jq .forecast
    """
    raise typer.Exit(_check(study, as_json=as_json, forecast_for=cores or os.cpu_count() or 1))


def _check(study: Path, *, as_json: bool, forecast_for: int = 0) -> int:
    # the checks import the science; the other verbs start faster without it
    from msimaging.study.check import check_study  # noqa: PLC0415

    report = check_study(study)
    unusable = report.faults or (report.scans and len(report.refused) == len(report.scans))
    forecast = None if unusable or not forecast_for else forecast_or_warning(study.resolve())
    if as_json:
        told = report.as_dict() | {"forecast": forecast.as_dict() if forecast else None}
        print(json.dumps(told, indent=2))
    else:
        print_report(report)
        if forecast:
            print_forecast(forecast, cores=forecast_for)
    if unusable:
        return UNUSABLE
    left_out = report.refused or report.rated_out or report.incomparable
    return DONE_WITH_EXCLUSIONS if left_out else DONE


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": False},
)
def run(
    context: typer.Context,
    study: StudyArgument,
    cores: CoresOption = None,
    profile: ProfileOption = "default",
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done.")] = False,
    orphans: OrphansOption = "cancel",
    lost_after: LostOption = 15,
    take_over: TakeOverOption = False,
) -> None:
    """Check the study, run what is not yet done, and tell how it ended.

    A second run does nothing; after new scans or edits it does only what depends on them.
    It is safe to repeat after anything: a killed run, a lost connection, a node that went down.
    Arguments after -- go to Snakemake.

    Example: msimaging run /data/study --cores 8

    Example: msimaging run /data/study --profile cluster-generic

    Example: msimaging run /data/study --dry-run -- --forcerun fit_tensor
    """
    options = RunOptions(
        profile=profile,
        cores=cores,
        orphans=orphans,
        lost_after=60 * lost_after,
        take_over=take_over,
        extra=tuple(context.args),
    )
    raise typer.Exit(_dry_run(study, options) if dry_run else _run(study, options))


def _dry_run(study: Path, options: RunOptions) -> int:
    study = study.resolve()
    if _check(study, as_json=False) == UNUSABLE:
        return UNUSABLE
    mend(study, print)
    command = [*snakemake_command(study, options), "--dry-run"]
    return os.spawnv(os.P_WAIT, command[0], command)  # noqa: S606 - our own program


def _run(study: Path, options: RunOptions) -> int:
    study = study.resolve()
    profile_folder(options.profile)
    if not (study / "config.yaml").exists():
        return _check(study, as_json=False)
    started = datetime.now(UTC)
    with hold_study(study, profile=options.profile, take_over=options.take_over) as lock:
        if _check(study, as_json=False) == UNUSABLE:
            print("nothing was started")
            return UNUSABLE
        try:
            with shown_progress() as show:
                returncode = perform(study, options, lock, on_progress=show, tell=print)
        except KeyboardInterrupt:
            print("interrupted: run again to go on", file=sys.stderr)
            returncode = FAILED
        code, entries = close_run(study, returncode)
        command = snakemake_command(study, options)
        record_run(
            study, started=started, arguments=sys.argv, command=command, code=code, entries=entries
        )
    tell_end(study, entries, returncode=returncode, code=code)
    return code


@app.command()
def status(
    study: StudyArgument,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the ledger as JSON.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="List what is done, too.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Do not look for results that are out of date.")
    ] = False,
) -> None:
    """Print the ledger: what is done, stale, pending, failed or left out, and why.

    stale means that a run would compute it again; to know it the whole workflow is planned (a
    few seconds, half a minute for a thousand visits; --quick does without).

    Example: msimaging status /data/study

    Example: msimaging status /data/study --json | jq '.[] | select(.state == "failed")'
    """
    study = study.resolve()
    plan = Plan.of_study(study, read_settings(study / "config.yaml"))
    activity = activity_of(study)
    outdated = {} if quick else outdated_or_warning(study)
    entries = read_ledger(study, plan, outdated=outdated, running=activity.running)
    if as_json:
        print(json.dumps([asdict(entry) for entry in entries], indent=2))
        return
    print_states(study, entries, everything=everything)
    if activity.told:
        print(activity.told)


app.command()(verify)


@app.command()
def report(study: StudyArgument) -> None:
    """Print the path of the HTML report.

    Example: xdg-open $(msimaging report /data/study)
    """
    path = study.resolve() / output("report")
    if not path.exists():
        finding = Finding(
            where=str(study),
            rule="the report is made by a run",
            found="no report",
            remedy=f"Run: msimaging run {study}",
        )
        raise InputError([finding])
    print(path)


@app.command()
def figure(
    study: StudyArgument,
    name: Annotated[str, typer.Argument(help="Its name, or a pattern such as 'sub-01*'.")] = "",
    cores: CoresOption = None,
    *,
    listed: Annotated[bool, typer.Option("--list", help="Print the names of all figures.")] = False,
) -> None:
    """Draw one figure again, for example after a change of figures.style in config.yaml.

    The results on disk are drawn; to bring them up to date is the work of msimaging run.

    Example: msimaging figure /data/study --list

    Example: msimaging figure /data/study param-rd_atlas-whitematter_desc-forest_regions
    """
    study = study.resolve()
    plan = Plan.of_study(study, read_settings(study / "config.yaml"))
    if listed or not name:
        print("\n".join(figures_by_name(plan)))
        return
    files = chosen_figures(plan, name)
    targets = dict.fromkeys(map(stand_in, files))
    options = RunOptions(cores=cores, extra=("--rerun-triggers", "mtime", "--force", *targets))
    with hold_study(study, profile=options.profile) as lock, shown_progress() as show:
        returncode = perform(study, options, lock, on_progress=show, tell=print)
    if returncode:
        print(f"a step failed; Snakemake's own record: {study / RUN_LOG}")
        raise typer.Exit(FAILED)
    print("\n".join(str(study / path) for path in files))


@app.command()
def demo(
    study: Annotated[Path, typer.Argument(help="Folder to make.")] = Path("demo"),
    patients: Annotated[int, typer.Option(min=1, help="Number of simulated patients.")] = 4,
    cores: CoresOption = None,
) -> None:
    """Simulate a two-visit trial with known truth, run everything, compare with the truth.

    Example: msimaging demo /tmp/demo --patients 4
    """
    from msimaging.study.demo import compare_with_truth, simulate_study  # noqa: PLC0415

    study = study.resolve()
    truth = simulate_study(study, n_patients=patients, progress=print)
    code = _run(study, RunOptions(cores=cores))
    if code == DONE:
        print(compare_with_truth(study, truth))
    raise typer.Exit(code)
