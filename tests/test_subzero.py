"""SubZeroCore: the neighborhood, the weights, and the picks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors.submodular.similarity import Cosine
from ms_coreset.selectors.submodular.subzero import density_weights, neighborhood, radii

pytestmark = pytest.mark.usefixtures("cpu")


@pytest.fixture(scope="module")
def cpu():
    return mc.set_device("CPU")


def picks(rows, rate, **options):
    return mc.select("subzero", mc.Evidence(np.zeros(len(rows), int), np.asarray(rows, float)), rate,
                     **options).indices.tolist()


def at_angles(*degrees):
    angles = np.radians(degrees)
    return np.column_stack([np.cos(angles), np.sin(angles)])


@pytest.mark.parametrize(("n", "k", "gamma", "expected"), [
    (500, 50, 0.6, 9), (500, 112, 0.6, 4), (5000, 500, 0.6, 9), (60, 6, 0.6, 8), (60, 18, 0.6, 3), (10, 5, 0.55, 1),
    (11, 5, 0.5, 1), (11, 5, 0.51, 2), (2, 1, 0.9, 1), (1, 1, 0.6, 1), (7, 7, 0.6, 1), (7, 6, 0.99, 1), (5, 1, 0.8, 4)])
def test_neighborhood_by_hand(n, k, gamma, expected):
    assert neighborhood(n, k, gamma) == expected


@given(n=st.integers(2, 40), data=st.data())
def test_neighborhood_is_the_least_that_random_picks_reach(n, data):
    """The chance that none of K given others is among the k - for which all K others must be among the n - 1 - k."""
    k = data.draw(st.integers(1, n - 1))
    gamma = data.draw(st.floats(0.05, 0.95))
    found = neighborhood(n, k, gamma)

    def reached(size):
        return 1 - np.prod([(n - k - i) / (n - i) for i in range(1, size + 1)])

    assert reached(found) >= gamma - 1e-9
    assert found == 1 or reached(found - 1) < gamma + 1e-9


def test_radii_and_weights_by_hand():
    cosines = Cosine.of_features(5 * at_angles(0, 60, 120))
    np.testing.assert_allclose(radii(cosines, 2), [1.5, 0.5, 1.5])
    np.testing.assert_allclose(density_weights(np.array([1.5, 0.5, 1.5])), np.exp([-0.25, -1, -0.25]))
    np.testing.assert_array_equal(density_weights(0.1 + np.array([0, 1e-15, 0, 0])), np.ones(4))


def test_picks_by_hand():
    rows = at_angles(0, 60, 120)
    assert picks(rows, 1 / 3) == [0]  # K = 2: e^-1/4 (1 + 1/2 - 1/2) is above e^-1 (1/2 + 1 + 1/2)
    assert picks(rows, 2 / 3) == [1, 0]  # K = 1: all radii are 1/2, all weights 1


def greedily(rows, k, gamma, start):
    """The text as it stands: cosines, weights, and the best sum of maxima, which begin at ``start``."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    cosines = unit @ unit.T
    others = cosines.copy()
    np.fill_diagonal(others, -np.inf)
    rho = 1 - np.sort(others, axis=1)[:, -neighborhood(len(rows), k, gamma)]
    worth, covered, chosen = cosines * np.exp(-((rho - rho.mean()) / rho.std())**2 / 2), np.full(len(rows), start), []
    for _ in range(k):
        totals = np.maximum(worth, covered[:, None]).sum(axis=0)
        totals[chosen] = -np.inf
        chosen.append(int(np.argmax(totals >= totals.max() - 1e-9)))  # mutual nearest ones tie
        covered = np.maximum(covered, worth[:, chosen[-1]])
    return chosen


