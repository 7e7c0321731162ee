"""What planning costs in a large study: index, the graph of jobs, and a job's own second reading.

    python tests/benchmarks/measure_scale.py [PATIENTS [VISITS]]      2000 patients, 3 visits

The scans are headers without voxels. Seconds are processor time, so that other work on the machine
does not count; memory is the peak of the process.
"""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib

ROOT = Path(__file__).resolve().parents[2]
DWI, BOLD = (104, 104, 60, 70), (64, 64, 36, 240)


def header(shape: tuple[int, ...]) -> bytes:
    """Return a compressed NIfTI header."""
    nifti = nib.Nifti1Header()
    nifti.set_data_shape(shape)
    return gzip.compress(nifti.binaryblock + bytes(4))


def make_dataset(bids: Path, *, patients: int, visits: int) -> None:
    """Write a BIDS dataset of headers."""
    dwi, bold = header(DWI), header(BOLD)
    bids.mkdir(parents=True)
    (bids / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    for name, text in (("dwi.bval", "0 1000"), ("dwi.bvec", "0 1\n0 0\n0 0")):
        (bids / name).write_text(text)
    (bids / "task-rest_bold.json").write_text('{"RepetitionTime": 2}')
    for patient in range(patients):
        sub = f"sub-{patient:04d}"
        rows = ["session_id\tacq_time"]
        for visit in range(visits):
            ses = f"ses-m{6 * visit:02d}"
            rows.append(f"{ses}\t20{20 + visit}-01-01")
            folder = bids / sub / ses
            for kind, name, content in (("dwi", "dwi", dwi), ("func", "task-rest_bold", bold)):
                (folder / kind).mkdir(parents=True)
                (folder / kind / f"{sub}_{ses}_{name}.nii.gz").write_bytes(content)
        (bids / sub / f"{sub}_sessions.tsv").write_text("\n".join(rows) + "\n")


def measured(command: list[object], *, cwd: Path = ROOT) -> tuple[float, float, str]:
    """Run a command; return its processor seconds, its peak memory in MB, and its output."""
    before = os.times()
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output, _ = process.communicate()
    after = os.times()
    if process.returncode:
        raise SystemExit(output[-3000:])
    seconds = after.children_user + after.children_system
    seconds -= before.children_user + before.children_system
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    return seconds, peak, output


def report(text: str, run: Callable[[], tuple[float, float, str]], *, less: float = 0) -> float:
    """Print what a command took, less what it takes without the study."""
    seconds, peak, output = run()
    jobs = [line.split()[1] for line in output.splitlines() if line.startswith("total ")]
    count = f"{jobs[0]} jobs, " if jobs else ""
    print(f"{text:<44} {count}{seconds - less:7.1f} s {peak:7.0f} MB so far", flush=True)
    return seconds


def main() -> None:
    """Print one line for each measurement."""
    given = [int(text) for text in sys.argv[1:3]]
    patients, visits = [*given, *(2000, 3)[len(given) :]]
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study"
        make_dataset(Path(folder) / "bids", patients=patients, visits=visits)
        print(f"{patients} patients, {visits} visits each")
        index = [sys.executable, "-m", "msimaging", "index", Path(folder) / "bids", study]
        report("index", lambda: measured(index))
        report("index again", lambda: measured(index))
        snakemake = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile"]
        snakemake += ["--directory", study, "--configfile", study / "config.yaml"]
        (Path(folder) / "Snakefile").write_text("rule all:\n    shell: 'true'\n")
        nothing = [sys.executable, "-m", "snakemake", "--snakefile", Path(folder) / "Snakefile"]
        alone = report("Snakemake itself", lambda: measured([*nothing, "-n", "-q"]))
        one = ["--target-jobs", "preprocess_dwi:sub=sub-0001,ses=ses-m06", "--force", "--nolock"]
        one += ["--ignore-incomplete", "-n", "-q", "--allowed-rules", "preprocess_dwi"]
        again = [*snakemake, *one]
        report("a job reads the study again, beyond that", lambda: measured(again), less=alone)
        report("plan of all jobs", lambda: measured([*snakemake, "-n", "-q", "rules"]))


if __name__ == "__main__":
    main()
