"""How fair the comparison of two visits is: false change, symmetry, and a real pair a year apart.

``interpolation``: lesion-like tissue (FA .09) scanned twice at SNR 15, the second time shifted by
half a voxel and turned by 3 degrees; the false change of FA by what is resampled. ``rotation``:
image and b-vectors turned together, and b-vectors flipped. ``threads``: the nonlinear registration
with one and two threads. ``real``: a healthy volunteer's two visits, 12.6 months and a software
upgrade apart, against repeats within each visit; all series measured in one midpoint space.

Run as ``python tests/benchmarks/measure_longitudinal.py interpolation rotation threads real``.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter
from scipy.optimize import brentq
from scipy.spatial.transform import Rotation

from msimaging.bids.fieldmaps import why_moving
from msimaging.bids.plan import TENSOR_MEASURES, TENSOR_PARAMS
from msimaging.diffusion.gradients import gradient_table
from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.diffusion.tensor import fit_tensor
from msimaging.longitudinal.repeats import within_subject
from msimaging.parcellation import Parcellation
from msimaging.phantom.diffusion import gradient_scheme, simulate_dwi
from msimaging.phantom.head import Pose
from msimaging.settings import validated
from msimaging.spatial.diffeomorphic import register_syn
from msimaging.spatial.midpoint import poses_from_pairs
from msimaging.spatial.reorientation import direction_change
from msimaging.spatial.resampling import resample_image
from msimaging.spatial.transforms import from_matrix
from msimaging.steps.build_space import build_space
from msimaging.steps.carrying import carry_weights
from msimaging.steps.change_diffusion import region_changes
from msimaging.steps.fit_tensor import fit_visit_tensor
from msimaging.steps.measure_diffusion import measure_diffusion
from msimaging.steps.preprocess_dwi import preprocess_dwi
from msimaging.tables import read_table
from msimaging.volumes import Volume

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "bids"
SHAPE, VOXEL = (24, 24, 24), 2.0
AFFINE = np.diag([VOXEL, VOXEL, VOXEL, 1.0])
AFFINE[:3, 3] = -VOXEL * (SHAPE[0] - 1) / 2
AXIS = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)


def fractional_anisotropy(ratio):
    return np.sqrt(9 * ratio**2 / ((1 + 2 * ratio) ** 2 + 2 * (1 - ratio) ** 2))


def tissue(fa, md=1.0e-3):
    """Eigenvalues of a cylindrical tensor."""
    ratio = brentq(lambda x: fractional_anisotropy(x) - fa, 0, 0.99)
    return md * np.array([1 + 2 * ratio, 1 - ratio, 1 - ratio])


def scanned(evals, orientation, table, *, snr, rng):
    bvals, bvecs = table
    tensor = orientation @ np.diag(evals) @ orientation.T
    signal = 100 * np.exp(-bvals * np.einsum("ni,ij,nj->n", bvecs, tensor, bvecs))
    real, imaginary = rng.normal(0, 100 / snr, (2, *SHAPE, len(bvals)))
    return np.hypot(signal + real, imaginary).astype(np.float32)


def fa_map(data, bvals, bvecs):
    fit = fit_tensor(data, gradient_table(bvals, bvecs), np.ones(SHAPE, dtype=bool))
    return SCALAR_METRICS["fa"].from_evals(fit.evals)


def region_mean(values, way):
    """Mean over a ball of the midpoint space that is carried to the visit as the pipeline does."""
    points = np.stack(np.indices(SHAPE), -1) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    ball = (np.linalg.norm(points, axis=-1) < 14).astype(np.int32)
    row = {"index": 1, "name": "ball", "network": None, "x": 0.0, "y": 0.0, "z": 0.0}
    atlas = Parcellation(name="ball", labels_img=ball, affine=AFFINE, table=pd.DataFrame([row]))
    weights, _ = carry_weights(atlas, Volume(data=values, affine=AFFINE), way)
    return float((weights @ values.ravel())[0] / weights.sum())


def carried(data, matrix, kernel):
    return resample_image(
        data,
        AFFINE,
        target_to_source=from_matrix(matrix),
        target_shape=SHAPE,
        target_affine=AFFINE,
        interpolation=kernel,
    )


def interpolation(_):
    rng = np.random.default_rng(0)
    bvals, bvecs = gradient_scheme(n_b0=1, n_directions=32)
    between = np.eye(4)
    between[:3, :3] = Rotation.from_rotvec(np.radians(3) * AXIS).as_matrix()
    between[:3, 3] = VOXEL / 2
    turn, fibre = between[:3, :3], Rotation.from_rotvec([0.5, 0.2, 0.4]).as_matrix()
    print("false change of FA (true FA .09, SNR 15), %")
    first, second = (
        scanned(tissue(0.09), pose @ fibre, (bvals, bvecs), snr=15.0, rng=rng)
        for pose in (np.eye(3), turn)
    )
    pairs = np.array([[np.eye(4), between], [np.linalg.inv(between), np.eye(4)]])
    poses = poses_from_pairs(pairs)
    still = sitk.Transform(3, sitk.sitkIdentity)
    native = [
        region_mean(fa_map(data, bvals, bvecs), from_matrix(np.linalg.inv(pose)))
        for data, pose in zip((first, second), poses, strict=True)
    ]
    print(f"  {'regions carried to each visit (the pipeline)':<46}{percent(*native):7.2f}")
    for kernel in ("linear", "bspline"):
        both = [
            region_mean(fa_map(carried(data, pose, kernel), bvals, bvecs @ pose[:3, :3]), still)
            for data, pose in zip((first, second), poses, strict=True)
        ]
        one = region_mean(fa_map(carried(second, between, kernel), bvals, bvecs @ turn), still)
        untouched = region_mean(fa_map(first, bvals, bvecs), still)
        print(f"  {'both visits resampled once, ' + kernel:<46}{percent(*both):7.2f}")
        print(f"  {'one visit resampled, ' + kernel:<46}{percent(untouched, one):7.2f}")


def percent(before, after):
    return 100 * (after / before - 1)


def rotation(_):
    turn = Rotation.from_rotvec(np.radians(15) * AXIS).as_matrix()
    scans = [
        simulate_dwi(
            voxel_size=4.0, snr=None, pose=Pose(rotation=rotation, translation=np.zeros(3))
        )
        for rotation in (np.eye(3), turn)
    ]
    means, mains = [], []
    for scan in scans:
        white = scan.fa > 0.4
        fit = fit_tensor(scan.data, gradient_table(scan.bvals, scan.bvecs_ras), white)
        evals = fit.evals[white]
        means.append({name: SCALAR_METRICS[name].from_evals(evals).mean() for name in ("fa", "rd")})
        mains.append((fit.evecs[white][..., 0], scan.direction_ras[white]))
    print("head turned by 15 degrees in the scanner:")
    for name in ("fa", "rd"):
        change = percent(means[0][name], means[1][name])
        print(f"  change of {name.upper()} in white matter {change:.2f} %")
    for word, (main, truth) in zip(("straight", "turned"), mains, strict=True):
        angle = angles(main, truth)
        print(f"  {word}: main direction against the truth, median {np.median(angle):.2f} degrees")
    scan = scans[0]
    white = scan.fa > 0.4
    flipped = scan.bvecs_ras * [-1, 1, 1]
    fit = fit_tensor(scan.data, gradient_table(scan.bvals, flipped), white)
    fa = SCALAR_METRICS["fa"].from_evals(fit.evals[white]).mean()
    print(f"b-vectors flipped along x: FA changes by {percent(means[0]['fa'], fa):.1e} %,")
    angle = angles(fit.evecs[white][..., 0], scan.direction_ras[white])
    print(f"  main direction against the truth, median {np.median(angle):.1f} degrees")
    print()


def angles(first, second):
    ones = np.ones(first.shape[:-1])
    return direction_change(first, second, baseline_fa=ones, follow_up_fa=ones).angle


def threads(_):
    digests = set()
    for count in ("1", "2"):
        command = [sys.executable, __file__, "syn"]
        environment = {**os.environ, "OMP_NUM_THREADS": count}
        found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        digests.add(found.stdout.strip())
        print(f"OMP_NUM_THREADS={count}: displacement field {found.stdout.strip()}")
    print("bit-identical" if len(digests) == 1 else "DIFFERENT")


def syn(_):
    """Print the digest of a small nonlinear registration."""
    rng = np.random.default_rng(2)
    fixed = gaussian_filter(rng.normal(size=(40, 44, 36)), 3).astype(np.float32)
    moving = gaussian_filter(np.roll(fixed, 1, axis=0), 1).astype(np.float32)
    warp = register_syn(
        fixed - fixed.min(),
        moving - moving.min(),
        np.diag([3.0, 3, 3, 1]),
        level_iterations=(20, 10),
        radius=3,
        field_sigma=2.0,
    )
    field = sitk.GetArrayFromImage(warp.fixed_to_moving.GetDisplacementField())
    print(hashlib.sha256(field.tobytes()).hexdigest()[:16])


def measured(series, folder, n_samples):
    """Run preprocessing, fit, one midpoint space and the regions over several series."""
    settings = validated({"bids_dir": "bids"})["diffusion"]
    undistorted = "series of one polarity only"
    names = ("denoise", "unring", "outliers", "bias")
    switches = {name: settings[name] for name in names} | {"gradients": "correct"}
    spent = {}
    for name, stem in series.items():
        own = folder / name
        started = time.process_time()
        preprocess_dwi(
            image=f"{stem}.nii.gz",
            bval=f"{stem}.bval",
            bvec=f"{stem}.bvec",
            sidecars=[f"{stem}.json"],
            **switches,
            opposite=(),
            why_distorted=undistorted,
            why_moving=why_moving(settings["motion"], undistorted),
            out_image=str(own / "dwi.nii.gz"),
            out_bval=str(own / "dwi.bval"),
            out_bvec=str(own / "dwi.bvec"),
            out_reference=str(own / "reference.nii.gz"),
            out_mask=str(own / "mask.nii.gz"),
            out_weights=str(own / "weights.nii.gz"),
            out_quality=str(own / "series_quality.tsv"),
            out_confounds=str(own / "confounds.tsv"),
            out_orientation=str(own / "orientation.tsv"),
        )
        inputs = {
            "image": str(own / "dwi.nii.gz"),
            "bval": str(own / "dwi.bval"),
            "bvec": str(own / "dwi.bvec"),
            "mask": str(own / "mask.nii.gz"),
        }
        maps = {param: str(own / f"{param}.nii.gz") for param in TENSOR_PARAMS}
        fit_visit_tensor(
            **inputs,
            weights=str(own / "weights.nii.gz"),
            series_quality=str(own / "series_quality.tsv"),
            method="wls",
            out_tensor=str(own / "tensor.nii.gz"),
            out_maps=maps,
            out_quality=str(own / "quality.tsv"),
        )
        spent[f"preprocess and fit {name}"] = time.process_time() - started
    started = time.process_time()
    build_space(
        images=[str(folder / name / "fa.nii.gz") for name in series],
        masks=[str(folder / name / "mask.nii.gz") for name in series],
        sessions=list(series),
        lesions=(),
        contrast="white matter",
        working_resolution=3,
        seed=1,
        out_midpoint=str(folder / "midpoint.tsv"),
        out_template=str(folder / "template.nii.gz"),
        out_from_template=str(folder / "from.h5"),
        out_to_template=str(folder / "to.h5"),
    )
    spent["build_space"] = time.process_time() - started
    tables = {}
    for name in series:
        own, started = folder / name, time.process_time()
        measure_diffusion(
            image=str(own / "dwi.nii.gz"),
            bval=str(own / "dwi.bval"),
            bvec=str(own / "dwi.bvec"),
            mask=str(own / "mask.nii.gz"),
            maps={param: str(own / f"{param}.nii.gz") for param in TENSOR_MEASURES},
            further={},
            midpoint=str(folder / "midpoint.tsv"),
            to_template=str(folder / "to.h5"),
            from_template=str(folder / "from.h5"),
            warps=(),
            session=name,
            lesions=[],
            tissue=[],
            atlases=["whitematter"],
            own={},
            measure_in="native",
            resolution=2,
            n_samples=n_samples,
            seed=1,
            settings="benchmark",
            out_tables=[str(own / "regions.tsv")],
        )
        tables[name] = read_table(own / "regions.tsv")
        spent[f"measure {name}"] = time.process_time() - started
    return tables, spent


def real(options):
    stems = {
        f"{visit} {acq}": DATA
        / f"sub-CD01/ses-{visit}/dwi/sub-CD01_ses-{visit}_acq-{acq}_dir-PA_dwi"
        for acq in ("ax20", "ortho")
        for visit in ("01", "02")
    }
    series = {name.replace(" ", ""): stem for name, stem in stems.items()}
    with tempfile.TemporaryDirectory() as folder:
        tables, spent = measured(series, Path(folder), options.samples)
    for step, seconds in spent.items():
        print(f"{step}: {seconds:.0f} s of processor time")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"largest memory of the whole: {peak:.2f} GB")
    within = {"within visit 01": ("01ax20", "01ortho"), "within visit 02": ("02ax20", "02ortho")}
    between = {
        "between visits, ax20": ("01ax20", "02ax20"),
        "between visits, ortho": ("01ortho", "02ortho"),
    }
    noise = [print_comparison(name, tables, pair, {}) for name, pair in within.items()]
    own = {name: float(np.sqrt(np.mean([n[name] ** 2 for n in noise]))) for name in noise[0]}
    for name, pair in between.items():
        print_comparison(name, tables, pair, {})
        print_comparison(f"{name}, judged by the repeats within the visits", tables, pair, own)


def full(first, second):
    """Return regions that both scans cover by nine tenths or more."""
    both = first.merge(second, on=["name", "measure"])
    return (both[["coverage_x", "coverage_y"]].min(axis=1) >= 0.9).to_numpy()


def print_comparison(name, tables, pair, rescan_cov_percent):
    """Print a line a measure; return the coefficients of variation of regions, in per cent."""
    first, second = (tables[series] for series in pair)
    changes = region_changes(
        first,
        second,
        months=12.6,
        confidence=0.95,
        rescan_cov_percent=rescan_cov_percent,
        angles={},
    )
    changes = changes[full(first, second)]
    print(f"{name}: median absolute change of a region [quartiles], detectable, reliable")
    noise = {}
    for measure, rows in changes.groupby("measure", sort=False):
        low, middle, high = rows["percent_change"].abs().quantile([0.25, 0.5, 0.75])
        values = rows[["baseline_value", "follow_up_value"]].to_numpy(float)
        half = (rows["ci_high"] - rows["ci_low"]) / 2
        noise[measure] = within_subject(values).cov_percent
        print(
            f"  {measure.upper()} {middle:5.2f} % [{low:.2f}, {high:.2f}]; mean change "
            f"{rows['percent_change'].mean():+.2f} %; half width of the interval "
            f"{np.median(100 * half / values.mean(axis=1)):.2f} %; CoV {noise[measure]:.2f} %; "
            f"detectable {rows['detectable'].eq(True).sum()}, "
            f"reliable {rows['reliable'].eq(True).sum()} of {len(rows)}"
        )
    return noise


def main():
    parts = {f.__name__: f for f in (interpolation, rotation, threads, real, syn)}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", choices=list(parts))
    parser.add_argument("--samples", type=int, default=100, help="resamples of the bootstrap")
    options = parser.parse_args()
    for name in options.parts:
        parts[name](options)


if __name__ == "__main__":
    main()
