"""What a run will take: jobs, processor time, memory, disk and files, before it is started."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from msimaging.bids.companions import companions
from msimaging.bids.job_records import END
from msimaging.bids.jobs import Job, jobs_of
from msimaging.bids.plan import Plan
from msimaging.bids.resources import corrections_on, expected, work_on
from msimaging.bids.visits import Modality
from msimaging.study.outdated import planned_files

_RECORD = re.compile(
    re.escape(END) + r"(?P<wall>[\d.]+) s, processor (?P<cpu>[\d.]+) s, "
    r"peak memory (?P<memory>[\d.]+) MB"
)
#: Steps that share one line of the table of costs.
_SHARED = {"build_dwi_space": "build_space", "build_bold_space": "build_space"}
_SHARED |= {"join_dwi_space": "join_space", "join_bold_space": "join_space"}
_SHARED |= {"warp_dwi_visit": "warp_visit", "adopt_bold_space": "adopt_space"}
#: Edges of the template's field of view in mm.
_TEMPLATE_MM3 = 182.0 * 218.0 * 182.0
#: Compressed bytes for each voxel (and volume) of a simulated trial's files.
_BYTES_PER_SAMPLE = {"dwi": 1.5, "bold": 3.6}
_BYTES_PER_VOXEL = {"map": 1.1, "tensor": 6.9, "template map": 1.0, "transform": 21.0}
_BYTES = {"matrix": 2.4e5, "table": 2.5e4, "figure": 2.5e5, "page": 1e6, "other": 4e3}
#: What a file system takes for a small file: a sidecar, a log, a record of the workflow.
_BLOCK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class StepForecast:
    """The jobs of one rule that are still to be done.

    Attributes
    ----------
    step : str
        The rule.
    jobs, to_do : int
        All of the study, and those without results.
    memory_mb : float
        Largest expected peak of one job.
    hours : float
        Processor time of those to do, one thread each.
    longest : float
        Hours of the longest of them.
    records : int
        Jobs of this study whose records the numbers come from; with 0 they come from the sizes of
        the scans alone.
    """

    step: str
    jobs: int
    to_do: int
    memory_mb: float
    hours: float
    longest: float
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What the rest of a study will take.

    Attributes
    ----------
    steps : tuple of StepForecast
        In the order of the work.
    gigabytes : float
        Disk space of the files to come.
    files : int
        Their number, with sidecars, logs and the workflow's own records.
    """

    steps: tuple[StepForecast, ...]
    gigabytes: float
    files: int

    @property
    def jobs(self) -> int:
        """Number of jobs to do."""
        return sum(step.to_do for step in self.steps)

    @property
    def core_hours(self) -> float:
        """Processor time of all jobs to do."""
        return sum(step.hours for step in self.steps)

    @property
    def memory_mb(self) -> float:
        """Largest peak of one job."""
        return max((step.memory_mb for step in self.steps if step.to_do), default=0.0)

    def as_dict(self) -> dict[str, Any]:
        """Return the forecast as plain values for JSON."""
        return {
            "jobs": self.jobs,
            "core_hours": self.core_hours,
            "memory_mb": self.memory_mb,
            "gigabytes": self.gigabytes,
            "files": self.files,
            "steps": [asdict(step) for step in self.steps],
        }

    def hours_with(self, cores: int) -> float:
        """Return the least wall time with so many jobs at once."""
        return max(self.core_hours / cores, sum(step.longest for step in self.steps))


def forecast_study(study: Path, plan: Plan) -> Forecast:
    """Tell what a run of a study will take.

    Parameters
    ----------
    study : Path
        Study folder; nothing is written.
    plan : Plan
        What the study asks for.

    Returns
    -------
    Forecast
        By the sizes of the scans, corrected by what the jobs of this study took where some are
        done.

    Raises
    ------
    ComputationError
        When the workflow cannot be planned.
    """
    paths = [*(file.path for file in planned_files(study)), *companions(plan)]
    gigabytes, files = _disk(study, plan, paths)
    by_step: dict[str, list[Job]] = defaultdict(list)
    for job in jobs_of(plan):
        by_step[job.step].append(job)
    steps = tuple(_of_step(study, plan, name, jobs) for name, jobs in by_step.items())
    return Forecast(steps=steps, gigabytes=gigabytes, files=files)


def _of_step(study: Path, plan: Plan, name: str, jobs: Sequence[Job]) -> StepForecast:
    predicted = [_expected(plan, job) for job in jobs]
    records = [_record(study / job.log) for job in jobs]
    known = [(p, r) for p, r in zip(predicted, records, strict=True) if r is not None]
    memory_ratio = max((r[0] / p[0] for p, r in known), default=1.0)
    time_ratio = median(r[1] / p[1] for p, r in known) if known else 1.0
    to_do = [p for p, job in zip(predicted, jobs, strict=True) if _is_missing(study, job)]
    hours = [seconds * time_ratio / 3600 for _, seconds in to_do]
    return StepForecast(
        step=name,
        jobs=len(jobs),
        to_do=len(to_do),
        memory_mb=max((memory * memory_ratio for memory, _ in predicted), default=0.0),
        hours=sum(hours),
        longest=max(hours, default=0.0),
        records=len(known),
    )


