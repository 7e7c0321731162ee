"""A planted smooth bias is found on the mean b=0 and leaves every volume alike."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from msimaging.diffusion.bias import correct_bias, estimate_bias_field
from msimaging.errors import InputError

AFFINE = np.diag([-5.0, 5.0, 4.0, 1.0])


def biased_head(seed=1):
    rng = np.random.default_rng(seed)
    shape = (32, 34, 30)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, extent) for extent in shape), indexing="ij")
    mask = (x / 0.8) ** 2 + (y / 0.9) ** 2 + (z / 0.8) ** 2 < 1
    texture = ndimage.gaussian_filter(rng.normal(size=shape), 1)
    even = np.where(texture > 0, 800.0, 1100.0) * mask
    field = np.exp(0.35 * x - 0.2 * y * z + 0.15 * z)
    field /= np.exp(np.log(field[mask]).mean())
    return even * field + rng.normal(0, 15, shape) * mask, even, mask, field


def spread(image, even, mask):
    ratio = image[mask] / even[mask]
    return ratio.std() / ratio.mean()


def test_planted_field_is_found():
    image, even, mask, field = biased_head()
    found = estimate_bias_field(image, mask, affine=AFFINE)
    assert np.log(found[mask]).mean() == pytest.approx(0, abs=1e-6)
    assert np.corrcoef(found[mask], field[mask])[0, 1] > 0.97
    corrected = correct_bias(image, found)
    assert spread(corrected, even, mask) < 0.4 * spread(image, even, mask)


def test_all_volumes_are_divided_alike_and_ratios_stay():
    image, _, mask, field = biased_head()
    series = np.stack([image, 0.4 * image], axis=-1)
    before = series.copy()
    corrected = correct_bias(series, field)
    np.testing.assert_allclose(corrected[mask, 0], (image / field)[mask], rtol=1e-5)
    np.testing.assert_allclose(corrected[mask, 1], 0.4 * corrected[mask, 0], rtol=1e-5)
    np.testing.assert_array_equal(series, before)


def test_bytes_do_not_depend_on_threads():
    image, _, mask, _ = biased_head()
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    fields = []
    for n_threads in (1, 2, 3):
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(n_threads)
        fields.append(estimate_bias_field(image, mask, affine=AFFINE).tobytes())
        assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == n_threads
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
    assert fields[0] == fields[1] == fields[2]


def test_faults_are_told():
    image, _, mask, field = biased_head()
    with pytest.raises(InputError, match="one grid"):
        estimate_bias_field(image, mask[:4], affine=AFFINE)
    with pytest.raises(InputError, match="above zero"):
        estimate_bias_field(0 * image, mask, affine=AFFINE)
    with pytest.raises(InputError, match="positive"):
        correct_bias(image, -field)
