"""D2 pruning: the graph, the messages, the picks."""

import shlex

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.selectors.choice import Choice
from ms_coreset.selectors.quota import Request

pytestmark = pytest.mark.usefixtures("cpu")
E = np.exp(-1.0)


@pytest.fixture(scope="module")
def cpu():
    return mc.set_device("CPU")


def given_scores(values, features, labels=None):
    values = np.asarray(values, float)
    return mc.Evidence(np.zeros(len(values), int) if labels is None else labels, np.asarray(features, float),
                       imported=values)


def picks(evidence, rate=1.0, **options):
    return mc.select("d2", evidence, rate, score="imported", **options).indices.tolist()


def as_the_authors(values, features, k, neighbors, gamma, **options):
    """Their loop on a dense matrix: what was picked gets the lowest density less 1."""
    apart = np.sqrt(((features[:, None] - features)**2).sum(axis=2))
    order = np.argsort(np.where(np.eye(len(values), dtype=bool), np.inf, apart), axis=1, kind="stable")
    joined = np.zeros(apart.shape, bool)
    joined[np.arange(len(values))[:, None], order[:, :min(neighbors, len(values) - 1)]] = True
    joined |= joined.T
    density = begin = values + np.where(joined, np.exp(-apart), 0) @ np.maximum(values, 1e-7)
    picked = []
    for _ in range(k):
        picked.append(int(np.argmax(density >= density.max() - 1e-10 * begin.max())))  # ties go to the lowest place
        density = density - np.where(joined[picked[-1]], np.exp(-gamma * apart[picked[-1]]), 0) * density[picked[-1]]
        density[picked] = density.min() - 1
    return picked


def test_by_hand():
    """On a line at 0, 1 and 3, each joined to its nearest: 1 hears both others, which hear 1 alone."""
    evidence = given_scores([1, 2, 3], [[0], [1], [3]])
    begin = [1 + 2 * E, 2 + E + 3 * E**2, 3 + 2 * E**2]  # 1.74, 2.77, 3.27
    assert np.argsort(begin).tolist() == [0, 1, 2]
    # 2 leaves 1 with 2.77 - e^(-2 gamma) 3.27: below 1.74 for a gamma of 0.1, above for 1.
    assert picks(evidence, neighbors=1) == [2, 0, 1]
    assert picks(evidence, neighbors=1, gamma=1.0) == [2, 1, 0]
    assert picks(evidence, neighbors=1, gamma=1.0, discount="absolute") == [2, 0, 1]
    # Directed, 2 hears 1, and lowers it; 1 hears 0 alone.
    assert picks(evidence, neighbors=1, gamma=1.0, symmetric=False) == [2, 1, 0]


def test_a_product_of_nothing_is_nothing():
    evidence = given_scores([0, 1, 1], [[0], [0], [9]])
    assert picks(evidence, neighbors=1, density="product") == [1, 2, 0]  # both hear 0, whose message is the floor
    assert picks(given_scores(np.zeros(4), np.arange(4)[:, None])) == [1, 2, 3, 0]  # messages of 1e-7


def test_duplicates_are_neighbors_and_no_sample_is_its_own():
    """Three in one place, where a search's first find is not always the sample itself: each hears the others once."""
    evidence = given_scores([5, 4, 3, 7.9], [[0], [0], [0], [50]])
    assert picks(evidence, neighbors=2)[:2] == [0, 3]  # 12 each, but for 7.9


@given(seed=st.integers(0, 2**31), n=st.integers(2, 40), neighbors=st.integers(1, 8),
       gamma=st.sampled_from([0.0, 0.1, 1.0]), shift=st.sampled_from([0.0, -1e3, 1e5]))
@settings(deadline=None, max_examples=40)
def test_the_picks_are_those_of_the_authors_loop(seed, n, neighbors, gamma, shift):
    """Wherever the origin lies: a constant added to all features moves nothing."""
    rng = np.random.RandomState(seed)
    features, values = rng.randint(-8, 9, (n, 3)) / 4, rng.rand(n)
    expected = as_the_authors(values, features, n, neighbors, gamma)
    assert picks(given_scores(values, features + shift), neighbors=neighbors, gamma=gamma) == expected


def test_classes_are_graphs_of_their_own_where_balanced():
    rng = np.random.RandomState(0)
    labels, features, values = np.arange(60) % 3, rng.randn(60, 4), rng.rand(60)
    whole = picks(given_scores(values, features, labels), 0.4, balance=True)
    for label in range(3):
        rows = np.flatnonzero(labels == label)
        alone = rows[picks(given_scores(values[rows], features[rows]), 0.4)].tolist()
        assert alone == [pick for pick in whole if labels[pick] == label]