@given(seed=st.integers(0, 2**31), n=st.integers(4, 40), gamma=st.floats(0.1, 0.9), share=st.floats(0.1, 0.6))
@settings(deadline=None, max_examples=40)
def test_picks_are_those_of_the_text(seed, n, gamma, share):
    rows = np.random.RandomState(seed).randn(n, 4)
    k = max(1, round(share * n))
    assert picks(rows, k / n, gamma=gamma) == greedily(rows, k, gamma, -np.inf)


def test_negative_cosines_count():
    """Covered by 0 at the start, they would not."""
    differ = 0
    for seed in range(30):
        rows = np.random.RandomState(seed).randn(20, 2)
        assert picks(rows, 0.1) == greedily(rows, 2, 0.6, -np.inf)
        differ += picks(rows, 0.1) != greedily(rows, 2, 0.6, 0.0)
    assert differ


def test_lazily_and_naively_the_picks_are_the_same():
    rows = np.random.RandomState(0).randn(80, 5)
    assert picks(rows, 0.4) == picks(rows, 0.4, greedy="naive")


def test_rows_are_computed_anew_where_they_do_not_fit_and_the_picks_are_the_same():
    rows = np.random.RandomState(1).randn(60, 3)
    assert picks(rows, 0.3, memory="12M") == picks(rows, 0.3, memory="1G")


def test_a_zero_vector_is_like_nothing():
    rows = np.vstack([np.zeros(2), at_angles(0, 30, 60)])
    cosines = Cosine.of_features(rows.copy())
    np.testing.assert_array_equal(radii(cosines, 3)[0], 1)
    np.testing.assert_allclose(radii(cosines, 3), [1, 1, 1, 1])
    assert 0 not in picks(rows, 0.5)
    assert picks(np.zeros((4, 2)), 0.5) == [0, 1]


def test_equal_rows_go_by_the_lowest_index():
    assert picks(np.tile([[1.0, 2.0]], (6, 1)), 0.5) == [0, 1, 2]


def test_outliers_and_the_densest_place_weigh_little():
    rng = np.random.RandomState(0)
    rows = np.vstack([np.tile([[0.0, 0.0, 1.0]], (30, 1)) + 1e-4 * rng.randn(30, 3),  # one place
                      rng.randn(3, 3) * [1, 1, 0.1] - [0, 0, 5],  # far off
                      np.abs(rng.randn(67, 3)) + np.array([2, 2, 0])])
    weights = density_weights(radii(Cosine.of_features(rows.copy()), 9))
    assert weights[33:].max() > max(weights[:30].max(), weights[30:33].max())


def test_unbalanced_the_labels_are_not_looked_at():
    rows, rng = np.random.RandomState(2).randn(50, 4), np.random.RandomState(3)
    one, other = (mc.select("subzero", mc.Evidence(rng.randint(0, 5, 50), rows), 0.2).indices for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_it_needs_no_labels():
    rows = np.random.RandomState(2).randn(50, 4)
    assert mc.select("subzero", mc.Evidence(features=rows), 0.2).indices.tolist() == picks(rows, 0.2)
    with pytest.raises(MsCoresetError, match="labels"):
        mc.select("subzero", mc.Evidence(features=rows), 0.2, balance=True)


def test_balanced_each_class_is_a_pool_of_its_own():
    rows, labels = np.random.RandomState(4).randn(61, 4), np.arange(61) % 3
    labels[-1] = 7  # alone
    found = mc.select("subzero", mc.Evidence(labels, rows), 0.6, balance=True).indices
    expected = [place for label in (0, 1, 2, 7)
                for place in np.flatnonzero(labels == label)[picks(rows[labels == label], 0.6)]]
    assert found.tolist() == expected
    assert found[-1] == 60


@pytest.mark.parametrize("gamma", [0, 1, -0.5, "much"])
def test_gamma_is_a_chance(gamma):
    with pytest.raises(MsCoresetError, match="gamma"):
        picks(np.eye(4), 0.5, gamma=gamma)


def test_by_the_paper_s_name():
    assert mc.describe("SubZeroCore")["name"] == "subzero"
