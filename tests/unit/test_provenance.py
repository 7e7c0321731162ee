import hashlib
from pathlib import Path

import pytest

from msimaging import __version__, provenance


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = {
        "__init__.py": '__version__ = "9.9"\n',
        "a.py": "from msimaging.room import b\nfrom msimaging.room.c import (\n    x,\n    y,\n)\n",
        "room/__init__.py": "",
        "room/b.py": "import numpy\n",
        "room/c.py": "def f():\n    from msimaging.lazy import z\n",
        "room/table.tsv": "a\tb\n",
        "lazy.py": "z = 1\n",
        "other.py": "# from nowhere\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(provenance, "_PACKAGE", tmp_path)
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    for name in ("_file_bytes", "_module_file", "_imported_by"):
        getattr(provenance, name).cache_clear()


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        *[(f, True) for f in ("a.py", "room/b.py", "room/c.py", "lazy.py", "room/table.tsv")],
        ("other.py", False),
    ],
)
def test_a_digest_follows_imports_of_every_form(name: str, counts: bool, package: Path) -> None:
    before = provenance.code_digest("msimaging.a")
    (package / name).write_text((package / name).read_text() + "# more\n")
    forget()
    assert (provenance.code_digest("msimaging.a") != before) is counts


def test_an_unknown_module_is_told(package: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"msimaging\.nowhere"):
        provenance.code_digest("msimaging.nowhere")


def test_a_file_has_its_sha256(tmp_path: Path) -> None:
    content = b"x" * 3_000_000
    (tmp_path / "big").write_bytes(content)
    assert provenance.file_digest(tmp_path / "big") == hashlib.sha256(content).hexdigest()


def test_versions_are_known() -> None:
    assert provenance.version() == __version__
    assert provenance.library_versions()["dipy"]
