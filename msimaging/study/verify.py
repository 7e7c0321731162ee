"""Whether a study's results are what its scans, settings and code give."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from random import Random
from typing import Any, Literal

import nibabel as nib
import numpy as np
import yaml
from nibabel.filebasedimages import ImageFileError

from msimaging.bids.companions import companions, stand_in
from msimaging.bids.layout import DERIVATIVES
from msimaging.bids.plan import Plan
from msimaging.errors import ComputationError
from msimaging.provenance import file_digest
from msimaging.settings import read_settings
from msimaging.steps.records import source_uri
from msimaging.study.outdated import PlannedFile, planned_files
from msimaging.study.runner import RunOptions, snakemake_command
from msimaging.tables import read_table, sidecar_of

Kind = Literal["edited", "stale", "missing", "source changed", "different", "not recomputed"]
#: These tell of the whole study; recomputed in a folder that holds a part of it, they would differ.
_ABOUT_THE_STUDY = frozenset({"default", "all", "write_ledger", "write_report"})
_OF_PATIENT = re.compile(r"/(sub-[A-Za-z0-9]+)/")
_TABLES = ("visits.tsv", "scans.tsv", "exclusions.tsv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One result that is not what it should be.

    Attributes
    ----------
    path : str
        Below the study folder.
    kind : str
        ``edited`` (not the bytes that the step wrote: edited, truncated or damaged), ``stale``
        (a run would replace it), ``missing``, ``source changed`` (a file it was made from is
        another now), ``different`` (recomputed, it comes out otherwise), ``not recomputed``.
    told : str
        What was found, in words.
    """

    path: str
    kind: Kind
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What `verify_study` found.

    Attributes
    ----------
    digests, jobs, files : int
        Results whose digest was compared with its record, jobs recomputed, files compared.
    differences : tuple of Difference
        Empty when all is well.
    """

    digests: int
    jobs: int
    files: int
    differences: tuple[Difference, ...]


def verify_study(
    study: Path, *, sample: int | None = 10, seed: int = 0, cores: int = 1
) -> Verification:
    """Compare the results of a study with their records, and a sample with its recomputation.

    Parameters
    ----------
    study : Path
        Study folder; nothing in it is changed.
    sample : int or None
        Jobs to recompute, spread over the rules; None for all.
    seed : int
        Of the choice.
    cores : int
        Jobs at once.

    Returns
    -------
    Verification
        Everything that differs. Digests of all results and of what they were made from are
        compared with the sidecars; a job of the sample is recomputed from the inputs that it was
        made from, alone in a scratch folder, by the workflow itself.

    Raises
    ------
    ComputationError
        When the study has no results, or no plan can be made.
    """
    files = planned_files(study)
    unnamed = list(companions(Plan.of_study(study, read_settings(study / "config.yaml"))))
    if not any((study / file.path).exists() for file in files):
        message = f"{study} has no results yet; make them with: msimaging run {study}"
        raise ComputationError(message)
    checked, differences = _against_records(study, files)
    differences += _against_plan(study, files, unnamed)
    known = {difference.path for difference in differences}
    chosen = _sample(study, files, sample, seed)
    scratch = study / ".msimaging"
    scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="verify-", dir=scratch) as folder:
        roots = [Path(folder) / str(number) for number in range(len(chosen))]
        with ThreadPoolExecutor(max_workers=cores) as pool:
            results = list(
                pool.map(lambda job, root: _recompute(study, job, unnamed, root), chosen, roots)
            )
    compared = sum(count for count, _ in results)
    differences += [one for _, found in results for one in found if one.path not in known]
    return Verification(
        digests=checked,
        jobs=len(chosen),
        files=compared,
        differences=tuple(sorted(differences, key=lambda one: (one.path, one.kind))),
    )


def _against_records(study: Path, files: Iterable[PlannedFile]) -> tuple[int, list[Difference]]:
    """Compare the digest of every described result, and of its sources, with its sidecar."""
    digests = _Digests(study, files)
    checked, differences = 0, []
    for sidecar in sorted((study / DERIVATIVES).rglob("*.json")):
        record = _record(sidecar)
        folder = sidecar.parent.relative_to(study).as_posix()
        for name, digest in record.get("Digests", {}).items():
            path, checked = f"{folder}/{name}", checked + 1
            if (study / path).exists() and digests.of(path) != digest:
                told = "not the bytes that the step wrote: edited, truncated or damaged"
                differences.append(Difference(path=path, kind="edited", told=told))
        for source, digest in record.get("SourceDigests", {}).items():
            now = digests.of(digests.path_of(source))
            if now != digest:
                path = sidecar.relative_to(study).as_posix()
                told = f"made from {source}, which is {'another now' if now else 'not there'}"
                differences.append(Difference(path=path, kind="source changed", told=told))
    return checked, differences


class _Digests:
    """Digests of the study's files, each computed once."""

    def __init__(self, study: Path, files: Iterable[PlannedFile]) -> None:
        self._study = study
        # a scan's URI does not tell in which dataset it lies; the inputs of the jobs do
        self._inputs = {source_uri(name): name for file in files for name in file.inputs}
        self._known: dict[str, str] = {}

    def path_of(self, uri: str) -> str:
        if uri.startswith("bids::"):
            return f"{DERIVATIVES}/{uri.removeprefix('bids::')}"
        return self._inputs.get(uri, uri)

    def of(self, path: str) -> str:
        if path not in self._known:
            file = self._study / path
            self._known[path] = file_digest(file) if file.is_file() else ""
        return self._known[path]


