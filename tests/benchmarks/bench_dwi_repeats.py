"""Which corrections of a diffusion series earn their place: on repeats and on a phantom.

``repeats``: three series of one visit should give the same FA, MD and RD in every white-matter
region. The within-visit coefficient of variation is printed without corrections, with each
correction added in the order of the pipeline, and with each alone. ``phantom``: a head that moves
by a known amount; the error of regional RD against the noise-free truth, before and after.

Run as ``python tests/benchmarks/bench_dwi_repeats.py repeats --visits 01 02``.
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
from msimaging.parcellation import region_statistics
from msimaging.phantom.diffusion import simulate_dwi
from msimaging.phantom.head import random_motion
from msimaging.steps.atlas_files import named_atlas
from msimaging.steps.build_space import build_space
from msimaging.steps.carrying import carry_labels, visit_to_template
from msimaging.steps.dwi_corrections import Corrections, Series, correct_series
from msimaging.steps.gradient_gate import read_series
from msimaging.volumes import Volume, write_volume

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "bids"
SERIES = ("acq-ax20_dir-PA", "acq-ortho_dir-PA", "acq-ortho_dir-AP")
MEASURES = ("fa", "md", "rd")
NOTHING = Corrections(denoise="none", unring="none", outliers=False, motion=False, bias=False)
STEPS = (
    {"denoise": "mppca"},
    {"unring": "auto"},
    {"outliers": True},
    {"motion": True},
    {"bias": True},
)
# a region of fewer voxels is mostly border
FEWEST_VOXELS = 30


def variants():
    """Name and corrections: none, cumulative in the pipeline's order, each alone."""
    found = {"none": NOTHING}
    asked = NOTHING
    for step in STEPS:
        asked = replace(asked, **step)
        found["+ " + next(iter(step))] = asked
    for step in STEPS[1:]:
        found["only " + next(iter(step))] = replace(NOTHING, **step)
    found["motion + bias"] = replace(NOTHING, motion=True, bias=True)
    found["outliers + motion + bias"] = replace(NOTHING, outliers=True, motion=True, bias=True)
    found["denoise + outliers + motion + bias"] = replace(asked, unring="none")
    return found


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


def labels_of(corrected, maps, folder):
    """White-matter labels on each series' own grid, by the pipeline's own registration."""
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
        contrast="white matter",
        working_resolution=3,
        seed=1,
        out_midpoint=midpoint,
        out_template=template,
        out_from_template=from_template,
        out_to_template=to_template,
    )
    atlas = named_atlas("whitematter", {})
    labels = [
        carry_labels(
            atlas,
            Volume(data=found["fa"], affine=series.affine),
            visit_to_template(to_template, midpoint, session),
        ).labels_img
        for session, series, found in zip(sessions, corrected, maps, strict=True)
    ]
    return labels, atlas.indices


def regional(series, maps, labels, indices):
    """One row a measure and region."""
    rows = []
    for measure in MEASURES:
        found = region_statistics(maps[measure], labels, indices, mask=series.mask)
        frame = {"measure": measure, "index": indices, "value": found.mean, "n": found.n_voxels}
        rows.append(pd.DataFrame(frame))
    return pd.concat(rows)


def spread(table):
    """Within-visit CoV in per cent: root mean square over regions and visits."""
    keys = ["variant", "measure", "visit", "index"]
    whole = table.groupby(keys)["n"].transform("min") >= FEWEST_VOXELS
    groups = table[whole].groupby(keys)["value"]
    cov = (100 * groups.std(ddof=1) / groups.mean()).reset_index(name="cov")
    return cov.pivot_table(
        "cov",
        index="variant",
        columns="measure",
        aggfunc=lambda values: np.sqrt((values**2).mean()),
    )


def repeats(visits, *, own_space):
    """Measure every variant on all series of the visits."""
    rows, seconds = [], {}
    for visit in visits:
        scans = [raw_scan(visit, name) for name in SERIES]
        labels = None
        for variant, asked in variants().items():
            started = time.process_time()
            corrected = [correct_series(series, asked, fields) for series, fields in scans]
            seconds[variant] = (time.process_time() - started) / len(scans)
            maps = [maps_of(series) for series in corrected]
            if labels is None or own_space:
                with tempfile.TemporaryDirectory() as folder:
                    labels, indices = labels_of(corrected, maps, folder)
            for name, series, found, img in zip(SERIES, corrected, maps, labels, strict=True):
                values = regional(series, found, img, indices)
                rows.append(values.assign(variant=variant, visit=visit, series=name))
            print(f"ses-{visit} {variant}: {seconds[variant]:.1f} s a series", flush=True)
    table = pd.concat(rows)
    order = list(variants())
    print("\nWithin-visit CoV, per cent, all three series (both polarities):")
    print(spread(table).loc[order, list(MEASURES)].round(3).to_string())
    print("\nThe two series of one polarity:")
    alike = table[table["series"].str.endswith("PA")]
    print(spread(alike).loc[order, list(MEASURES)].round(3).to_string())
    return table


def phantom(motion_degrees, motion_mm, *, snr, dropped):
    """Measure the error of regional RD on a head that moves by a known amount."""
    motion = random_motion(
        np.random.default_rng(3), 36, rotation_sd=motion_degrees, translation_sd=motion_mm
    )
    truth = simulate_dwi(snr=None)
    atlas = named_atlas("whitematter", {})
    visit = Volume(data=truth.data, affine=truth.affine)
    labels = carry_labels(atlas, visit, sitk.Transform(3, sitk.sitkIdentity)).labels_img
    mask = ndimage.binary_erosion(truth.mask, iterations=2)
    rows = {}
    still = as_series(truth, mask)
    right = regional(still, maps_of(still), labels, atlas.indices)
    moving = simulate_dwi(snr=snr, motion=motion, seed=5)
    lose_slices(moving.data, share=dropped)
    lying = simulate_dwi(snr=snr, seed=5)
    for variant, asked in {"still, none": NOTHING, **variants()}.items():
        scan = lying if variant.startswith("still") else moving
        started = time.process_time()
        corrected = correct_series(
            as_series(scan, brain_mask(scan.data[..., 0], scan.affine)),
            asked,
            {"PhaseEncodingDirection": "j-", "PartialFourier": 1.0},
        )
        seconds = time.process_time() - started
        found = regional(corrected, maps_of(corrected), labels, atlas.indices)
        found = found.assign(bias=100 * (found["value"] / right["value"] - 1))
        whole = found[(found["n"] >= FEWEST_VOXELS).to_numpy()]
        rows[variant] = {
            "seconds": seconds,
            **{f"{m} bias": whole.loc[whole.measure == m, "bias"].mean() for m in MEASURES},
            **{f"|{m}|": whole.loc[whole.measure == m, "bias"].abs().mean() for m in MEASURES},
        }
        print(variant, {name: round(float(value), 2) for name, value in rows[variant].items()})
    print(f"\nRegional bias, per cent: {motion_degrees} degrees, {motion_mm} mm, SNR {snr}")
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
    parser.add_argument("--degrees", type=float, default=3.0, help="size of the head's walk")
    parser.add_argument("--mm", type=float, default=3.0)
    parser.add_argument("--snr", type=float, default=20.0)
    parser.add_argument("--dropped", type=float, default=0.05, help="share of slices lost")
    asked = parser.parse_args()
    if asked.what == "phantom":
        phantom(asked.degrees, asked.mm, snr=asked.snr, dropped=asked.dropped)
        return
    table = repeats(asked.visits, own_space=asked.own_space)
    if asked.table:
        table.to_csv(asked.table, sep="\t", index=False)


if __name__ == "__main__":
    main()
