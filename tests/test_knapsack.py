"""Budgets of costs: by hand, by brute force, and refused where samples are counted."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
import torch_ref
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors import METHODS
from ms_coreset.selectors.submodular.feature_based import Amounts, SetCoverage
from ms_coreset.selectors.submodular.knapsack import knapsack

COSTED = [name for name in METHODS.names() if "cost" in METHODS[name].takes_for({})]
WORDS = np.array([[1, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [1, 0, 0, 0, 0]], float)


@pytest.fixture(scope="module", autouse=True)
def cpu():
    return mc.set_device("CPU")


def evidence_of(package, seed=0, n=60):
    rng = np.random.RandomState(seed)
    return package.Evidence(labels=rng.randint(0, 3, n), features=rng.randn(n, 4), logits=rng.randn(n, 3),
                            cost=rng.randint(1, 9, n).astype(float))


def covered(k):
    return SetCoverage(Amounts(WORDS), np.ones(5))


def test_picks_by_hand():
    # For 4: the first word list at 3 for each 4 of cost, or the second and the third at 1 for each.
    picks = knapsack(covered, np.array([4.0, 1, 1, 9]), 4.0)
    assert picks.places.tolist() == [0] and picks.gains.tolist() == [3]  # worth more than 1 and 2, which come first
    picks = knapsack(covered, np.array([4.0, 1, 1, 9]), 6.0)
    assert picks.places.tolist() == [1, 2, 0] and picks.gains.tolist() == [1, 1, 3]
    assert knapsack(covered, np.full(4, 2.0), 1.9).places.tolist() == []


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 8), st.integers(0, 10**6), st.floats(0.1, 1.0))
def test_the_value_is_the_promised_share_of_the_best(n, seed, share):
    rng = np.random.RandomState(seed)
    chances, cost = rng.rand(n, 4), rng.randint(1, 6, n).astype(float)
    budget = share * cost.sum()
    picks = knapsack(lambda k: SetCoverage(Amounts(chances), np.ones(4)), cost, budget)
    assert cost[picks.places].sum() <= budget * (1 + 1e-9)

    def value(chosen):
        return (1 - (1 - chances[chosen]).prod(axis=0)).sum()

    best = max(value(list(chosen)) for k in range(n + 1) for chosen in combinations(range(n), k)
               if cost[list(chosen)].sum() <= budget)
    assert value(picks.places) == pytest.approx(picks.gains.sum())
    assert picks.gains.sum() >= (1 - 1 / np.e) / 2 * best - 1e-9


@pytest.mark.parametrize("name", COSTED)
@pytest.mark.parametrize("balance", [False, True])
def test_no_more_is_spent_and_nothing_more_could_be(name, balance):
    evidence = evidence_of(mc)
    coreset = mc.select(name, evidence, 0.2, balance=balance)
    for rows in ([np.flatnonzero(evidence.labels == label) for label in range(3)] if balance else [np.arange(60)]):
        cost, kept = evidence.cost[rows], np.isin(rows, coreset.indices)
        assert cost[kept].sum() <= 0.2 * cost.sum() * (1 + 1e-9)
        assert (cost[~kept] + cost[kept].sum() > 0.2 * cost.sum()).all()
    assert coreset.manifest["cost"] == evidence.cost[coreset.indices].sum()
    assert len(coreset.gains) == len(coreset.indices)
    twin = torch_ref.select(name, evidence_of(torch_ref), 0.2, balance=balance)
    np.testing.assert_array_equal(coreset.indices, twin.indices)
    np.testing.assert_allclose(coreset.gains, twin.gains, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("name", ["facility_location", "set_coverage", "targeted_facility_location"])
def test_equal_costs_are_no_costs(name):
    evidence = evidence_of(mc)
    plain = mc.Evidence(evidence.labels, evidence.features, evidence.logits)
    equal = mc.Evidence(evidence.labels, evidence.features, evidence.logits, cost=np.full(60, 0.1))
    np.testing.assert_array_equal(mc.select(name, equal, 0.25).indices, mc.select(name, plain, 0.25).indices)


def test_what_counts_samples_refuses_costs():
    evidence = evidence_of(mc)
    for name in set(METHODS.names()) - set(COSTED):
        with pytest.raises(MsCoresetError, match=r"counts samples: Evidence\(cost=\.\.\.\)"):
            mc.select(name, evidence, 0.2)
    with pytest.raises(MsCoresetError, match="rules count samples"):
        mc.select_by("entropy", "top", evidence, rate=0.2)
    for options in ({"greedy": "stochastic"}, {"already_selected": (3,)}, {"quota": "proportional"}):
        with pytest.raises(MsCoresetError, match=f"{next(iter(options))} .* does not go with Evidence"):
            mc.select("facility_location", evidence, 0.2, **options)
    for wrong, message in ((np.zeros(60), "cost must be above 0; that of sample 0 is 0"),
                           (np.full(60, np.nan), "cost")):
        with pytest.raises(MsCoresetError, match=message):
            mc.select("facility_location", mc.Evidence(features=evidence.features, cost=wrong), 0.2, kernel="features")
    with pytest.raises(MsCoresetError, match="pays for no sample: the cheapest costs 1"):
        mc.select("facility_location", evidence, 0.001)
