"""Small simulated datasets for tests of the verbs, and the verbs themselves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from msimaging.phantom import simulate_trial

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def good_trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One patient, two visits: enough for everything that is checked before computing."""
    bids = tmp_path_factory.mktemp("good") / "bids"
    simulate_trial(
        bids,
        n_patients=1,
        n_lesions=0,
        dwi_voxel_size=8.0,
        n_b0=2,
        n_directions=12,
        bold_voxel_size=8.0,
        n_volumes=20,
    )
    return bids


@pytest.fixture(scope="session")
def copy_patient() -> Callable[[Path, str, Path], Path]:
    """Return a function that copies ``sub-01`` of a dataset under another name."""

    def copy(bids: Path, name: str, target: Path) -> Path:
        shutil.copytree(bids / "sub-01", target / name)
        for path in sorted((target / name).rglob("sub-01*"), reverse=True):
            path.rename(path.with_name(path.name.replace("sub-01", name)))
        return target / name

    return copy


@pytest.fixture(scope="session")
def msimaging() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that calls the command line as a user does."""

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "msimaging", *map(str, arguments)]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    return call


@pytest.fixture(scope="session")
def edit_config() -> Callable[..., None]:
    """Return a function that changes settings of a study, by dotted key."""

    def edit(study: Path, **changes: object) -> None:
        path = study / "config.yaml"
        settings = yaml.safe_load(path.read_text())
        for key, value in changes.items():
            node = settings
            *parents, last = key.split("__")
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = value
        path.write_text(yaml.safe_dump(settings))

    return edit
