"""Herding, k-center and contextual diversity: by hand, by their properties, and as the peers' code picks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors import products
from ms_coreset.selectors.distances import Points
from ms_coreset.selectors.divergences import Distributions

pytestmark = pytest.mark.usefixtures("cpu")


@pytest.fixture(scope="module")
def cpu():
    return mc.set_device("CPU")


def evidence_of(features, labels=None, logits=None):
    labels = np.zeros(len(features), int) if labels is None else labels
    return mc.Evidence(labels=labels, features=np.asarray(features, np.float32), logits=logits)


def line(*places):
    return evidence_of(np.array(places, np.float32)[:, None])


def cloud(n=200, d=6, seed=0):
    return evidence_of(np.random.RandomState(seed).randn(n, d))


def radii(features, order):
    """Distance of each pick but the first to the nearest before it."""
    features = np.asarray(features, np.float64)[order]
    return [np.linalg.norm(features[:t] - features[t], axis=1).min() for t in range(1, len(order))]


def test_k_center_by_hand():
    coreset = mc.select("k_center", line(0, 1, 4, 9, 10), 0.8, already_selected=(1,))
    # from 1: 10 is farthest; of 0 (1 away), 4 (3 away) and 9 (1 away) then 4; then 0 and 9 tie
    assert coreset.indices.tolist() == [1, 4, 2, 0, 3]


def test_k_center_starts_each_class_at_the_same_drawn_place():
    evidence = evidence_of(np.random.RandomState(1).rand(40, 3), labels=np.arange(40) % 2)
    first = np.random.RandomState(5).randint(0, 20)
    picks = mc.select("kCenterGreedy", evidence, 0.1, balance=True, seed=5).indices
    assert picks[0] == 2 * first
    assert picks[2] == 2 * first + 1
    assert mc.select("k_center", evidence, 1 / 40, seed=5).indices.tolist() == [np.random.RandomState(5).randint(0, 40)]


def test_k_center_radii_never_grow():
    evidence = cloud()
    distances = radii(evidence.features, mc.select("k_center", evidence, 0.5).indices)
    assert (np.diff(distances) <= 1e-12).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(1, 12))
def test_k_center_is_farthest_first(seed, n, distinct):
    points = np.random.RandomState(seed).randint(0, distinct, (n, 2)) * 10.0
    order = mc.select("k_center", evidence_of(points), 1.0, seed=seed).indices
    for t in range(1, n):
        left = np.setdiff1d(np.arange(n), order[:t])
        nearest = [np.linalg.norm(points[order[:t]] - points[place], axis=1).min() for place in left]
        assert order[t] == left[np.argmax(np.isclose(nearest, np.max(nearest), rtol=1e-10))]


def test_equal_rows_tie_whatever_their_size():
    features = np.repeat(np.random.RandomState(0).randn(10, 37) * 1e4, 3, axis=0)
    order = mc.select("k_center", evidence_of(features), 1.0).indices
    assert order[10:].tolist() == sorted(order[10:])


def test_already_selected_is_kept_and_the_budget_added():
    labels = np.array([0] * 10 + [1] * 10)
    evidence = evidence_of(np.random.RandomState(2).rand(20, 3), labels)
    coreset = mc.select("k_center", evidence, 0.2, balance=True, already_selected=[3, 7])
    assert coreset.indices[:2].tolist() == [3, 7]
    assert np.bincount(labels[coreset.indices]).tolist() == [4, 2]


@pytest.mark.parametrize(("places", "message"), [
    ((3, 3), "each once"), ((-1,), "0 to 19"), ((20,), "0 to 19"), ((0.5,), "whole numbers"), (range(19), "lower the")])
def test_impossible_already_selected_is_refused(places, message):
    with pytest.raises(MsCoresetError, match=message):
        mc.select("k_center", cloud(20), 0.2, already_selected=places)


def test_herding_by_hand():
    # mean 4: 5 and 3 tie, the first; 8 - 5 = 3 is there; 12 - 8 = 4: 2 is nearest of 1, 2, 9; 16 - 10 = 6: then 9
    assert mc.select("herding", line(1, 2, 5, 9, 3), 0.8).indices.tolist() == [2, 4, 1, 3]
    # the farthest of 4 is 9; of 8 - 9 = -1 it is 5
    assert mc.select("herding", line(1, 2, 5, 9, 3), 0.4, variant="deepcore").indices.tolist() == [3, 2]
    with pytest.raises(MsCoresetError, match="variant 'best'"):
        mc.select("herding", line(1, 2), 0.5, variant="best")


def test_herding_keeps_the_mean_better_than_chance():
    evidence = cloud()
    mean = evidence.features.mean(axis=0)

    def discrepancy(name, seed=0, **options):
        indices = mc.select(name, evidence, 0.1, seed=seed, **options).indices
        return np.linalg.norm(evidence.features[indices].mean(axis=0) - mean)

    chance = np.mean([discrepancy("random", seed) for seed in range(20)])
    assert discrepancy("herding") < 0.3 * chance
    assert discrepancy("herding", variant="deepcore") > chance


def test_divergence_by_hand_and_finite():
    logits = np.array([[0, 0], [np.log(3), 0], [2000, 0], [0, 2000]])
    evidence = mc.Evidence(labels=np.zeros(4, int), logits=logits)
    divergences = Distributions(np.log([[0.5, 0.5], [0.75, 0.25]])).distances_to(0)
    np.testing.assert_allclose(divergences, [0, 0.25 * np.log(3) / 2], atol=1e-15)
    order = mc.select("contextual_diversity", evidence, 1.0, seed=0).indices
    assert order.tolist()[:2] in ([2, 3], [3, 2], [0, 2], [1, 3])


def test_contextual_diversity_radii_never_grow():
    logits = 3 * np.random.RandomState(0).randn(100, 4)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    distances = 0.5 * ((p[:, None] - p) * (np.log(p)[:, None] - np.log(p))).sum(axis=2)
    order = mc.select("contextual_diversity", mc.Evidence(labels=np.zeros(100, int), logits=logits), 0.5).indices
    nearest = [distances[order[t], order[:t]].min() for t in range(1, len(order))]
    assert (np.diff(nearest) <= 1e-12).all()


def test_saturated_probabilities_are_no_reason_to_be_picked():
    """Where softmax underflows, DeepCore's divergence is NaN, which its argmax takes for the largest."""
    rng = np.random.RandomState(0)
    logits = np.concatenate([rng.randn(20, 3), 1e3 * rng.randn(20, 3)])
    evidence = mc.Evidence(labels=np.zeros(40, int), logits=logits)
    picked = mc.select("contextual_diversity", evidence, 1.0).indices
    assert sorted(picked) == list(range(40))
    sides = 1e3 * np.repeat([[1.0, 0], [0, 1]], 3, axis=0)
    duplicates = mc.Evidence(labels=np.zeros(6, int), logits=sides)
    assert len(set(duplicates.logits[mc.select("contextual_diversity", duplicates, 1 / 3).indices, 0])) == 2


