"""Targeted selection picks the same in both packages, with samples to be like and unlike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
import torch_ref
from parity_tests.helpers import full_evidence

OPTIONS = {"targeted_facility_location": [{}, {"eta": 0.9, "nu": 0.8}, {"greedy": "stochastic"}],
           "targeted_graph_cut": [{}, {"nu": 2.0}, {"greedy": "naive"}],
           "targeted_log_determinant": [{"jitter": 0.01}, {"jitter": 0.1, "eta": 0.7, "nu": 0.9}]}


@pytest.mark.parametrize(("name", "options"), [(name, options) for name, some in OPTIONS.items() for options in some])
@pytest.mark.parametrize("kernel", ["features", "gradient"])
@given(q=st.integers(0, 5), p=st.integers(0, 5), seed=st.integers(0, 10**6), balance=st.booleans())
@settings(deadline=None, max_examples=8)
def test_methods(name, options, kernel, q, p, seed, balance):
    chosen = []
    for package in (mc, torch_ref):
        pool, like, unlike = (full_evidence(package, seed + side, n=size)
                              for side, size in enumerate((40, q + 1, p + 1)))
        fields = {field: getattr(pool, field) for field in ("labels", "features", "logits")}
        sides = {"like": like if q else None, "unlike": unlike if p else None}
        if kernel == "features":
            sides = {side: None if given is None else given.features for side, given in sides.items()}
        evidence = package.Evidence(**fields, **sides)
        chosen.append(package.select(name, evidence, 0.3, balance=balance, seed=seed, kernel=kernel, **options).indices)
    np.testing.assert_array_equal(*chosen)


@given(q=st.integers(1, 5), seed=st.integers(0, 10**6), eta=st.sampled_from([0.5, 2.0]))
@settings(deadline=None, max_examples=10)
def test_over_the_query_set(q, seed, eta):
    chosen = []
    for package in (mc, torch_ref):
        pool, like = (full_evidence(package, seed + side, n=size) for side, size in enumerate((40, q)))
        evidence = package.Evidence(labels=pool.labels, features=pool.features, like=like.features)
        chosen.append(package.select("targeted_facility_location", evidence, 0.4, over="like", eta=eta).indices)
    np.testing.assert_array_equal(*chosen)
