"""Predicted against measured: the memory and time of the jobs of studies that have run.

    python tests/benchmarks/measure_resources.py STUDY [STUDY ...]

Measured are the last lines of the jobs' logs: processor time, mean over the jobs of a rule, and
peak memory of the largest. Asked is what a cluster would be asked for at the first attempt. Ends
with 1 when a job took more than that.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pandas as pd

from msimaging.bids.plan import Plan
from msimaging.bids.resources import (
    COSTS,
    corrections_on,
    expected,
    request_memory,
    request_minutes,
    work_on,
)
from msimaging.settings import read_settings

_END = re.compile(r"^done in .* s, processor ([\d.]+) s, peak memory (\d+) MB$", re.MULTILINE)
#: Rules that share a line of the table of costs.
_SHARED = {
    "build_dwi_space": "build_space",
    "build_bold_space": "build_space",
    "join_dwi_space": "join_space",
    "join_bold_space": "join_space",
    "adopt_bold_space": "adopt_space",
    "warp_dwi_visit": "warp_visit",
}
_OF_BOLD = ("bold", "parcels", "connectivity", "connect", "seeds")
#: A prediction that is off by more than this is worth a look.
_FACTOR = 2.0


def jobs_of(study: Path) -> list[dict[str, object]]:
    """Return one row for each job that has ended well."""
    settings = read_settings(study / "config.yaml")
    plan = Plan.of_study(study, settings)
    rows = []
    for path in sorted((study / "logs").glob("*/*.log")):
        rule = path.parent.name
        ended = _END.search(path.read_text(encoding="utf-8", errors="replace"))
        cost = _SHARED.get(rule, rule)
        if not ended or cost not in COSTS:
            continue
        parts = dict(part.split("-", 1) for part in path.stem.split("_") if "-" in part)
        sub, ses = (f"{key}-{parts[key]}" if key in parts else "" for key in ("sub", "ses"))
        modality = "bold" if any(word in rule for word in _OF_BOLD) else "dwi" if sub else None
        work = work_on(plan.scans_behind(modality, sub=sub, ses=ses))
        corrections = corrections_on(plan, sub) if rule == "preprocess_dwi" else ()
        memory, seconds = expected(cost, work, corrections=corrections)
        rows.append(
            {
                "study": study.name,
                "rule": rule,
                "voxels": work.voxels,
                "samples": work.samples,
                "MB": float(ended[2]),
                "MB predicted": memory,
                "MB asked": request_memory(memory),
                "s": float(ended[1]),
                "s predicted": seconds,
                "s asked": 60 * request_minutes(seconds),
            }
        )
    return rows


def main() -> None:
    """Print predicted against measured for each rule of each study, and what is far off."""
    table = pd.DataFrame([row for name in sys.argv[1:] for row in jobs_of(Path(name).resolve())])
    of_rule = table.groupby(["rule", "study"], sort=True)
    told = of_rule[["samples", "MB", "MB predicted", "MB asked"]].max()
    told.insert(0, "jobs", of_rule.size())
    told["MB ratio"] = told["MB"] / told["MB predicted"]
    told[["s", "s predicted"]] = of_rule[["s", "s predicted"]].mean()
    told["s ratio"] = told["s"] / told["s predicted"]
    print(told.round(2).to_string())
    for kind in ("MB", "s"):
        ratio = told[f"{kind} ratio"]
        far = told.index[(ratio > _FACTOR) | (ratio < 1 / _FACTOR)]
        print(f"{kind} off by more than {_FACTOR:.0f}: {[' '.join(name) for name in far]}")
    short = table[(table["MB"] > table["MB asked"]) | (table["s"] > table["s asked"])]
    print(f"{len(table)} jobs, {len(short)} took more than is asked for")
    raise SystemExit(int(len(short) > 0))


if __name__ == "__main__":
    main()