def test_negative_scores_count_from_the_lowest():
    rng = np.random.RandomState(0)
    features, values = rng.randn(30, 2), rng.rand(30)
    assert picks(given_scores(values - values.min() - 7, features)) == picks(given_scores(values - values.min(),
                                                                                          features))
    assert picks(given_scores(values + 7, features)) != picks(given_scores(values, features))


def test_features_too_far_apart_for_messages_are_told_and_the_median_is_the_remedy():
    rng = np.random.RandomState(0)
    features, values = rng.randn(40, 3), rng.rand(40)
    far = given_scores(values, 1e5 * features)
    with pytest.warns(mc.MsCoresetWarning, match=r"d2: .* no message outlives .* take scale=\"median\""):
        assert picks(far) == np.argsort(-values, kind="stable").tolist()
    near = picks(given_scores(values, features), scale="median")
    assert picks(far, scale="median") == near != np.argsort(-values).tolist()
    assert picks(given_scores([1, 2, 3], np.zeros((3, 1))), scale="median") == [0, 1, 2]  # 0 divides none


def test_the_hardest_are_left_out_first_and_of_what_is_left_alone_there_is_a_graph():
    rng = np.random.RandomState(0)
    features, values, label = rng.randn(40, 3), rng.rand(40), np.zeros(40, int)
    left = np.sort(np.argsort(-values, kind="stable")[10:])
    found = picks(given_scores(values, features, label), 0.3, mis_ratio=0.25, cutoff_score="imported")
    assert found == left[picks(given_scores(values[left], features[left]), 0.4)].tolist()
    with pytest.raises(mc.MsCoresetError, match="leaves 30 samples, fewer than the 32 to keep"):
        picks(given_scores(values, features), 0.8, mis_ratio=0.25, cutoff_score="imported")


def test_samples_without_a_score_send_nothing():
    rng = np.random.RandomState(0)
    features, values = rng.randn(20, 2), rng.rand(20)
    values[::4] = np.nan
    known = np.flatnonzero(~np.isnan(values))
    evidence = mc.Evidence(np.zeros(20, int), features, dynamics=mc.TrainingDynamics(
        probability=np.where(np.isnan(values), np.nan, [values, 1 - values])))
    with pytest.warns(mc.MsCoresetWarning, match="5 of 20 samples are never picked"):
        found = mc.select_by("dyn_unc", "d2", evidence, rate=0.5, window=2)
    scores = mc.score("dyn_unc", evidence, window=2)
    assert found.indices.tolist() == known[picks(given_scores(scores[known], features[known]), 10 / 15)].tolist()


def test_one_sample_of_a_class():
    assert picks(given_scores([1, 2, 3], [[0], [1], [2]], np.array([0, 1, 1])), 1.0, balance=True) == [0, 2, 1]


def test_needs_and_cost():
    assert Choice.parse("d2").needs == ("dynamics", "features")
    assert Choice.parse("loss-d2").needs == ("logits", "features")
    request = Request(0.1, memory="1T")
    by_rule, by_method = (Choice.parse(text).estimate(5000, 64, [500] * 10, "float32", request)
                          for text in ("loss-d2", "d2:score=loss"))
    assert by_rule.operations > by_method.operations > 5000**2 * 64


@pytest.mark.parametrize("typed", ["--method d2 --score imported --gamma 1 --neighbors 3",
                                   "--score imported --rule d2 --gamma 1 --neighbors 3"])
def test_as_typed(typed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.RandomState(0)
    y, features, values = np.arange(40) % 2, rng.randn(40, 3).astype(np.float32), rng.rand(40)
    np.savez("mine.npz", features=features, labels=y, logits=features[:, :2])
    np.save("scores.npy", values)
    line = f"--dataset arrays --data mine.npz --rate 0.25 --scores-from scores.npy --balance {typed}"
    assert main(shlex.split(line), "select") == 0
    (path,) = (tmp_path / "index").glob("*d2*.npz")
    expected = mc.select("d2", mc.Evidence(y, features, imported=values), 0.25, balance=True, score="imported",
                         gamma=1.0, neighbors=3)
    np.testing.assert_array_equal(mc.Coreset.load(path).indices, expected.indices)


@pytest.mark.parametrize(("option", "value"), [
    ("neighbors", 0), ("gamma", -1.0), ("density", "mean"), ("discount", "none"), ("scale", "mean"), ("symmetric", 1),
    ("mis_ratio", 1.0), ("score", "nothing")])
def test_options_out_of_range(option, value):
    with pytest.raises(mc.MsCoresetError, match=value if option == "score" else f"d2: {option}"):
        mc.select("d2", given_scores([1, 2], [[1], [2]]), 0.5, **{"score": "imported", option: value})
