"""What the report of a large study costs, and how soon a browser shows its pages.

    python tests/benchmarks/measure_report_scale.py STUDY FOLDER [--patients 200]

STUDY is a finished study, for example that of ``make demo``. Its first patient's scans and figures
stand in FOLDER for every patient (linked, under names of their own); the tables get rows for each,
with a spread of their own, so that no two patients look alike. The step that writes the report is
then timed, and headless Chromium opens the cohort, the quality and a patient's page.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from bench_raw_to_maps import timed

from msimaging.bids.layout import output
from msimaging.bids.plan import Plan
from msimaging.settings import read_settings
from msimaging.tables import read_table, write_table

DERIVATIVES = Path("derivatives") / "msimaging"
TABLES = ("changes", "measures", "quality", "ledger", "results", "quality_tests")
#: Columns of single patients that get a spread.
VALUES = ("baseline_value", "follow_up_value", "change", "percent_change", "value")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1300,1000")


def link_patient(source: Path, target: Path, old: str, new: str) -> None:
    """Link every file of a patient under another name; lists of files are written anew."""
    for folder in (Path(old), Path("figures") / old):
        for path in (source / folder).rglob("*"):
            if not path.is_file():
                continue
            place = target / str(path.relative_to(source)).replace(old, new)
            place.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".tsv":
                place.write_text(path.read_text().replace(old, new))
            else:
                os.link(path, place)


def spread_table(path: Path, model: str, names: list[str], rng: np.random.Generator):
    """Return a table with the rows of one patient for each of the names."""
    table = read_table(path)
    if "participant_id" not in table:
        return table
    own = table[table["participant_id"] == model]
    whole = table[~table["participant_id"].astype(str).str.startswith("sub-")]
    parts = []
    for name in names:
        part = own.assign(participant_id=name)
        factor = 1 + 0.05 * rng.normal(size=len(part))
        for column in VALUES:
            if column in part and part[column].dtype == float:
                part[column] *= factor
        parts.append(part)
    return pd.concat([*parts, whole], ignore_index=True)


def make_study(source: Path, study: Path, n_patients: int) -> None:
    """Write a study of many patients from one of few."""
    rng = np.random.default_rng(0)
    study.mkdir(parents=True)
    visits = read_table(source / "visits.tsv")
    model = visits["participant_id"].iloc[0]
    names = [f"sub-{number:04d}" for number in range(1, n_patients + 1)]
    shutil.copy(source / "config.yaml", study)
    for name in ("exclusions", "incomparable"):
        shutil.copy(source / f"{name}.tsv", study)
    for name in ("visits", "scans"):
        header, *lines = (source / f"{name}.tsv").read_text().splitlines(keepends=True)
        own = "".join(line for line in lines if line.startswith(model))
        text = header + "".join(own.replace(model, name) for name in names)
        (study / f"{name}.tsv").write_text(text)
    for name in names:
        link_patient(source / DERIVATIVES, study / DERIVATIVES, model, name)
    for name in TABLES:
        path = DERIVATIVES / "cohort" / f"{name}.tsv"
        table = spread_table(source / path, model, names, rng)
        if name == "results":
            table["n"] = n_patients
        (study / path).parent.mkdir(exist_ok=True)
        write_table(study / path, table)
        shutil.copy((source / path).with_suffix(".json"), (study / path).with_suffix(".json"))


def draw(study: Path, settings: dict) -> None:
    """Draw the regions of the cohort as the rule does; other figures are those of the source."""
    from msimaging.steps.draw_regions import draw_regions

    tables = {name: str(DERIVATIVES / "cohort" / f"{name}.tsv") for name in ("changes", "results")}
    for measure in settings["figures"]["measures"]:
        files = {
            kind: [
                f"{DERIVATIVES}/figures/param-{measure}_atlas-whitematter_desc-{kind}_regions.{end}"
                for end in settings["figures"]["formats"]
            ]
            for kind in ("slopes", "forest", "agreement")
        }
        draw_regions(
            **tables,
            atlas="whitematter",
            measure=measure,
            style=settings["figures"]["style"],
            **{f"out_{kind}": paths for kind, paths in files.items()},
        )


def write(study: Path, settings: dict) -> None:
    """Write the report as the rule does."""
    from msimaging.steps.write_report import write_report

    plan = Plan.of_study(study, settings)
    figures = [path for path in plan.drawn_figures() if Path(path).exists()]
    write_report(
        settings=settings,
        patients=list(plan.visits.patients),
        scans=plan.scan_rows(),
        comparisons=plan.comparisons(),
        **{name: output(name) for name in TABLES},
        figures=figures,
        maps=plan.viewer_maps(),
        strengths=plan.of_all_pairs(
            "bold",
            "strength_change",
            task=settings["functional"]["task"],
            atlas=plan.functional_atlases,
        ),
        strength_rows=plan.pair_rows("bold", plan.functional_atlases),
        more={},
        out_page=output("report"),
    )


def in_own_process(task: str, study: Path) -> None:
    """Run a task by itself and print its processor seconds and its peak of memory."""
    cost = timed([sys.executable, __file__, study, study, "--task", task])
    print(f"{task:22s} {cost.processor:7.1f} s of processor, {cost.memory:.2f} GB", flush=True)


def show(address: str) -> float:
    """Let Chromium draw a page into a picture; return the seconds of the whole process."""
    with tempfile.TemporaryDirectory() as folder:
        target = (f"--user-data-dir={folder}/profile", f"--screenshot={folder}/page.png")
        start = time.perf_counter()
        subprocess.run(["chromium", *FLAGS, *target, address], capture_output=True, check=True)
        return time.perf_counter() - start


def tell_shown(pages: list[Path]) -> None:
    """Print how long each page takes to show, beside an empty one: the start of the browser."""
    empty = min(show("about:blank") for _ in range(3))
    print(f"{'an empty page':22s} {empty:.2f} s with the start of the browser")
    for page in pages:
        whole = min(show(page.as_uri()) for _ in range(3))
        size = page.stat().st_size / 1e6
        print(f"{page.name:22s} {whole:.2f} s, {size:.2f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--task", choices=("draw", "write"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    study = options.folder.absolute()
    if options.task:
        os.chdir(study)
        settings = read_settings(study / "config.yaml")
        {"draw": draw, "write": write}[options.task](study, settings)
        return
    if not study.exists():
        start = time.perf_counter()
        make_study(options.study, study, options.patients)
        print(f"{options.patients} patients made in {time.perf_counter() - start:.0f} s")
    for task in ("draw", "write"):
        in_own_process(task, study)
    pages = study / DERIVATIVES / "report"
    told = {path.name: path.stat().st_size for path in pages.glob("*.html")}
    print(f"{len(told)} pages, {sum(told.values()) / 1e6:.0f} MB")
    if shutil.which("chromium") is None:
        print("Chromium is not installed (Debian package chromium): pages are not opened")
        return
    patient = next(name for name in sorted(told) if name.startswith("patient-"))
    tell_shown([pages / name for name in ("index.html", "quality.html", "ledger.html", patient)])


if __name__ == "__main__":
    main()
