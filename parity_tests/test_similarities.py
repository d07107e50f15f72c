"""Set functions of similarities that are given, or that a function gives: both packages pick the same."""

import numpy as np
import pytest
from scipy import sparse

import ms_coreset as mc
import torch_ref

mc.set_device("CPU")
N = 45
RNG = np.random.RandomState(2)
FEATURES, LABELS = RNG.rand(N, 5), np.arange(N) % 3
METHODS = ["facility_location", "graph_cut", "log_determinant", "saturated_coverage", "sum_redundancy"]


def linear(rows, others):
    return rows @ others.T


FIELDS = {"a matrix": {"similarity": linear(FEATURES, FEATURES)},
          "a sparse matrix": {"similarity": sparse.csr_matrix(np.maximum(linear(FEATURES, FEATURES) - 1, 0))},
          "a function": {"features": FEATURES}}


def both(name, fields, **options):
    return (package.select(name, package.Evidence(LABELS, **fields), 0.4, **options) for package in (mc, torch_ref))


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("form", FIELDS)
@pytest.mark.parametrize("name", METHODS)
def test_the_same_picks_and_gains(name, form, balance):
    options = {"kernel": linear} if form == "a function" else {}
    if name == "log_determinant":
        options["jitter"] = 3.0  # a matrix with zeros in it is not that of inner products
    ours, theirs = both(name, FIELDS[form], balance=balance, **options)
    np.testing.assert_array_equal(ours.indices, theirs.indices)
    np.testing.assert_allclose(ours.gains, theirs.gains, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("package", [mc, torch_ref], ids=["ms_coreset", "torch_ref"])
@pytest.mark.parametrize(("place", "value"), [((3, 4), 9.0), ((3, 3), np.nan), ((3, 3), -1.0)])
def test_the_same_is_refused(package, place, value):
    matrix = linear(FEATURES, FEATURES)
    matrix[place] = value
    with pytest.raises(ValueError, match=r"similarit"):
        package.select("facility_location", package.Evidence(LABELS, similarity=matrix), 0.2)
