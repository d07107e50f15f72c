"""Mixtures: their texts, and that they are the sums they say."""

from itertools import combinations

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors.submodular.mixture import Term, terms_of


@pytest.fixture(scope="module", autouse=True)
def cpu():
    return mc.set_device("CPU")


def evidence_of(n=40, seed=0):
    rng = np.random.RandomState(seed)
    return mc.Evidence(rng.randint(0, 3, n), rng.rand(n, 5), rng.randn(n, 3))


def select(functions, evidence=None, rate=0.5, **options):
    return mc.select("mixture", evidence or evidence_of(), rate, functions=functions, **options)


def test_texts_by_hand():
    assert terms_of("facility_location") == [Term(1, "facility_location", mc.describe("facility_location")["options"])]
    first, second = terms_of("2.5e-1*graph_cut(lam=3) + feature_based(concave=log)")
    assert (first.weight, first.name, first.options["lam"]) == (0.25, "graph_cut", 3)
    assert (second.weight, second.name, second.options["concave"]) == (1, "feature_based", "log")


@pytest.mark.parametrize(("functions", "message"), [
    ("", "must be one of"), ("craig", "must be one of"), ("graph_cut+", "must be one of"),
    ("-1*graph_cut", "above 0"), ("0*graph_cut", "above 0"), ("1e*graph_cut", "no number"),
    ("graph_cut(lam)", "no number"), ("graph_cut(lam=-1)", "lam"), ("graph_cut(alpha=0.5)", "alpha"),
    ("graph_cut(greedy=naive)", "no number"), ("feature_based(concave=square)", "concave")])
def test_texts_that_are_none_are_refused(functions, message):
    with pytest.raises(MsCoresetError, match=message):
        select(functions)


@pytest.mark.parametrize("name", ["facility_location", "graph_cut", "log_determinant", "saturated_coverage",
                                  "sum_redundancy", "feature_based", "max_coverage", "set_coverage", "disparity_sum"])
def test_one_alone_is_that_one(name):
    """With a weight, which ranks nothing; of gains, the multiple."""
    evidence = evidence_of()
    options = {"kernel": "features"} if "kernel" in mc.describe(name)["options"] else {}
    alone = mc.select(name, evidence, 0.5, **options)
    mixed = select(f"2*{name}", evidence)
    np.testing.assert_array_equal(mixed.indices, alone.indices)
    np.testing.assert_allclose(mixed.gains, 2 * alone.gains, atol=1e-9)


def test_the_sum_is_what_is_maximized():
    evidence = evidence_of(8)
    unit = evidence.features / np.linalg.norm(evidence.features, axis=1, keepdims=True)
    s = 0.5 + 0.5 * unit @ unit.T

    def value(chosen):
        return (s[:, chosen].max(axis=1).sum() + 0.5 * np.sqrt(evidence.features[chosen].sum(axis=0)).sum()
                + 0.1 * np.minimum(s[:, chosen].sum(axis=1), 0.3 * s.sum(axis=1)).sum())

    coreset = select("facility_location+0.5*feature_based+0.1*saturated_coverage(alpha=0.3)", evidence)
    picks = coreset.indices.tolist()
    np.testing.assert_allclose(np.cumsum(coreset.gains), [value(picks[:t + 1]) for t in range(4)])
    assert value(picks) >= (1 - 1 / np.e) * max(value(list(chosen)) for chosen in combinations(range(8), 4))


def test_features_alone_need_nothing_else():
    evidence = evidence_of()
    bare = mc.Evidence(features=evidence.features)
    assert len(select("feature_based+max_coverage", bare, kernel="gradient")) == 20
    with pytest.raises(MsCoresetError, match="mixture needs labels"):
        select("graph_cut+max_coverage", bare, kernel="gradient")
