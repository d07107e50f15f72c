"""The cases hold for vectors of any set: how many are picked follows from the peer's arrays, and rules tell ties."""

import numpy as np
import pytest
from scipy import stats

import ms_coreset as mc
import torch_ref
from parity_tests import peer_cases
from parity_tests.peer_cases import CASES, Inputs, Selected

# Samples of each class: nothing is a whole number of tenths, and one class is a single sample.
SIZES = [(13, 5, 9, 30, 1, 8, 4, 22, 3, 12), (7, 11, 2, 23, 19, 1, 5, 17, 40, 2)]
KERNEL = np.array([[1, 0.5, 0, 0], [0.5, 1, 0, 0], [0, 0, 1, 0.2], [0, 0, 0.2, 1]])

packages = pytest.mark.parametrize("package", [mc, torch_ref], ids=["ms_coreset", "torch_ref"])
sizes = pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: f"{sum(sizes)} samples")


def inputs_of(sizes, seed=0):
    """Random inputs of a set with classes of these sizes, without arrays of peers."""
    rng = np.random.RandomState(seed)
    n, classes = sum(sizes), len(sizes)

    def draw(*shape):
        return (2 * rng.standard_normal(shape)).astype(np.float32)

    arrays = {"y": rng.permutation(np.repeat(np.arange(classes), sizes)), "emb": draw(n, 6), "X": draw(n, 5),
              "logits": draw(n, classes), "dyn_logits": draw(12, n, classes), "rep_emb": draw(3, n, 6),
              "rep_logits": draw(3, n, classes)}
    return Inputs(arrays, {})


# How many

@packages
@sizes
def test_as_many_are_picked_as_by_the_peer(sizes, package):
    inputs, seen = inputs_of(sizes), 0
    for name in ("accumulated_margin", "el2n", "forgetting", "entropy"):
        inputs.peers[f"ccs/{name}"] = np.arange(len(inputs.labels), dtype=np.float32)
    for case in CASES:
        if isinstance(case.compute, Selected) and isinstance(case.compute.budget, str):
            for k in (3, 11):
                inputs.peers[case.compute.budget] = np.arange(k)
                assert len(case.compute(package, inputs)) == k, case.key
            seen += 1
    assert seen > 50


@packages
@sizes
def test_a_balanced_share_is_rounded_in_each_class(sizes, package):
    inputs, n = inputs_of(sizes), sum(sizes)
    for rate in (0.1, 0.3):
        balanced = peer_cases.picks_of("k_center", rate=rate, balance=True)(package, inputs)
        np.testing.assert_array_equal(np.bincount(inputs.labels[balanced], minlength=10),
                                      [round(rate * size) for size in sizes])
        assert len(peer_cases.picks_of("k_center", rate=rate)(package, inputs)) == round(rate * n)


@packages
@sizes
def test_ccs_takes_of_each_class_what_the_peer_takes(sizes, package):
    """Its class-balanced picks are a share of the last class's number, of every class that has as many."""
    inputs, quota = inputs_of(sizes), int(0.3 * sizes[-1]) or 3
    scores = np.random.RandomState(1).standard_normal(sum(sizes))
    ranked = np.argsort(-scores)
    expected = np.concatenate([ranked[inputs.labels[ranked] == label][:quota] for label in range(10)])
    for sign, key in ((-1, "asc"), (1, "desc")):
        inputs.peers["ccs/el2n"] = sign * scores
        inputs.peers[f"ccs/monotonic_classbal/el2n/{key}_f0.3"] = expected
        (case,) = [case for case in CASES if case.key == f"ccs/monotonic_classbal/el2n/{key}_f0.3"]
        np.testing.assert_array_equal(case.compute(package, inputs), expected)


