"""Both shapes of a trial with images through the whole pipeline, and what its tables then say.

    python tests/benchmarks/measure_trial_shapes.py early|long FOLDER [--months 0 12 48] [--cores 2]

`early`: 5 patients with all images at 0, 1, 3 and 6 months. `long`: 24 patients, up to 48 months,
up to 9 treatments, those with few treatments leave early; images at the months asked for, of
whoever was still there. The phantom is coarse (8 mm). Some hundred jobs of seconds each:
start it again and it goes on where it was.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from msimaging.phantom import simulate_trial
from msimaging.phantom.clinical import planned_visits, simulate_clinical
from msimaging.tables import read_table

ROOT = Path(__file__).resolve().parents[2]
COHORT = Path("derivatives") / "msimaging" / "cohort"
COARSE: dict[str, dict[str, Any]] = {
    "spatial": {"working_resolution": 8, "map_resolution": 8},
    "diffusion": {"bootstrap_samples": 50, "motion": True},
    "functional": {
        "min_minutes": 1,
        "min_volumes": 20,
        "min_coverage": 0.2,
        "strategies": ["simple", "acompcor"],
    },
    "figures": {"formats": ["png"]},
}
MSFC = {
    "type": "msfc",
    "parts": {"t25fw": "t25fw", "nhpt": "nhpt", "pasat": "sdmt"},
    "references": {"pasat": [40, 10]},
}


def verb(*arguments: object) -> int:
    command = [sys.executable, "-m", "msimaging", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def models(end: str) -> dict[str, Any]:
    """Models with images, one of each kind that takes them."""
    connectivity = {"outcome": "fisherz", "summary": "mean", "follow_up": end}
    rd = {"outcome": "rd", "summary": "mean", "follow_up": end}
    walking = {"with": "t25fw", "covariates": ["motion"], "method": "pearson"}
    return {
        "connectivity": {"kind": "paired", "family": "primary", **connectivity},
        "rd": {"kind": "paired", "family": "secondary", **rd},
        "rd-course": {"kind": "slopes", "outcome": "rd", "summary": "mean"},
        "rd-walking": {"kind": "association", **rd, **walking},
        "connectivity-walking": {"kind": "association", **connectivity, **walking},
        "edges": {"kind": "nbs", "outcome": "fisherz", "follow_up": end},
        "composite": {"kind": "paired", "outcome": "msfc", "follow_up": end},
    }


def prepare(shape: str, root: Path, months: list[int]) -> None:
    """Simulate and index, once."""
    visits = planned_visits(shape)
    wanted = None if shape == "early" else set(months)
    scanned = [tuple(m for m in own if wanted is None or m in wanted) for own in visits.values()]
    simulate_trial(
        root / "bids",
        months=scanned,
        n_lesions=0,
        dwi_voxel_size=8.0,
        n_b0=2,
        n_directions=12,
        bold_voxel_size=8.0,
        n_volumes=80,
        motion_degrees=0.2,
        motion_mm=0.2,
    )
    truth = simulate_clinical(root / "bids", shape=shape)
    if verb("index", root / "bids", root / "study"):
        raise SystemExit("index failed")
    path = root / "study" / "config.yaml"
    settings = yaml.safe_load(path.read_text())
    for section, own in COARSE.items():
        settings[section].update(own)
    settings["functional"].pop("strategy", None)
    settings["trial"] = truth.settings["trial"]
    settings["outcomes"] = truth.settings["outcomes"] | {"msfc": MSFC}
    end = "ses-month06" if shape == "early" else "ses-month12"
    clinical = {
        name: model | {"family": "secondary"} for name, model in truth.settings["models"].items()
    }
    settings["models"] = models(end) | clinical
    path.write_text(yaml.safe_dump(settings))


def tell(study: Path) -> None:
    """Print what the tables say."""
    scans = read_table(study / "visits.tsv")
    print(f"{scans['participant_id'].nunique()} patients, {scans['dwi'].notna().sum()} visits dwi, "
          f"{scans['bold'].notna().sum()} bold")  # fmt: skip
    results = read_table(study / COHORT / "results.tsv")
    declared = results[results["model"].str.contains(": ")]
    columns = ["model", "n", "n_excluded", "estimate", "p", "p_floor", "p_adjusted", "flags"]
    print(declared[columns].to_string(index=False, max_colwidth=60))
    curve = read_table(study / COHORT / "specification_curve.tsv")
    print(f"specification curve: {len(curve)} analyses of {dict(Counter(curve['strategy']))}")
    ledger = read_table(study / COHORT / "ledger.tsv")
    print(f"ledger: {dict(Counter(ledger['state']))}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", choices=["early", "long"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--months", type=int, nargs="+", default=[0, 12, 48])
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    study = arguments.folder / "study"
    if not (study / "visits.tsv").exists():
        prepare(arguments.shape, arguments.folder, arguments.months)
    code = verb("run", study, "--cores", arguments.cores)
    print(f"run ended with {code}")
    tell(study)


if __name__ == "__main__":
    main()
