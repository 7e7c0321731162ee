"""Registration against its peer, and what fair resampling and the two questions are worth.

Run: python tests/benchmarks/bench_spatial.py [--data ../shared/data]
Every line is printed by this one run; ratios are time of the peer over time of ours.
"""

from __future__ import annotations

import argparse
import resource
import runpy
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from dipy.align.imaffine import AffineRegistration, MutualInformationMetric
from dipy.align.transforms import RigidTransform3D
from dipy.core.gradients import gradient_table
from dipy.reconst.dti import TensorModel
from dipy.segment.mask import median_otsu
from nilearn.datasets import load_mni152_template, load_mni152_wm_template
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from msimaging.spatial.midpoint import VisitImage, midpoint_space, midpoint_template
from msimaging.spatial.registration import register_rigid, register_template
from msimaging.spatial.resampling import resample_image
from msimaging.spatial.transforms import compose, displacement_transform, transform_points

TESTS = Path(__file__).resolve().parents[1]


def timed(function, *arguments, **settings):
    start = time.perf_counter()
    result = function(*arguments, **settings)
    return result, time.perf_counter() - start


def brain(resolution):
    image = load_mni152_template(resolution=resolution)
    data = image.get_fdata().astype(np.float32)
    data[data < 0.05 * data.max()] = 0
    return data, image.affine


def pose(degrees, shift):
    matrix = np.eye(4)
    axis = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
    matrix[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * axis).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def voxel_centres(data, affine, step=37):
    return (np.argwhere(data > 0)[::step] @ affine[:3, :3].T) + affine[:3, 3]


def rigid_against_dipy():
    """One head scanned twice on 3 mm grids, with noise."""
    data, affine = brain(3)
    truth = pose(4, [3.0, -5.0, 2.0])
    rng = np.random.default_rng(0)
    moving = resample_image(
        data,
        affine,
        target_to_source=compose(np.linalg.inv(truth)),
        target_shape=data.shape,
        target_affine=affine,
        interpolation="bspline",
    )
    noisy = [image + rng.normal(0, 0.02 * data.max(), data.shape) for image in (data, moving)]
    points = voxel_centres(data, affine)
    goal = transform_points(compose(truth), points)

    def error(matrix):
        return np.linalg.norm(transform_points(compose(matrix), points) - goal, axis=1).mean()

    ours, seconds = timed(register_rigid, noisy[0], affine, noisy[1], affine)
    peer = AffineRegistration(
        metric=MutualInformationMetric(nbins=32, sampling_proportion=0.3),
        level_iters=[100, 50, 25],
        sigmas=[3, 1, 0],
        factors=[4, 2, 1],
        verbosity=0,
    )
    found, peer_seconds = timed(
        peer.optimize,
        noisy[0],
        noisy[1],
        RigidTransform3D(),
        None,
        static_grid2world=affine,
        moving_grid2world=affine,
    )
    back = register_rigid(noisy[1], affine, noisy[0], affine)
    residual = np.abs(ours @ back - np.eye(4)).max()
    print(
        f"rigid, 3 mm head: ours {error(ours):.3f} mm, {seconds:.1f} s (both directions); "
        f"dipy {error(found.affine):.3f} mm, {peer_seconds:.1f} s (one): "
        f"time ratio {peer_seconds / seconds:.1f}; swap residual {residual:.1e}"
    )


def template_on_a_known_warp():
    """MNI 2 mm, bent by up to 5 mm and an affine, scanned at 3 mm."""
    data, affine = brain(2)
    linear = pose(5, [4.0, -6.0, 3.0])
    linear[:3, :3] = linear[:3, :3] @ np.diag([1.06, 0.95, 1.03])
    rng = np.random.default_rng(0)
    # A template bent by a known field is the fixed image; the subject is the straight one, so that
    # the truth needs no inversion: template_to_subject = field, then affine.
    field = np.stack([gaussian_filter(rng.normal(size=data.shape), 8) for _ in range(3)], -1)
    field *= 5 / np.sqrt((field**2).sum(-1)).max()
    truth = compose(displacement_transform(field, affine), linear)
    grid = np.array([[-3.0, 0, 0, 98], [0, 3, 0, -136], [0, 0, 3, -76], [0, 0, 0, 1]])
    subject = resample_image(
        data,
        affine,
        target_to_source=compose(np.linalg.inv(linear)),
        target_shape=(66, 80, 68),
        target_affine=grid,
        interpolation="linear",
    )
    template = resample_image(
        data,
        affine,
        target_to_source=displacement_transform(field, affine),
        target_shape=data.shape,
        target_affine=affine,
        interpolation="linear",
    )
    points = voxel_centres(template, affine)
    goal = transform_points(truth, points)

    def error(transform):
        shift = np.linalg.norm(transform_points(transform, points) - goal, axis=1)
        return f"{shift.mean():.2f} mm (95 % {np.percentile(shift, 95):.2f})"

    for voxel_mm in (4.0, 3.0, 2.0):
        found, seconds = timed(
            register_template, subject, grid, template, affine, working_mm=voxel_mm
        )
        round_trip = compose(found.template_to_subject, found.subject_to_template)
        residual = np.linalg.norm(transform_points(round_trip, points) - points, axis=1).max()
        print(
            f"template at {voxel_mm:g} mm: affine {error(compose(found.affine))}, "
            f"with SyN {error(found.template_to_subject)}, {seconds:.1f} s; local correlation "
            f"{found.similarity_before:.2f} {found.similarity_affine:.2f} "
            f"{found.similarity_after:.2f}; round trip at most {residual:.2f} mm"
        )


