"""Motion, eddy currents, dropped slices, distortion and noise planted together, and what is left.

``phantom``: every volume is computed where the head was, not interpolated from a still one: head
motion, a linear eddy field, the susceptibility of a head that carries it along, 5 % of slices
without most of their signal, Rician noise. Printed: errors of motion and b-vectors, bias of the
tensor's measures in white matter before and after each group of corrections. ``tables``: the 23
wrong gradient tables of the phantom and of every real series. ``polarities``: agreement of two
real b=0s of opposite phase encoding. ``speed``: motion and eddy currents of 33 volumes of
128 x 128 x 60.

Run as ``python tests/benchmarks/measure_dwi_geometry.py phantom --motion walk``.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial.transform import Rotation

from msimaging.diffusion.distortion import correct_distortion
from msimaging.diffusion.gradients import bvecs_fsl_to_ras, gradient_table, standard_table
from msimaging.diffusion.masks import brain_mask
from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.diffusion.motion import estimate_motion
from msimaging.diffusion.orientation import check_orientation, orientation_finding
from msimaging.diffusion.polarity import estimate_field_between
from msimaging.diffusion.resampling import apply_motion
from msimaging.diffusion.tensor import fit_tensor, tensor_volumes
from msimaging.phantom.diffusion import gradient_scheme, rician, simulate_dwi
from msimaging.phantom.head import (
    FIELD_CENTRE,
    STRAIGHT,
    Pose,
    grid_points,
    random_motion,
    scanner_grid,
    susceptibility,
)
from msimaging.phantom.microstructure import S0_WHITE, microstructure, typical_biology
from msimaging.steps.atlas_files import named_atlas
from msimaging.steps.carrying import carry_weights
from msimaging.steps.dwi_corrections import correct_series
from msimaging.steps.dwi_series import Corrections, Series
from msimaging.steps.opposite_polarity import read_opposite
from msimaging.volumes import Volume

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
NOTHING = Corrections(denoise="none", unring="none", outliers=False, motion=False, bias=False)
ALL = replace(NOTHING, outliers=True, motion=True)
CENTRE = np.asarray(FIELD_CENTRE)
PHASE = 1  # voxel axis, along +y of the scanner in the phantom
LARGEST_EDDY = 0.01  # mm/mm
LEAST_WEIGHT = 0.001  # of a replaced slice in the fit, as in the pipeline
LEAST_COVERAGE = 0.9  # a region that a scan covers less is left out
MEASURES = ("fa", "md", "ad", "rd")


def poses_of(kind, n_volumes, rng):
    """Return the head's pose in each volume: it walks, or lies anew for every volume."""
    if kind == "still":
        return [STRAIGHT] * n_volumes
    if kind == "walk":
        return list(random_motion(rng, n_volumes, rotation_sd=3.0, translation_sd=3.0))
    found = [STRAIGHT]
    for _ in range(1, n_volumes):
        turn = Rotation.from_euler("xyz", rng.uniform(-3, 3, 3), degrees=True).as_matrix()
        shift = rng.uniform(-3, 3, 3) + CENTRE - turn @ CENTRE
        found.append(Pose(rotation=turn, translation=shift))
    return found


def eddy_of(bvals, bvecs, rng):
    """Return shears along phase encoding (N, 3) [mm/mm], linear in the gradient."""
    sources = rng.normal(size=(3, 3))
    shears = bvecs @ sources
    return (bvals > 50)[:, None] * shears * LARGEST_EDDY / np.abs(shears).max()


def shown(points, pose, eddy, distortion):
    """Return where the signal at places of an image came from, and its brightness."""

    def shift(places):
        along = (places - CENTRE) @ eddy
        return along + distortion * susceptibility(pose.to_head(places))

    way = np.array([0.0, 1.0, 0.0])
    origin = points
    for _ in range(12):
        origin = points - shift(origin)[:, None] * way
    slope = shift(origin + 0.5 * way) - shift(origin - 0.5 * way)
    return origin, 1 / (1 + slope.clip(-0.9))


