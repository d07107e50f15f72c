"""The same evidence gives the same scores, and the same samples in the same order."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
import torch_ref
from parity_tests.helpers import evidence_pair, outcome

RATES = (0.05, 0.1, 0.25, 0.3, 0.5, 0.77, 1.0)
LABELS = (-3, 0, 7, 1000)
MOST = 12
# Coordinates are multiples of this, so that the mean of up to MOST of them is a whole number: distances are then the
# same in any order of summation, and tied samples are tied in both packages.
UNIT = math.lcm(*range(1, MOST + 1))


def random_evidence(n=150, d=9, seed=0):
    """Five classes with gaps between the labels; label 2 has one sample only."""
    rng = np.random.RandomState(seed)
    labels = rng.choice([-4, 0, 11, 500], size=n)
    labels[n // 2] = 2
    return evidence_pair(labels, rng.standard_normal((n, d)).astype(np.float32) * 3)


@st.composite
def tied_evidence(draw):
    """A few samples on a small grid, with many duplicates."""
    n, d = draw(st.integers(1, MOST)), draw(st.integers(1, 4))
    labels = draw(st.lists(st.sampled_from(LABELS), min_size=n, max_size=n))
    cells = draw(st.lists(st.integers(0, 3), min_size=n * d, max_size=n * d))
    return evidence_pair(labels, np.array(cells, np.float32).reshape(n, d) * UNIT)


@pytest.mark.parametrize("center", ["median", "mean"])
@pytest.mark.parametrize("seed", range(3))
def test_center_distance(center, seed):
    evidence, twin = random_evidence(seed=seed)
    actual, expected = (package.score("center_distance", data, center=center)
                        for package, data in ((mc, evidence), (torch_ref, twin)))
    assert actual.dtype == expected.dtype == np.float64
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)
    assert actual[75] == 0, "the centre of a class of one is its sample"


@pytest.mark.parametrize("center", ["median", "mean"])
@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("rate", RATES)
def test_moderate(rate, balance, center):
    for seed in range(3):
        evidence, twin = random_evidence(seed=seed)
        coreset = mc.select("moderate", evidence, rate, balance=balance, center=center)
        expected = torch_ref.select("moderate", twin, rate, balance=balance, center=center)
        np.testing.assert_array_equal(coreset.indices, expected.indices)
        np.testing.assert_allclose(coreset.scores, expected.scores, rtol=1e-9, atol=1e-12)


@given(tied_evidence(), st.sampled_from(RATES), st.booleans(), st.sampled_from(["median", "mean"]))
@settings(deadline=None, max_examples=150)
def test_moderate_with_ties(pair, rate, balance, center):
    evidence, twin = pair
    np.testing.assert_array_equal(mc.score("center_distance", evidence, center=center),
                                  torch_ref.score("center_distance", twin, center=center))
    options = {"balance": balance, "center": center}
    assert outcome(mc, "moderate", evidence, rate, **options) == outcome(torch_ref, "moderate", twin, rate, **options)


@given(st.lists(st.sampled_from(LABELS), min_size=1, max_size=40), st.sampled_from(RATES), st.booleans(),
       st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=100)
def test_random(labels, rate, balance, seed):
    evidence, twin = evidence_pair(labels)
    options = {"balance": balance, "seed": seed}
    assert outcome(mc, "random", evidence, rate, **options) == outcome(torch_ref, "random", twin, rate, **options)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("balance", [False, True])
def test_full(rate, balance):
    evidence, twin = random_evidence()
    expected = outcome(torch_ref, "full", twin, rate, balance=balance)
    assert outcome(mc, "full", evidence, rate, balance=balance) == expected == list(range(150))


def test_even_classes_take_the_mean_of_the_two_middle_values():
    features = np.array([[0.0], [1.0], [5.0], [100.0]], np.float32)
    for package, evidence in zip((mc, torch_ref), evidence_pair([0, 0, 0, 0], features), strict=True):
        np.testing.assert_array_equal(package.score("center_distance", evidence), [3, 2, 2, 97])


@pytest.mark.parametrize("package", [mc, torch_ref], ids=["mindspore", "torch"])
class TestRefusals:
    """What both packages refuse, with a ``ValueError`` that says what was wrong."""

    @pytest.mark.parametrize("method", ["random", "moderate"])
    @pytest.mark.parametrize("rate", [0, -0.1, 1.1, math.nan, math.inf])
    def test_rates(self, package, method, rate):
        evidence = package.Evidence(labels=np.zeros(10, np.int64), features=np.ones((10, 2), np.float32))
        with pytest.raises(ValueError, match="rate"):
            package.select(method, evidence, rate)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_features_that_are_not_finite(self, package, value):
        features = np.ones((10, 2), np.float32)
        features[3, 1] = value
        evidence = package.Evidence(labels=np.zeros(10, np.int64), features=features)
        with pytest.raises(ValueError, match="features"):
            package.select("moderate", evidence, 0.5)
        with pytest.raises(ValueError, match="features"):
            package.score("center_distance", evidence)

    @pytest.mark.parametrize("method", ["random", "moderate"])
    @pytest.mark.parametrize("balance", [False, True])
    def test_nothing_selected(self, package, method, balance):
        evidence = package.Evidence(labels=np.arange(4), features=np.ones((4, 2), np.float32))
        with pytest.raises(ValueError, match=r"0\.1"):
            package.select(method, evidence, 0.1, balance=balance)

    def test_missing_features(self, package):
        with pytest.raises(ValueError, match="features"):
            package.select("moderate", package.Evidence(labels=np.arange(4)), 0.5)

    def test_unknown_names(self, package):
        evidence = package.Evidence(labels=np.arange(4), features=np.ones((4, 2), np.float32))
        with pytest.raises(ValueError, match="moderat"):
            package.select("moderat", evidence, 0.5)
        with pytest.raises(ValueError, match="midpoint"):
            package.score("midpoint_distance", evidence)
        with pytest.raises(ValueError, match="mode"):
            package.select("moderate", evidence, 0.5, center="mode")
        with pytest.raises(ValueError, match="color"):
            package.select("moderate", evidence, 0.5, color="red")