@packages
@pytest.mark.parametrize("pruned", [0.5, 0.7, 0.9])
@sizes
def test_beta_draws_by_the_peers_density_as_many_as_it_draws(sizes, pruned, package):
    inputs, n = inputs_of(sizes), sum(sizes)
    probability = inputs.dynamics.probability
    windows = [probability[k:k + 6] for k in range(7)]
    scores = np.mean([window.std(axis=0, ddof=1) * (1 - window.mean(axis=0)) for window in windows], axis=0)
    mean = probability.mean(axis=0)
    b = 15 * (1 - mean[np.argsort(-scores)[:10]].mean()) * (1 - pruned**4)
    chances = scores * stats.beta.pdf(mean, 16 - b, b)
    k = int((1 - pruned) * n)
    drawn = np.random.RandomState(0).choice(n, k, replace=False, p=chances / chances.sum())
    key = f"dualbeta/win6/cd4_prune{pruned}/picked_npseed0"
    inputs.peers[key] = drawn
    (case,) = [case for case in CASES if case.key == key]
    np.testing.assert_array_equal(case.compute(package, inputs), drawn)


@pytest.mark.parametrize("recall", [[36 / 37, 0.0, 1.0], [(0.5 + 2 / 3 + 1) / 3, 1 / 188, 187 / 188]])
def test_recall_of_classes_is_the_given_one(recall):
    evidence = peer_cases.with_recall(mc, [4, 5, 6], recall)
    labels = evidence.validation.labels
    right = evidence.validation.logits.argmax(axis=1) == labels
    np.testing.assert_allclose([right[labels == label].mean() for label in range(3)], recall, rtol=1e-12)


# Rules

def refuses(rule, actual, expected, inputs=None):
    """Whether a rule tells two arrays apart."""
    try:
        rule(np.array(actual), np.array(expected), inputs)
    except AssertionError:
        return True
    return False


def test_rankings_by_the_peers_scores():
    inputs = Inputs({}, {"key": np.array([3.0, 2.0, 2.0, 1.0, 1.0 + 1e-7])})
    rule = peer_cases.same_values_picked("key")
    assert not refuses(rule, [0, 1], [0, 2], inputs)
    assert refuses(rule, [0, 1], [0, 3], inputs) and refuses(rule, [1, 0], [0, 1], inputs)
    assert refuses(rule, [1, 1], [1, 2], inputs) and refuses(rule, [0], [0, 1], inputs)
    assert refuses(rule, [0, 3], [0, 4], inputs)
    assert not refuses(peer_cases.same_values_picked("key", 1e-6), [0, 3], [0, 4], inputs)
    unclear = peer_cases.same_values_picked("key", unclear=lambda inputs: [0])
    assert not refuses(unclear, [0, 1, 2], [1, 2, 3], inputs) and refuses(unclear, [0, 1, 3], [1, 2, 3], inputs)
    kept = peer_cases.same_values_kept("key")
    assert not refuses(kept, [1, 0], [0, 2], inputs) and refuses(kept, [0, 3], [0, 2], inputs)


def test_scores_of_unclear_samples_are_left_out():
    rule = peer_cases.close(1e-3, unclear=lambda inputs: [1])
    assert not refuses(rule, [1, 2], [1, 9]) and refuses(rule, [1, 2], [2, 2])


def test_what_float16_can_tell():
    z = np.array([[[2.0, 1.0, 0.0], [1.0, 1.0 - 1e-5, 0.0]]] * 2)
    inputs = Inputs({"y": np.array([0, 0]), "dyn_logits": z}, {})
    assert not refuses(peer_cases.equal_where_clear, [2, 1], [2, 2], inputs)
    assert refuses(peer_cases.equal_where_clear, [1, 1], [2, 1], inputs)
    inputs = inputs_of(SIZES[0])
    rough = np.exp(np.log(inputs.dynamics.probabilities).astype(np.float16).astype(np.float64))
    for rule, values_of in (
            (peer_cases.near_in_half_precision(peer_cases.margin_error),
             lambda p: peer_cases.lead(p, inputs.labels).sum(axis=0)),
            (peer_cases.near_in_half_precision(peer_cases.norm_error, epochs=10),
             lambda p: np.linalg.norm(p - np.eye(10)[inputs.labels], axis=2)[:10].sum(axis=0))):
        exact = values_of(inputs.dynamics.probabilities)
        assert not refuses(rule, exact, values_of(rough), inputs)
        assert refuses(rule, exact, exact + 0.01, inputs)


