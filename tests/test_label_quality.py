"""The estimate of wrong labels: known noise, by hand, and what it refuses."""

import numpy as np
import pytest

import ms_coreset as mc


def answers(n=4000, classes=10, noise=0.2, strength=6.0, seed=0):
    """Labels of which a known share is wrong, and logits that know the right ones, as left-out answers would."""
    rng = np.random.RandomState(seed)
    right = rng.randint(0, classes, size=n)
    wrong = rng.permutation(n) < round(noise * n)
    labels = np.where(wrong, (right + rng.randint(1, classes, size=n)) % classes, right)
    logits = rng.standard_normal((n, classes)) + strength * np.eye(classes)[right]
    return mc.Evidence(labels=labels, logits=logits), wrong


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2, 0.4])
def test_known_share(classes, noise):
    evidence, wrong = answers(classes=classes, noise=noise)
    found = mc.estimate_label_noise(evidence)
    assert found.share == pytest.approx(noise, abs=0.03)
    assert found.chances.mean() == pytest.approx(noise, abs=0.03)
    if noise:
        assert found.chances[wrong].mean() > 0.8
        assert found.chances[~wrong].mean() < 0.05


def test_share_of_a_part():
    """Of samples with low losses few are wrong, and the estimate says how few."""
    evidence, wrong = answers(n=20000, noise=0.3, strength=3.0)
    found = mc.estimate_label_noise(evidence)
    kept = mc.select("loss", evidence, rate=0.5).dropped
    assert found.chances[kept].mean() == pytest.approx(wrong[kept].mean(), abs=0.02)


def test_by_hand():
    """Four of ten labels have the worst loss there is; six of ten draws have it, too, so that their rank is 0.4."""
    labels = np.zeros(10, int)
    logits = np.where(np.arange(10)[:, None] < 4, [[-5.0, 5.0]], [[5.0, -5.0]])
    found = mc.estimate_label_noise(mc.Evidence(labels=labels, logits=logits))
    assert found.share == 0.0
    np.testing.assert_array_equal(found.chances, 0.0)


def test_same_seed_same_answer():
    evidence, _ = answers(n=500, strength=2.0)
    one, two, other = (mc.estimate_label_noise(evidence, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.chances, two.chances)
    assert (one.chances != other.chances).any()


@pytest.mark.parametrize(("labels", "logits"), [
    ([0, 1, 3], np.zeros((3, 3))), ([-1, 0, 1], np.zeros((3, 3))), ([0, 0, 0], np.zeros((3, 1))), ([0, 1, 2], None)])
def test_refused(labels, logits):
    with pytest.raises(mc.MsCoresetError, match="logits"):
        mc.estimate_label_noise(mc.Evidence(labels=np.array(labels), logits=logits))


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("balance", [False, True])
def test_automatic_cut_off(noise, balance):
    evidence, wrong = answers(n=3000, noise=noise, strength=4.0)
    evidence = mc.Evidence(labels=evidence.labels, logits=evidence.logits, features=evidence.logits)
    share = mc.estimate_label_noise(evidence).share
    auto, plain = (mc.select("moderate", evidence, 0.2, balance=balance, metric="cosine", mis_ratio=ratio)
                   for ratio in ("auto", share + (1 - share) * 0.8 / 3))
    np.testing.assert_array_equal(auto.indices, plain.indices)
    assert wrong[auto.indices].mean() <= 0.1 * noise


def test_automatic_cut_off_leaves_enough():
    evidence, _ = answers(n=300, noise=0.9, classes=3)
    for rate in (0.33, 0.9, 1.0):
        assert len(mc.select("ccs", evidence, rate, score="loss", cutoff_score="loss", mis_ratio="auto")) == round(
            rate * 300)
