"""Picks of both packages against the peers' for budgets that differ from set to set, as the keys' names do."""

from fnmatch import filter as matching

import numpy as np
import pytest

import ms_coreset as mc
import torch_ref
from parity_tests.peer_cases import directed_d2_picks, load, softmax
from parity_tests.peer_vectors import with_peers

pytestmark = [with_peers, pytest.mark.parametrize("package", [mc, torch_ref], ids=["ms_coreset", "torch_ref"])]


@pytest.mark.parametrize("mode", ["sum", "product"])
@pytest.mark.parametrize("rest", ["weighted_gamma1.0", "weighted_gamma0.1", "absolute_gamma1.0"])
def test_d2(folder, package, mode, rest):
    inputs, peers = load(folder)
    (key,) = matching(peers, f"d2pre/{mode}_{rest}/k*_sorted")
    np.testing.assert_array_equal(np.sort(directed_d2_picks(key)(package, inputs)), peers[key])


@pytest.mark.parametrize("tau", [0.95, 0.975])
@pytest.mark.parametrize("mode", ["unb", "bal"])
def test_prune4rel_until_the_peer_s_gains_are_rounded_away(folder, package, mode, tau):
    """Its tanh are in float32: it has our picks up to the first whose gain is not 2e-7 above the next best."""
    inputs, peers = load(folder)
    (key,) = matching(peers, f"prune4rel/f64/{mode}/tau{tau}_eta1_conf/k*_sorted")
    rate = len(peers[key]) / len(inputs.labels)
    picks = package.select("prune4rel", inputs.evidence(package), rate, tau=tau, turns=mode == "bal").indices
    sure = first_close_call(inputs, picks, tau, mode == "bal")
    assert sure >= 10
    assert np.isin(picks[:sure], peers[key]).all()


def first_close_call(inputs, picks, tau, within_class):
    """The place of the first pick whose gain, a difference of tanh, is within 2e-7 of another's."""
    unit = inputs["emb"].astype(float) / np.linalg.norm(inputs["emb"].astype(float), axis=1, keepdims=True)
    confidence, level = softmax(inputs["logits"].astype(float)).max(axis=1), np.zeros(len(unit))
    for place, pick in enumerate(picks):
        gains = np.tanh(level + confidence) - np.tanh(level)
        rivals = np.setdiff1d(np.arange(len(unit)), picks[:place + 1])
        if within_class:
            rivals = rivals[inputs.labels[rivals] == inputs.labels[pick]]
        if len(rivals) and gains[pick] - gains[rivals].max() < 2e-7:
            return place
        similar = 0.5 + 0.5 * unit @ unit[pick]
        level += np.where(similar > tau, similar * confidence[pick], 0)
    return len(picks)
