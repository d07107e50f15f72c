"""Picks of both packages against the peers' for budgets that differ from set to set, as the keys' names do."""

from fnmatch import filter as matching

import numpy as np
import pytest

import ms_coreset as mc
import torch_ref
from parity_tests.peer_cases import directed_d2_picks, load
from parity_tests.peer_vectors import with_peers

pytestmark = [with_peers, pytest.mark.parametrize("package", [mc, torch_ref], ids=["ms_coreset", "torch_ref"])]


@pytest.mark.parametrize("mode", ["sum", "product"])
@pytest.mark.parametrize("rest", ["weighted_gamma1.0", "weighted_gamma0.1", "absolute_gamma1.0"])
def test_d2(folder, package, mode, rest):
    inputs, peers = load(folder)
    (key,) = matching(peers, f"d2pre/{mode}_{rest}/k*_sorted")
    np.testing.assert_array_equal(np.sort(directed_d2_picks(key)(package, inputs)), peers[key])