def planted(bvals, bvecs, poses, eddies, *, distortion, snr, seed, voxel_size):
    """Return volumes (X, Y, Z, N), each computed where the head was."""
    shape, affine = scanner_grid(voxel_size)
    points, biology = grid_points(shape, affine), typical_biology()
    still = microstructure(points, biology, fwhm=voxel_size).s0.reshape(shape) > 1e-3
    # the head moves no farther than this
    near = np.flatnonzero(ndimage.distance_transform_edt(~still, sampling=voxel_size) < 25)
    data = np.zeros((len(points), len(bvals)), dtype=np.float32)
    for n, (bval, bvec) in enumerate(zip(bvals, bvecs, strict=True)):
        origin, gain = shown(points[near], poses[n], eddies[n], distortion)
        tissue = microstructure(poses[n].to_head(origin), biology, fwhm=voxel_size)
        along = ((tissue.direction @ poses[n].rotation.T) @ bvec) ** 2
        signal = tissue.s0 * gain * np.exp(-bval * (tissue.rd + (tissue.ad - tissue.rd) * along))
        data[near, n] = signal
    data = data.reshape(*shape, -1)
    if snr:
        data = rician(data, sigma=S0_WHITE / snr, rng=np.random.default_rng(seed))
    return data, affine


def lose_slices(data, bvals, *, share, rng):
    """Take most of the signal out of some slices of weighted volumes, in place; (Z, N) which."""
    lost = (rng.random(data.shape[2:]) < share) & (bvals > 50)
    factor = np.where(lost, rng.uniform(0.2, 0.6, lost.shape), 1.0)
    data *= factor.astype(np.float32)
    return lost


def series_of(data, bvals, bvecs, affine):
    """Hand volumes to the corrections as the pipeline does."""
    mask = brain_mask(data[..., bvals <= 50].mean(axis=-1), affine)
    return Series(data=data.copy(), bvals=bvals, bvecs_ras=bvecs, affine=affine, mask=mask)


def maps_of(series):
    """Fit as the pipeline does, replaced slices without weight."""
    weights = None
    if series.weights is not None:
        weights = np.maximum(series.weights, LEAST_WEIGHT).astype(np.float32)
    gtab = gradient_table(series.bvals, series.bvecs_ras)
    evals = fit_tensor(series.data, gtab, series.mask, weights=weights).evals
    return {m: np.where(series.mask, SCALAR_METRICS[m].from_evals(evals), 0) for m in MEASURES}


class Truth:
    """The phantom's own maps, its white-matter regions and its deep white matter."""

    def __init__(self, voxel_size):
        scan = simulate_dwi(snr=None, n_b0=1, n_directions=6, voxel_size=voxel_size)
        atlas = named_atlas("whitematter", {})
        visit = Volume(data=scan.data, affine=scan.affine)
        self.weights, self.expected = carry_weights(
            atlas, visit, sitk.Transform(3, sitk.sitkIdentity)
        )
        self.maps = {m: getattr(scan, m) for m in MEASURES}
        inside = ndimage.binary_erosion(scan.mask, iterations=2)
        self.white = inside & (scan.fa > 0.35)

    def biases(self, maps, mask):
        """Mean bias over regions and median over white-matter voxels [%], of each measure."""
        brain = np.flatnonzero(mask)
        weights = self.weights[:, brain]
        present = np.asarray(weights.sum(axis=1)).ravel()
        whole = present >= LEAST_COVERAGE * self.expected
        found, white = {}, self.white & mask
        for measure in MEASURES:
            pair = [
                (weights @ image.ravel()[brain].astype(np.float64))[whole] / present[whole]
                for image in (maps[measure], self.maps[measure])
            ]
            bias = 100 * (pair[0] / pair[1] - 1)
            found[f"{measure} regions"] = bias.mean()
            found[f"{measure} |regions|"] = np.abs(bias).mean()
            pooled = maps[measure][white].mean() / self.maps[measure][white].mean()
            found[f"{measure} pooled"] = 100 * (pooled - 1)
        return found | {"regions": int(whole.sum())}


