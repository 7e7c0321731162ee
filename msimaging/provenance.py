"""What a result came from: digests of code and files, versions. Standard library only."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parent
_IMPORT = re.compile(
    r"^\s*(?:from\s+(msimaging[\w.]*)\s+import\s+(\([^)]*\)|[^\n]*)|import\s+(msimaging[\w.]*))",
    re.MULTILINE,
)
_CHUNK = 1 << 20


def code_digest(module: str) -> str:
    """Digest the source of a module and of every msimaging module that it imports.

    Snakemake does not see code behind a script; as a rule's parameter this digest re-runs exactly
    the rules whose code changed, and stays in the record. Nothing is imported to compute it.

    Parameters
    ----------
    module : str
        Dotted name, ``msimaging.steps.fit_tensor``.

    Returns
    -------
    str
        Twelve hexadecimal digits; the same after ``touch`` or a fresh checkout.

    Raises
    ------
    ModuleNotFoundError
        When there is no such module.
    """
    digest = hashlib.sha256()
    for path in sorted(_reachable(module)):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode())
        digest.update(_file_bytes(path))
    return digest.hexdigest()[:12]


@cache
def _file_bytes(path: Path) -> bytes:
    return path.read_bytes()


def _reachable(module: str) -> set[Path]:
    seen: set[str] = set()
    waiting = [module]
    files: set[Path] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = _module_file(name)
        if path is None:
            if name == module:
                message = f"no module named {name}"
                raise ModuleNotFoundError(message)
            continue
        files.add(path)
        files.update(_data_beside(path))
        waiting += _imported_by(path)
    return files


@cache
def _module_file(name: str) -> Path | None:
    parts = name.split(".")[1:]
    base = _PACKAGE.joinpath(*parts)
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if parts and candidate.is_file():
            return candidate
    return None


def _data_beside(path: Path) -> list[Path]:
    if path.parent == _PACKAGE:
        return []
    return [p for p in path.parent.iterdir() if p.suffix in {".tsv", ".json"}]


@cache
def _imported_by(path: Path) -> tuple[str, ...]:
    names: list[str] = []
    for source, imported, plain in _IMPORT.findall(_file_bytes(path).decode()):
        names.append(plain or source)
        names += [f"{source}.{name}" for name in re.findall(r"\w+", imported) if source]
    return tuple(names)


def file_digest(path: Path | str) -> str:
    """Return the SHA-256 of a file's content.

    Parameters
    ----------
    path : path
        File of any size; read in pieces.

    Returns
    -------
    str
        Hexadecimal digits.
    """
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while piece := handle.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Digest settings, so that results of other settings can be told apart.

    Parameters
    ----------
    settings : mapping
        Plain values, as YAML or JSON holds them.

    Returns
    -------
    str
        Twelve hexadecimal digits, whatever the order of the keys.
    """
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def version() -> str:
    """Return the version of msimaging."""
    text = (_PACKAGE / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    return match.group(1) if match else "unknown"


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries on which the numbers depend."""
    names = ("numpy", "scipy", "nibabel", "dipy", "nilearn", "SimpleITK", "statsmodels", "pandas")
    return {name: metadata.version(name) for name in names}
