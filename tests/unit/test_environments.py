"""The conda file and the container recipe say what the lock says."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

TWO_PYTHONS = """\
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:00
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:11
dipy==1.12.1 \\
    --hash=sha256:22
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:33
"""


@pytest.fixture(scope="module")
def generate(repository: Path) -> ModuleType:
    path = repository / "envs" / "generate.py"
    spec = importlib.util.spec_from_file_location("generate", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_files_are_what_the_script_makes(repository: Path) -> None:
    check = [sys.executable, repository / "envs" / "generate.py", "--check"]
    result = subprocess.run(check, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_conda_pins_are_those_of_the_lock(repository: Path) -> None:
    content = yaml.safe_load((repository / "envs" / "environment.yaml").read_text())
    assert content["channels"] == ["conda-forge", "bioconda", "nodefaults"]
    python, pip, *pins = content["dependencies"]
    assert (python, pip) == ("python =3.11", "pip")
    lock = (repository / "requirements.lock").read_text()
    for pin in pins:
        name, version = pin.split(" ==")
        name = {"matplotlib-base": "matplotlib", "snakemake-minimal": "snakemake"}.get(name, name)
        found = re.findall(rf"^{re.escape(name)}==(\S+)(.*)\\$", lock, re.MULTILINE)
        assert version in [v for v, marker in found if ">=" not in marker], name
    assert {"dipy", "nilearn", "simpleitk", "dcm2niix"} <= {pin.split()[0] for pin in pins}
    assert "snakemake-minimal ==9.15.0" in pins


def test_container_is_made_from_this_lock_only(repository: Path) -> None:
    recipe = (repository / "envs" / "msimaging.def").read_text()
    digest = hashlib.sha256((repository / "requirements.lock").read_bytes()).hexdigest()
    assert f'echo "{digest}  requirements.lock" | sha256sum --check' in recipe
    assert "pip install --no-cache-dir --require-hashes --requirement requirements.lock" in recipe
    copied = re.findall(r"^ {4}(\S+) /opt/msimaging/\1$", recipe, re.MULTILINE)
    assert {"requirements.lock", "Snakefile", "msimaging", "workflow"} <= set(copied)
    assert all((repository / name).exists() for name in copied)


@pytest.mark.parametrize(("python", "numpy"), [("3.11", "2.4.6"), ("3.12", "2.5.5")])
def test_markers_choose_the_version_of_one_python(
    generate: ModuleType, python: str, numpy: str
) -> None:
    versions = generate.locked_versions(TWO_PYTHONS, python=python)
    assert versions == {"numpy": numpy, "dipy": "1.12.1"}


def test_another_lock_makes_other_files(generate: ModuleType, repository: Path) -> None:
    lock = (repository / "requirements.lock").read_text()
    project = (repository / "pyproject.toml").read_text()
    before = generate.environments(lock, project)
    after = generate.environments(lock.replace("dipy==1.12.1", "dipy==9.9.9"), project)
    assert "dipy ==9.9.9" in after["environment.yaml"]
    assert before["msimaging.def"] != after["msimaging.def"]