def errors_of(motion, poses, eddies, bvecs, bvals):
    """Print how far estimated motion, eddy shears and b-vectors are from the planted ones."""
    rigid, both = np.tile(np.eye(4), (2, len(poses), 1, 1))
    for n, (pose, eddy) in enumerate(zip(poses, eddies, strict=True)):
        rigid[n, :3, :3], rigid[n, :3, 3] = pose.rotation, pose.translation
        shear = np.eye(4)
        shear[PHASE, :3] += eddy
        shear[:3, 3] = CENTRE - shear[:3, :3] @ CENTRE
        both[n] = shear @ rigid[n]
    home = np.r_[CENTRE, 1]
    off = (motion.affines - both) @ home
    back = np.swapaxes(rigid[:, :3, :3], 1, 2) @ motion.rigid[:, :3, :3]
    turned = np.rad2deg(np.abs(Rotation.from_matrix(back).as_rotvec()))
    seen, true = (np.einsum("nji,nj->ni", r[:, :3, :3], bvecs) for r in (motion.rigid, rigid))
    angle = np.rad2deg(np.arccos(np.clip(np.abs((seen * true).sum(axis=1)), 0, 1)))[bvals > 50]
    length = np.linalg.norm(off, axis=1)[1:]
    print(
        f"translation: median {np.median(length):.3f} mm (axes "
        f"{np.median(np.abs(off[1:, :3]), axis=0).round(3)}), largest {length.max():.2f}; "
        f"rotation: medians about R, A, S {np.median(turned[1:], axis=0).round(3)} degrees, "
        f"largest {turned.max():.2f}; b-vectors: median {np.median(angle):.2f}, largest "
        f"{angle.max():.2f} degrees; eddy shears: median error "
        f"{1000 * np.median(np.abs(motion.eddy - eddies)[bvals > 50]):.2f} um/mm of "
        f"{1000 * np.median(np.abs(eddies[bvals > 50])):.2f}",
        flush=True,
    )


def phantom(asked):
    """Print errors and biases of one planted series."""
    rng = np.random.default_rng(asked.seed)
    bvals, bvecs = gradient_scheme()
    poses, eddies = poses_of(asked.motion, len(bvals), rng), eddy_of(bvals, bvecs, rng)
    eddies *= asked.eddy / LARGEST_EDDY
    shared = {"snr": asked.snr, "voxel_size": asked.voxel_size}
    data, affine = planted(
        bvals, bvecs, poses, eddies, distortion=asked.distortion, seed=asked.seed + 1, **shared
    )
    lost = lose_slices(data, bvals, share=asked.dropped, rng=rng)
    other, _ = planted(
        np.zeros(2), np.zeros((2, 3)), poses_of("walk", 8, rng)[6:], np.zeros((2, 3)),
        distortion=-asked.distortion, seed=asked.seed + 2, **shared,
    )  # fmt: skip
    opposite = Volume(data=other.mean(axis=-1), affine=affine)
    lying = simulate_dwi(snr=asked.snr or None, voxel_size=asked.voxel_size, seed=asked.seed).data
    truth, rows = Truth(asked.voxel_size), {}
    denoised = replace(ALL, denoise="mppca")
    tried = {
        "nothing planted but noise": (lying, NOTHING, None),
        "as acquired": (data, NOTHING, None),
        "outliers + motion": (data, ALL, None),
        "distortion": (data, NOTHING, opposite),
        "outliers + motion + distortion": (data, ALL, opposite),
        "denoise + outliers + motion + distortion": (data, denoised, opposite),
    }
    for name, (volumes, wanted, towards) in tried.items():
        if asked.only and name not in asked.only:
            continue
        started = time.process_time()
        found = correct_series(
            series_of(volumes, bvals, bvecs, affine),
            wanted,
            {"PhaseEncodingDirection": "j"},
            towards,
        )
        rows[name] = {"seconds": time.process_time() - started}
        rows[name] |= truth.biases(maps_of(found), found.mask)
        print(f"\n{name}: {rows[name]['seconds']:.0f} s", flush=True)
        if found.motion is not None:
            errors_of(found.motion, poses, eddies, bvecs, bvals)
        if found.dropped is not None:
            hit = found.dropped.outliers
            print(f"slices: {lost.sum()} lost in all, {(hit & lost).sum()} found, "
                  f"{(hit & ~lost).sum()} called lost that were not")  # fmt: skip
    print(f"\nBias in white matter, per cent ({vars(asked)}):")
    print(pd.DataFrame(rows).T.round(2).to_string())


