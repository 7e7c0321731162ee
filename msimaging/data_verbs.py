"""Verbs about what goes in and what came out: ingest and verify."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from msimaging.errors import ComputationError
from msimaging.settings import read_settings, validated
from msimaging.study.runner import DONE, DONE_WITH_EXCLUSIONS, FAILED, UNUSABLE
from msimaging.terminal import print_ingest


def ingest(
    dicom: Annotated[
        Path, typer.Argument(help="DICOM folder, zip or tar archive.", show_default=False)
    ],
    bids: Annotated[
        Path, typer.Argument(help="BIDS dataset; made when missing.", show_default=False)
    ],
    sub: Annotated[str, typer.Option(help="Label of the patient, e.g. 01.", show_default=False)],
    ses: Annotated[
        str, typer.Option(help="Label of the visit, e.g. baseline.", show_default=False)
    ],
    config: Annotated[
        Path | None, typer.Option(help="A config.yaml whose section ingest holds your rules.")
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done.")] = False,
) -> None:
    """Make one visit of a BIDS dataset from DICOM files, without who was scanned.

    dcm2niix converts; a rule table tells what each series is. Sidecars and image headers keep
    how was scanned only, dates are moved (see ingest in config.yaml). A series that is in the
    dataset already is refused, one that no rule knows is listed, and a failure leaves nothing.

    Example: msimaging ingest /export/exam.zip /data/bids --sub 01 --ses baseline

    Example: msimaging ingest /export/exam /data/bids --sub 01 --ses m06 --config c.yaml --dry-run
    """
    # reading DICOM and images is imported by this verb only; the others start faster without
    from msimaging.study.ingest import ingest as ingest_visit  # noqa: PLC0415

    settings = read_settings(config) if config else validated({"bids_dir": str(bids)})
    report = ingest_visit(
        dicom, bids, sub=sub, ses=ses, settings=settings["ingest"], dry_run=dry_run
    )
    print_ingest(report)
    print("nothing was written (--dry-run)" if dry_run else f"Next: msimaging index {bids} STUDY")
    raise typer.Exit(DONE if report.complete else DONE_WITH_EXCLUSIONS)


def verify(
    study: Annotated[Path, typer.Argument(help="Study folder.", show_default=False)],
    sample: Annotated[int, typer.Option(min=0, help="Jobs to compute again.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the choice of jobs.")] = 0,
    cores: Annotated[int, typer.Option(help="Jobs at once on this machine.")] = 1,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Compute every job again.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Compare the results with their records, and some of them with a new computation.

    Every result that was edited, truncated, made from files that have changed since, or that a
    run would replace is named; jobs of every kind are computed again in a scratch folder by the
    workflow itself and compared byte by byte. Nothing in the study is changed. Ends with 1 when
    anything differs.

    Example: msimaging verify /data/study

    Example: msimaging verify /data/study --sample 50 --cores 8 --json
    """
    from msimaging.study.verify import told_in_lines, verify_study  # noqa: PLC0415 - imports science

    jobs = None if everything else sample
    try:
        found = verify_study(study.resolve(), sample=jobs, seed=seed, cores=cores)
    except ComputationError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(UNUSABLE) from error
    if as_json:
        print(json.dumps(asdict(found), indent=2))
    else:
        print("\n".join(told_in_lines(found)))
    raise typer.Exit(FAILED if found.differences else DONE)
