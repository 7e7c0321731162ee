"""The cluster profiles say the same of every rule, and leave none to a submission of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from test_dag import both, snakemake

CLUSTER = ("slurm", "cluster-generic", "kubernetes")


@pytest.fixture(params=CLUSTER)
def profile(request: pytest.FixtureRequest, repository: Path) -> dict:
    return read(repository, request.param)


def read(repository: Path, name: str) -> dict:
    path = repository / "workflow" / "profiles" / name / "config.yaml"
    return yaml.safe_load(path.read_text())


def rules(repository: Path) -> set[str]:
    files = sorted((repository / "workflow" / "rules").glob("*.smk"))
    return {name for path in files for name in re.findall(r"(?m)^rule (\w+):", path.read_text())}


def local(repository: Path) -> set[str]:
    text = (repository / "workflow" / "Snakefile").read_text()
    block = re.search(r"localrules:\n((?:    \w+,\n)+)", text)
    assert block
    return set(re.findall(r"\w+", block.group(1))) - {"all"}


def test_every_rule_is_local_or_shares_a_submission(profile: dict, repository: Path) -> None:
    assert set(profile["groups"]) == rules(repository) - local(repository)


def test_all_profiles_group_cap_and_retry_alike(repository: Path) -> None:
    first, *others = (read(repository, name) for name in CLUSTER)
    for key in ("groups", "resources", "cores", "retries", "keep-going", "rerun-incomplete"):
        assert [other[key] for other in others] == [first[key]] * len(others), key


def test_retries_stand_in_the_profiles_only(profile: dict, repository: Path) -> None:
    assert profile["retries"] == 2
    for path in (repository / "workflow" / "rules").glob("*.smk"):
        assert "retries" not in path.read_text()


def test_job_arrays_stay_off(profile: dict) -> None:
    assert not [key for key in profile if "array" in key]


def test_every_job_asks_for_what_a_node_has(tmp_path: Path, repository: Path) -> None:
    study = both(tmp_path).write()
    base = ("--directory", study, "--configfile", study / "config.yaml", "-n")
    profile = repository / "workflow" / "profiles" / "cluster-generic"
    told = snakemake(*base, "--workflow-profile", profile, "--resources", "mem_mb=1500").stdout
    asked: dict[str, tuple[int, int]] = {}
    for line in told.splitlines():  # jobs of a group are indented
        if started := re.match(r" *(?:local)?rule (\w+):", line):
            rule = started[1]
        elif found := re.search(r"mem_mb=(\d+),.* runtime=(\d+)", line):
            asked[rule] = (int(found[1]), int(found[2]))
    assert len(asked) > 20
    assert set(asked) <= rules(repository)
    assert min(memory for memory, _ in asked.values()) >= 500
    # what a profile allows caps what large scans ask for
    assert max(memory for memory, _ in asked.values()) == 1500
    assert min(minutes for _, minutes in asked.values()) >= 5


def test_kubernetes_plans_the_same_jobs_with_its_own_plugin(
    tmp_path: Path, repository: Path
) -> None:
    pytest.importorskip(
        "snakemake_executor_plugin_kubernetes",
        reason="no Kubernetes plugin here: make test-kubernetes installs it and runs this test",
    )
    study = both(tmp_path).write()
    base = ("--directory", study, "--configfile", study / "config.yaml", "-n", "-q", "rules")
    profile = repository / "workflow" / "profiles" / "kubernetes"
    there = snakemake(*base, "--workflow-profile", profile, "--container-image", "msimaging:1")
    here = snakemake(*base)
    assert there.returncode == here.returncode == 0, there.stdout + there.stderr
    counts = [re.findall(r"(?m)^(\w+) +(\d+)$", one.stdout) for one in (there, here)]
    assert len(counts[0]) > 20
    assert counts[0] == counts[1]