def real_series():
    """Yield name, volumes, table and affine of every real diffusion series."""
    for path in sorted(DATA.rglob("*_dwi.nii.gz")):
        if "derivatives" in path.parts:
            continue
        stem = path.name.removesuffix(".nii.gz")
        right = DATA / "bids" / "derivatives" / "truth"
        right = right / path.parent.relative_to(DATA / "bids") if "bids" in path.parts else right
        bvec = right / f"{stem}.bvec"
        image = nib.load(path)
        bvals, given = (np.loadtxt(path.with_name(f"{stem}.{kind}")) for kind in ("bval", "bvec"))
        table = np.loadtxt(bvec) if bvec.exists() else given
        data = image.get_fdata(dtype=np.float32)
        yield stem, data, standard_table(bvals, table), image.affine, bvec.exists()
        if bvec.exists():
            yield f"{stem} as converted", data, standard_table(bvals, given), image.affine, None


def tables(asked):
    """Print for each series how many of the 23 wrong tables are found, and of false alarms."""
    scan = simulate_dwi(snr=asked.snr, voxel_size=asked.voxel_size, seed=asked.seed)
    phantoms = [("phantom", scan.data, (scan.bvals, scan.bvecs), scan.affine, False)]
    rows = {}
    for name, data, (bvals, bvecs), affine, corrected in (*phantoms, *real_series()):
        mask = brain_mask(data[..., bvals <= 50].mean(axis=-1), affine)
        used = tensor_volumes(bvals)
        found, undone, ratios, transforms = 0, 0, [], None
        for number in range(24 if corrected is not None else 1):
            table = bvecs if transforms is None else bvecs @ transforms[number].T
            gtab = gradient_table(bvals[used], bvecs_fsl_to_ras(table[used], affine))
            check = check_orientation(fit_tensor(data[..., used], gtab, mask), affine, mask)
            transforms = check.transforms
            finding = orientation_finding(check, where=name)
            alarm = finding is not None and finding.severity == "error"
            ordered = np.sort(check.scores)[::-1]
            ratios.append(ordered[0] / ordered[1])
            if number:
                found += alarm
                undone += abs(np.trace(check.best_transform @ transforms[number])) == 3
            else:
                rows[name] = {"alarm on the right table": "yes" if alarm else "no"}
        rows[name] |= {
            "wrong tables found": f"{found}/23" if corrected is not None else "",
            "right one named": f"{undone}/23" if corrected is not None else "",
            "best over second": round(min(ratios), 3),
        }
        print(name, rows[name], flush=True)
    print(pd.DataFrame(rows).T.to_string())


def mutual_information(one, other):
    """In bits, from a joint histogram of 64 x 64."""
    joint = np.histogram2d(one, other, bins=64)[0] / len(one)
    expected = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    some = joint > 0
    return float(np.sum(joint[some] * np.log2(joint[some] / expected[some])))