def _is_missing(study: Path, job: Job) -> bool:
    return not all((study / path).exists() for path in job.outputs)


def _expected(plan: Plan, job: Job) -> tuple[float, float]:
    work = work_on(plan.scans_behind(job.modality, sub=job.sub, ses=job.ses, pair=job.pair))
    switched_on = corrections_on(plan, job.sub) if job.step == "preprocess_dwi" else ()
    return expected(_SHARED.get(job.step, job.step), work, corrections=switched_on)


def _record(log: Path) -> tuple[float, float] | None:
    """Return peak memory in MB and processor seconds of a job that is done."""
    try:
        last = log.read_text(encoding="utf-8", errors="replace").rsplit("\n", 2)[-2:]
    except OSError:
        return None
    found = _RECORD.match(last[0]) if last else None
    return (float(found["memory"]), float(found["cpu"])) if found else None


def predicted_against_measured(study: Path, plan: Plan) -> list[dict[str, Any]]:
    """Compare the forecast from the sizes of the scans with what the jobs took.

    Parameters
    ----------
    study : Path
        Study folder with results.
    plan : Plan
        What it asked for.

    Returns
    -------
    list of dict
        One row a rule: ``step jobs predicted_s measured_s predicted_mb measured_mb``, means over
        its jobs and for memory the largest.
    """
    rows: dict[str, list[tuple[tuple[float, float], tuple[float, float]]]] = defaultdict(list)
    for job in jobs_of(plan):
        record = _record(study / job.log)
        if record is not None:
            rows[job.step].append((_expected(plan, job), record))
    return [
        {
            "step": step,
            "jobs": len(pairs),
            "predicted_s": sum(p[1] for p, _ in pairs) / len(pairs),
            "measured_s": sum(m[1] for _, m in pairs) / len(pairs),
            "predicted_mb": max(p[0] for p, _ in pairs),
            "measured_mb": max(m[0] for _, m in pairs),
        }
        for step, pairs in rows.items()
    ]


def _disk(study: Path, plan: Plan, paths: Iterable[str]) -> tuple[float, int]:
    """Return gigabytes and number of the files to come."""
    there: dict[str, list[tuple[float, float]]] = defaultdict(list)
    to_come: list[tuple[str, float]] = []
    for path in paths:
        kind, size = _size(plan, path)
        if (study / path).exists():
            there[kind].append((size, float((study / path).stat().st_size)))
        else:
            to_come.append((kind, size))
    ratios = {
        kind: sum(measured for _, measured in pairs) / sum(model for model, _ in pairs)
        for kind, pairs in there.items()
    }
    described = sum(kind not in {"other", "page"} for kind, _ in to_come)
    jobs = sum(_is_missing(study, job) for job in jobs_of(plan))
    # a sidecar and the workflow's record for each result, a log and a benchmark for each job
    small = described + len(to_come) + 2 * jobs
    size = sum(max(size * ratios.get(kind, 1.0), _BLOCK) for kind, size in to_come)
    return (size + small * _BLOCK) / 1e9, len(to_come) + small


def _size(plan: Plan, path: str) -> tuple[str, float]:
    """Return the kind of a file and its size in bytes, by the scans behind it."""
    spatial: Mapping[str, int] = plan.settings["spatial"]
    modality: Modality = "dwi" if "/dwi/" in path else "bold"
    work = work_on(plan.scans_behind(modality, **_entities(path)))
    scans = max(work.scans, 1)
    if path.endswith(("_dwi.nii.gz", "_bold.nii.gz")):
        return modality, 1e6 * work.samples * _BYTES_PER_SAMPLE[modality] / scans
    if path.endswith(".nii.gz"):
        if "_space-" in path:
            voxels = _TEMPLATE_MM3 / spatial["map_resolution"] ** 3
            return "template map", voxels * _BYTES_PER_VOXEL["template map"]
        kind = "tensor" if "_param-diffusivity_" in path else "map"
        return kind, 1e6 * work.voxels * _BYTES_PER_VOXEL[kind] / scans
    if path.endswith(".h5"):
        voxels = _TEMPLATE_MM3 / spatial["working_resolution"] ** 3
        return "transform", voxels * _BYTES_PER_VOXEL["transform"]
    return _kind_of_small(path)


def _kind_of_small(path: str) -> tuple[str, float]:
    kinds = {
        "_relmat.tsv": "matrix",
        ".tsv": "table",
        ".png": "figure",
        ".pdf": "figure",
        ".svg": "figure",
        ".html": "page",
    }
    kind = next((kinds[end] for end in kinds if path.endswith(end)), "other")
    return kind, _BYTES[kind]


def _entities(path: str) -> dict[str, str]:
    parts = path.split("/")
    sub = next((part for part in parts[:-1] if part.startswith("sub-")), "")
    ses = next((part for part in parts[:-1] if part.startswith("ses-")), "")
    return {"sub": sub, "ses": ses} if sub else {}
