"""The laws that tools can check: style, types, layers, and what no file may contain."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PACKAGE = ROOT / "msimaging"
MODULES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted((ROOT / "workflow" / "scripts").glob("*.py"))


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["lint-imports"],
        ["snakefmt", "--check", "Snakefile", "workflow"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_tools_find_nothing(command: list[str]) -> None:
    result = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_stay_small_and_raise_instead_of_asserting(path: Path) -> None:
    tree = _tree(path)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 420
    asserts = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert not asserts
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            assert getattr(node.type, "id", "named") not in {"Exception"}, node.lineno


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_call_one_function_of_steps(path: Path) -> None:
    tree = _tree(path)
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    steps = [name for name in imported if name and name.startswith("msimaging.steps.")]
    assert set(imported) - set(steps) == {"snakemake.script"}
    assert len(steps) == 2  # the step and its log
    assert not any(isinstance(node, ast.For | ast.If | ast.FunctionDef) for node in ast.walk(tree))


def test_what_the_snakefile_imports_is_light() -> None:
    code = (
        "import sys, msimaging.bids.plan, msimaging.bids.layout, msimaging.provenance, "
        "msimaging.settings; heavy = {'numpy', 'pandas', 'nibabel', 'dipy', 'nilearn'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.strip() == "[]"


def _tracked() -> list[Path]:
    result = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if result.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in result.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_package_host_or_this_machine() -> None:
    forbidden = re.compile(r"pypi\.org|pythonhosted|registry\.npmjs|index-url|deb\.debian\.org")
    guilty = []
    for path in _tracked():
        if path == Path(__file__) or path.suffix in {".png", ".pdf", ".gz"}:
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")
        if forbidden.search(text) or (path.name == "requirements.lock" and "://" in text):
            guilty.append(path.name)
    assert not guilty


def test_top_level_is_the_prescribed_one() -> None:
    folders = {path.relative_to(ROOT).parts[0] for path in _tracked()}
    prescribed = {"Snakefile", "config", "workflow", "msimaging", "tests", "envs", "README.md"}
    looked_for_at_the_root = {
        *("pyproject.toml", "requirements.lock", "Makefile", "LICENSE", "CHANGELOG.md"),
        *("CITATION.cff", "CONTRIBUTING.md", ".ci", ".gitignore"),
    }
    assert folders <= prescribed | looked_for_at_the_root
