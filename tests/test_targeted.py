"""Targeted selection: the information measures by their definitions, by hand, and as the twin picks."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors.submodular.greedy import lazy
from ms_coreset.selectors.submodular.set_functions import LogDeterminant
from ms_coreset.selectors.submodular.similarity import Cosine
from ms_coreset.selectors.submodular.targeted import Conditioned, Difference

NAMES = ("targeted_facility_location", "targeted_graph_cut", "targeted_log_determinant")
PLAIN = {name: name.removeprefix("targeted_") for name in NAMES}


@pytest.fixture(scope="module", autouse=True)
def cpu():
    return mc.set_device("CPU")


def kernel_of(*parts):
    vectors = np.concatenate(parts)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return 0.5 + 0.5 * vectors @ vectors.T


def values(name, s, n, jitter=1.0):
    """The set function of any of the elements, summed over the first n."""
    def facility_location(chosen):
        return s[:n][:, chosen].max(axis=1).sum() if chosen else 0.0

    def graph_cut(chosen):
        return s[:n][:, chosen].sum() - s[np.ix_(chosen, chosen)].sum()

    def log_determinant(chosen):
        return np.linalg.slogdet(s[np.ix_(chosen, chosen)] + jitter * np.eye(len(chosen)))[1]

    return {"targeted_facility_location": facility_location, "targeted_graph_cut": graph_cut,
            "targeted_log_determinant": log_determinant}[name]


def measure(f, chosen, like, unlike):
    """I(S; Q | P), f(S | P), I(S; Q) or f(S), by definition."""
    if not like:
        return f(chosen + unlike) - f(unlike)
    return f(chosen + unlike) + f(like + unlike) - f(chosen + like + unlike) - f(unlike)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("q", "p"), [(3, 0), (0, 2), (2, 3), (0, 0)])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 8))
def test_every_pick_adds_most_to_the_measure(name, q, p, seed, n):
    rng = np.random.RandomState(seed)
    pool, like, unlike = (rng.randn(count, 3) for count in (n, q, p))
    options = {"jitter": 1.0} if name == "targeted_log_determinant" else {}
    evidence = mc.Evidence(features=pool, like=like if q else None, unlike=unlike if p else None)
    picks = mc.select(name, evidence, 1.0, **options).indices.tolist()
    f = values(name, kernel_of(pool, like, unlike), n)
    sides = list(range(n, n + q)), list(range(n + q, n + q + p))
    for t, place in enumerate(picks):
        found = {j: measure(f, [*picks[:t], j], *sides) for j in range(n) if j not in picks[:t]}
        assert found[place] >= max(found.values()) - 1e-8


@pytest.mark.parametrize("name", ["targeted_facility_location", "targeted_graph_cut"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 8), k=st.integers(1, 8))
def test_likeness_reaches_its_share_of_the_maximum(name, seed, n, k):
    """All of it in graph cut, where every sample counts by itself."""
    rng, k = np.random.RandomState(seed), min(n, k)
    pool, like = rng.randn(n, 3), rng.randn(2, 3)
    f = values(name, kernel_of(pool, like), n)
    picks = mc.select(name, mc.Evidence(features=pool, like=like), k / n).indices.tolist()
    best = max(measure(f, list(chosen), [n, n + 1], []) for chosen in combinations(range(n), k))
    share = 1 - 1 / np.e if name == "targeted_facility_location" else 1
    assert measure(f, picks, [n, n + 1], []) >= share * best - 1e-9


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("balance", [False, True])
def test_without_targets_it_is_the_function_itself(name, balance):
    rng = np.random.RandomState(0)
    evidence = mc.Evidence(rng.randint(0, 3, 60), rng.randn(60, 5))
    plain = mc.select(PLAIN[name], evidence, 0.3, balance=balance, kernel="features").indices
    np.testing.assert_array_equal(mc.select(name, evidence, 0.3, balance=balance).indices, plain)


def test_sums_over_the_query_set_by_hand():
    """Of directions 0 and 90 degrees: 10 and 80 are nearest to one of them, 45 to both."""
    angles = np.radians([180, 10, 45, 80, 225])
    pool, like = np.column_stack([np.cos(angles), np.sin(angles)]), np.eye(2)
    ranked = [mc.select("targeted_facility_location", mc.Evidence(features=pool, like=like), 1.0, over="like",
                        eta=eta).indices.tolist() for eta in (1e-9, 100.0)]
    assert ranked[0][0] == 2 and set(ranked[0][:3]) == {1, 2, 3}
    assert ranked[1][:3] == [1, 3, 2]
    similar = mc.select("targeted_graph_cut", mc.Evidence(features=pool, like=like[:1]), 1.0).indices
    assert similar.tolist() == [1, 2, 3, 4, 0]
    away = mc.select("targeted_log_determinant", mc.Evidence(features=pool, unlike=pool[[1, 2]]), 0.4).indices
    assert not set(away.tolist()) & {1, 2}


def test_picks_go_to_where_the_query_is_and_away_from_what_is_private():
    rng = np.random.RandomState(1)
    centers = 5 * np.eye(4)
    labels = np.repeat(np.arange(4), 50)
    pool = centers[labels] + rng.randn(200, 4)
    for name in NAMES:
        like = mc.select(name, mc.Evidence(features=pool, like=centers[:1]), 0.05).indices
        assert (labels[like] == 0).mean() >= 0.7, name
        unlike = mc.select(name, mc.Evidence(features=pool, unlike=pool[labels == 3][:30]), 0.05).indices
        assert (labels[unlike] != 3).all(), name


def test_gradients_need_labels_and_logits_of_targets_too():
    rng = np.random.RandomState(0)
    pool, like = (mc.Evidence(rng.randint(0, 3, n), rng.randn(n, 4), rng.randn(n, 3)) for n in (30, 5))
    targeted = mc.Evidence(pool.labels, pool.features, pool.logits, like=like, unlike=like.part(np.arange(2)))
    for name in NAMES:
        assert len(mc.select(name, targeted, 0.3, kernel="gradient", balance=True)) == len(
            mc.select(name, pool, 0.3, kernel="gradient", balance=True))
        bare = mc.Evidence(pool.labels, pool.features, pool.logits, like=like.features)
        with pytest.raises(MsCoresetError, match=f"{name}, of the samples to be like, needs"):
            mc.select(name, bare, 0.3, kernel="gradient")


def test_what_does_not_fit_is_refused():
    pool = np.random.RandomState(0).randn(10, 4)
    for side in ("like", "unlike"):
        with pytest.raises(MsCoresetError, match=f"features of the samples to be {side} have 3 columns, must have 4"):
            mc.select("targeted_graph_cut", mc.Evidence(features=pool, **{side: pool[:2, :3]}), 0.5)
        with pytest.raises(MsCoresetError, match="finite"):
            mc.select("targeted_graph_cut", mc.Evidence(features=pool, **{side: np.full((1, 4), np.nan)}), 0.5)
    for sides in ({}, {"unlike": pool}, {"like": pool, "unlike": pool}):
        with pytest.raises(MsCoresetError, match="over like"):
            mc.select("targeted_facility_location", mc.Evidence(features=pool, **sides), 0.5, over="like")


def test_a_part_keeps_its_targets():
    pool = np.random.RandomState(0).randn(10, 4)
    part = mc.Evidence(features=pool, like=pool[:2], unlike=pool[:3]).part(np.arange(4))
    assert len(part) == 4 and len(part.like) == 2 and len(part.unlike) == 3


def test_information_of_the_determinant_is_that_of_the_whole_matrix():
    rng = np.random.RandomState(2)
    pool, like = rng.randn(40, 6), rng.randn(4, 6)
    similarity, others = Cosine.of_features(np.concatenate([pool, like])), np.arange(40, 44)
    function = Difference(*(LogDeterminant(Conditioned(similarity, [(given, 1.0)], 40, 0.1), 20, 0.1)
                            for given in (np.empty(0, int), others)))
    picks = lazy(function, 20).places.tolist()
    assert len(set(picks)) == 20
    f = values("targeted_log_determinant", kernel_of(pool, like), 40, jitter=0.1)
    total = measure(f, picks, list(range(40, 44)), [])
    assert 0 < total < f(list(range(40, 44))) + 50


# Commands

FEATURES = np.random.RandomState(4).randn(50, 4)
SELECT = ["--dataset", "arrays", "--data", "mine.npz", "--rate", "0.2", "--kernel", "features"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", labels=np.arange(50) % 3, features=FEATURES)
    np.save("near.npy", FEATURES[:3] + 0.1)
    np.savez("far.npz", features=FEATURES[10:14])
    np.save("cost.npy", np.arange(1.0, 51))


@pytest.mark.parametrize("name", NAMES)
def test_select_by_files_of_samples_to_be_like_and_unlike(here, capsys, name):
    words = ["--like", "near.npy", "--unlike", "far.npz"]
    assert not main([*SELECT, "--method", name, *words], "select")
    path = f"index/arrays-mine-{name}-0.2.npz"
    expected = mc.select(name, mc.Evidence(features=FEATURES, like=FEATURES[:3] + 0.1, unlike=FEATURES[10:14]), 0.2)
    np.testing.assert_array_equal(mc.Coreset.load(path).indices, expected.indices)
    assert main(["--from-manifest", path, "--data", "mine.npz", *words], "select") == 0
    assert "byte for byte" in capsys.readouterr().out


def test_select_by_a_file_of_costs(here):
    assert not main([*SELECT, "--method", "facility_location", "--cost", "cost.npy", "--pool", "30"], "select")
    coreset = mc.Coreset.load("index/arrays-mine-facility_location-0.2.npz")
    cost = np.arange(1.0, 51)
    assert coreset.manifest["cost"] == cost[coreset.indices].sum() <= 0.2 * cost[coreset.pool].sum()
    part = mc.Evidence(features=FEATURES[coreset.pool], cost=cost[coreset.pool])
    expected = mc.select("facility_location", part, 0.2, kernel="features")
    np.testing.assert_array_equal(coreset.indices, coreset.pool[expected.indices])


@pytest.mark.parametrize(("words", "message"), [
    (["graph_cut", "--like", "near.npy"], "--like near.npy is of no use to graph_cut: it goes with targeted_"),
    (["facility_location", "--cost", "near.npy"], "near.npy: costs must be 50 numbers"),
    (["facility_location", "--cost", "far.npz"], "far.npz: costs are read of .npy"),
    (["targeted_graph_cut", "--unlike", "cost.npy"], "cost.npy: features must be a (50, d) array"),
    (["targeted_graph_cut", "--unlike", "cost.csv"], "cost.csv: samples to be like or unlike"),
    (["targeted_graph_cut", "--like", "none.npy"], "none.npy")])
def test_the_command_says_in_a_line_what_is_wrong(here, capsys, words, message):
    assert main([*SELECT, "--method", *words], "select") == 2
    error = capsys.readouterr().err
    assert message in error and error.splitlines()[-1].startswith("error: ")
