"""Compare denoising strategies on simulated visits whose coupling and artefacts are known.

Two visits of each patient differ in motion (3 against 15 spikes) and, in network A, by a planted
change of 0.15 in Fisher's z; network B does not change. Printed for each strategy: bias of the
network means, recovered change in A, false change in B, degrees of freedom lost, volumes left.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from msimaging.functional.cleaning import clean_time_series
from msimaging.functional.confounds import confounds_table
from msimaging.functional.connectivity import connectivity_matrix, network_means
from msimaging.functional.edges import fisher_z
from msimaging.functional.strategies import STRATEGIES, select_confounds
from msimaging.parcellation import parcel_time_series

SHAPE, N_VOLUMES, T_R = (20, 20, 16), 300, 2.0
PARCELS_OF_A_NETWORK = 8
SPIKES = {"baseline": 3, "month06": 15}
BASE_Z, PLANTED = 0.40, 0.15
VOXEL_NOISE, SIGNAL = 10.0, 10.0
N_PATIENTS = 12


def anatomy():
    """Labels of 16 cubes of 27 voxels in two networks, white matter, CSF, brain."""
    labels = np.zeros(SHAPE, dtype=np.int32)
    corners = [(x, y, z) for x in (2, 6, 11, 15) for y in (2, 6) for z in (2, 11)]
    for index, (x, y, z) in enumerate(corners, start=1):
        labels[x : x + 3, y : y + 3, z : z + 3] = index
    white, csf, brain = (np.zeros(SHAPE, dtype=bool) for _ in range(3))
    white[3:10, 11:17, 3:13] = True
    csf[12:16, 11:17, 3:13] = True
    brain[1:19, 1:19, 1:15] = True
    return labels, white, csf, brain


def autoregressive(rng, n_series, phi=0.4):
    series = lfilter([1], [1, -phi], rng.normal(size=(n_series, N_VOLUMES + 50)))[:, 50:]
    return (series - series.mean(axis=1, keepdims=True)) / series.std(axis=1, keepdims=True)


def coupled(rng, z):
    """Two networks whose parcels correlate within by z, corrected for the noise of a parcel."""
    noisy = 1 + VOXEL_NOISE**2 / 27 / SIGNAL**2
    series = []
    for wanted in z:
        share = np.tanh(wanted) * noisy
        common = autoregressive(rng, 1)
        own = autoregressive(rng, PARCELS_OF_A_NETWORK)
        series.append(np.sqrt(share) * common + np.sqrt(1 - share) * own)
    return np.vstack(series)


def head_motion(rng, n_spikes):
    motion = np.cumsum(rng.normal(0, [0.015] * 3 + [0.0002] * 3, size=(N_VOLUMES, 6)), axis=0)
    jolts = rng.choice(np.arange(10, N_VOLUMES - 10), n_spikes, replace=False)
    for jolt in jolts:
        motion[jolt : jolt + 2] += rng.normal(0, [0.7] * 3 + [0.008] * 3)
    return motion


def visit(rng, z, n_spikes):
    """One run: coupling, noise of voxels, drift, physiology, and what motion does to the signal."""
    labels, white, csf, brain = anatomy()
    bold = np.zeros((*SHAPE, N_VOLUMES))
    bold[brain] = 1000 + rng.normal(0, VOXEL_NOISE, size=(int(brain.sum()), N_VOLUMES))
    series = coupled(rng, z)
    for parcel in range(1, labels.max() + 1):
        bold[labels == parcel] += SIGNAL * series[parcel - 1]
    x, y, s = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    breath, pulse = autoregressive(rng, 2, phi=0.6)
    time = np.linspace(-1, 1, N_VOLUMES)
    bold[brain] += 20 * np.outer(1 + 0.3 * x[brain], time) + 10 * np.outer(
        y[brain], np.cos(4 * time)
    )
    bold[brain] += 4 * np.outer(1 + 0.5 * s[brain], breath)
    bold[brain] += 3 * np.outer(1 - 0.5 * y[brain], pulse)
    bold[white] += 8 * breath
    bold[csf] += 15 * pulse
    motion = head_motion(rng, n_spikes)
    speed = np.abs(np.diff(motion, axis=0, prepend=motion[:1])) @ [1, 1, 1, 50, 50, 50]
    bold[brain] += 12 * np.outer(x[brain], motion[:, 0]) - 10 * np.outer(s[brain], motion[:, 2])
    bold[brain] -= 25 * np.outer(1 + 0.4 * y[brain] * x[brain], speed)
    confounds = confounds_table(
        bold, t_r=T_R, brain_mask=brain, motion=motion, white_matter_mask=white, csf_mask=csf
    )
    signals = parcel_time_series(bold, labels, np.arange(1, labels.max() + 1)).time_series
    return signals, confounds


def means_of(signals, confounds, strategy):
    selected = select_confounds(confounds.table, strategy, metadata=confounds.metadata)
    cleaned = clean_time_series(
        signals,
        t_r=T_R,
        high_pass=0.008,
        low_pass=None,
        confounds=selected.design,
        sample_mask=selected.sample_mask,
    )
    matrix = connectivity_matrix(
        cleaned.time_series, kind="correlation", estimator="empirical"
    ).matrix
    table = network_means(
        fisher_z(matrix), ["A"] * PARCELS_OF_A_NETWORK + ["B"] * PARCELS_OF_A_NETWORK
    )
    values = dict(zip(table["network_a"] + table["network_b"], table["mean"], strict=True))
    return values, cleaned


def compare(n_patients=N_PATIENTS, seed=0):
    """Return for each strategy rows of patient: bias, change in A, change in B, lost, retained."""
    found = {name: [] for name in STRATEGIES}
    for patient in range(n_patients):
        rng = np.random.default_rng([seed, patient])
        before = visit(rng, (BASE_Z, BASE_Z), SPIKES["baseline"])
        after = visit(rng, (BASE_Z + PLANTED, BASE_Z), SPIKES["month06"])
        for name, rows in found.items():
            first, _ = means_of(*before, name)
            second, clean_second = means_of(*after, name)
            bias = np.mean(
                [
                    first["AA"] - BASE_Z,
                    first["BB"] - BASE_Z,
                    second["AA"] - BASE_Z - PLANTED,
                    second["BB"] - BASE_Z,
                ]
            )
            rows.append(
                (
                    bias,
                    second["AA"] - first["AA"],
                    second["BB"] - first["BB"],
                    clean_second.degrees_of_freedom_lost,
                    clean_second.n_retained,
                    np.mean([first["AB"], second["AB"]]),
                )
            )
    return {name: np.array(rows) for name, rows in found.items()}


def main():
    print(f"{N_PATIENTS} patients, planted change in network A: +{PLANTED:.2f} in z, in B: 0")
    print(
        f"{'strategy':14s} {'bias':>7s} {'bias A-B':>8s} {'change A':>9s} {'false B':>8s} "
        f"{'sd':>6s} {'df lost':>8s} {'volumes':>8s}"
    )
    for name, rows in compare().items():
        mean = rows.mean(axis=0)
        print(
            f"{name:14s} {mean[0]:+7.3f} {mean[5]:+8.3f} {mean[1]:+9.3f} {mean[2]:+8.3f} "
            f"{rows[:, 2].std(ddof=1):6.3f} {mean[3]:8.1f} {mean[4]:8.1f}"
        )


if __name__ == "__main__":
    main()
