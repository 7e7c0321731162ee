"""The graph of jobs: which there are, what makes them run again, and what building it costs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from msimaging import provenance
from msimaging.bids.companions import companions
from msimaging.bids.plan import Plan
from msimaging.bids.rows import write_rows
from msimaging.bids.scans import SCAN_COLUMNS
from msimaging.bids.visits import VISIT_COLUMNS
from msimaging.settings import read_settings

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Table:
    """A study of empty files, written directly."""

    study: Path
    settings: dict[str, object] = field(default_factory=dict)
    visits: list[dict[str, str]] = field(default_factory=list)
    scans: list[dict[str, str]] = field(default_factory=list)

    def add(self, sub: str, month: int, *, kinds: Iterable[str] = ("dwi", "bold"), **cells: str):
        ses = f"ses-m{month:02d}"
        row = {
            "participant_id": sub,
            "session_id": ses,
            "acq_time": f"{2020 + month // 12}-{month % 12 + 1:02d}-01",
        }
        for kind in kinds:
            folder, name = ("dwi", "dwi") if kind == "dwi" else ("func", "task-rest_bold")
            stem = f"{sub}/{ses}/{folder}/{sub}_{ses}_{name}"
            scan = {"path": f"{stem}.nii.gz", "modality": kind, "sidecars": f"{stem}.json"}
            if kind == "dwi":
                scan |= {"bval": f"{stem}.bval", "bvec": f"{stem}.bvec"}
            for path in {scan[key] for key in scan if key != "modality"}:
                file = self.study / "bids" / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
            self.scans.append(scan)
            row[kind] = scan["path"]
        self.visits.append(row | cells)
        return self

    def preprocessed(self, sub: str, *, bold_space: str) -> Table:
        """Say of the scans of a patient that pipelines made them."""
        for scan in self.scans:
            if not scan["path"].startswith(f"{sub}/"):
                continue
            old, kind = scan["path"], scan["modality"]
            space = "ACPC" if kind == "dwi" else bold_space
            new = old.replace(f"_{kind}.", f"_space-{space}_desc-preproc_{kind}.")
            (self.study / "bids" / old).rename(self.study / "bids" / new)
            beside = {"mask": "brain_mask.nii.gz", "confounds": "confounds_timeseries.tsv"}
            for key, name in beside.items():
                scan[key] = new.replace(f"preproc_{kind}.nii.gz", name)
                (self.study / "bids" / scan[key]).touch()
            scan |= {"path": new, "pipeline": "QSIPrep 1" if kind == "dwi" else "fMRIPrep 23"}
            for visit in self.visits:
                visit[kind] = visit[kind].replace(old, new)
        return self

    def write(self) -> Path:
        self.study.mkdir(parents=True, exist_ok=True)
        config = {"bids_dir": "bids", "figures": {"formats": ["png"]}, **self.settings}
        (self.study / "config.yaml").write_text(yaml.safe_dump(config))
        write_rows(self.study / "visits.tsv", VISIT_COLUMNS, self.visits)
        write_rows(self.study / "scans.tsv", SCAN_COLUMNS, self.scans)
        return self.study


def snakemake(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", *arguments]
    return subprocess.run(
        [str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False
    )


def job_counts(study: Path) -> dict[str, int]:
    """Count the jobs of a dry run by rule."""
    base = ("--directory", study, "--configfile", study / "config.yaml")
    result = snakemake(*base, "-n", "-q", "rules")
    assert result.returncode == 0, result.stdout + result.stderr
    rows = re.findall(r"^(\w+) +(\d+)$", result.stdout + result.stderr, re.MULTILINE)
    return {rule: int(count) for rule, count in rows if rule not in {"total", "default", "all"}}


def expected(**counts: int) -> dict[str, int]:
    """Job counts of a whole study: those given, and one of each job of the cohort."""
    cohort = ("collect_measures", "collect_changes", "test_changes", "describe_dataset")
    cohort += ("collect_specifications",)
    cohort += ("collect_quality",)
    counts |= dict.fromkeys((*cohort, "write_ledger", "write_report"), 1)
    return {rule: count for rule, count in counts.items() if count}


def dwi_jobs(*, visits: int, patients: int, paired: int, drawn: int = 2) -> dict[str, int]:
    per_visit = ("preprocess_dwi", "fit_tensor")
    per_patient = ("build_dwi_space", "measure_diffusion", "draw_patient_dwi")
    return {
        **dict.fromkeys(per_visit, visits),
        **dict.fromkeys(per_patient, patients),
        "change_diffusion": paired,
        "draw_regions": drawn if paired else 0,
        "draw_detection": 1 if paired else 0,
        "draw_cohort_maps": 2 if paired else 0,
    }


def bold_jobs(*, visits: int, patients: int, paired: int) -> dict[str, int]:
    per_patient = ("build_bold_space", "extract_parcels", "connect_parcels", "draw_patient_bold")
    return {
        "preprocess_bold": visits,
        **dict.fromkeys(per_patient, patients),
        "connect_group": 1 if visits > 1 else 0,
        "collect_qcfc": 1 if visits else 0,
        "change_connectivity": paired,
        "draw_cohort_connectivity": 1 if paired else 0,
    }


def both(study: Path, *, months: tuple[int, ...] = (0, 6), **settings: object) -> Table:
    table = Table(study, settings=settings)
    for sub in ("sub-01", "sub-02"):
        for month in months:
            table.add(sub, month)
    return table


def test_further_models_and_maps_come_when_asked_for_and_strategies_add_no_job(
    tmp_path: Path,
) -> None:
    functional: dict[str, object] = {"voxel_maps": True, "strategies": ["simple", "acompcor+gsr"]}
    functional["seeds"] = [
        {"name": "PCC", "coordinates": [0, -52, 18]},
        {"name": "Node", "atlas": "dosenbach160", "label": "vmPFC 1"},
    ]
    diffusion = {"free_water": "auto", "kurtosis": True}
    table = both(tmp_path, functional=functional, diffusion=diffusion)
    for scan in table.scans:
        if scan["modality"] == "dwi":
            # the second patient's second shell is too high for free water
            scan["shells"] = "0;700;1500" if "sub-01" in scan["path"] else "0;700;2500"
    sizes = {"visits": 4, "patients": 2, "paired": 2}
    further = {"map_bold": 4, "fit_free_water": 2, "fit_kurtosis": 4}
    further |= {"map_seeds": 4, "change_seeds": 2}
    found = job_counts(table.write())
    assert found == expected(**dwi_jobs(**sizes), **bold_jobs(**sizes), **further)


def test_two_patients_with_two_visits(tmp_path: Path) -> None:
    sizes = {"visits": 4, "patients": 2, "paired": 2}
    assert job_counts(both(tmp_path).write()) == expected(**dwi_jobs(**sizes), **bold_jobs(**sizes))


def test_a_patient_with_one_visit_is_processed_without_a_pair(tmp_path: Path) -> None:
    table = Table(tmp_path).add("sub-01", 0).add("sub-01", 6).add("sub-02", 0)
    sizes = {"visits": 3, "patients": 2, "paired": 1}
    assert job_counts(table.write()) == expected(**dwi_jobs(**sizes), **bold_jobs(**sizes))


def test_a_study_of_one_visit_has_no_change(tmp_path: Path) -> None:
    sizes = {"visits": 1, "patients": 1, "paired": 0}
    counts = job_counts(Table(tmp_path).add("sub-01", 0).write())
    assert counts == expected(**dwi_jobs(**sizes), **bold_jobs(**sizes))


def test_each_patient_enters_raw_or_after_another_pipeline(tmp_path: Path) -> None:
    table = both(tmp_path)
    for month in (0, 6):
        table.add("sub-03", month)
    table.preprocessed("sub-01", bold_space="MNI152NLin6Asym")
    table.preprocessed("sub-03", bold_space="T1w")
    sizes = {"visits": 6, "patients": 3, "paired": 3}
    counts = expected(**dwi_jobs(**sizes), **bold_jobs(**sizes))
    counts |= dict.fromkeys(("preprocess_dwi", "preprocess_bold"), 2)
    counts |= dict.fromkeys(("import_dwi", "import_bold"), 4)
    # only runs that are in the template's space already need no registration
    counts |= {"build_bold_space": 2, "adopt_bold_space": 1}
    assert job_counts(table.write()) == counts


@pytest.mark.parametrize("kind", ["dwi", "bold"])
def test_a_study_of_one_modality_has_only_its_jobs(kind: str, tmp_path: Path) -> None:
    table = Table(tmp_path)
    for sub in ("sub-01", "sub-02"):
        table.add(sub, 0, kinds=[kind]).add(sub, 6, kinds=[kind])
    jobs = dwi_jobs if kind == "dwi" else bold_jobs
    assert job_counts(table.write()) == expected(**jobs(visits=4, patients=2, paired=2))


def test_two_undecided_runs_leave_that_scan_and_its_pair_out(tmp_path: Path) -> None:
    table = both(tmp_path)
    table.visits[1]["dwi"] += " | another_dwi.nii.gz"
    assert job_counts(table.write()) == expected(
        **dwi_jobs(visits=3, patients=2, paired=1), **bold_jobs(visits=4, patients=2, paired=2)
    )


def test_an_excluded_visit_has_no_jobs(tmp_path: Path) -> None:
    table = both(tmp_path)
    table.visits[3]["exclude"] = "moved too much"
    sizes = {"visits": 3, "patients": 2, "paired": 1}
    assert job_counts(table.write()) == expected(**dwi_jobs(**sizes), **bold_jobs(**sizes))


@pytest.mark.parametrize(("rule", "pairs"), [("to-baseline", 4), ("consecutive", 4), ("all", 6)])
def test_three_visits_pair_by_the_rule(rule: str, pairs: int, tmp_path: Path) -> None:
    sizes = {"visits": 6, "patients": 2, "paired": 2}
    study = both(tmp_path, months=(0, 6, 18), pairs=rule).write()
    assert job_counts(study) == expected(**dwi_jobs(**sizes), **bold_jobs(**sizes))
    plan = Plan.of_study(study, read_settings(study / "config.yaml"))
    assert len(plan.of_all_pairs("dwi", "direction_change")) == pairs


def test_consecutive_pairs_are_named_after_neighbours(tmp_path: Path) -> None:
    study = both(tmp_path, months=(0, 6, 18), pairs="consecutive").write()
    told = " ".join(companions(Plan.of_study(study, read_settings(study / "config.yaml"))))
    assert "desc-m06ToM18" in told
    assert "desc-m00ToM18" not in told


def test_an_own_atlas_is_an_input_of_what_uses_it(tmp_path: Path) -> None:
    files = {"image": str(tmp_path / "labels.nii.gz"), "table": str(tmp_path / "labels.tsv")}
    atlases = {"diffusion": ["whitematter", "mine"], "files": {"mine": files}}
    study = both(tmp_path / "study", atlases=atlases).write()
    missing = snakemake("--directory", study, "--configfile", study / "config.yaml", "-n", "-q")
    assert missing.returncode != 0
    assert "labels.nii.gz" in missing.stdout + missing.stderr
    for path in files.values():
        Path(path).touch()
    sizes = {"visits": 4, "patients": 2, "paired": 2}
    # two measures drawn for each of two atlases
    jobs = {**dwi_jobs(**sizes, drawn=4), **bold_jobs(**sizes)}
    assert job_counts(study) == expected(**jobs)


def test_a_faulty_table_ends_plain_snakemake_with_its_findings(tmp_path: Path) -> None:
    table = both(tmp_path)
    table.visits[1]["acq_time"] = "last week"
    study = table.write()
    result = snakemake("--directory", study, "--configfile", study / "config.yaml", "-n", "-q")
    assert result.returncode != 0
    assert "line 3: acq_time must be a date" in result.stdout + result.stderr


def test_the_workflow_is_lint_free(tmp_path: Path) -> None:
    study = both(tmp_path).write()
    result = snakemake("--directory", study, "--configfile", study / "config.yaml", "--lint")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package that digests are taken from."""
    copy = tmp_path / "msimaging"
    shutil.copytree(ROOT / "msimaging", copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "_PACKAGE", copy)
    forget()
    yield copy
    forget()


