"""Pages as a browser shows them: no driver, the page tells what happened to it."""

import gzip
import html
import json
import re
import shutil
import subprocess
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from msimaging.reporting.content import VolumeContent
from msimaging.reporting.names import page_name
from msimaging.reporting.pages import report_pages
from msimaging.reporting.viewer import niivue_source
from msimaging.tables import read_table

pytestmark = pytest.mark.chromium

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader"),
    *("--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--dump-dom"),
    *("--enable-logging=stderr", "--v=0", "--virtual-time-budget=6000"),
]


@pytest.fixture
def browse(tmp_path):
    """Return a function that opens a page from disk and hands back its dom and its complaints."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("Chromium is not installed (Debian package chromium)")

    def open_page(path):
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        command = [browser, *FLAGS, profile, path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        lines = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return done.stdout, [line for line in lines if "GL Driver Message" not in line]

    return open_page


def _write(folder, pages, *, extra=""):
    for name, text in pages:
        (folder / name).write_text(text.replace("</body>", f"{extra}</body>"), encoding="utf-8")


def _said(dom, name):
    found = re.search(rf'data-{name}="([^"]*)"', dom)
    return html.unescape(found.group(1)) if found else None


TRY_EVERYTHING = """<script>
const say = (name, value) => { document.documentElement.dataset[name] = JSON.stringify(value); };
const column = (n) => [...document.querySelectorAll("table.sortable tbody tr")]
  .filter((row) => !row.hidden).map((row) => row.cells[n].textContent);
const heading = document.querySelectorAll("table.sortable th button");
if (heading.length) {
  heading[1].click(); say("up", column(0));
  heading[1].click(); say("down", column(0));
  const filter = document.querySelector(".filter");
  filter.value = "FORN"; filter.dispatchEvent(new Event("input")); say("kept", column(0));
}
</script>"""

# a real download would keep a headless browser from closing
RATE = """<script>
HTMLAnchorElement.prototype.click = function () {
  document.documentElement.dataset.name = this.download;
};
const make = URL.createObjectURL;
URL.createObjectURL = (blob) => {
  blob.text().then((text) => { document.documentElement.dataset.saved = JSON.stringify(text); });
  return make(blob);
};
const box = document.querySelectorAll('[name="rating"]');
box[0].value = "exclude"; box[1].value = "accept";
const comment = document.querySelectorAll('[name="comment"]')[1];
comment.value = 'said "fine"\\tand went';
comment.dispatchEvent(new Event("input", { bubbles: true }));
document.getElementById("ratings").requestSubmit();
</script>"""


# the picture is read in the task that draws it: WebGL clears its buffer afterwards
LOOK = """<script>
const wait = setInterval(() => {
  const canvas = document.getElementById("viewer");
  if (!canvas.niivue) return;
  clearInterval(wait);
  const draw = Object.assign(document.createElement("canvas"), { width: 300, height: 200 });
  const pen = draw.getContext("2d");
  canvas.niivue.drawScene();
  pen.drawImage(canvas, 0, 0, 300, 200);
  let bright = 0;
  const pixels = pen.getImageData(0, 0, 300, 200).data;
  for (const [i, v] of pixels.entries()) bright += i % 4 === 1 && v > 150;
  document.documentElement.dataset.bright = bright;
}, 50);
</script>"""


def test_tables_sort_numbers_with_missing_last_and_filter(content, browse, tmp_path):
    page = replace(content, patients=(), patient_table=content.patient_table[:0])
    _write(tmp_path, report_pages(page), extra=TRY_EVERYTHING)
    dom, complaints = browse(tmp_path / "index.html")
    assert complaints == []
    assert json.loads(_said(dom, "up"))[:3] == ["fornix", "genu", "arcuate"]
    assert json.loads(_said(dom, "down"))[:3] == ["genu", "fornix", "arcuate"]
    assert json.loads(_said(dom, "kept")) == ["fornix"]


def test_ratings_are_saved_as_a_table_that_reads_back(content, browse, tmp_path, hostile):
    _write(tmp_path, report_pages(content), extra=RATE)
    dom, complaints = browse(tmp_path / "quality.html")
    assert complaints == []
    assert _said(dom, "name") == "ratings.tsv"
    (tmp_path / "ratings.tsv").write_text(json.loads(_said(dom, "saved")), encoding="utf-8")
    ratings = read_table(tmp_path / "ratings.tsv")
    assert list(ratings.columns) == [
        *("participant_id", "session_id", "modality", "rating", "comment"),
    ]
    assert ratings.to_numpy().tolist() == [
        ["sub-01", "month06", "dwi", "exclude", 'moved "a lot" & <b>slept</b>'],
        [hostile, "month06", "dwi", "accept", 'said "fine" and went'],
    ]


def test_hostile_names_run_nothing_and_the_viewer_draws(content, browse, tmp_path, hostile):
    data = np.zeros((12, 14, 10), dtype=np.int16)
    data[3:9, 4:10, 2:8] = 700
    nifti = gzip.compress(nib.Nifti1Image(data, np.diag([4.0, 4, 4, 1])).to_bytes())
    volume = VolumeContent(name=hostile, nifti=nifti, cal_min=0, cal_max=800)
    patients = (content.patients[0], replace(content.patients[1], volumes=(volume,)))
    _write(tmp_path, report_pages(replace(content, patients=patients, viewer=niivue_source())))
    path = tmp_path / page_name(hostile)
    path.write_text(path.read_text().replace("</body>", f"{LOOK}</body>"))
    dom, complaints = browse(path)
    assert complaints == []
    assert "<script>alert" not in dom
    assert f"Patient {html.escape(hostile)}" in dom
    assert _said(dom, "viewer") == "ready 1"
    assert int(_said(dom, "bright")) > 500
