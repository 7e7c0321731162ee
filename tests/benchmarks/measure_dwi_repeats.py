"""Which corrections of a diffusion series earn their place: on three series of one visit.

Three series of one visit should give the same FA, MD and RD in every white-matter region. The
within-visit coefficient of variation is printed without corrections and with groups of them.

Run as ``python tests/benchmarks/measure_dwi_repeats.py --visits 01 02``, or in pieces with
``--variants`` and ``--table``, and all tables together with ``--tables``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from msimaging.bids.sidecars import read_acquisition
from msimaging.diffusion.gradients import gradient_table
from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.diffusion.tensor import fit_tensor, tensor_volumes
from msimaging.steps.atlas_files import named_atlas
from msimaging.steps.build_space import build_space
from msimaging.steps.carrying import carry_weights, visit_to_template
from msimaging.steps.dwi_corrections import correct_series
from msimaging.steps.dwi_series import Corrections
from msimaging.steps.gradient_gate import read_series
from msimaging.volumes import Volume, write_volume

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "bids"
SERIES = ("acq-ax20_dir-PA", "acq-ortho_dir-PA", "acq-ortho_dir-AP")
MEASURES = ("fa", "md", "rd")
NOTHING = Corrections(denoise="none", unring="none", outliers=False, motion=False, bias=False)
DISTORTION = "distortion"
# the ortho series of a visit are each other's opposite polarity; ax20 is oblique to both
OPPOSITE = {"acq-ortho_dir-PA": "acq-ortho_dir-AP", "acq-ortho_dir-AP": "acq-ortho_dir-PA"}
# a region that a scan covers less is left out
LEAST_COVERAGE = 0.9
LEAST_WEIGHT = 1e-3  # of a replaced slice in the fit, as in the pipeline


def variants(names=()):
    """Name and corrections: none, each group alone, and added to each other."""
    denoised = replace(NOTHING, denoise="mppca", unring="auto")
    moved = replace(NOTHING, motion=True)
    found = {
        "none": NOTHING,
        "denoise": replace(NOTHING, denoise="mppca"),
        "denoise + unring": denoised,
        "motion": moved,
        "motion + outliers": replace(moved, outliers=True),
        DISTORTION: NOTHING,
        f"motion + {DISTORTION}": moved,
        f"motion + outliers + {DISTORTION}": replace(moved, outliers=True),
        f"denoise + unring + motion + outliers + {DISTORTION}": replace(
            denoised, motion=True, outliers=True
        ),
    }
    return {name: asked for name, asked in found.items() if not names or name in names}


def opposite_of(visit, name, variant):
    """Return the b=0 of the other polarity where a variant uses it and there is one."""
    if DISTORTION not in variant or name not in OPPOSITE:
        return None
    other, _ = raw_scan(visit, OPPOSITE[name])
    return Volume(data=other.mean_b0, affine=other.affine)


def raw_scan(visit, name):
    """Series with the right table, and its sidecar as if it had told full Fourier coverage."""
    stem = f"sub-CD01/ses-{visit}/dwi/sub-CD01_ses-{visit}_{name}_dwi"
    true = DATA / "derivatives" / "truth" / f"{stem}.bvec"
    bvec = true if true.exists() else DATA / f"{stem}.bvec"
    files = (str(DATA / f"{stem}.nii.gz"), str(DATA / f"{stem}.bval"), str(bvec))
    acquisition = read_acquisition([DATA / f"{stem}.json"])
    return read_series(*files, "stop"), {**acquisition, "PartialFourier": 1.0}


def maps_of(series):
    """Scalar maps, zero outside the brain."""
    used = tensor_volumes(series.bvals)
    gtab = gradient_table(series.bvals[used], series.bvecs_ras[used])
    weights = None
    if series.weights is not None:
        weights = np.maximum(series.weights[..., used], LEAST_WEIGHT).astype(np.float32)
    evals = fit_tensor(series.data[..., used], gtab, series.mask, weights=weights).evals
    return {m: np.where(series.mask, SCALAR_METRICS[m].from_evals(evals), 0) for m in MEASURES}


def regions_of(corrected, maps, folder):
    """White-matter regions on each series' own grid, by the pipeline's own registration."""
    folder = Path(folder)
    sessions = [f"ses-{number}" for number in range(len(corrected))]
    images, masks = [], []
    for session, series, found in zip(sessions, corrected, maps, strict=True):
        images.append(str(folder / f"{session}_fa.nii.gz"))
        masks.append(str(folder / f"{session}_mask.nii.gz"))
        write_volume(images[-1], found["fa"], series.affine)
        write_volume(masks[-1], series.mask, series.affine)
    names = ("midpoint.tsv", "template.nii.gz", "from.h5", "to.h5")
    midpoint, template, from_template, to_template = (str(folder / name) for name in names)
    build_space(
        images=images,
        masks=masks,
        sessions=sessions,
        lesions=(),
        contrast="white matter",
        working_resolution=3,
        seed=1,
        out_midpoint=midpoint,
        out_template=template,
        out_from_template=from_template,
        out_to_template=to_template,
    )
    atlas = named_atlas("whitematter", {})
    carried = [
        carry_weights(
            atlas,
            Volume(data=found["fa"], affine=series.affine),
            visit_to_template(to_template, midpoint, session),
        )
        for session, series, found in zip(sessions, corrected, maps, strict=True)
    ]
    return carried, atlas.indices


def regional(series, maps, carried, indices):
    """One row a measure and region."""
    weights, expected = carried
    brain = np.flatnonzero(series.mask)
    weights = weights[:, brain]
    present = np.asarray(weights.sum(axis=1)).ravel()
    rows = []
    for measure in MEASURES:
        sums = weights @ maps[measure].ravel()[brain].astype(np.float64)
        value = np.divide(sums, present, out=np.full(len(sums), np.nan), where=present > 0)
        frame = {"measure": measure, "index": indices, "value": value}
        rows.append(pd.DataFrame(frame | {"coverage": present / expected}))
    return pd.concat(rows, ignore_index=True)


def spread(table):
    """Within-visit CoV in per cent: root mean square over regions and visits."""
    keys = ["variant", "measure", "visit", "index"]
    whole = table.groupby(keys)["coverage"].transform("min") >= LEAST_COVERAGE
    groups = table[whole].groupby(keys)["value"]
    cov = (100 * groups.std(ddof=1) / groups.mean()).reset_index(name="cov")
    return cov.pivot_table(
        "cov",
        index="variant",
        columns="measure",
        aggfunc=lambda values: np.sqrt((values**2).mean()),
    )


def repeats(visits, tried):
    """Measure every variant on all series of the visits, each in its own space."""
    rows = []
    for visit in visits:
        scans = [raw_scan(visit, name) for name in SERIES]
        for variant, asked in tried.items():
            started = time.process_time()
            corrected = [
                correct_series(series, asked, fields, opposite_of(visit, name, variant))
                for name, (series, fields) in zip(SERIES, scans, strict=True)
            ]
            seconds = (time.process_time() - started) / len(scans)
            maps = [maps_of(series) for series in corrected]
            brain = [np.median(m["fa"][c.mask]) for m, c in zip(maps, corrected, strict=True)]
            with tempfile.TemporaryDirectory() as folder:
                carried, indices = regions_of(corrected, maps, folder)
            for name, series, found, part in zip(SERIES, corrected, maps, carried, strict=True):
                values = regional(series, found, part, indices)
                rows.append(values.assign(variant=variant, visit=visit, series=name))
            said = ", ".join(f"{value:.3f}" for value in brain)
            print(f"ses-{visit} {variant}: {seconds:.0f} s a series, median FA {said}", flush=True)
    return pd.concat(rows)


def summarise(table):
    """Print the tables of within-visit CoV and of the change between the visits."""
    order = [name for name in variants() if name in set(table["variant"])]
    print("\nWithin-visit CoV, per cent, all three series (both polarities):")
    print(spread(table).loc[order, list(MEASURES)].round(2).to_string())
    for title, names in (
        ("The two series of one polarity", ("acq-ax20_dir-PA", "acq-ortho_dir-PA")),
        ("The two of opposite polarity", ("acq-ortho_dir-PA", "acq-ortho_dir-AP")),
    ):
        print(f"\n{title}:")
        pair = table[table["series"].isin(names)]
        print(spread(pair).loc[order, list(MEASURES)].round(2).to_string())
    if len(set(table["visit"])) > 1:
        print("\nChange between the visits, median over regions of its size in per cent:")
        print(between(table).loc[order, list(MEASURES)].round(2).to_string())


def between(table):
    """Size of the change of a region between two visits, per cent, median over regions."""
    whole = table[table["coverage"] >= LEAST_COVERAGE]
    keys = ["variant", "measure", "series", "index"]
    values = whole.pivot_table("value", index=keys, columns="visit").dropna()
    first, second = values.iloc[:, 0], values.iloc[:, 1]
    change = 200 * ((second - first) / (second + first)).abs()
    table = change.groupby(["variant", "measure"]).median().reset_index(name="change")
    return table.pivot_table("change", index="variant", columns="measure")


def main():
    """Measure the repeats, or print what pieces of the measurement gave together."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--visits", nargs="+", default=["01", "02"])
    parser.add_argument("--table", help="write the regional values to this file")
    parser.add_argument("--variants", nargs="+", default=[], help="names of what is tried")
    parser.add_argument("--tables", nargs="+", default=[], help="measure nothing, read these")
    asked = parser.parse_args()
    if asked.tables:
        read = [pd.read_csv(path, sep="\t", dtype={"visit": str}) for path in asked.tables]
        table = pd.concat(read)
    else:
        table = repeats(asked.visits, variants(asked.variants))
    if asked.table:
        table.to_csv(asked.table, sep="\t", index=False)
    summarise(table)


if __name__ == "__main__":
    main()