def _record(sidecar: Path) -> dict[str, Any]:
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) and "SourceDigests" in content else {}


def _against_plan(
    study: Path, files: Iterable[PlannedFile], unnamed: Iterable[str]
) -> list[Difference]:
    stale = {file.path: file.reason for file in files if file.outdated}
    differences = []
    for path in (*(file.path for file in files), *unnamed):
        if not (study / path).exists():
            told = "no such file; a run would make it"
            differences.append(Difference(path=path, kind="missing", told=told))
        elif (known := stand_in(path)) in stale:
            differences.append(Difference(path=path, kind="stale", told=stale[known]))
    return differences


def _sample(
    study: Path, files: Sequence[PlannedFile], sample: int | None, seed: int
) -> list[list[PlannedFile]]:
    """Choose jobs, as lists of their results: one of every rule in turn, until there are enough."""
    jobs: dict[str, list[PlannedFile]] = {}
    for file in files:
        there = file.log and (study / file.path).exists()
        if there and file.rule not in _ABOUT_THE_STUDY:
            jobs.setdefault(file.log, []).append(file)
    by_rule: dict[str, list[list[PlannedFile]]] = {}
    for _, results in sorted(jobs.items()):
        by_rule.setdefault(results[0].rule, []).append(results)
    random = Random(seed)  # noqa: S311 - a choice, not a secret
    for group in by_rule.values():
        random.shuffle(group)
    rules = sorted(by_rule)
    random.shuffle(rules)
    turns = zip_longest(*(by_rule[rule] for rule in rules))
    ordered = [job for turn in turns for job in turn if job is not None]
    return ordered if sample is None else ordered[:sample]


