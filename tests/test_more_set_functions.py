"""Disparity, saturated coverage, redundancy and functions of features: by hand, by brute force, as the peers' code."""

import json
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors.submodular.disparity import DisparityMin, DisparitySum
from ms_coreset.selectors.submodular.feature_based import Amounts, FeatureBased, SetCoverage
from ms_coreset.selectors.submodular.greedy import optimizer
from ms_coreset.selectors.submodular.mixture import Mixture
from ms_coreset.selectors.submodular.saturated_coverage import SaturatedCoverage
from ms_coreset.selectors.submodular.set_functions import GraphCut, SumRedundancy
from ms_coreset.selectors.submodular.similarity import Cosine, Dense
from ms_coreset.selectors.submodular.targeted import TargetedFacilityLocation
from parity_tests.peer_vectors import FOLDER, with_peers

SMALL = np.array([[1, 0.9, 0.1, 0.2], [0.9, 1, 0.3, 0.1], [0.1, 0.3, 1, 0.5], [0.2, 0.1, 0.5, 1]])
WORDS = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [2, 0, 0, 0]], float)


@pytest.fixture(scope="module", autouse=True)
def cpu():
    return mc.set_device("CPU")


def gains_along(function, order):
    gains = []
    for place in order:
        gains.append(function.gains(np.array([place]))[0])
        function.add(place)
    return gains


def test_once_all_is_covered_no_gain_is_computed_any_more():
    asked, features = [], np.random.RandomState(0).randint(0, 2, (300, 8)).astype(float)

    class Counted(FeatureBased):
        def gains(self, places):
            asked.append(len(places))
            return super().gains(places)

    picks = optimizer("lazy")(Counted(Amounts(features), lambda sums: np.minimum(sums, 1)), 300)
    assert (picks.gains[8:] == 0).all() and (np.diff(picks.places[8:]) > 0).all()
    assert sum(asked) <= 300 * 9  # of the first pick, and of at most eight that cover something


@pytest.mark.parametrize("function", [DisparitySum, DisparityMin, SumRedundancy])
def test_rows_that_are_computed_ahead_change_no_pick_and_save_calls(function, monkeypatch):
    rng, calls = np.random.RandomState(1), []
    similarity = Cosine.of_features(rng.randn(8, 5)[rng.randint(0, 8, 200)] + 0.2 * rng.randn(200, 5))
    compute = similarity.rows
    monkeypatch.setattr(similarity, "rows", lambda places: (calls.append(len(places)), compute(places))[1])
    ahead = optimizer("naive")(function(similarity), 100).places
    asked, calls[:] = list(calls), []
    monkeypatch.setattr("ms_coreset.selectors.submodular.similarity.KEPT_BYTES", 0)
    np.testing.assert_array_equal(optimizer("naive")(function(similarity), 100).places, ahead)
    assert calls == [1] * 100 and max(asked) == 32 and len(asked) < 60


def select(name, features, rate=1.0, **options):
    if name in ("disparity_sum", "disparity_min", "saturated_coverage", "sum_redundancy"):
        options["kernel"] = "features"
    return mc.select(name, mc.Evidence(features=np.asarray(features, float)), rate, **options).indices.tolist()


def test_gains_by_hand():
    assert gains_along(DisparitySum(Dense(SMALL)), [0, 2, 3]) == pytest.approx([0, 0.9, 0.8 + 0.5])
    assert gains_along(DisparityMin(Dense(SMALL)), [0, 2, 3, 1]) == pytest.approx([0, 0.9, 0.5 - 0.9, 0.1 - 0.5])
    assert gains_along(GraphCut(Dense(SMALL), lam=0.0), [0, 2, 3]) == pytest.approx([-1, -1.2, -1 - 0.4 - 1])
    # Enough is half of 2.2, 2.3, 1.9 and 1.8.
    half = SaturatedCoverage(Dense(SMALL), 0.5)
    assert half.gains(np.arange(4)).tolist() == pytest.approx([2.2, 2.3, 0.1 + 0.3 + 0.95 + 0.5, 0.2 + 0.1 + 0.5 + 0.9])
    assert gains_along(half, [1, 2, 0, 3]) == pytest.approx([2.3, 0.1 + 0.15 + 0.65 + 0.5, 0.1 + 0.2, 0.3 - 0.2],
                                                             abs=1e-12)


def test_gains_of_features_by_hand():
    amounts = Amounts(WORDS)
    assert gains_along(FeatureBased(amounts, np.sqrt), [3, 0, 1]) == pytest.approx(
        [2**0.5, 3**0.5 - 2**0.5 + 1, 2**0.5 - 1 + 1])
    assert gains_along(FeatureBased(amounts, lambda x: np.minimum(x, 1)), [0, 1, 2, 3]) == [2, 1, 1, 0]
    assert gains_along(SetCoverage(amounts, np.ones(4)), [0, 1, 2, 3]) == [2, 1, 1, 0]
    assert gains_along(SetCoverage(amounts, np.array([1, 1, 5, 0.5])), [0, 2]) == [2, 5.5]
    chances = Amounts(np.array([[0.5, 0.2], [0.5, 0.0]]))
    assert gains_along(SetCoverage(chances, np.ones(2)), [0, 1]) == pytest.approx([0.7, 0.25])


