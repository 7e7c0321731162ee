"""Write the conda file and the container recipe from requirements.lock.

    python envs/generate.py            write both
    python envs/generate.py --check    fail when one of them is not what the lock asks for

The conda file pins what ``pyproject.toml`` names (with the extras ``slurm`` and ``dicom``) at the
versions of the lock. The container installs the lock itself, hash by hash, and refuses another
lock than the one it was made from. Nothing outside the standard library is needed.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
#: The Python of both environments; the lock holds for others too.
PYTHON = "3.11"
EXTRAS = ("slurm", "dicom")
#: What ``pip install --no-build-isolation`` needs beside pip.
BUILD = "flit-core"
#: What the container holds of the clone.
FILES = (
    *("requirements.lock", "pyproject.toml", "README.md", "LICENSE"),
    *("Snakefile", "config", "msimaging", "workflow"),
)
#: Where the conda channels know a package by another name.
CONDA_NAMES = {"matplotlib": "matplotlib-base", "snakemake": "snakemake-minimal"}
_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)(?: ; ([^\\]+?))? \\$", re.MULTILINE)
_PYTHON_MARKER = re.compile(r"python_full_version (<|>=) '(\d+)\.(\d+)'")
_NAME = re.compile(r"[A-Za-z0-9._-]+")

CONDA = """\
# Made by envs/generate.py from requirements.lock: do not edit, run the script after `make lock`.
#   conda env create --file envs/environment.yaml
#   conda run --name msimaging pip install --no-deps --no-build-isolation --editable .
name: msimaging
channels:
  - conda-forge
  - bioconda
  - nodefaults
dependencies:
  - python ={python}
  - pip
{pins}
"""
RECIPE = """\
# Made by envs/generate.py from requirements.lock: do not edit, run the script after `make lock`.
# From the root of the clone:
#   apptainer build envs/msimaging.sif envs/msimaging.def
#   apptainer run --bind /data envs/msimaging.sif run /data/study
Bootstrap: docker
From: python:{python}-slim-bookworm

%labels
    Title msimaging
    LockSHA256 {digest}

%files
{files}

%post
    cd /opt/msimaging
    echo "{digest}  requirements.lock" | sha256sum --check
    python -m pip install --no-cache-dir --require-hashes --requirement requirements.lock
    # editable: the package finds the workflow beside itself
    python -m pip install --no-cache-dir --no-deps --no-build-isolation --editable .
    python -m compileall -q msimaging

%environment
    export LC_ALL=C.UTF-8 MPLBACKEND=agg
    # nothing from the user's home, nothing written into the image
    export PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1
    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=1

%test
    msimaging --version

%runscript
    exec msimaging "$@"
"""


def locked_versions(lock: str, *, python: str = PYTHON) -> dict[str, str]:
    """Return the version of each package that a lock asks for under one Python."""
    return {name: version for name, version, marker in _PIN.findall(lock) if _holds(marker, python)}


def _holds(marker: str, python: str) -> bool:
    found = _PYTHON_MARKER.fullmatch(marker)
    if not found:
        return "sys_platform == 'win32'" not in marker
    sign, major, minor = found.groups()
    older = tuple(map(int, python.split("."))) < (int(major), int(minor))
    return older == (sign == "<")


def direct_dependencies(project: str) -> Iterator[str]:
    """Yield what a ``pyproject.toml`` names, with the extras that users need."""
    table = tomllib.loads(project)["project"]
    asked = [*table["dependencies"], BUILD]
    for extra in EXTRAS:
        asked += table["optional-dependencies"][extra]
    for text in asked:
        yield _NAME.match(text).group().lower()


def environments(lock: str, project: str) -> dict[str, str]:
    """Return the text of both files, by name."""
    versions = locked_versions(lock)
    pins = [
        f"  - {CONDA_NAMES.get(name, name)} =={versions[name]}"
        for name in sorted(set(direct_dependencies(project)))
    ]
    files = "\n".join(f"    {name} /opt/msimaging/{name}" for name in FILES)
    digest = hashlib.sha256(lock.encode()).hexdigest()
    return {
        "environment.yaml": CONDA.format(python=PYTHON, pins="\n".join(pins)),
        "msimaging.def": RECIPE.format(python=PYTHON, digest=digest, files=files),
    }


def main(arguments: list[str]) -> int:
    """Write the files, or with ``--check`` name those that are stale."""
    lock = LOCK.read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    stale = []
    for name, text in environments(lock, project).items():
        path = ROOT / "envs" / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
    if stale and "--check" in arguments:
        sys.stderr.write(f"stale: {', '.join(stale)}; run: python envs/generate.py\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