def real_visits(data):
    """Healthy sub-CD01, 12.6 months apart: midpoint, template and how alike the visits look."""
    visits, fa_maps = [], []
    for path in sorted(data.glob("bids/sub-CD01/ses-*/dwi/*acq-ax20*_dwi.nii.gz")):
        image = nib.load(path)
        stem = str(path).removesuffix(".nii.gz")
        bvals, bvecs = np.loadtxt(f"{stem}.bval"), np.loadtxt(f"{stem}.bvec").T
        series = image.get_fdata()
        _, mask = median_otsu(series[..., bvals < 50].mean(-1), median_radius=2, numpass=1)
        gtab = gradient_table(bvals, bvecs=bvecs)
        fa = np.nan_to_num(TensorModel(gtab).fit(series, mask=mask).fa)
        b0 = np.where(mask, series[..., bvals < 50].mean(-1), 0)
        visits.append(VisitImage(data=b0, affine=image.affine, mask=mask))
        fa_maps.append(VisitImage(data=fa, affine=image.affine))
    space, seconds = timed(midpoint_space, visits)
    again = midpoint_space(visits[::-1])
    swap = max(
        np.abs(one - two).max()
        for one, two in zip(space.midpoint_to_visit, again.midpoint_to_visit[::-1], strict=True)
    )
    carried = [
        resample_image(
            visit.data,
            visit.affine,
            target_to_source=compose(matrix),
            target_shape=space.shape,
            target_affine=space.affine,
            interpolation="linear",
        )
        for visit, matrix in zip(fa_maps, space.midpoint_to_visit, strict=True)
    ]
    inside = (carried[0] > 0.05) & (carried[1] > 0.05)
    after = np.corrcoef(carried[0][inside], carried[1][inside])[0, 1]
    fa, took = timed(midpoint_template, fa_maps, space, interpolation="linear")
    brain_2mm, mni_affine = brain(2)
    white = load_mni152_wm_template(resolution=2).get_fdata().astype(np.float32)
    to_mni, template_seconds = timed(
        register_template,
        np.clip(fa, 0, 1),
        space.affine,
        white,
        mni_affine,
        template_mask=brain_2mm > 0,
    )
    shift = np.linalg.norm(space.midpoint_to_visit[0][:3, 3] - space.midpoint_to_visit[1][:3, 3])
    print(
        f"sub-CD01, two visits: midpoint {seconds:.1f} s, grid {space.shape}, origin moved by "
        f"{shift:.1f} mm between visits, swap residual {swap:.1e}, FA of both visits correlates "
        f"{after:.3f}; mean image {took:.1f} s; FA to MNI white matter "
        f"{template_seconds:.1f} s, local "
        f"correlation {to_mni.similarity_affine:.2f} -> {to_mni.similarity_after:.2f}"
    )


def planted_truth():
    alike = runpy.run_path(str(TESTS / "unit/spatial/test_visits_alike.py"))
    for name, settings in {
        "lesion-like, FA .09, SNR 15": {"fa": 0.09, "md": 1.0e-3, "snr": 15},
        "lesion-like, FA .09, SNR 25": {"fa": 0.09, "md": 1.0e-3, "snr": 25},
        "white matter, FA .69, SNR 15": {"fa": 0.69, "md": 0.75e-3, "snr": 15},
    }.items():
        for how, percent in alike["false_changes"](**settings).items():
            print(f"false change of FA, {name}: {how:22s} {percent:+6.1f} %")
    planted = runpy.run_path(str(TESTS / "unit/longitudinal/test_simulations.py"))
    for effect in (0.0, 0.05, 0.10):
        change, truth = planted["simulate_regions"](rd_change=effect)
        covered = planted["coverage"](change, truth)
        bias = change.percent_change[:, 1].mean() - 100 * effect / (1 + effect / 2)
        print(
            f"500 pairs, RD {effect:+.0%}: coverage FA {covered[0]:.3f}, RD {covered[1]:.3f}, "
            f"bias of the RD change {bias:+.2f} points"
        )
    for scatter in (0.0, 0.05, 0.10, 0.15):
        change, reliable = planted["simulate_edges"](between_sd=scatter)
        print(
            f"unchanged edges, between-session SD of z {scatter:.2f}: detectable "
            f"{change.detectable.mean():.3f}, reliable {reliable.mean():.3f}"
        )
    for effect in (0, 2.5, 5, 7.5, 10, 15):
        rate = planted["simulate_detection"](effect)
        print(f"regions, planted {effect:4.1f} %: reliable {rate:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=TESTS.parents[1] / "shared/data")
    data = parser.parse_args().data
    rigid_against_dipy()
    template_on_a_known_warp()
    if data.is_dir():
        real_visits(data)
    planted_truth()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MB")


if __name__ == "__main__":
    main()
