"""What a job will need: memory and time from the sizes of its scans. Standard library only.

`request_memory` and `request_minutes` are what a cluster is asked for, `expected` is what a job
is expected to take (for a forecast). Both come from one table, `COSTS`, fitted to the benchmark
records of simulated studies of several sizes; `tests/benchmarks/measure_resources.py` prints
predicted against measured for any study that has run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from msimaging.bids.scans import Scan
from msimaging.bids.selection import Selection

#: Assumed where no header was readable: larger than most clinical scans.
TYPICAL_SHAPE = (112, 112, 72, 100)
#: The Python processes with which Snakemake starts a job on a cluster, in MB.
_STARTERS_MB = 250
#: Below this the processes that start a job do not fit.
SMALLEST_MB = 500
#: Nodes differ, file systems are busy: what is asked for beyond what is expected.
_MEMORY_MARGIN = 1.3
_TIME_MARGIN = 4.0
_SMALLEST_MINUTES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The scans that a job works on.

    Attributes
    ----------
    voxels : float
        Millions of voxels, summed over the scans.
    samples : float
        Millions of voxels times volumes, summed over the scans.
    scans : int
        Their number.
    largest_voxels, largest_samples : float
        Of the largest of them.
    """

    voxels: float
    samples: float
    scans: int
    largest_voxels: float
    largest_samples: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one rule takes: a constant, and so much for each million of voxels or samples.

    Attributes
    ----------
    mb, mb_per_voxels, mb_per_samples, mb_per_scan : float
        Peak resident memory in MB.
    one_by_one : bool
        Whether the job holds one scan at a time: memory then goes by the largest.
    seconds, seconds_per_voxels, seconds_per_samples, seconds_per_scan : float
        Processor time of one thread.
    """

    mb: float = 250
    mb_per_voxels: float = 0
    mb_per_samples: float = 0
    mb_per_scan: float = 0
    one_by_one: bool = False
    seconds: float = 5
    seconds_per_voxels: float = 0
    seconds_per_samples: float = 0
    seconds_per_scan: float = 0


#: By rule; `preprocess_dwi` alone depends on settings, see `CORRECTIONS`.
COSTS: Mapping[str, Cost] = MappingProxyType(
    {
        "preprocess_dwi": Cost(mb=305, mb_per_samples=14.5, seconds=4.5, seconds_per_samples=0.3),
        "import_dwi": Cost(mb=400, mb_per_samples=20, seconds=10, seconds_per_samples=3),
        "fit_tensor": Cost(mb=175, mb_per_samples=15.5, seconds=4, seconds_per_samples=0.15),
        "fit_free_water": Cost(mb=300, mb_per_samples=15, seconds=8, seconds_per_samples=15),
        "fit_kurtosis": Cost(mb=300, mb_per_samples=15, seconds=8, seconds_per_samples=3),
        "build_space": Cost(
            mb=480, mb_per_voxels=100, seconds=12, seconds_per_scan=3, seconds_per_voxels=10
        ),
        "join_space": Cost(mb=400, mb_per_voxels=100, seconds=20),
        "warp_visit": Cost(mb=330, mb_per_voxels=250, seconds=4, seconds_per_voxels=5),
        "split_tissue": Cost(mb=860, seconds=5),
        "change_lesions": Cost(mb=550, seconds=4),
        "measure_diffusion": Cost(
            mb=700,
            mb_per_voxels=60,
            mb_per_samples=12,
            one_by_one=True,
            seconds=5,
            seconds_per_scan=2,
            seconds_per_voxels=5,
            seconds_per_samples=0.3,
        ),
        "measure_fits": Cost(mb=400, mb_per_samples=20, seconds=10, seconds_per_samples=2),
        "collect_fits": Cost(mb=300, mb_per_scan=0.5, seconds=5, seconds_per_scan=0.1),
        "change_diffusion": Cost(mb=480, seconds=3, seconds_per_scan=1),
        "preprocess_bold": Cost(mb=350, mb_per_samples=17, seconds=6, seconds_per_samples=1),
        "import_bold": Cost(mb=400, mb_per_samples=15, seconds=10, seconds_per_samples=2),
        "adopt_space": Cost(mb=500, seconds=10),
        "extract_parcels": Cost(
            mb=455,
            mb_per_samples=4.5,
            one_by_one=True,
            seconds=6,
            seconds_per_scan=1,
            seconds_per_samples=0.12,
        ),
        "map_bold": Cost(mb=500, mb_per_samples=60, seconds=20, seconds_per_samples=5),
        "map_seeds": Cost(mb=500, mb_per_samples=30, seconds=20, seconds_per_samples=5),
        "change_seeds": Cost(mb=300, seconds=5),
        "connect_parcels": Cost(mb=260, seconds=4, seconds_per_scan=0.8),
        "connect_group": Cost(mb=250, mb_per_scan=3, seconds=6, seconds_per_scan=0.5),
        "change_connectivity": Cost(mb=210, seconds=3.5, seconds_per_scan=0.5),
        "measure_repeatability": Cost(mb=300, mb_per_scan=0.5, seconds=5, seconds_per_scan=0.1),
        "collect_measures": Cost(mb=200, mb_per_scan=0.5, seconds=4, seconds_per_scan=0.05),
        "collect_changes": Cost(mb=200, mb_per_scan=0.5, seconds=4, seconds_per_scan=0.05),
        "collect_qcfc": Cost(mb=230, mb_per_scan=1, seconds=5, seconds_per_scan=0.1),
        "collect_specifications": Cost(mb=210, mb_per_scan=0.5, seconds=4.5, seconds_per_scan=0.1),
        "test_changes": Cost(mb=180, mb_per_scan=0.5, seconds=4, seconds_per_scan=0.1),
        "describe_dataset": Cost(mb=140, seconds=3),
        "collect_outcomes": Cost(mb=210, seconds=5),
        "fit_model": Cost(mb=230, mb_per_scan=1, seconds=8, seconds_per_scan=0.2),
        "collect_models": Cost(mb=210, seconds=5),
        "plan_next_trial": Cost(mb=230, seconds=6),
        "vary_analysis": Cost(mb=200, mb_per_scan=0.5, seconds=6, seconds_per_scan=0.1),
        "draw_trial": Cost(mb=250, seconds=6),
        "draw_responders": Cost(mb=250, seconds=6),
        "draw_detection": Cost(mb=180, seconds=4),
        "draw_regions": Cost(mb=250, mb_per_scan=0.5, seconds=11),
        "draw_cohort_maps": Cost(mb=320, mb_per_scan=0.1, seconds=9),
        "draw_cohort_connectivity": Cost(mb=320, mb_per_scan=0.5, seconds=10),
        "draw_patient_dwi": Cost(
            mb=190, mb_per_samples=8, one_by_one=True, seconds=4, seconds_per_scan=2.3
        ),
        "draw_patient_bold": Cost(
            mb=505,
            mb_per_samples=5,
            one_by_one=True,
            seconds=4,
            seconds_per_scan=3.5,
            seconds_per_samples=0.15,
        ),
        "collect_quality": Cost(mb=210, mb_per_scan=0.2, seconds=4, seconds_per_scan=0.1),
        "write_ledger": Cost(mb=140, mb_per_scan=0.1, seconds=3, seconds_per_scan=0.01),
        "write_report": Cost(mb=200, mb_per_scan=2, seconds=4, seconds_per_scan=0.4),
    }
)
#: What each correction that is switched on adds to preprocess_dwi.
CORRECTIONS: Mapping[str, Cost] = MappingProxyType(
    {
        "denoise": Cost(mb=0, mb_per_samples=2, seconds=0, seconds_per_samples=2),
        "unring": Cost(mb=0, seconds=0, seconds_per_samples=1),
        "motion": Cost(mb=0, mb_per_samples=11, seconds=15, seconds_per_samples=2.3),
        "distortion": Cost(mb=0, mb_per_voxels=150, seconds=5, seconds_per_voxels=30),
        "bias": Cost(mb=0, seconds=5),
    }
)


def work_on(scans: Iterable[Scan]) -> Work:
    """Add up the sizes of scans.

    Parameters
    ----------
    scans : iterable of Scan
        As ``scans.tsv`` lists them; `TYPICAL_SHAPE` is taken where a shape is unknown.

    Returns
    -------
    Work
        In millions.
    """
    shapes = [scan.shape or TYPICAL_SHAPE for scan in scans]
    voxels = [math.prod(shape[:3]) / 1e6 for shape in shapes]
    samples = [math.prod(shape) / 1e6 for shape in shapes]
    return Work(
        voxels=sum(voxels),
        samples=sum(samples),
        scans=len(shapes),
        largest_voxels=max(voxels, default=0.0),
        largest_samples=max(samples, default=0.0),
    )


def expected(rule: str, work: Work, *, corrections: Iterable[str] = ()) -> tuple[float, float]:
    """Return what a job is expected to take.

    Parameters
    ----------
    rule : str
        A key of `COSTS`; both rules that build a patient's space share ``build_space``.
    work : Work
        The scans behind the job.
    corrections : iterable of str
        Keys of `CORRECTIONS` that are switched on.

    Returns
    -------
    memory : float
        Peak resident memory in MB.
    seconds : float
        Processor time of one thread.
    """
    parts = [COSTS[rule], *(CORRECTIONS[name] for name in corrections)]
    memory = sum(
        part.mb
        + part.mb_per_voxels * (work.largest_voxels if part.one_by_one else work.voxels)
        + part.mb_per_samples * (work.largest_samples if part.one_by_one else work.samples)
        + part.mb_per_scan * work.scans
        for part in parts
    )
    seconds = sum(
        part.seconds
        + part.seconds_per_voxels * work.voxels
        + part.seconds_per_samples * work.samples
        + part.seconds_per_scan * work.scans
        for part in parts
    )
    return memory, seconds


def corrections_on(plan: Selection, sub: str) -> tuple[str, ...]:
    """Return which corrections are done for a patient's diffusion series.

    Parameters
    ----------
    plan : Selection
        The study.
    sub : str
        Patient.

    Returns
    -------
    tuple of str
        Keys of `CORRECTIONS` that the settings switch on and that the scans allow.
    """
    diffusion: Mapping[str, object] = plan.settings["diffusion"]
    undone = {"distortion": plan.why_distorted("dwi", sub), "motion": plan.why_moving(sub)}
    return tuple(
        name
        for name in CORRECTIONS
        if diffusion.get(name) not in {False, "none", None} and not undone.get(name)
    )


def request_memory(peak: float, *, attempt: int = 1) -> int:
    """Return the memory to ask a cluster for, in MB; a profile's ``resources`` cap it.

    Parameters
    ----------
    peak : float
        Expected peak of the job in MB.
    attempt : int
        Doubled at each: why an attempt failed is not known.

    Returns
    -------
    int
        Full hundreds, at least `SMALLEST_MB`.
    """
    wanted = math.ldexp(_STARTERS_MB + _MEMORY_MARGIN * peak, attempt - 1)
    return max(SMALLEST_MB, 100 * math.ceil(wanted / 100))


def request_minutes(seconds: float, *, attempt: int = 1) -> int:
    """Return the run time to ask a cluster for, in minutes; a profile's ``resources`` cap it.

    Parameters
    ----------
    seconds : float
        Expected time of the job.
    attempt : int
        Doubled at each.

    Returns
    -------
    int
        At least five.
    """
    return math.ceil(math.ldexp(_SMALLEST_MINUTES + _TIME_MARGIN * seconds / 60, attempt - 1))
