"""Two-stage, sample, modular and bidirectional greedy: what they pick, by hand and by what they promise."""

from itertools import combinations

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors.submodular.greedy import optimizer
from ms_coreset.selectors.submodular.set_functions import FacilityLocation, GraphCut
from ms_coreset.selectors.submodular.similarity import Cosine, Dense

SMALL = np.array([[1, 0.9, 0.1, 0.2], [0.9, 1, 0.3, 0.1], [0.1, 0.3, 1, 0.5], [0.2, 0.1, 0.5, 1]])


@pytest.fixture(scope="module", autouse=True)
def cpu():
    return mc.set_device("CPU")


def evidence_of(n=60):
    rng = np.random.RandomState(0)
    return mc.Evidence(rng.randint(0, 3, n), rng.randn(n, 5), rng.randn(n, 3))


@pytest.mark.parametrize("name", ["facility_location", "graph_cut", "log_determinant", "saturated_coverage",
                                  "feature_based", "max_coverage"])
@pytest.mark.parametrize("rate", [0.1, 0.17, 0.5, 1.0])
def test_two_stages_pick_as_either(name, rate):
    both, lazy = (mc.select(name, evidence_of(), rate, greedy=greedy) for greedy in ("two_stage", "lazy"))
    np.testing.assert_array_equal(both.indices, lazy.indices)
    np.testing.assert_allclose(both.gains, lazy.gains, atol=1e-9)


def test_modular_by_hand():
    """First gains are 2.2, 2.3, 1.9 and 1.8; the gains are those at the time."""
    picks = optimizer("modular")(FacilityLocation(Dense(SMALL)), 4)
    assert picks.places.tolist() == [1, 0, 2, 3]
    assert picks.gains.tolist() == pytest.approx([2.3, 0.2, 1.0, 0.5])
    assert optimizer("modular")(FacilityLocation(Dense(np.ones((4, 4)))), 3).places.tolist() == [0, 1, 2]


def test_sample_is_lazy_among_those_that_are_drawn():
    similarity = Cosine.of_features(np.random.RandomState(1).randn(50, 4))
    left_out = np.random.RandomState(7).choice(50, 20, replace=False)  # as apricot draws those that it leaves out
    picks = optimizer("sample", beta=0.6, seed=7)(FacilityLocation(similarity), 8)
    assert not set(picks.places.tolist()) & set(left_out.tolist())
    kept = np.setdiff1d(np.arange(50), left_out)
    whole = similarity.rows(np.arange(50))
    covered, chosen = np.zeros(50), []
    for place in picks.places:
        gains = np.maximum(whole[kept] - covered, 0).sum(axis=1)
        assert gains[np.searchsorted(kept, place)] >= gains[~np.isin(kept, chosen)].max() - 1e-9
        chosen.append(place)
        covered = np.maximum(covered, whole[place])
    assert sorted(optimizer("sample", beta=0.1)(FacilityLocation(similarity), 50).places.tolist()) == list(range(50))


@pytest.mark.parametrize("greedy", ["sample", "stochastic", "bidirectional"])
def test_what_draws_goes_by_the_seed_and_is_not_nested(greedy):
    first, again, other = (mc.select("graph_cut", evidence_of(), 0.3, greedy=greedy, seed=seed).indices.tolist()
                           for seed in (1, 1, 2))
    assert first == again != other
    entry = mc.selectors.METHODS["graph_cut"]
    assert not entry.nested_for({"greedy": greedy}) and not entry.parallel_for({"greedy": greedy})


def test_double_greedy_has_half_of_the_best_of_a_cut_in_expectation():
    """With lam 1 graph cut is a cut, never negative; it is stopped by no number, for all could be kept."""
    similarity = Cosine.of_features(np.random.RandomState(2).randn(8, 3))
    s = similarity.rows(np.arange(8))

    def value(chosen):
        return s[:, chosen].sum() - s[np.ix_(chosen, chosen)].sum()

    best = max(value(list(chosen)) for k in range(9) for chosen in combinations(range(8), k))
    reached = []
    for seed in range(40):
        gains = optimizer("bidirectional", seed=seed)(GraphCut(similarity), 8).gains
        kept = int(np.argmax(np.cumsum(gains)))  # what fills up, after those that joined, only loses
        reached.append(np.cumsum(gains)[kept])
    assert np.mean(reached) >= 0.5 * best


def test_double_greedy_by_hand():
    """Of two pairs of duplicates with lam 1, once one of a pair has joined, the other leaves: a = 0."""
    similarity = Dense(np.kron(np.eye(2), np.ones((2, 2))))
    for seed in range(5):
        picks = optimizer("bidirectional", seed=seed)(GraphCut(similarity), 2)
        assert {place // 2 for place in picks.places.tolist()} == {0, 1}
        assert picks.gains.tolist() == [1, 1]


def test_double_greedy_continues_no_coreset():
    with pytest.raises(MsCoresetError, match="bidirectional begins with all samples"):
        mc.select("graph_cut", evidence_of(), 0.2, greedy="bidirectional", already_selected=(3,))
    with pytest.raises(MsCoresetError, match="greedy 'bidirectional'"):
        mc.select("facility_location", evidence_of(), 0.2, greedy="bidirectional")