def forget() -> None:
    """Let provenance read the files again; in a run it reads each once."""
    for name in ("_file_bytes", "_module_file", "_imported_by"):
        getattr(provenance, name).cache_clear()


def digests(package: Path) -> dict[str, str]:
    forget()
    steps = sorted((package / "steps").glob("*.py"))
    return {path.stem: provenance.code_digest(f"msimaging.steps.{path.stem}") for path in steps}


def changed_by(package: Path, module: str, text: str = "\n# edited\n") -> set[str]:
    before = digests(package)
    path = package / module
    path.write_text(path.read_text() + text)
    return {step for step, digest in digests(package).items() if digest != before[step]}


@pytest.fixture(scope="module")
def imported_by() -> dict[str, set[str]]:
    """Ask Python itself which of our modules are there after the import of each step."""
    steps = sorted(path.stem for path in (ROOT / "msimaging" / "steps").glob("*.py"))
    code = (
        "import importlib, os, sys\n"
        "import dipy.reconst.dti, matplotlib.pyplot, nibabel, nilearn.plotting, pandas, SimpleITK\n"
        f"for step in {steps!r}:\n"
        "    if os.fork() == 0:\n"
        "        importlib.import_module(f'msimaging.steps.{step}')\n"
        "        print(step, *[m for m in sys.modules if m.startswith('msimaging.')], flush=True)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in told.stdout.splitlines()]
    return {step: set(modules) for step, *modules in lines}


@pytest.mark.parametrize(
    ("module", "not_users"),
    [
        ("steps/fit_tensor.py", {"connect_parcels", "normalise_maps"}),
        ("diffusion/least_squares.py", {"extract_parcels", "test_changes", "write_ledger"}),
        ("functional/connectivity.py", {"fit_tensor", "preprocess_dwi", "build_space"}),
        ("statistics/sign_flip.py", {"fit_tensor", "connect_parcels", "change_diffusion"}),
        ("volumes.py", set()),
        ("bids/plan.py", {"preprocess_dwi", "measure_patient", "connect_patient", "fit_model"}),
    ],
)
def test_editing_a_module_changes_the_steps_that_import_it_and_no_other(
    module: str, not_users: set[str], package: Path, imported_by: dict[str, set[str]]
) -> None:
    changed = changed_by(package, module)
    name = "msimaging." + module.removesuffix(".py").replace("/", ".")
    assert changed == {step for step, modules in imported_by.items() if name in modules}
    assert changed
    assert not changed & not_users


def test_touching_a_file_changes_no_digest_and_packaged_tables_count(package: Path) -> None:
    before = digests(package)
    os.utime(package / "steps" / "fit_tensor.py")
    assert digests(package) == before
    changed = changed_by(package, "atlases/whitematter_spheres.tsv", "# edited\n")
    assert "measure_diffusion" in changed
    assert "test_changes" not in changed


def seconds_of(action: Callable[[], object]) -> tuple[float, float]:
    """Return wall seconds, and processor seconds of the processes that were started.

    Bounds are put on processor seconds: what is timed runs on one core, so that on a machine with
    nothing else to do both are the same, and other work on the machine does not count.
    """
    before, started = os.times(), time.perf_counter()
    action()
    wall, after = time.perf_counter() - started, os.times()
    spent = after.children_user + after.children_system
    return wall, spent - before.children_user - before.children_system


@pytest.mark.slow
@pytest.mark.alone
def test_a_thousand_visits_are_planned_without_waste(tmp_path: Path) -> None:
    table = Table(tmp_path)
    for patient in range(500):
        table.add(f"sub-{patient:03d}", 0).add(f"sub-{patient:03d}", 6)
    study = table.write()
    counts: dict[str, int] = {}
    wall, processor = seconds_of(lambda: counts.update(job_counts(study)))
    print(f"{sum(counts.values())} jobs of 1000 visits: {wall:.1f} s, processor {processor:.1f} s")
    assert counts["fit_tensor"] == 1000
    assert counts["change_connectivity"] == 500
    assert processor < 20


@pytest.mark.slow
@pytest.mark.alone
def test_two_thousand_patients_with_three_visits_are_indexed_in_half_a_minute(
    tmp_path: Path,
) -> None:
    names = ("dwi/{}_dwi", "func/{}_task-rest_bold", "anat/{}_T1w")
    for patient in range(2000):
        for month in ("m00", "m06", "m12"):
            folder = tmp_path / "bids" / f"sub-{patient:04d}" / f"ses-{month}"
            for name in names:
                stem = folder / name.format(f"sub-{patient:04d}_ses-{month}")
                stem.parent.mkdir(parents=True)
                for end in (".nii.gz", ".json", *(() if "dwi" not in name else (".bval", ".bvec"))):
                    Path(f"{stem}{end}").touch()
    command = [sys.executable, "-m", "msimaging", "index", tmp_path / "bids", tmp_path / "study"]
    wall, processor = seconds_of(
        lambda: subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    )
    print(f"index of 6000 visits: {wall:.1f} s, processor {processor:.1f} s")
    lines = (tmp_path / "study" / "visits.tsv").read_text().splitlines()
    assert len(lines) == 6001
    assert lines[-1].count(".nii.gz") == 3
    assert processor < 30


@pytest.mark.slow
@pytest.mark.alone
def test_a_job_costs_less_than_half_a_second_beyond_its_work(tmp_path: Path) -> None:
    """A light job in Snakemake, less the planning, less the same step in a bare Python."""
    study = both(tmp_path).write()
    target = "derivatives/msimaging/dataset_description.json"
    base = ("--directory", study, "--configfile", study / "config.yaml", "--cores", 1)

    def run() -> None:
        result = snakemake(*base, target)
        assert result.returncode == 0, result.stdout + result.stderr

    def from_nothing() -> tuple[float, float]:
        shutil.rmtree(study / "derivatives", ignore_errors=True)
        return seconds_of(run)

    code = (
        "from msimaging.steps.records import job_log\n"
        "from msimaging.steps.describe_dataset import describe_dataset\n"
        "with job_log('log'):\n"
        "    describe_dataset(bids_dir='bids', patients=['sub-01', 'sub-02'],\n"
        "        out_description='out/d.json', out_participants='out/p.tsv')\n"
    )
    bare = [sys.executable, "-c", code]
    with_job = [from_nothing() for _ in range(3)]
    planning = [seconds_of(run) for _ in range(3)]
    alone = [seconds_of(lambda: subprocess.run(bare, cwd=study, check=True)) for _ in range(3)]
    assert (study / target).exists()
    overhead = [
        min(times[kind] for times in with_job)
        - min(times[kind] for times in planning)
        - min(times[kind] for times in alone)
        for kind in (0, 1)
    ]
    print(f"a job beyond its work: {overhead[0]:.2f} s, processor {overhead[1]:.2f} s")
    assert overhead[1] < 0.5


def test_later_visits_lesion_masks_and_warps_add_their_jobs(tmp_path: Path) -> None:
    settings = {"spatial": {"new_visit": "frozen", "within_patient": "diffeomorphic"}}
    table = both(tmp_path, months=(0, 6, 12), **settings)
    for scan in table.scans:
        if scan["modality"] == "dwi" and "sub-01" in scan["path"]:
            scan["lesions"] = scan["path"].replace("_dwi.nii.gz", "_label-lesion_mask.nii.gz")
            (tmp_path / "bids" / scan["lesions"]).touch()
    sizes = {"visits": 6, "patients": 2, "paired": 2}
    joins = {"join_dwi_space": 2, "join_bold_space": 2}
    of_lesions = {"split_tissue": 1, "change_lesions": 2}
    of_visits = {"warp_dwi_visit": 6}
    jobs = {**dwi_jobs(**sizes), **bold_jobs(**sizes), **joins, **of_lesions, **of_visits}
    assert job_counts(table.write()) == expected(**jobs)
