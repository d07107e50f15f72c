"""Sieve streaming: its share of the maximum, its twin's picks, and streams in any batches."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from torch_ref.distances import cosine_similarities
from torch_ref.sieve import concave_value, cover_value, sieve


@pytest.fixture(scope="module", autouse=True)
def cpu():
    return mc.set_device("CPU")


def stream(rows, k, function="feature_based", batch=7, **options):
    sifted = mc.Sieve(k, function, **options)
    for start in range(0, len(rows), batch):
        sifted.add(rows[start:start + batch])
    return sifted.coreset()


def twin_value(rows, function, reference):
    amounts = torch.tensor(np.concatenate([np.maximum(rows, 0), np.maximum(-rows, 0)], axis=1))
    if function == "facility_location":
        whole = cosine_similarities(torch.tensor(np.concatenate([rows, reference])))
        return cover_value(whole[:len(rows), len(rows):])
    if function == "set_coverage":
        return lambda chosen: float((1 - (1 - amounts[chosen].clamp(max=1)).prod(dim=0)).sum())
    return concave_value(amounts, {"feature_based": torch.sqrt, "max_coverage": lambda x: x.clamp(max=1)}[function])


@pytest.mark.parametrize("function", ["feature_based", "max_coverage", "set_coverage", "facility_location"])
@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 40), k=st.integers(1, 8), seed=st.integers(0, 10**6), epsilon=st.sampled_from([0.05, 0.1, 0.5]))
def test_picks_are_the_twins(function, n, k, seed, epsilon):
    rng = np.random.RandomState(seed)
    rows, reference = rng.randn(n, 4), rng.randn(6, 4)
    options = {"reference": reference} if function == "facility_location" else {}
    coreset = stream(rows, k, function, epsilon=epsilon, **options)
    value = twin_value(rows, function, reference)
    assert coreset.indices.tolist() == sieve(value, n, k, epsilon)
    np.testing.assert_allclose(coreset.gains.sum(), value(coreset.indices.tolist()))


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 9), k=st.integers(1, 9), seed=st.integers(0, 10**6), epsilon=st.sampled_from([0.05, 0.2]))
def test_the_share_of_the_maximum(n, k, seed, epsilon):
    rows, k = np.random.RandomState(seed).rand(n, 4), min(n, k)
    value = twin_value(rows, "feature_based", None)
    best = max(value(list(chosen)) for chosen in combinations(range(n), k))
    assert value(stream(rows, k, epsilon=epsilon).indices.tolist()) >= (0.5 - epsilon) * best - 1e-9


def test_batches_make_no_difference_and_picks_may_be_asked_for_at_any_time():
    rows = np.random.RandomState(0).randn(120, 5)
    whole = stream(rows, 10, batch=120)
    assert stream(rows, 10, batch=1).indices.tolist() == whole.indices.tolist()
    sifted = mc.Sieve(10)
    sifted.add(rows[:50])
    first = sifted.coreset()
    sifted.add(rows[50:])
    assert first.n == 50 and len(sifted) == 120
    assert sifted.coreset().indices.tolist() == whole.indices.tolist() == sorted(whole.indices.tolist())
    assert whole.method == "sieve" and whole.options["concave"] == "sqrt" and len(whole) <= 10


def test_it_comes_near_greedy_picks():
    rows = np.random.RandomState(1).rand(400, 10)
    value = twin_value(rows, "feature_based", None)
    greedy = mc.select("feature_based", mc.Evidence(features=rows), 0.05).indices.tolist()
    assert value(stream(rows, 20, epsilon=0.05).indices.tolist()) >= 0.85 * value(greedy)


@pytest.mark.parametrize(("arguments", "options", "message"), [
    ((0,), {}, "k 0"), ((3, "graph_cut"), {}, "function 'graph_cut'"), ((3,), {"epsilon": 1.0}, "epsilon"),
    ((3, "facility_location"), {}, "reference goes"), ((3,), {"reference": np.ones((2, 2))}, "reference goes"),
    ((3,), {"threshold": 1.0}, "threshold"), ((3,), {"greedy": "lazy"}, "greedy"), ((3,), {"concave": "x"}, "concave"),
    ((3, "facility_location"), {"reference": np.full((1, 1), np.nan)}, "reference")])
def test_what_can_not_be_is_refused(arguments, options, message):
    with pytest.raises(MsCoresetError, match=message):
        mc.Sieve(*arguments, **options)


def test_what_passes_is_checked():
    sifted = mc.Sieve(3)
    with pytest.raises(MsCoresetError, match="none of 0 samples"):
        sifted.coreset()
    sifted.add(np.zeros((2, 3)))
    with pytest.raises(MsCoresetError, match="none of 2 samples"):
        sifted.coreset()
    for wrong, message in ((np.ones((2, 4)), "4 columns, must have 3"), (np.full((1, 3), np.inf), "finite"),
                           (np.ones(3), "must be a")):
        with pytest.raises(MsCoresetError, match=message):
            sifted.add(wrong)
