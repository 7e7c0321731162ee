"""What every report must be: pages that open without complaint, links that lead somewhere."""

from __future__ import annotations

import gzip
import html
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader"),
    *("--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--dump-dom"),
    *("--enable-logging=stderr", "--v=0", "--virtual-time-budget=8000"),
]
#: Address of an outside thing that a browser would fetch; those of XML names are never fetched.
OUTSIDE = re.compile(r"""(?:src|href|url\()\s*[=(]?\s*["']?(?:https?:)?//""")
IDENTIFYING = ("PatientName", "BirthDate", "InstitutionName", "DeviceSerialNumber")
#: What a careless conversion leaves in sidecars.
LEFT_IN_SIDECARS = {
    "PatientName": "Doe^Jane",
    "PatientBirthDate": "31JAN1970",
    "InstitutionName": "Hospital of Nowhere",
    "DeviceSerialNumber": "SN-4711-0815",
}

# what a rater does: the first scan is left out, and the file is saved
RATE = """<script>
const note = document.documentElement.dataset;
HTMLAnchorElement.prototype.click = function () { note.file = this.download; };
const make = URL.createObjectURL;
URL.createObjectURL = (blob) => {
  blob.text().then((text) => { note.saved = JSON.stringify(text); });
  return make(blob);
};
const scan = '[data-participant="PATIENT"][data-modality="dwi"]';
const row = document.querySelector(`#ratings tbody tr${scan}`);
row.querySelector('[name="rating"]').value = "exclude";
row.querySelector('[name="comment"]').value = 'he said "no" & left';
document.getElementById("ratings").requestSubmit();
</script>"""


def browser(profile: Path) -> Callable[[Path], tuple[str, list[str]]]:
    """Return a function that opens a page and hands back its dom and what the console said."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not installed (Debian package chromium)")

    def open_page(path: Path) -> tuple[str, list[str]]:
        command = [program, *FLAGS, f"--user-data-dir={profile}", path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
        lines = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return done.stdout, [line for line in lines if "GL Driver Message" not in line]

    return open_page


def said(dom: str, name: str) -> str:
    """Return what a page noted about itself in a ``data-`` attribute of its root."""
    found = re.search(rf'data-{name}="([^"]*)"', dom)
    return html.unescape(found.group(1)) if found else ""


def broken_links(report: Path) -> list[str]:
    """Return every link of every page that leads to no page, or to no place on it."""
    pages = {path.name: path.read_text(encoding="utf-8") for path in report.glob("*.html")}
    broken = []
    for name, text in pages.items():
        for link in re.findall(r'href="([^"]+)"', text):
            target, _, place = html.unescape(link).partition("#")
            target = target or name
            there = target in pages or (report / target).exists()
            if not there or (place and f'id="{html.escape(place)}"' not in pages[target]):
                broken.append(f"{name} -> {link}")
    return broken


def outside_addresses(report: Path) -> list[str]:
    """Return what a page would fetch from elsewhere."""
    texts = ((path.name, path.read_text(encoding="utf-8")) for path in report.glob("*.html"))
    return [f"{name}: {hit}" for name, text in texts for hit in OUTSIDE.findall(text)]


def identifying_words(root: Path) -> list[str]:
    """Return the results that name fields of a person or of a machine."""
    files = [path for path in root.rglob("*") if path.suffix in {".json", ".tsv", ".html", ".rst"}]
    return [
        f"{path.name}: {word}"
        for path in files
        for word in IDENTIFYING
        if word in path.read_text(encoding="utf-8")
    ]


def leave_in_sidecars(bids: Path) -> None:
    """Write fields that identify a person, a place and a machine into every sidecar of a scan."""
    for path in bids.glob("sub-*/**/*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | LEFT_IN_SIDECARS))


def left_in_files(study: Path) -> list[str]:
    """Return the files of a study, records and logs too, that carry on what was left there."""
    values = [value.encode() for value in LEFT_IN_SIDECARS.values()]
    files = [path for path in study.rglob("*") if path.is_file() and ".snakemake" not in path.parts]
    return [
        str(path.relative_to(study))
        for path in files
        if any(value in _content(path) for value in values)
    ]


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def seconds_to_show(open_page: Callable[[Path], tuple[str, list[str]]], path: Path) -> float:
    """Return how long a page takes beyond an empty one, in the same browser."""
    empty = path.with_name("empty-page-for-timing.html")
    empty.write_text("<!doctype html><title>empty</title>")
    start = time.perf_counter()
    open_page(empty)
    middle = time.perf_counter()
    open_page(path)
    end = time.perf_counter()
    empty.unlink()
    return (end - middle) - (middle - start)
