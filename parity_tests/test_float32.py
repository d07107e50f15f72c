"""Where a device computes in float32 only (Ascend), picks may differ from float64's between near candidates alone.

``ERROR`` is what float32 products may be off by, relative to the largest value they are compared with. A score may be
off by so much; a sample may be taken for another only if their float64 values are that near; and each greedy pick,
given the picks before it, must be that near to the best in float64.
"""

import numpy as np
import pytest

import ms_coreset as mc
import torch_ref
from ms_coreset.selectors import processors
from torch_ref.submodular import facility_location_gains, graph_cut_gains, log_determinant_gains, similarities

ERROR = 1e-5
N, RATE = 200, 0.2


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    mc.set_device("CPU")
    monkeypatch.setattr(processors, "current_device", lambda: "Ascend")  # its road, on the CPU


def evidence(package):
    rng = np.random.RandomState(0)
    labels = rng.randint(0, 4, N)
    features = np.maximum(rng.randn(N, 32) + 2 * np.eye(4, 32)[labels], 0).astype(np.float32)
    logits = (rng.randn(N, 4) + 2 * np.eye(4)[labels]).astype(np.float32)
    return package.Evidence(labels=labels, features=features, logits=logits)


@pytest.mark.parametrize(("name", "options"), [("center_distance", {}), ("center_distance", {"center": "mean"}),
                                               ("cal", {}), ("grand", {}), ("entropy", {})])
def test_scores_are_off_by_the_error_at_most(name, options):
    ours = mc.score(name, evidence(mc), **options)
    theirs = torch_ref.score(name, evidence(torch_ref), **options)
    assert np.abs(ours - theirs).max() <= ERROR * np.abs(theirs).max()


@pytest.mark.parametrize("method", ["moderate", "cal", "grand"])
@pytest.mark.parametrize("balance", [False, True])
def test_ranked_samples_change_places_with_near_ones_only(method, balance):
    ours = mc.select(method, evidence(mc), RATE, balance=balance).indices
    theirs = torch_ref.select(method, evidence(torch_ref), RATE, balance=balance)
    gaps = np.abs(theirs.scores[ours] - theirs.scores[theirs.indices])
    assert gaps.max() <= 2 * ERROR * np.abs(theirs.scores).max()


def radii(features):
    """Gains of k-center: the distance of every sample to the nearest pick."""
    def gains(picked):
        return np.linalg.norm(features[:, None] - features[picked], axis=2).min(axis=1)
    return gains


def nearness_to_mean(features):
    """Gains of herding: minus the distance of the mean of the picks and a candidate from the mean of all, times t."""
    def gains(picked):
        target = (len(picked) + 1) * features.mean(axis=0) - features[picked].sum(axis=0)
        return -np.linalg.norm(target - features, axis=1)
    return gains


def set_function(name):
    kernel = similarities(evidence(torch_ref), np.arange(N), "gradient")
    of = {"facility_location": lambda picked: facility_location_gains(kernel, picked),
          "graph_cut": lambda picked: graph_cut_gains(kernel, picked, 1.0),
          "log_determinant": lambda picked: log_determinant_gains(kernel, picked, 1e-6)}[name]
    return lambda picked: np.asarray(of(picked))


@pytest.mark.parametrize("name", ["herding", "k_center", "facility_location", "graph_cut", "log_determinant"])
def test_each_greedy_pick_is_near_the_best(name):
    picks = mc.select(name, evidence(mc), RATE).indices.tolist()
    features = evidence(mc).features.astype(np.float64)
    gains_of = {"herding": nearness_to_mean, "k_center": radii}.get(name, lambda _: set_function(name))(features)
    start = 1 if name == "k_center" else 0  # its first centre is drawn
    scale = np.abs(gains_of(picks[:start])).max()
    for t in range(start, len(picks)):
        gains = gains_of(picks[:t])
        gains[picks[:t]] = -np.inf
        assert gains[picks[t]] >= gains.max() - 2 * ERROR * max(scale, abs(gains.max())), t


@pytest.mark.parametrize("method", ["craig", "gradmatch", "glister"])
def test_weighted_methods_keep_their_size_and_most_of_their_picks(method):
    ours = mc.select(method, evidence(mc), RATE, balance=True)
    theirs = torch_ref.select(method, evidence(torch_ref), RATE, balance=True)
    assert len(ours) == len(theirs.indices)
    assert len(np.intersect1d(ours.indices, theirs.indices)) >= 0.9 * len(ours)