def test_negative_features_are_features_of_their_own():
    features = np.array([[1.0, -2], [3, 0.5]])
    both = [[1, 0, 0, 2], [3, 0.5, 0, 0]]
    assert Amounts(features).rows(np.arange(2)).tolist() == both
    assert Amounts(np.abs(features)).rows(np.arange(2)).tolist() == np.abs(features).tolist()
    signed = np.random.RandomState(0).randn(40, 5)
    apart = np.concatenate([np.maximum(signed, 0), np.maximum(-signed, 0)], axis=1)
    for name in ("feature_based", "max_coverage", "set_coverage"):
        assert select(name, signed, 0.5) == select(name, apart, 0.5)


def test_picks_by_hand():
    angles = np.radians([0, 10, 90, 170, 180])
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    assert select("disparity_min", circle) == [0, 4, 2, 1, 3]
    assert select("disparity_sum", circle)[:3] == [0, 4, 1]  # from there on 1 and 3 are about as far from both
    assert select("max_coverage", WORDS) == [0, 2, 1, 3]
    assert select("set_coverage", WORDS, weights=(0.5, 1.0, 1.0, 9.0)) == [2, 0, 1, 3]


def test_ones_and_zeros_make_set_cover_of_both():
    words = (np.random.RandomState(3).rand(60, 200) < 0.05).astype(float)
    assert select("max_coverage", words, 0.3) == select("set_coverage", words, 0.3)


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 30), st.integers(0, 10**6))
def test_least_redundant_are_those_of_the_largest_disparity(n, seed):
    """Where all s_jj are 1."""
    vectors = np.random.RandomState(seed).randn(n, 4)
    assert select("sum_redundancy", vectors) == select("disparity_sum", vectors)


VALUES = {
    "saturated": (lambda s: SaturatedCoverage(Dense(s), 0.3),
                  lambda s, chosen: np.minimum(s[:, chosen].sum(axis=1), 0.3 * s.sum(axis=1)).sum()),
    "roots": (lambda s: FeatureBased(Amounts(s), np.sqrt), lambda s, chosen: np.sqrt(s[chosen].sum(axis=0)).sum()),
    "maximum coverage": (lambda s: FeatureBased(Amounts(s), lambda x: np.minimum(x, 1)),
                         lambda s, chosen: np.minimum(s[chosen].sum(axis=0), 1).sum()),
    "set coverage": (lambda s: SetCoverage(Amounts(s), np.ones(len(s))),
                     lambda s, chosen: (1 - (1 - s[chosen]).prod(axis=0)).sum())}


@pytest.mark.parametrize("name", VALUES)
@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 10**6))
def test_greedy_reaches_its_share_of_the_maximum(name, n, k, seed):
    function, value = VALUES[name]
    k, rows = min(n, k), Cosine.of_features(np.random.RandomState(seed).randn(n, 3)).rows(np.arange(n))
    picks = optimizer("lazy")(function(rows), k).places.tolist()
    assert gains_along(function(rows), picks) == pytest.approx(np.diff(
        [0, *(value(rows, picks[:t + 1]) for t in range(k))]), abs=1e-9)
    best = max(value(rows, list(chosen)) for chosen in combinations(range(n), k))
    assert value(rows, picks) >= (1 - 1 / np.e) * best - 1e-9


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 8), st.integers(2, 8), st.integers(0, 10**6))
def test_least_disparity_is_at_least_a_fourth_of_the_largest(n, k, seed):
    vectors, k = np.random.RandomState(seed).randn(n, 3), min(n, k)
    apart = 1 - Cosine.of_features(vectors.copy()).rows(np.arange(n))

    def value(chosen):
        return min(apart[i, j] for i, j in combinations(chosen, 2))

    best = max(value(chosen) for chosen in combinations(range(n), k))
    assert value(select("disparity_min", vectors, k / n)) >= best / 4 - 1e-9


