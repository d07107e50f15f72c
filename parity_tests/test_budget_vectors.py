"""Both packages against arrays of the peers that no one key of every set names, or that are no result of a call.

Budgets differ from set to set, and the keys' names with them; and what LCMat's distances are made of.
"""

from fnmatch import filter as matching

import numpy as np
import pytest

import ms_coreset as mc
import torch_ref
from ms_coreset.selectors.last_layer_gradients import LastLayerGradients
from ms_coreset.selectors.submodular.lcmat import curvatures
from parity_tests.peer_cases import directed_d2_picks, load, softmax
from parity_tests.peer_vectors import with_peers
from torch_ref.lcmat import _diagonal, _most_varied

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


def test_curvatures(folder, package):
    """The peer's Hessian has biases first, ours class by class."""
    inputs, peers = load(folder)
    rows, width = inputs.rows_of(3), inputs["emb"].shape[1]
    evidence, columns = inputs.evidence(package, rows), len(peers["lcmat/scale1/class3/variances"])
    classes = columns // (width + 1)
    ours_of = np.concatenate([np.arange(classes) * (width + 1),
                              np.setdiff1d(np.arange(columns), np.arange(classes) * (width + 1))])
    if package is torch_ref:
        whole = _diagonal(inputs.evidence(package)).numpy()[:, ours_of]
        np.testing.assert_allclose(whole[:5], peers["lcmat/scale1/hessian_diag_first5"], rtol=1e-3, atol=1e-5)
        found = _most_varied(_diagonal(evidence), 100).numpy()
    else:
        whole = _diagonal(inputs.evidence(torch_ref)).numpy()[:, ours_of]
        found = curvatures(LastLayerGradients.of(evidence), 100)
    chosen = whole[rows][:, peers["lcmat/scale1/class3/K100_dims"]]
    np.testing.assert_allclose(np.sort(found.var(axis=0)), np.sort(chosen.var(axis=0)), rtol=1e-9)
    np.testing.assert_allclose(found.sum(axis=1), chosen.sum(axis=1), rtol=1e-9)