def _recompute(
    study: Path, job: Sequence[PlannedFile], unnamed: Iterable[str], root: Path
) -> tuple[int, list[Difference]]:
    _lay_out(study, job, unnamed, root)
    command = snakemake_command(root, RunOptions(cores=1))
    targets = [file.path for file in job]
    # what the job is made from stands there as links, and no other rule may touch it
    command += ["--nolock", "--allowed-rules", job[0].rule, "--", *targets]
    done = subprocess.run(  # noqa: S603 - the command is our own, no shell reads it
        command, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        told = f"{job[0].rule} failed: {lines[-1].strip() if lines else 'no message'}"
        return 0, [Difference(path=targets[0], kind="not recomputed", told=told)]
    made = [path for path in sorted((root / DERIVATIVES).rglob("*")) if _is_own(path)]
    found = [_compared(study, path.relative_to(root).as_posix(), path) for path in made]
    shutil.rmtree(root)
    return len(made), [difference for difference in found if difference is not None]


def _is_own(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _lay_out(study: Path, job: Sequence[PlannedFile], unnamed: Iterable[str], root: Path) -> None:
    """Make a study of the same tables and settings that holds the inputs of one job."""
    root.mkdir(parents=True)
    settings: dict[str, Any] = yaml.safe_load((study / "config.yaml").read_text(encoding="utf-8"))
    settings["bids_dir"] = str(Path(study, settings["bids_dir"]).resolve())
    (root / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    for name in _TABLES:
        if (study / name).exists():
            shutil.copyfile(study / name, root / name)
    for name in _read_by(study, job, unnamed):
        if Path(name).is_absolute() or name.startswith(".."):
            continue
        for source in (study / name, sidecar_of(study / name)):
            target = root / source.relative_to(study)
            if source.exists() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(source)


def _read_by(study: Path, job: Sequence[PlannedFile], unnamed: Iterable[str]) -> Iterator[str]:
    """Yield the files that a job may read: its inputs, what they stand for, and its patient's."""
    inputs = dict.fromkeys(name for file in job for name in file.inputs)
    yield from inputs
    yield from (name for name in unnamed if stand_in(name) in inputs)
    own = {file.path for file in job}
    for patient in {found[1] for file in job if (found := _OF_PATIENT.search(file.path))}:
        for path in sorted((study / DERIVATIVES / patient).rglob("[!.]*")):
            name = path.relative_to(study).as_posix()
            if path.is_file() and name not in own:
                yield name


def _compared(study: Path, path: str, again: Path) -> Difference | None:
    there = study / path
    if not there.exists():
        return Difference(path=path, kind="missing", told="the step writes it, and it is not there")
    if there.read_bytes() == again.read_bytes():
        return None
    return Difference(path=path, kind="different", told=_how(there, again))


def _how(there: Path, again: Path) -> str:
    """Tell in what the two versions of a file differ."""
    try:
        if again.name.endswith(".nii.gz"):
            return _largest(nib.load(there).get_fdata(), nib.load(again).get_fdata())
        if again.suffix == ".tsv":
            tables = [read_table(path).select_dtypes("number") for path in (there, again)]
            return _largest(*(table.to_numpy(dtype=float) for table in tables))
        if again.suffix == ".json":
            return _fields(json.loads(there.read_text()), json.loads(again.read_text()))
    except (OSError, ValueError, EOFError, ImageFileError) as error:
        return f"what is there cannot be read: {str(error).splitlines()[0]}"
    return "other bytes"


def _largest(there: np.ndarray[Any, Any], again: np.ndarray[Any, Any]) -> str:
    if there.shape != again.shape:
        return f"shape {there.shape}, recomputed {again.shape}"
    unequal = ~((there == again) | (np.isnan(there) & np.isnan(again)))
    if not unequal.any():
        return "the same numbers in other bytes"
    told = f"{unequal.sum()} of {unequal.size} numbers differ"
    differences = np.abs(there - again)[unequal]
    known = differences[np.isfinite(differences)]
    return f"{told}, by up to {known.max():.3g}" if known.size else f"{told}: missing in one"


def _fields(there: Mapping[str, Any], again: Mapping[str, Any]) -> str:
    names = sorted(k for k in {*there, *again} if there.get(k) != again.get(k))
    return f"fields {', '.join(names)}" if names else "the same fields in other bytes"


def told_in_lines(verification: Verification, *, most: int = 20) -> Iterator[str]:
    """Yield the outcome as lines for people.

    Parameters
    ----------
    verification : Verification
        What was found.
    most : int
        Lines of one kind; the others are counted.

    Yields
    ------
    str
        One line a difference, and one with the numbers.
    """
    told: Counter[str] = Counter()
    for one in verification.differences:
        told[one.kind] += 1
        if told[one.kind] <= most:
            yield f"{one.kind}: {one.path}: {one.told}"
    for kind, count in told.items():
        if count > most:
            yield f"{kind}: and {count - most} more (--json lists all)"
    yield (
        f"{verification.digests} results compared with their records, {verification.jobs} jobs "
        f"recomputed, {verification.files} of their files compared: "
        f"{len(verification.differences) or 'no'} differences"
    )
