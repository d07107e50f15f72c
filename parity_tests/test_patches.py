"""Evidence from random patches: both packages compute the same features, left-out answers and evidence."""

import numpy as np
import pytest

import ms_coreset as mc
import torch_ref
from ms_coreset.extraction.random_patches import Encoder, draw_filters, patch_settings
from ms_coreset.extraction.ridge import ridge_left_out
from ms_coreset.randomness import stream
from parity_tests.helpers import small_split

CASES = [(32, 3), (28, 1), (13, 3), (8, 1), (64, 3), (5, 1), (4, 3)]  # pixels, channels


def picture_split(size, channels, n=24):
    """Random images with something to see, patches without any among them."""
    split = small_split(n, size, channels)
    split.images[:, : size // 2] //= 4
    split.images[::5, :, : size // 2 + 3] = 77
    return split


@pytest.mark.parametrize(("size", "channels"), CASES)
def test_features_in_double_precision(size, channels):
    split = picture_split(size, channels)
    settings = patch_settings(split, 7, 3)
    filters = draw_filters(split.images, settings["filters"], settings["side"], stream(3, "patches"))
    features = Encoder(filters, settings["mirrored"], np.float64)(split.images)
    expected = torch_ref.patch_features(split.images, 7, 3)
    assert features.shape == expected.shape == (24, 56)
    np.testing.assert_allclose(features, expected, atol=1e-11)


@pytest.mark.parametrize(("n", "d", "classes"),
                         [(40, 12, 3), (12, 40, 4), (20, 20, 2), (2, 3, 2), (1, 4, 3), (9, 4, 1)])
def test_left_out_answers_are_those_of_a_fit_without_the_sample(n, d, classes):
    rng = np.random.RandomState(n)
    features, labels = 3 + rng.randn(n, d) * np.logspace(-2, 2, d), rng.randint(0, classes, n)
    found = ridge_left_out(features, labels, classes)
    answers, lam, accuracy = torch_ref.ridge_left_out(features, labels, classes)
    assert (found.lam, found.accuracy) == (lam, accuracy)
    np.testing.assert_allclose(found.answers(), answers, atol=1e-7)


@pytest.mark.parametrize(("size", "channels", "classes"), [(20, 3, 4), (8, 1, 2)])
def test_evidence_and_what_is_chosen_by_it(size, channels, classes):
    split = small_split(40, size, channels, classes)
    split.images[np.arange(40), split.labels] = 255  # a bright line tells the class
    evidence, twin = mc.patch_evidence(split, 5), torch_ref.patch_evidence(split, 5)
    for name in ("features", "logits"):
        np.testing.assert_allclose(getattr(evidence, name), getattr(twin, name), atol=2e-3)
    assert evidence.accuracy > 1.5 / classes
    chosen, expected = (package.select("loss", known, 0.3).indices for package, known in
                        ((mc, evidence), (torch_ref, twin)))
    assert len(np.intersect1d(chosen, expected)) >= len(expected) - 1