def polarities(_asked):
    """Print how well the two polarities of sub-PH01 agree before and after."""
    session = DATA / "bids" / "sub-PH01" / "ses-01"
    stem = "sub-PH01_ses-01_dir"
    series = nib.load(session / "dwi" / f"{stem}-PA_dwi.nii.gz")
    bvals = np.loadtxt(session / "dwi" / f"{stem}-PA_dwi.bval")
    up = series.get_fdata(dtype=np.float32)[..., bvals <= 50].mean(axis=-1)
    other = read_opposite([str(session / "fmap" / f"{stem}-AP_epi.nii.gz")])
    shared = {"affine": series.affine, "phase_encoding_axis": PHASE}
    mask = brain_mask(up, series.affine)
    field = estimate_field_between(
        up, other.data, opposite_affine=other.affine, mask=mask, **shared
    )
    if field.movement > 0.5:
        print(f"the head moved by {field.movement:.2f} mm between the polarities")
    mended = [
        correct_distortion(image, sign * field.displacement, **shared)
        for image, sign in ((up, 1), (other.data, -1))
    ]
    both = brain_mask((mended[0] + mended[1]) / 2, series.affine)
    for name, pair in (("before", (up, other.data)), ("after", mended)):
        values = [image[both] for image in pair]
        print(
            f"{name}: correlation {np.corrcoef(*values)[0, 1]:.4f}, mutual information "
            f"{mutual_information(*values):.4f} bit, in {both.sum()} voxels of the brain"
        )
    inside = np.abs(field.displacement[both])
    print(f"displacement {inside.mean():.2f} mm on average, {inside.max():.1f} mm at most")


def speed(asked):
    """Print the time of motion and eddy correction of 33 volumes of 128 x 128 x 60."""
    rng = np.random.default_rng(asked.seed)
    bvals, bvecs = gradient_scheme(n_b0=3, n_directions=30)
    zooms = np.array([2.0, 2.0, 2.4])
    scan = simulate_dwi(voxel_size=3.0, n_b0=3, snr=None)
    shape, small = (128, 128, 60), np.asarray(scan.affine)
    affine = np.diag([-zooms[0], zooms[1], zooms[2], 1.0])
    affine[:3, 3] = CENTRE - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    data = np.empty((*shape, len(bvals)), dtype=np.float32)
    for n, pose in enumerate(poses_of("walk", len(bvals), rng)):
        back = np.eye(4)
        back[:3, :3], back[:3, 3] = pose.rotation, pose.translation
        pull = np.linalg.inv(small) @ np.linalg.inv(back) @ affine
        data[..., n] = ndimage.affine_transform(
            scan.data[..., n], pull[:3, :3], pull[:3, 3], output_shape=shape, order=1
        )
    data = rician(data, sigma=S0_WHITE / asked.snr, rng=rng)
    mask = brain_mask(data[..., bvals <= 50].mean(axis=-1), affine)
    wall, used = time.perf_counter(), time.process_time()
    motion = estimate_motion(
        data,
        bvals=bvals,
        bvecs_ras=bvecs,
        affine=affine,
        mask=mask,
        phase_encoding_axis=PHASE,
        n_threads=asked.threads,
    )
    middle = time.perf_counter()
    apply_motion(data, affine=affine, affines=motion.affines, n_threads=asked.threads)
    end, cpu = time.perf_counter(), time.process_time() - used
    print(
        f"33 volumes of 128 x 128 x 60, {asked.threads} threads, load "
        f"{os.getloadavg()[0]:.1f}: {middle - wall:.0f} s to estimate and {end - middle:.0f} s "
        f"to apply by the clock; {cpu:.0f} s processor time, half of it {cpu / 2:.0f} s"
    )


def main():
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("what", choices=["phantom", "tables", "polarities", "speed"])
    parser.add_argument("--motion", choices=["still", "walk", "jumps"], default="walk")
    parser.add_argument("--eddy", type=float, default=LARGEST_EDDY, help="largest shear, mm/mm")
    parser.add_argument("--distortion", type=float, default=8.0, help="largest, mm")
    parser.add_argument("--dropped", type=float, default=0.05, help="share of slices lost")
    parser.add_argument("--snr", type=float, default=20.0, help="0 for no noise")
    parser.add_argument("--voxel-size", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of speed")
    parser.add_argument("--only", nargs="+", default=[], help="names of what is tried")
    asked = parser.parse_args()
    said = {"phantom": phantom, "tables": tables, "polarities": polarities, "speed": speed}
    said[asked.what](asked)


if __name__ == "__main__":
    main()
