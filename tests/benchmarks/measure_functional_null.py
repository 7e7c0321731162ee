"""Count how often unchanged networks are called changed, in simulated runs of unlike poses.

Both visits of a patient have the same coupling; head position, noise, physiology and motion are
drawn anew. From the voxels on, the pipeline's own functions do the work: tissue masks, confounds,
parcel series, cleaning, network means, strengths of parcels and their errors. Where the head lies
is taken as known, so that registration adds nothing. Printed: share of network means and strengths
beyond 1.96 standard errors of their change (nominal 5 %), and the spread of the changes over the
error that was foretold.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from msimaging.functional.cleaning import clean_time_series
from msimaging.functional.confounds import confounds_table
from msimaging.functional.masks import tissue_masks
from msimaging.functional.networks import network_z
from msimaging.functional.strategies import select_confounds
from msimaging.functional.strength import parcel_strengths
from msimaging.parcellation import parcel_time_series
from msimaging.phantom.anatomy import tissue_at
from msimaging.phantom.functional import planted_nodes, simulate_bold
from msimaging.phantom.head import grid_points, random_motion, scanner_grid
from msimaging.phantom.microstructure import CALLOSUM
from msimaging.phantom.truth import Effects, patient_visits

VOXEL, T_R, RADIUS = 4.0, 2.0, 5.0


def null_effects() -> Effects:
    return Effects(
        tract=CALLOSUM,
        network="default",
        rd_change=0.0,
        rd_change_sd=0.0,
        coupling_change=0.0,
        coupling_change_sd=0.0,
        n_lesions=0,
        lesion_growth=0.0,
    )


def measure(visit, seed, n_volumes, strategies):
    """Network means and strengths of one run under each strategy, then their variances."""
    rng = np.random.default_rng([*seed, 9])
    motion = random_motion(rng, n_volumes, rotation_sd=0.1, translation_sd=0.1)
    run = simulate_bold(
        head=visit.head,
        pose=visit.bold_pose,
        oblique=visit.oblique,
        coupling=visit.coupling,
        voxel_size=VOXEL,
        n_volumes=n_volumes,
        t_r=T_R,
        seed=seed,
    )
    shape, affine = scanner_grid(VOXEL, oblique=visit.oblique)
    points = visit.head.to_template(visit.bold_pose.to_head(grid_points(shape, affine)))
    tissue = tissue_at(points, fwhm=VOXEL)
    masks = tissue_masks(
        tissue.white.reshape(shape), tissue.fluid.reshape(shape), brain_mask=run.mask
    )
    nodes = planted_nodes()
    distance, node = cKDTree(nodes.centres).query(points)
    labels = np.where(distance <= RADIUS, node + 1, 0).reshape(shape)
    parcels = parcel_time_series(
        run.data, labels, np.arange(1, len(nodes.centres) + 1), mask=run.mask
    )
    # the head lies still in the images; what the parameters say is noise that costs freedom
    positions = np.array(
        [[*m.translation, *Rotation.from_matrix(m.rotation).as_rotvec()] for m in motion]
    )
    confounds = confounds_table(
        run.data,
        t_r=T_R,
        brain_mask=run.mask,
        motion=positions,
        white_matter_mask=masks.white_matter,
        csf_mask=masks.csf,
    )
    found = []
    for strategy in strategies:
        chosen = select_confounds(confounds.table, strategy, metadata=confounds.metadata)
        cleaned = clean_time_series(
            parcels.time_series,
            t_r=T_R,
            high_pass=0.008,
            low_pass=None,
            confounds=chosen.design,
            sample_mask=chosen.sample_mask,
        )
        known = {
            "variance_inflation": cleaned.variance_inflation,
            "sample_mask": cleaned.sample_mask,
        }
        means = network_z(cleaned.time_series, nodes.networks.tolist(), **known)
        strengths = parcel_strengths(cleaned.time_series, **known)
        estimate = np.concatenate([means.estimate, strengths.estimate])
        error = np.concatenate([means.standard_error, strengths.standard_error])
        found.append((estimate, error**2))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=20)
    parser.add_argument("--volumes", type=int, default=150)
    parser.add_argument("--strategies", nargs="+", default=["none", "simple", "acompcor"])
    options = parser.parse_args()
    pairs = []
    for patient in range(options.patients):
        visits = patient_visits(0, patient, 2, null_effects())
        pairs.append(
            [
                measure(visit, (patient, number), options.volumes, options.strategies)
                for number, visit in enumerate(visits)
            ]
        )
        print(".", end="", flush=True)
    # patients, visits, strategies, estimate or variance, networks and parcels
    values = np.array(pairs)
    n_parcels = len(planted_nodes().centres)
    print(f"\n{options.patients} patients, two visits of {options.volumes} volumes, no change")
    for place, strategy in enumerate(options.strategies):
        z, variance = values[:, :, place, 0], values[:, :, place, 1]
        change, error = z[:, 1] - z[:, 0], np.sqrt(variance.sum(axis=1))
        for what, chosen in (
            ("networks", slice(None, -n_parcels)),
            ("parcels", slice(-n_parcels, None)),
        ):
            rejected = np.abs(change[:, chosen]) > 1.96 * error[:, chosen]
            ratio = np.sqrt(np.nanmean(change[:, chosen] ** 2) / np.nanmean(error[:, chosen] ** 2))
            known = np.isfinite(change[:, chosen])
            print(
                f"{strategy:12s} {what:8s} called detectable {rejected[known].mean():5.1%} of "
                f"{known.sum()}, spread over error {ratio:.2f}"
            )


if __name__ == "__main__":
    main()
