"""Ringing of truncated k-space goes, edges and shape stay, and DIPY's answer is met."""

from __future__ import annotations

import numpy as np
import pytest
from dipy.denoise.gibbs import gibbs_removal

from msimaging.diffusion.unringing import remove_gibbs_ringing
from msimaging.errors import InputError


def ringing_slices(shape=(40, 34), n_slices=2, factor=8):
    """Blocks and discs drawn finely, seen through the k-space of a coarse matrix."""
    x, y = np.meshgrid(*(np.arange(extent * factor) for extent in shape), indexing="ij")
    x, y = x / (shape[0] * factor), y / (shape[1] * factor)
    images = []
    for k in range(n_slices):
        head = (((x - 0.5) / 0.4) ** 2 + ((y - 0.5 - 0.02 * k) / 0.36) ** 2) < 1
        fluid = ((x - 0.55) ** 2 + (y - 0.45) ** 2) < (0.1 + 0.03 * k) ** 2
        block = (np.abs(x - 0.35) < 0.06) & (np.abs(y - 0.6) < 0.11)
        images.append(1000.0 * head + 800 * fluid - 500 * block)
    fine = np.stack(images, -1)
    spectrum = np.fft.fftshift(np.fft.fft2(fine, axes=(0, 1)), axes=(0, 1))
    low = [(extent * factor - extent) // 2 for extent in shape]
    kept = spectrum[low[0] : low[0] + shape[0], low[1] : low[1] + shape[1]]
    rung = np.fft.ifft2(np.fft.ifftshift(kept, axes=(0, 1)), axes=(0, 1)).real / factor**2
    blocks = fine.reshape(shape[0], factor, shape[1], factor, n_slices)
    return blocks.mean(axis=(1, 3)), np.abs(rung), blocks.std(axis=(1, 3))


def test_agrees_with_dipy_within_half_a_per_cent_of_the_signal():
    _, rung, _ = ringing_slices()
    ours = remove_gibbs_ringing(rung)
    theirs = gibbs_removal(rung.copy(), slice_axis=2, inplace=False)
    difference = np.sqrt(np.mean((ours - theirs) ** 2))
    assert difference < 0.005 * 1000
    assert difference < 0.35 * np.sqrt(np.mean((rung - theirs) ** 2))


def test_ringing_in_flat_tissue_falls_to_a_third():
    truth, rung, detail = ringing_slices()
    # flat: no edge within two voxels; there, only ringing tells neighbours apart
    near = np.zeros(detail.shape, dtype=bool)
    for dx in range(-2, 3):
        for dy in range(-2, 3):
            near |= np.roll(detail, (dx, dy), axis=(0, 1)) > 0
    flat = ~near & (truth > 100)  # outside the head the magnitude has folded the ringing over
    levels = np.round(truth[flat] / 100) * 100
    clean = remove_gibbs_ringing(rung)
    before, after = (np.abs(image[flat] - levels).mean() for image in (rung, clean))
    assert flat.sum() > 100
    assert after < before / 3


def test_image_without_edges_is_hardly_touched():
    x, y = np.meshgrid(np.arange(24), np.arange(30), indexing="ij")
    smooth = 100 + 20 * np.cos(2 * np.pi * x / 24) + 10 * np.sin(2 * np.pi * y / 30)
    clean = remove_gibbs_ringing(smooth[..., None])
    assert np.abs(clean[..., 0] - smooth).max() < 0.5


def test_slice_axis_and_volumes_are_respected():
    _, rung, _ = ringing_slices()
    series = np.stack([rung, 2 * rung], axis=-1)
    clean = remove_gibbs_ringing(series)
    np.testing.assert_allclose(clean[..., 1], 2 * clean[..., 0], rtol=1e-4, atol=0.05)
    turned = remove_gibbs_ringing(np.moveaxis(series, 2, 0), slice_axis=0)
    np.testing.assert_array_equal(np.moveaxis(turned, 0, 2), clean)


def test_bytes_do_not_depend_on_threads():
    series = np.stack([ringing_slices()[1]] * 3, axis=-1) * [1.0, 0.7, 0.3]
    one, three = (remove_gibbs_ringing(series, n_threads=n) for n in (1, 3))
    assert one.tobytes() == three.tobytes()


def test_faults_are_told_together():
    with pytest.raises(InputError) as caught:
        remove_gibbs_ringing(np.full((3, 3), np.nan), slice_axis=5)
    assert len(caught.value.findings) == 3
