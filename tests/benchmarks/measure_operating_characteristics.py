"""How often the pipeline's verdicts are right: simulated pairs of scans with a planted change.

    python tests/benchmarks/measure_operating_characteristics.py [PAIRS] [SAMPLES]

Every pair is a patient of the phantom in two poses on two slice angulations; every second one is
untouched. Signals get Rician noise, the tensor fit, the wild bootstrap and the verdicts are the
pipeline's own; the way to the template is the true one, so that what is left is scan noise and
where the voxels fall. Twenty untouched people scanned twice give each region its smallest
detectable change; five such studies take turns, because each is right only on average.

Prints the table and writes `operating_characteristics.tsv`, which the report draws.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from dipy.core.gradients import GradientTable
from scipy.sparse import csr_array

import msimaging.longitudinal
from msimaging.atlases.library import load_atlas
from msimaging.diffusion.gradients import gradient_table
from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.diffusion.tensor import fit_tensor
from msimaging.diffusion.uncertainty import wild_bootstrap
from msimaging.longitudinal.change import visit_change
from msimaging.longitudinal.reliability import (
    is_reliable,
    published_repeatability,
    smallest_detectable_change,
)
from msimaging.longitudinal.repeats import within_subject
from msimaging.phantom.diffusion import gradient_scheme, rician
from msimaging.phantom.head import TEMPLATE_HEAD, scanner_grid
from msimaging.phantom.microstructure import S0_WHITE, microstructure
from msimaging.phantom.truth import Effects, patient_visits
from msimaging.steps.carrying import trilinear_weights
from msimaging.tables import write_table

VOXEL, SNR, BLOCK = 3.0, 30.0, 3
N_RESCANNED, N_STUDIES, FIRST_RESCANNED = 20, 5, 10_000
MEASURES = ("fa", "md", "ad", "rd")
PLANTED = (0.0, -0.03, 0.0, -0.06, 0.0, -0.09, 0.0, -0.12, 0.0, -0.15)
ATLAS = load_atlas("whitematter")
TABLE = Path(msimaging.longitudinal.__file__).with_name("operating_characteristics.tsv")
TOUCHED = np.array([name.startswith("CC") for name in ATLAS.names])


def region_points():
    """Points of all regions in template mm, 27 an atlas voxel, and the region of each."""
    voxels = np.argwhere(ATLAS.labels_img > 0)
    region = np.searchsorted(ATLAS.indices, ATLAS.labels_img[tuple(voxels.T)])
    thirds = np.array(list(np.ndindex(3, 3, 3))) / 3 - 1 / 3
    points = (voxels[:, None] + thirds).reshape(-1, 3)
    return points @ ATLAS.affine[:3, :3].T + ATLAS.affine[:3, 3], np.repeat(region, 27)


@dataclass(frozen=True)
class Reading:
    """A noisy scan of a visit: its signals, and the regions read from their tensors."""

    data: np.ndarray
    gtab: GradientTable
    mask: np.ndarray
    weights: csr_array
    measured: np.ndarray
    true: np.ndarray

    def standard_errors(self, n_samples, seed):
        """Wild bootstrap of the regions, (4, P)."""
        regions = wild_bootstrap(
            self.data,
            self.gtab,
            self.mask,
            region_weights=self.weights,
            n_samples=n_samples,
            seed=seed,
            block_voxels=BLOCK,
        ).regions
        return np.stack([regions[m] for m in MEASURES])


def scan(visit, seed):
    """Simulate one scan and read its regions with and without noise."""
    shape, affine = scanner_grid(VOXEL, oblique=visit.oblique)
    places, region = REGION_POINTS
    scanner = places @ visit.pose.rotation.T + visit.pose.translation
    inside = (scanner - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    weights = trilinear_weights(inside, region, shape, len(ATLAS.indices))
    voxels = np.unique(weights.indices)
    index = np.stack(np.unravel_index(voxels, shape), axis=1)
    head = visit.pose.to_head(index @ affine[:3, :3].T + affine[:3, 3])
    tissue = microstructure(head, visit.biology, fwhm=VOXEL)
    bvals, bvecs = gradient_scheme()
    along = (tissue.direction @ visit.pose.rotation.T @ bvecs.T) ** 2
    exponent = -bvals * (tissue.rd[:, None] + (tissue.ad - tissue.rd)[:, None] * along)
    clean = (tissue.s0[:, None] * np.exp(exponent)).astype(np.float32)
    data = np.zeros((int(np.prod(shape)), len(bvals)), dtype=np.float32)
    data[voxels] = rician(clean, sigma=S0_WHITE / SNR, rng=np.random.default_rng(seed))
    mask = np.zeros(len(data), dtype=bool)
    mask[voxels[tissue.brain]] = True
    data, mask = data.reshape(*shape, -1), mask.reshape(shape)
    gtab = gradient_table(bvals, bvecs)
    fit = fit_tensor(data, gtab, mask)
    kept = weights[:, np.flatnonzero(mask)]
    sums = np.asarray(kept.sum(axis=1)).ravel()
    measured = [kept @ SCALAR_METRICS[m].from_evals(fit.evals[mask]) / sums for m in MEASURES]
    true = [kept @ getattr(tissue, m)[tissue.brain] / sums for m in MEASURES]
    return Reading(data, gtab, mask, weights, np.stack(measured), np.stack(true))


def pair(person, rd_change):
    """Both scans of one simulated person."""
    effects = Effects(
        tract="corpus_callosum",
        network="default",
        rd_change=rd_change,
        rd_change_sd=0.0,
        coupling_change=0.0,
        coupling_change_sd=0.0,
        n_lesions=0,
        lesion_growth=0.0,
    )
    visits = patient_visits(SEED, person, 2, effects)
    # the true way to the template is then the pose alone
    return [
        scan(replace(visit, head=TEMPLATE_HEAD), (SEED, person, place))
        for place, visit in enumerate(visits)
    ]


def smallest_changes(study):
    """Smallest detectable change of each measure and region by the rescans of one study, (4, P)."""
    people = range(N_RESCANNED * study, N_RESCANNED * (study + 1))
    repeats = np.array([[v.measured for v in pair(FIRST_RESCANNED + p, 0.0)] for p in people])
    sdc = np.empty(repeats.shape[2:])
    for place in np.ndindex(sdc.shape):
        scatter = within_subject(repeats[:, :, *place])
        sdc[place] = smallest_detectable_change(scatter.sd, df=scatter.df)
    return sdc


def verdicts(person, rd_change, sdc, n_samples):
    """One row a measure and region: what was planted, what was said."""
    visits = pair(person, rd_change)
    errors = [
        visit.standard_errors(n_samples, seed=1000 * person + place)
        for place, visit in enumerate(visits)
    ]
    first, second = (visit.measured for visit in visits)
    change = visit_change(first, second, baseline_se=errors[0], follow_up_se=errors[1])
    seen = visits[1].true - visits[0].true
    cov = np.array([published_repeatability(m).cov_percent for m in MEASURES])[:, None]
    published = smallest_detectable_change(cov / 100 * (first + second) / 2)
    names = pd.MultiIndex.from_product([MEASURES, ATLAS.names], names=["measure", "label"])
    columns = {
        "percent": change.percent_change,
        "seen_percent": 200 * seen / (visits[0].true + visits[1].true),
        "covered": (change.ci_low <= seen) & (seen <= change.ci_high),
        "detectable": change.detectable,
        "reliable": is_reliable(change, sdc),
        "reliable_published": is_reliable(change, published),
    }
    table = pd.DataFrame({k: np.ravel(v) for k, v in columns.items()}, index=names).reset_index()
    # next to a changed tract a region is neither untouched nor changed by what was planted
    beside = np.nan if rd_change else 0.0
    table["planted"] = np.where(np.tile(TOUCHED, len(MEASURES)), 100 * rd_change, beside)
    return table.assign(person=person)


def rates(rows):
    """Share called changed by measure, planted change and question; Wald limits over people."""
    asked = {"detectable": "detectable", "reliable": "reliable, own rescans"}
    asked["reliable_published"] = "reliable, published CoV"
    found = []
    for (measure, planted), group in rows.groupby(["measure", "planted"]):
        for column, words in asked.items():
            each = group.groupby("person")[column].mean()
            half = 1.96 * each.std(ddof=1) / np.sqrt(len(each))
            found.append(
                {
                    "measure": measure,
                    "planted_percent": -planted if planted else 0.0,
                    "question": words,
                    "rate": each.mean(),
                    "ci_low": max(each.mean() - half, 0.0),
                    "ci_high": min(each.mean() + half, 1.0),
                    "n_pairs": len(each),
                    "n_regions": group["label"].nunique(),
                }
            )
    return pd.DataFrame(found)


def summary(rows):
    """Coverage and bias of each measure; the planted change of RD is that of the tissue."""
    table = rows.groupby("measure").agg(coverage=("covered", "mean"))
    error = rows["percent"] - rows["seen_percent"]
    table["bias of change [points]"] = error.groupby(rows["measure"]).mean()
    quiet = rows[rows["planted"] == 0]
    table["detectable under no change"] = quiet.groupby("measure")["detectable"].mean()
    table["reliable under no change"] = quiet.groupby("measure")["reliable"].mean()
    table["... published CoV"] = quiet.groupby("measure")["reliable_published"].mean()
    return table


def planted_against_recovered(rows):
    """Per cent change of RD: planted in the tissue, seen without noise, and recovered."""
    rd = rows[(rows["measure"] == "rd") & (rows["planted"] != 0)]
    planted = rd["planted"] / (1 + rd["planted"] / 200)
    table = rd.assign(planted_percent=planted)
    return table.groupby("planted")[["planted_percent", "seen_percent", "percent"]].mean()


def main():
    """Simulate and print."""
    n_pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    n_samples = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    sdc = [smallest_changes(study) for study in range(N_STUDIES)]
    rows = []
    for person in range(n_pairs):
        turn, place = divmod(person, len(PLANTED))
        rows.append(verdicts(person, PLANTED[place], sdc[turn % N_STUDIES], n_samples))
        if person % 25 == 24:
            print(f"{person + 1} of {n_pairs} pairs", flush=True)
    rows = pd.concat(rows, ignore_index=True)
    print(f"\n{n_pairs} pairs, {ATLAS.labels_img.max()} regions, {VOXEL:g} mm, SNR {SNR:g}")
    print(summary(rows).to_string(float_format="{:.3f}".format))
    print(planted_against_recovered(rows).to_string(float_format="{:.2f}".format))
    table = rates(rows)
    shown = table[table["measure"] == "rd"].pivot_table(
        index="planted_percent", columns="question", values="rate"
    )
    print(f"\nshare called changed, RD\n{shown.to_string(float_format='{:.3f}'.format)}")
    write_table(TABLE, table)


SEED = 2026
REGION_POINTS = region_points()

if __name__ == "__main__":
    main()
