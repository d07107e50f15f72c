"""Prototypes: distances from the centers of clusters or classes, and the shares of these."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors.k_means import k_means
from ms_coreset.selectors.prototype import shares_of_groups

pytestmark = pytest.mark.usefixtures("cpu")
LABELS = np.array([0, 0, 0, 7, 7, 3])
FEATURES = np.array([[0.0, 0], [0, 6], [3, 0], [10, 0], [10, 4], [5, 5]])


@pytest.fixture(scope="module")
def cpu():
    return mc.set_device("CPU")


def islands(seed=0, sizes=(40, 25, 10, 1)):
    """Features in places far apart, whose sizes are given, in random order; and the place of each."""
    rng = np.random.RandomState(seed)
    places = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return (20 * np.eye(len(sizes), 5)[places] + rng.randn(len(places), 5)), places


def test_of_classes_by_hand():
    found = mc.score("prototype", mc.Evidence(LABELS, FEATURES), groups="labels", metric="euclidean")
    np.testing.assert_allclose(found, [np.hypot(1, 2), np.hypot(1, 4), np.hypot(2, 2), 2, 2, 0], rtol=1e-11)
    assert found[3] == found[4] and found[5] == 0


def test_cosines_by_hand():
    """Directions of 0, 90, 0 degrees have their mean at atan(1 / 2); a zero vector has cosine 0 with it."""
    features = np.array([[5.0, 0], [0, 0.1], [2, 0], [0, 0]])
    found = mc.score("prototype", mc.Evidence(np.zeros(4, int), features), groups="labels")
    np.testing.assert_allclose(found, [1 - 2 / np.sqrt(5), 1 - 1 / np.sqrt(5), 1 - 2 / np.sqrt(5), 1], atol=1e-12)
    assert found[0] == found[2]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_one_sample_is_its_own_prototype(metric):
    rng = np.random.RandomState(0)
    alone = mc.Evidence(np.arange(9), rng.randn(9, 7) * 1e3)
    assert not mc.score("prototype", alone, groups="labels", metric=metric).any()
    assert not mc.score("prototype", alone, metric=metric).any()  # as many clusters as classes
    assert mc.select("prototype", alone, 0.5, groups="labels", metric=metric).indices.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("seed", [0, 3])
def test_clusters_are_those_of_k_means(metric, seed):
    features, _ = islands()
    clusters = k_means(features, 6, metric=metric, seed=seed)
    by_hand = mc.score("prototype", mc.Evidence(clusters.labels, features), groups="labels", metric=metric)
    evidence = mc.Evidence(features=features)
    np.testing.assert_array_equal(
        mc.score("prototype", evidence, clusters=6, metric=metric, cluster_seed=seed), by_hand)
    distances = clusters.distances if metric == "euclidean" else clusters.distances**2 / 2
    np.testing.assert_allclose(by_hand, distances, atol=1e-3)  # its centers have settled to 1e-4


def test_as_many_clusters_as_classes():
    features, places = islands()
    evidence = mc.Evidence(places + 10, features)
    np.testing.assert_array_equal(mc.score("prototype", evidence), mc.score("prototype", evidence, clusters=4))
    with pytest.raises(MsCoresetError, match="prototype needs labels"):
        mc.score("prototype", mc.Evidence(features=features))
    with pytest.raises(MsCoresetError, match="77 clusters of 76 samples"):
        mc.score("prototype", evidence, clusters=77)


def test_labels_don_t_matter_to_clusters():
    features, places = islands()
    with_labels, without = mc.Evidence(places[::-1].copy(), features), mc.Evidence(features=features)
    for per_group in (False, True):
        picks = [mc.select("prototype", evidence, 0.2, clusters=3, per_group=per_group).indices
                 for evidence in (with_labels, without)]
        np.testing.assert_array_equal(*picks)


@pytest.mark.parametrize("balance", [False, True])
def test_hard_is_the_top_and_easy_the_bottom(balance):
    features, places = islands()
    evidence = mc.Evidence(places, features)
    for keep, rule in (("hard", "top"), ("easy", "bottom")):
        found = mc.select("prototype", evidence, 0.2, keep=keep, balance=balance)
        expected = mc.select_by("prototype", rule, evidence, rate=0.2, balance=balance)
        np.testing.assert_array_equal(found.indices, expected.indices)
        np.testing.assert_array_equal(found.scores, expected.scores)


@given(sizes=st.lists(st.integers(1, 200), min_size=1, max_size=12), share=st.floats(0, 1))
def test_shares_are_whole_proportional_and_leave_no_group_out(sizes, share):
    k = max(1, round(share * sum(sizes)))
    shares = shares_of_groups(sizes, k)
    assert shares.sum() == k and (shares <= sizes).all()
    if k >= len(sizes):
        assert shares.min() >= 1
    above = shares > 1
    if above.sum() > 1:  # those that share the rest do so in proportion
        densities = shares[above] / np.array(sizes)[above]
        assert np.ptp(densities) <= (1 / np.array(sizes)[above]).max() * 2


def test_shares_by_hand():
    assert shares_of_groups([10, 10, 10], 2).tolist() == [1, 1, 0]
    assert shares_of_groups([40, 25, 10, 1], 15).tolist() == [7, 5, 2, 1]  # of 14: 7.47, 4.67, 1.87
    assert shares_of_groups([98, 1, 1], 3).tolist() == [1, 1, 1]
    assert shares_of_groups([5, 3], 8).tolist() == [5, 3]


@pytest.mark.parametrize("keep", ["hard", "easy"])
def test_each_group_gives_its_share_and_the_budget_is_met(keep):
    """Under "hard" a cluster of one sample would go first, with a distance of 0. The code of RS2 rounds each cluster's
    share by itself, and keeps 7 of the 76 where 8 are asked for."""
    features, places = islands()
    evidence = mc.Evidence(features=features)
    found = mc.select("prototype", evidence, 0.1, clusters=4, per_group=True, keep=keep, metric="euclidean")
    assert len(found) == 8
    assert np.bincount(places[found.indices]).tolist() == shares_of_groups([40, 25, 10, 1], 8).tolist()
    for place in range(4):
        rows = np.flatnonzero(places == place)
        values = found.scores[rows] * (1 if keep == "hard" else -1)
        best = rows[np.argsort(-values, kind="stable")[:(places[found.indices] == place).sum()]]
        assert set(best) == set(found.indices[places[found.indices] == place])


def test_duplicates_are_as_far_and_go_by_the_lowest_index():
    rng = np.random.RandomState(1)
    features = np.tile(rng.randn(10, 3), (4, 1))
    for metric in ("cosine", "euclidean"):
        values = mc.score("prototype", mc.Evidence(np.zeros(40, int), features), groups="labels", metric=metric)
        np.testing.assert_array_equal(values, np.tile(values[:10], 4))


def test_by_other_names():
    assert mc.describe("prototypes")["name"] == "prototype"
