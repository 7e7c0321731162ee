"""Which corrections of a diffusion series earn their place: on repeats and on a phantom.

``repeats``: three series of one visit should give the same FA, MD and RD in every white-matter
region. The within-visit coefficient of variation is printed without corrections, with each
correction added in the order of the pipeline. ``phantom``: a head that moves
by a known amount; the error of regional RD against the noise-free truth, before and after.

Run as ``python tests/benchmarks/measure_dwi_repeats.py repeats --visits 01 02``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from scipy import ndimage

from msimaging.bids.sidecars import read_acquisition
from msimaging.diffusion.gradients import gradient_table
from msimaging.diffusion.masks import brain_mask
from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.diffusion.tensor import fit_tensor, tensor_volumes
from msimaging.phantom.diffusion import simulate_dwi
from msimaging.phantom.head import random_motion
from msimaging.steps.atlas_files import named_atlas
from msimaging.steps.build_space import build_space
from msimaging.steps.carrying import carry_weights, visit_to_template
from msimaging.steps.dwi_corrections import correct_series
from msimaging.steps.dwi_series import Corrections, Series
from msimaging.steps.gradient_gate import read_series
from msimaging.volumes import Volume, write_volume

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "bids"
SERIES = ("acq-ax20_dir-PA", "acq-ortho_dir-PA", "acq-ortho_dir-AP")
MEASURES = ("fa", "md", "rd")
NOTHING = Corrections(denoise="none", unring="none", outliers=False, motion=False, bias=False)
DISTORTION = "+ distortion"
# the ortho series of a visit are each other's opposite polarity; ax20 is oblique to both
OPPOSITE = {"acq-ortho_dir-PA": "acq-ortho_dir-AP", "acq-ortho_dir-AP": "acq-ortho_dir-PA"}
# a region that a scan covers less is left out
LEAST_COVERAGE = 0.9


def variants(names=()):
    """Name and corrections: none, each group alone, and added in the order of the pipeline."""
    denoised = replace(NOTHING, denoise="mppca")
    found = {
        "none": NOTHING,
        "denoise": denoised,
        "motion": replace(NOTHING, motion=True, outliers=True),
        "denoise + motion": replace(denoised, motion=True, outliers=True),
        f"motion {DISTORTION}": replace(NOTHING, motion=True, outliers=True),
        f"denoise + motion {DISTORTION}": replace(denoised, motion=True, outliers=True),
        f"denoise + unring + motion {DISTORTION}": replace(
            denoised, unring="auto", motion=True, outliers=True
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
    evals = fit_tensor(series.data[..., used], gtab, series.mask).evals
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


def repeats(visits, *, own_space, tried):
    """Measure every variant on all series of the visits."""
    rows, seconds = [], {}
    for visit in visits:
        scans = [raw_scan(visit, name) for name in SERIES]
        carried = None
        for variant, asked in tried.items():
            started = time.process_time()
            corrected = [
                correct_series(series, asked, fields, opposite_of(visit, name, variant))
                for name, (series, fields) in zip(SERIES, scans, strict=True)
            ]
            seconds[variant] = (time.process_time() - started) / len(scans)
            maps = [maps_of(series) for series in corrected]
            brain = [np.median(m["fa"][c.mask]) for m, c in zip(maps, corrected, strict=True)]
            # distortion moves what the regions lie on, so they are carried anew
            if carried is None or own_space or DISTORTION in variant:
                with tempfile.TemporaryDirectory() as folder:
                    carried, indices = regions_of(corrected, maps, folder)
            for name, series, found, part in zip(SERIES, corrected, maps, carried, strict=True):
                values = regional(series, found, part, indices)
                rows.append(values.assign(variant=variant, visit=visit, series=name))
            said = ", ".join(f"{value:.3f}" for value in brain)
            print(f"ses-{visit} {variant}: {seconds[variant]:.0f} s a series, median FA {said}")
    table = pd.concat(rows)
    order = list(tried)
    print("\nWithin-visit CoV, per cent, all three series (both polarities):")
    print(spread(table).loc[order, list(MEASURES)].round(3).to_string())
    for title, names in (
        ("The two series of one polarity", ("acq-ax20_dir-PA", "acq-ortho_dir-PA")),
        ("The two of opposite polarity", ("acq-ortho_dir-PA", "acq-ortho_dir-AP")),
    ):
        print(f"\n{title}:")
        pair = table[table["series"].isin(names)]
        print(spread(pair).loc[order, list(MEASURES)].round(3).to_string())
    if len(visits) > 1:
        print("\nChange between the visits, median over regions of its size in per cent:")
        print(between(table).loc[order, list(MEASURES)].round(3).to_string())
    return table


def between(table):
    """Size of the change of a region between two visits, per cent, median over regions."""
    whole = table[table["coverage"] >= LEAST_COVERAGE]
    keys = ["variant", "measure", "series", "index"]
    values = whole.pivot_table("value", index=keys, columns="visit").dropna()
    first, second = values.iloc[:, 0], values.iloc[:, 1]
    change = 200 * ((second - first) / (second + first)).abs()
    table = change.groupby(["variant", "measure"]).median().reset_index(name="change")
    return table.pivot_table("change", index="variant", columns="measure")


def phantom(motion_degrees, motion_mm, *, snr, dropped, tried):
    """Measure the error of regional RD on a head that moves by a known amount."""
    motion = random_motion(
        np.random.default_rng(3), 36, rotation_sd=motion_degrees, translation_sd=motion_mm
    )
    truth = simulate_dwi(snr=None)
    atlas = named_atlas("whitematter", {})
    visit = Volume(data=truth.data, affine=truth.affine)
    carried = carry_weights(atlas, visit, sitk.Transform(3, sitk.sitkIdentity))
    mask = ndimage.binary_erosion(truth.mask, iterations=2)
    rows = {}
    still = as_series(truth, mask)
    right = regional(still, maps_of(still), carried, atlas.indices)
    moving = simulate_dwi(snr=snr, motion=motion, seed=5)
    lose_slices(moving.data, share=dropped)
    lying = simulate_dwi(snr=snr, seed=5)
    for variant, asked in {"still, none": NOTHING, **tried}.items():
        scan = lying if variant.startswith("still") else moving
        started = time.process_time()
        corrected = correct_series(
            as_series(scan, brain_mask(scan.data[..., 0], scan.affine)),
            asked,
            {"PhaseEncodingDirection": "j-", "PartialFourier": 1.0},
        )
        seconds = time.process_time() - started
        found = regional(corrected, maps_of(corrected), carried, atlas.indices)
        found = found.assign(bias=100 * (found["value"] / right["value"] - 1))
        whole = found[found["coverage"] >= LEAST_COVERAGE]
        rows[variant] = {
            "seconds": seconds,
            **{f"{m} bias": whole.loc[whole.measure == m, "bias"].mean() for m in MEASURES},
            **{f"|{m}|": whole.loc[whole.measure == m, "bias"].abs().mean() for m in MEASURES},
        }
        print(f"{variant}: {seconds:.1f} s", flush=True)
    said = f"{motion_degrees} degrees, {motion_mm} mm, SNR {snr}, {dropped:.0%} of slices dropped"
    print(f"\nRegional bias and mean size of errors, per cent: {said}")
    print(pd.DataFrame(rows).T.round(2).to_string())


def as_series(scan, mask):
    """Hand the simulated scan to the corrections."""
    return Series(
        data=np.ascontiguousarray(scan.data),
        bvals=scan.bvals,
        bvecs_ras=scan.bvecs_ras,
        affine=scan.affine,
        mask=mask,
    )


def lose_slices(data, *, share):
    """Take most of the signal out of some slices of weighted volumes, in place."""
    rng = np.random.default_rng(11)
    for volume in range(6, data.shape[3]):
        lost = rng.random(data.shape[2]) < share
        data[:, :, lost, volume] *= rng.uniform(0.2, 0.6, lost.sum()).astype(np.float32)


def main():
    """Run one of the two measurements."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("what", choices=["repeats", "phantom"])
    parser.add_argument("--visits", nargs="+", default=["01", "02"])
    parser.add_argument("--own-space", action="store_true", help="register each variant anew")
    parser.add_argument("--table", help="write the regional values to this file")
    parser.add_argument("--variants", nargs="+", default=[], help="names of what is tried")
    parser.add_argument("--degrees", type=float, default=3.0, help="size of the head's walk")
    parser.add_argument("--mm", type=float, default=3.0)
    parser.add_argument("--snr", type=float, default=20.0)
    parser.add_argument("--dropped", type=float, default=0.05, help="share of slices lost")
    asked = parser.parse_args()
    tried = variants(asked.variants)
    if asked.what == "phantom":
        phantom(asked.degrees, asked.mm, snr=asked.snr, dropped=asked.dropped, tried=tried)
        return
    table = repeats(asked.visits, own_space=asked.own_space, tried=tried)
    if asked.table:
        table.to_csv(asked.table, sep="\t", index=False)


if __name__ == "__main__":
    main()