EXACT = {
    "saturated": lambda x: SaturatedCoverage(Cosine.of_features(x), 0.2),
    "redundancy": lambda x: GraphCut(Cosine.of_features(x), lam=0.0),
    "roots": lambda x: FeatureBased(Amounts(x), np.sqrt), "logarithms": lambda x: FeatureBased(Amounts(x), np.log1p),
    "maximum coverage": lambda x: FeatureBased(Amounts(x), lambda sums: np.minimum(sums, 2)),
    "set coverage": lambda x: SetCoverage(Amounts(x), np.ones(3)),
    "disparity": lambda x: DisparitySum(Cosine.of_features(x)),
    "like and unlike": lambda x: TargetedFacilityLocation(Cosine.of_features(x), np.full(len(x), 0.3),
                                                          np.full(len(x), 0.8)),
    "mixture": lambda x: Mixture([(1.0, SaturatedCoverage(Cosine.of_features(x), 0.2)),
                                  (0.5, FeatureBased(Amounts(x), np.sqrt)),
                                  (0.1, DisparitySum(Cosine.of_features(x)))])}


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 10**6), st.sampled_from([1, 3, 32]))
def test_lazy_is_naive_ties_and_duplicates_too(name, n, distinct, seed, batch):
    rng = np.random.RandomState(seed)
    features = rng.randint(-2, 3, (min(distinct, n), 3)).astype(float)[rng.randint(0, min(distinct, n), n)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cosine, "batch", batch)
        lazy, naive = (optimizer(greedy)(EXACT[name](features.copy()), n) for greedy in ("lazy", "naive"))
    assert lazy.places.tolist() == naive.places.tolist()
    np.testing.assert_allclose(lazy.gains, naive.gains, atol=1e-9)
    assert sorted(lazy.places) == list(range(n))


def test_impossible_weights_are_refused():
    for weights in ((1.0, 2.0), (1.0, 1.0, 1.0, -1.0), (1.0, 1.0, 1.0, float("inf"))):
        with pytest.raises(MsCoresetError, match="weights must be 4 finite numbers of at least 0"):
            select("set_coverage", WORDS, weights=weights)


# What the peers' own code computed, along their own picks.

@with_peers
@pytest.mark.parametrize(("case", "function"), [
    ("submodlib/DisparitySum_cos01/NaiveGreedy", lambda x, s: DisparitySum(s)),
    ("submodlib/DisparityMin_cos01/NaiveGreedy", lambda x, s: DisparityMin(s)),
    *((f"apricot/SaturatedCoverage_cos01_alpha0.1/{greedy}", lambda x, s: SaturatedCoverage(s, 0.1))
      for greedy in ("naive", "lazy")),
    *((f"apricot/FeatureBased_{name}/{greedy}", lambda x, s, phi=phi: FeatureBased(Amounts(x), phi))
      for name, phi in (("sqrt", np.sqrt), ("log", np.log1p)) for greedy in ("naive", "lazy"))])
def test_gains_are_the_peers(folder, case, function):
    with np.load(folder / "inputs.npz") as inputs, np.load(folder / "peer_others.npz") as peer:
        features = inputs["emb"]
        found = gains_along(function(features, Cosine.of_features(features)), peer[f"{case}/order"])
        np.testing.assert_allclose(found, peer[f"{case}/gains"], rtol=2e-5, atol=2e-5)


@pytest.fixture(scope="module")
def apricots():
    """The rankings and gains of apricot's own tests (Schreiber et al., MIT), and the digits that they are of."""
    if not (FOLDER / "apricot_golden.json").is_file():
        pytest.skip(f"no apricot_golden.json in {FOLDER}; set MS_CORESET_VECTORS")
    load_digits = pytest.importorskip("sklearn.datasets").load_digits
    return json.loads((FOLDER / "apricot_golden.json").read_text()), load_digits().data


def test_rankings_of_digits_are_apricots(apricots):
    golden, pixels = apricots
    unit = pixels / np.linalg.norm(pixels, axis=1, keepdims=True)
    squares = Dense((unit @ unit.T)**2)
    for name, function in (("saturated_coverage/digits_cosine", SaturatedCoverage(squares, 0.1)),
                           ("sum_redundancy/digits_cosine", GraphCut(squares, lam=0.0)),
                           ("feature_based/digits_sqrt", FeatureBased(Amounts(pixels), np.sqrt))):
        ranking, gains = golden[f"{name}_ranking"], golden[f"{name}_gains"]
        picks = optimizer("lazy")(function, len(ranking))
        assert picks.places.tolist() == ranking
        np.testing.assert_allclose(picks.gains, gains, atol=6e-5)


def test_coverage_is_apricots_up_to_ties(apricots):
    """Of 300 random sets of 1000 elements; which of equal gains its heap takes first is no rule of ours."""
    golden, _ = apricots
    sets = np.random.RandomState(0).choice(2, size=(300, 1000), p=[0.99, 0.01]).astype(float)
    ranking, gains = golden["max_coverage/digits_ranking"], golden["max_coverage/digits_gains"]
    assert gains_along(FeatureBased(Amounts(sets), lambda x: np.minimum(x, 1)), ranking) == gains
    picks = select("max_coverage", sets, 100 / 300)
    assert picks[:15] == ranking[:15]
    assert abs(sets[picks].any(axis=0).sum() - sum(gains)) <= 0.01 * sum(gains)
