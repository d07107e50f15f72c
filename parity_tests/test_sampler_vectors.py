"""Samplers against arrays of their authors' code, whose draws are repeated with NumPy's generator of the same seed."""

import numpy as np
import pytest

import ms_coreset as mc
from parity_tests.peer_cases import load
from parity_tests.peer_vectors import with_peers
from parity_tests.test_text_vectors import arrays_of

pytestmark = with_peers


def begin(sampler, epoch, rng):
    """An epoch that is drawn by another generator."""
    sampler._rng = rng
    return sampler.begin_epoch(epoch)


def labels_of(folder):
    return np.asarray(load(folder)[0].labels)


def test_rs2_is_the_stream_of_permutations(folder):
    arrays, labels = arrays_of(folder), labels_of(folder)
    sampler, rng = mc.create_sampler("rs2", labels, 10, rate=0.3), np.random.default_rng(0)
    pieces = [begin(sampler, epoch, rng).indices for epoch in range(10)]
    np.testing.assert_array_equal(pieces, arrays["rs2/ours_f0.3_default_rng0"])
    np.testing.assert_array_equal(np.bincount(np.concatenate(pieces)), arrays["rs2/ours_f0.3_seen_counts_after_10"])


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.45])
def test_rs2_until_the_first_permutation_ends_is_its_authors_and_never_a_sample_short(folder, rate):
    """Their global generator draws the first permutation from the seed 0 as a ``RandomState`` does."""
    peers, labels = load(folder)[1], labels_of(folder)
    prefix = f"rs2/noreplace/f{rate}_seed0"
    lengths, theirs = peers[f"{prefix}/lengths"], peers[f"{prefix}/concatenated"]
    sampler, rng = mc.create_sampler("rs2", labels, len(lengths), rate=rate), np.random.RandomState(0)
    ours = [begin(sampler, epoch, rng).indices for epoch in range(len(lengths))]
    whole = len(labels) // len(ours[0]) * len(ours[0])
    np.testing.assert_array_equal(np.concatenate(ours)[:whole], theirs[:whole])
    assert {len(piece) for piece in ours} == {round(rate * len(labels))}
    assert len(labels) % len(ours[0]) == 0 or lengths.min() == len(ours[0]) - 1


@pytest.mark.parametrize("ratio", [0.5, 0.3])
def test_infobatch(folder, ratio):
    peers, labels = load(folder)[1], labels_of(folder)
    prefix, losses = f"infobatch/r{ratio}_delta0.75", peers["in/loss"]
    sampler = mc.create_sampler("infobatch", labels, 12, ratio=ratio, delta=0.75)
    dropped = 0
    for epoch in range(12):
        indices, weights = begin(sampler, epoch, np.random.RandomState(epoch + 1))
        np.testing.assert_array_equal(indices, peers[f"{prefix}/epoch{epoch}/indices"])
        np.testing.assert_allclose(weights, peers[f"{prefix}/epoch{epoch}/weights"][indices], rtol=1e-6)
        dropped += len(labels) - len(indices)
        batches = [slice(first, first + 50) for first in range(0, len(indices), 50)]
        means = [np.mean(weights[batch] * losses[epoch][indices[batch]]) for batch in batches]
        np.testing.assert_allclose(means, peers[f"{prefix}/epoch{epoch}/batch_losses"], rtol=1e-5)
        for batch in batches:
            sampler.report(indices[batch], losses[epoch][indices[batch]])
    assert dropped == peers[f"{prefix}/pruned_total"]


def test_infobatch_has_no_weights_in_the_last_epochs_where_its_authors_keep_them(folder):
    """Ten epochs with delta 0.875, 8.75 epochs."""
    peers, labels = load(folder)[1], labels_of(folder)
    sampler = mc.create_sampler("infobatch", labels, 10, delta=0.875)
    for epoch in range(10):
        indices, weights = begin(sampler, epoch, np.random.RandomState(epoch + 1))
        theirs = peers[f"infobatch/quirk_E10_delta0.875/epoch{epoch}/count_and_weight_sum"]
        assert len(indices) == theirs[0]
        if epoch < 8:
            assert weights.sum() == theirs[1]
        else:
            assert weights.sum() == len(labels) < theirs[1]
        sampler.report(indices, peers["in/loss"][epoch][indices])


@pytest.mark.parametrize("key", ["rows0_320_top32", "rows200_320_top32", "rows0_600_top60"])
def test_rho(folder, key):
    inputs, peers = load(folder)
    if f"rho/{key}" not in peers:
        pytest.skip(f"this set has no rho/{key}")
    labels, logits = inputs["y"], inputs["logits"].astype(np.float64)
    first, count = (int(text.removeprefix("rows")) for text in key.split("_")[:2])
    sampler = mc.create_sampler("rho", labels, 1, irreducible=peers["rho/irreducible_loss_used"])
    rows = np.arange(first, min(first + count, len(labels)))
    log_sums = np.log(np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)) + logits.max(axis=1)
    losses = (log_sums - logits[np.arange(len(labels)), labels])[rows]
    np.testing.assert_array_equal(sampler.screen(rows, losses), peers[f"rho/{key}"])


@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_rcap_s_importances_and_shares_of_classes(folder, beta):
    """Their counts are rounded up; the shares that they are of are compared."""
    peers, labels = load(folder)[1], labels_of(folder)
    sizes = np.bincount(labels)
    sampler = mc.create_sampler("rcap", labels, 4, rate=0.3, beta=beta)
    for epoch in range(4):
        first_weights = sampler.class_weights(sampler.importances())
        assert len(sampler.begin_epoch(epoch).indices) == round(0.3 * len(labels))
        chances = sampler.importances()
        np.testing.assert_allclose(chances, peers[f"rcap/beta{beta}/importance_epochs0-3"][epoch], rtol=1e-5)
        if epoch == 0:
            theirs = np.ceil(0.3 * len(labels) * first_weights / first_weights.sum() - 1e-9)
            np.testing.assert_array_equal(np.minimum(theirs, sizes),
                                          peers[f"rcap/beta{beta}/f0.3_class_counts_npseed0"][0])
        sampler.report(np.arange(len(labels)), peers["in/loss"][epoch])