def test_neighbors_that_float32_can_not_tell():
    """Of samples on a line: 1 and 5 have two others equally far, of which one is among their nearest three."""
    inputs = Inputs({"emb": np.array([[0.0], [1], [2.0000001], [4.1], [8.3], [16.7]]), "y": np.zeros(6, int)}, {})
    assert peer_cases.unclear_neighbors(True, count=1)(inputs) == [1]
    assert peer_cases.unclear_neighbors(True, count=6)(inputs) == []


def test_ties_of_facility_location():
    rule = peer_cases.same_order_but_ties(lambda inputs: KERNEL)
    assert not refuses(rule, [0, 2], [1, 2])  # 0 and 1 improve each other alone
    assert not refuses(rule, [0, 2], [0, 3])
    assert refuses(rule, [0, 2], [0, 1]) and refuses(rule, [0, 2], [2, 0])  # a worse set; a worse order
    same = peer_cases.same_cover(lambda inputs: KERNEL)
    assert not refuses(same, [0, 2], [3, 1]) and refuses(same, [0, 2], [0, 1]) and refuses(same, [0, 0], [0, 1])
    inputs = Inputs({}, {"tied": np.array([0, 2]), "clear": np.array([0])})
    assert not refuses(peer_cases.same_clusters("tied", lambda inputs: KERNEL), [1, 3], [2, 2], inputs)
    clear = np.diag([3.0, 2, 1, 1])
    assert refuses(peer_cases.same_clusters("clear", lambda inputs: clear), [3], [4], inputs)


def test_near_ties_of_greedy_rules():
    values = np.array([4.0, 3.0, 3.0 + 1e-9, 1.0])
    inputs = Inputs({"y": np.zeros(4, int)}, {})
    ordered, members = (peer_cases.same_but_near_ties(lambda inputs, rows: lambda picks: values, ordered=ordered)
                        for ordered in (True, False))
    assert not refuses(ordered, [0, 2, 1], [0, 1, 2], inputs) and refuses(ordered, [0, 2, 1], [2, 0, 1], inputs)
    assert not refuses(members, [0, 2, 1], [1, 2, 0], inputs) and refuses(members, [0, 2], [1, 2], inputs)
    assert refuses(members, [0, 2, 1], [0, 3, 1], inputs)  # a tie does not excuse all that follows


@pytest.mark.parametrize(("package", "method", "options", "values_of", "given"), [
    (package, *case) for package in (mc, torch_ref) for case in (
        ("k_center", {"seed": 7}, peer_cases.farthest, 1), ("contextual_diversity", {"seed": 7}, peer_cases.unlike, 1),
        ("herding", {}, peer_cases.off_the_mean(-1), 0),
        ("herding", {"variant": "deepcore"}, peer_cases.off_the_mean(1), 0),
        ("graph_cut", {}, peer_cases.cut(peer_cases.gradient_kernel), 0),
        ("disparity_sum", {"kernel": "features"}, peer_cases.away, 1),
        ("disparity_min", {"kernel": "features"}, peer_cases.away_from_nearest, 1),
        ("saturated_coverage", {"kernel": "features", "alpha": 0.6}, peer_cases.coverage(0.6), 0),
        ("log_determinant", {"jitter": 1.0, "kernel": "features"}, peer_cases.unexplained(1.0), 1))])
def test_greedy_rules_go_by_these_values(package, method, options, values_of, given):
    """Each pick has the highest value of those that are left, and all but a few are clear: the rule compares much."""
    inputs = inputs_of(SIZES[1])
    picks = package.select(method, inputs.evidence(package), 0.2, **options).indices
    values = values_of(inputs, np.arange(len(inputs.labels)))
    for t in range(given, len(picks)):
        left = values(picks[:t])
        left[picks[:t]] = -np.inf
        assert left[picks[t]] >= left.max() - 1e-9
    assert peer_cases.clear_picks(values, picks, given) == len(picks)


def test_gains_that_are_rounding_are_not_compared():
    inputs = Inputs({}, {"gains": np.array([0.0, 0.9, 1.0, 0.3])})
    rule = peer_cases.same_until_explained("gains")
    assert not refuses(rule, [4, 5, 6, 7], [4, 5, 7, 6], inputs) and refuses(rule, [4, 5, 6, 7], [4, 6, 5, 7], inputs)
