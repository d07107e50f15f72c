"""SemDeDup: the three readings of it, thresholds and budgets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors import row_blocks
from ms_coreset.selectors.k_means import k_means

pytestmark = pytest.mark.usefixtures("cpu")
READINGS = ["earlier", "kept", "components"]


@pytest.fixture(scope="module")
def cpu():
    return mc.set_device("CPU")


def at_angles(*degrees):
    angles = np.radians(degrees)
    return np.column_stack([np.cos(angles), np.sin(angles)])


def distance(degrees):
    return 1 - np.cos(np.radians(degrees))


def values_of(features, **options):
    return mc.score("semdedup", mc.Evidence(features=np.asarray(features, float)), **{"clusters": 1, **options})


def kept_of(features, eps, **options):
    return np.flatnonzero(values_of(features, eps=eps, **options) >= eps).tolist()


def test_by_hand():
    """The center lies at 18 degrees: the order is 60, 0, 8, 16 degrees, by 42, 18, 10 and 2 degrees from it."""
    rows = at_angles(8, 0, 60, 16)
    center = np.degrees(np.arctan2(*rows.mean(axis=0)[::-1]))
    assert 16 < center < 22
    np.testing.assert_allclose(values_of(rows), [distance(8), distance(60), 2, distance(8)], atol=1e-12)
    np.testing.assert_allclose(values_of(rows, reading="kept", eps=distance(10)),
                               [distance(8), distance(60), 2, distance(16)], atol=1e-12)
    np.testing.assert_allclose(values_of(rows, reading="components"), [distance(8), distance(44), 2, distance(8)],
                               atol=1e-12)
    np.testing.assert_allclose(values_of(rows, keep="easy"), [distance(8), distance(8), distance(44), 2], atol=1e-12)


def test_a_chain_tells_the_readings_apart():
    """Each is near the next alone: the whole chain is one component, whose every other one is kept greedily."""
    rows = at_angles(*np.arange(0, 70, 10), -90)
    eps = distance(12)
    assert len(kept_of(rows, eps, reading="components")) == 2
    assert len(kept_of(rows, eps, reading="kept")) > len(kept_of(rows, eps)) >= 2


@given(seed=st.integers(0, 2**31), n=st.integers(2, 40), eps=st.floats(0.001, 0.8),
       keep=st.sampled_from(["hard", "easy"]))
@settings(deadline=None, max_examples=40)
def test_what_is_kept_is_what_the_text_says(seed, n, eps, keep):
    rows = np.random.RandomState(seed).randn(n, 3)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    order = np.argsort(np.round(unit @ unit.mean(axis=0), 10) * (1 if keep == "hard" else -1), kind="stable")
    near = unit @ unit.T > 1 - eps
    earlier = [j for place, j in enumerate(order) if not near[j, order[:place]].any()]
    greedy, joined = [], []
    for j in order:
        if not near[j, greedy].any():
            greedy.append(j)
    reached = np.linalg.matrix_power(near.astype(float), n) > 0
    for j in order:
        if not reached[j, joined].any():
            joined.append(j)
    for reading, expected in (("earlier", earlier), ("kept", greedy), ("components", joined)):
        assert kept_of(rows, eps, reading=reading, keep=keep) == sorted(expected), reading
    assert set(joined) <= set(earlier) <= set(greedy)


@pytest.mark.parametrize("reading", READINGS)
def test_kept_ones_are_no_duplicates_and_a_larger_epsilon_keeps_fewer(reading):
    rows = np.random.RandomState(0).randn(200, 4)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    former = set(range(200))
    for eps in (0.01, 0.05, 0.2):
        kept = kept_of(rows, eps, reading=reading)
        cosines = unit[kept] @ unit[kept].T - 2 * np.eye(len(kept))
        assert cosines.max() <= 1 - eps + 1e-12
        if reading != "kept":
            assert set(kept) < former
        former = set(kept)


@pytest.mark.parametrize("reading", READINGS)
def test_exact_duplicates_score_nothing_but_for_one(reading):
    """float32 cosines of copies differ from 1, and an epsilon of 0 would keep them all."""
    rng = np.random.RandomState(3)
    rows = np.repeat(rng.randn(20, 64).astype(np.float32), 3, axis=0)
    rows[1::3] *= 4  # one direction
    values = values_of(rows, reading=reading)
    assert (values == 0).sum() == 40
    assert (np.flatnonzero(values) % 3 == 0).all()  # of equal ones, the lowest index
    assert mc.select("semdedup", mc.Evidence(features=rows), 1 / 3, reading=reading).indices.max() % 3 == 0


def test_the_budget_is_a_choice_of_epsilon():
    rows = np.random.RandomState(5).randn(300, 6)
    values = values_of(rows, clusters=5)
    picks = mc.select("semdedup", mc.Evidence(features=rows), 0.4, clusters=5).indices
    assert len(picks) == 120
    assert set(picks) == set(np.flatnonzero(values >= values[picks].min()))
    assert (values == 2).sum() == 5  # the first of each cluster


def noted(rows, rate, **options):
    labels = options.pop("labels", None)
    return mc.select("semdedup", mc.Evidence(labels, rows), rate, **options).manifest["duplicates"]


@pytest.mark.parametrize("block", [16 << 20, 1000])
def test_the_manifest_tells_of_the_threshold_and_of_what_clusters_hide(block, monkeypatch):
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", block)
    rows = np.random.RandomState(10).randn(60, 20)
    rows[50:] = rows[:10]  # each has a copy
    labels = np.arange(60) % 4
    numbers = k_means(rows, 5, metric="cosine").labels
    assert (numbers[50:] == numbers[:10]).all()  # copies are never separated by clusters of features themselves
    found = noted(rows, 50 / 60, clusters=5, labels=labels)
    assert found["epsilon"] > 0.1 and found["sampled"] == 60
    by_classes = noted(rows, 50 / 60, groups="labels", labels=labels)
    for notes, groups in ((found, numbers), (by_classes, labels)):
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        cosines = unit @ unit.T - 2 * np.eye(60)
        alike = np.flatnonzero(1 - cosines.max(axis=1) < notes["epsilon"])
        nearest = cosines[alike].argmax(axis=1)
        assert notes["alike"] == len(alike) >= 20
        assert notes["in_one_cluster"] == (groups[alike] == groups[nearest]).sum()
        assert notes["of_two_labels"] == (labels[alike] != labels[nearest]).sum() > 0
    assert by_classes["in_one_cluster"] < by_classes["alike"]
    assert "of_two_labels" not in noted(rows, 0.5)


def test_one_sample_has_no_duplicate():
    assert noted(np.ones((1, 3)), 1.0) == {"epsilon": 2.0, "sampled": 1, "alike": 0, "in_one_cluster": 0}


def test_duplicates_are_sought_within_clusters():
    rows = np.random.RandomState(6).randn(90, 5)
    whole = values_of(rows, clusters=4, cluster_seed=2)
    numbers = k_means(rows, 4, metric="cosine", seed=2).labels
    for number in range(4):
        np.testing.assert_array_equal(whole[numbers == number], values_of(rows[numbers == number]))
    np.testing.assert_array_equal(mc.score("semdedup", mc.Evidence(numbers, rows), groups="labels"), whole)


def test_copies_with_different_labels_are_found_in_clusters_and_kept_in_classes():
    rows = np.random.RandomState(7).randn(30, 4)
    rows[20] = rows[3]
    evidence = mc.Evidence(np.arange(30) % 2, rows)
    assert mc.score("semdedup", evidence)[[3, 20]].min() == 0
    assert mc.score("semdedup", evidence, groups="labels")[[3, 20]].min() > 0


def test_a_thousandth_of_the_samples_are_clusters():
    rows = np.random.RandomState(8).randn(2600, 2)
    np.testing.assert_array_equal(values_of(rows, clusters=None), values_of(rows, clusters=3))


@pytest.mark.parametrize("reading", READINGS)
def test_in_blocks_it_is_the_same(reading, monkeypatch):
    rows = np.random.RandomState(9).randn(70, 3)
    whole = values_of(rows, reading=reading)
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", 32 * 70 * 9)
    np.testing.assert_array_equal(values_of(rows, reading=reading), whole)


def test_zero_vectors_are_like_nothing():
    values = values_of([[0, 0], [1, 0], [0, 0], [1, 0.1]])
    assert sorted(values)[1:] == [1, 1, 2]


@pytest.mark.parametrize("options", [{"eps": -0.1}, {"eps": 2.5}, {"reading": "later"}, {"keep": "random"},
                                     {"clusters": 0}, {"groups": "none"}, {"cluster_seed": -1}])
def test_impossible_options_are_refused(options):
    with pytest.raises(MsCoresetError, match=next(iter(options))):
        values_of(np.eye(3), **options)


def test_by_the_paper_s_name():
    assert mc.describe("SemDeDup")["name"] == "semdedup"