def farthest_first(distances, first, k):
    """k-center by the whole matrix of distances: the first of the farthest, nearer than rounding can tell."""
    picks = [first]
    while len(picks) < k:
        nearest = distances[:, picks].min(axis=1)
        nearest[picks] = -np.inf
        picks.append(int(np.argmax(nearest >= nearest.max() * (1 - 1e-10))))
    return picks


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 120), st.integers(1, 120), st.integers(0, 10**6), st.sampled_from([1, 3, 20]))
def test_the_short_list_changes_nothing(n, distinct, seed, shortest):
    rng = np.random.RandomState(seed)
    features = rng.randint(-3, 4, (min(n, distinct), 3))[rng.randint(0, min(n, distinct), n)].astype(np.float32)
    distances = np.maximum(np.linalg.norm(features[:, None] - features, axis=2), 1e-6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ms_coreset.selectors.farthest_first.SHORTEST", shortest)
        picks = mc.select("k_center", evidence_of(features), 1.0, seed=1).indices.tolist()
    assert picks == farthest_first(distances, np.random.RandomState(1).randint(n), n)


@pytest.mark.parametrize("shortest", [1, 7, 64])
def test_the_short_list_of_distributions_changes_nothing(shortest, monkeypatch):
    logits = 3 * np.random.RandomState(0).randn(300, 4)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    distances = 0.5 * ((p[:, None] - p) * (np.log(p)[:, None] - np.log(p))).sum(axis=2)
    monkeypatch.setattr("ms_coreset.selectors.farthest_first.SHORTEST", shortest)
    order = mc.select("contextual_diversity", mc.Evidence(labels=np.zeros(300, int), logits=logits), 0.5).indices
    assert order.tolist() == farthest_first(distances, order[0], 150)


@pytest.mark.parametrize("scale", [0.1, 1.0, 1e4])
@pytest.mark.parametrize("variant", ["paper", "deepcore"])
def test_herding_is_decided_in_float64(variant, scale):
    """Features whose differences float32 products can't see, beside a mean that is large."""
    rng = np.random.RandomState(0)
    features = (1 + scale * 1e-4 * rng.randn(400, 40)).astype(np.float32)
    features[200:220] = features[:20]
    exact, mean = features.astype(np.float64), features.mean(axis=0, dtype=np.float64)
    expected, total = [], np.zeros(40)
    for t in range(1, 41):
        distances = np.linalg.norm(t * mean - total - exact, axis=1) * (1 if variant == "paper" else -1)
        distances[expected] = np.inf
        expected.append(int(np.argmax(distances <= distances.min() + 1e-10 * abs(distances.min()))))
        total += exact[expected[-1]]
    assert mc.select("herding", evidence_of(features), 0.1, variant=variant).indices.tolist() == expected


class WrongProducts:
    """Products that are off by the error that they state, towards hiding the row ``place``."""

    def __init__(self, rows, place, sign, error):
        self._rows, self._error = rows, error
        self._towards = -sign * np.ones(len(rows))
        self._towards[place] = sign

    def of_vector(self, vector):
        off = self._error * np.linalg.norm(vector) * np.linalg.norm(self._rows, axis=1)
        return self._rows @ vector + self._towards * off, self._error


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 60), st.floats(1e-7, 0.2), st.sampled_from([-1, 1]))
def test_the_best_is_a_candidate_however_wrong_the_quick_products_are(seed, n, error, sign):
    rng = np.random.RandomState(seed)
    rows, target, among = rng.randn(n, 3), 5 * rng.randn(3), rng.rand(n) < 0.8
    among[0] = True
    distances = np.where(among, sign * np.linalg.norm(rows - target, axis=1), -np.inf)
    best = int(np.argmax(distances))
    points = Points(rows)
    candidates = points.candidates(WrongProducts(rows, best, sign, error), target - rows.mean(axis=0), sign, among)
    assert best in candidates
    assert among[candidates].all()


def test_only_what_the_error_leaves_in_question_is_a_candidate():
    rows = np.array([[1.0, 0], [2, 0], [4, 0]])
    exact, points = products.QuickProducts(rows), Points(rows)
    target = -rows.mean(axis=0)  # the origin, from the mean
    assert points.candidates(exact, target, -1, np.ones(3, bool)).tolist() == [0]
    assert points.candidates(exact, target, 1, np.ones(3, bool)).tolist() == [2]
    assert points.candidates(exact, target, 1, np.array([True, True, False])).tolist() == [1]
    # Squared distances to (1, 0): 0, 1, 9; an error of 0.1 makes them doubtful by 0.27, 0.53, 1.07 ...
    target = np.array([1.0, 0]) - rows.mean(axis=0)
    vague = WrongProducts(rows, 0, 0, 0.1)
    assert points.candidates(vague, target, -1, np.ones(3, bool)).tolist() == [0]
    # ... and one of 0.3 by 0.8, 1.6, 3.2.
    vague = WrongProducts(rows, 0, 0, 0.3)
    assert points.candidates(vague, target, -1, np.ones(3, bool)).tolist() == [0, 1]
