"""How far evidence is said to be trusted, and the estimate of the wrong labels."""

import dataclasses
import re
import shlex

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.extraction.random_patches import PatchEvidence
from ms_coreset.jobs.trust import Trust, wrong_labels


def call(line, command="select"):
    return main(shlex.split(line), command)


@pytest.mark.parametrize(("guessed", "tested", "poor"), [
    (0.1, 0.234, True), (0.1, 0.236, False), (0.01, 0.135, True), (0.01, 0.299, False), (0.9, 0.91, True),
    (0.9, 0.92, False), (0.5, None, False)])
def test_poor_is_what_knows_little_more_than_guessing(guessed, tested, poor):
    assert Trust("lenet", "training labels", None, tested, guessed).poor == poor


def test_what_is_not_known_is_not_said():
    assert str(Trust("a.pth", "training labels", None, 0.5, 0.1)) == "a.pth: 50.0% of the test split"
    assert str(Trust("random patches", "left-out labels", 0.25, None, 0.1)) == (
        "random patches: 25.0% of left-out labels right")


def test_a_network_tells_what_it_got_right(here, capsys):
    line = "--dataset digitsN --pool 300 --rate 0.2 --method margin --epoch 12"
    assert call(line) == 0
    said = capsys.readouterr().out
    trained = r"evidence   ckpt/digitsN-pool300/mlp/best.ckpt: (\d+\.\d)% of training labels right, (\d+\.\d)% of the"
    given, tested = map(float, re.search(trained, said).groups())
    assert call("--dataset digitsN --pool 300 --scores margin --epoch 12", "score") == 0
    assert f"best.ckpt: {given}% of training labels right, {tested}% of the test split" in capsys.readouterr().out
    assert call(f"{line} --ckpt ckpt/digitsN-pool300/mlp/best.ckpt".replace("--epoch 12", "")) == 0
    assert f"best.ckpt: {given}% of training labels right, {tested}% of the" in capsys.readouterr().out
    (here / "ckpt/digitsN-pool300/mlp/best.ckpt").rename(here / "mine.ckpt")  # of which no training is known
    assert call(f"{line} --ckpt mine.ckpt".replace("--epoch 12", "")) == 0
    assert f"evidence   mine.ckpt: {given}% of training labels right, {tested}% of the" in capsys.readouterr().out


def test_nothing_is_said_where_nothing_is_asked(here, capsys):
    assert call("--dataset digitsN --rate 0.2 --method random") == 0
    said = capsys.readouterr()
    assert "evidence" not in said.out
    assert "about random" not in said.err


def test_poor_evidence_is_said_with_what_would_help(here, capsys):
    assert call("--dataset digits --rate 0.2 --pool 60 --method moderate --epoch 1 --lr 1e-6") == 0
    said = capsys.readouterr().err
    assert re.search(r"note: ckpt/digits-pool60/mlp/best.ckpt: .* of the test split, where guessing gets 1\d\.\d%: "
                     r"what is kept by that will be about random; try .*--evidence patches", said)
    images, labels = np.random.RandomState(0).randint(0, 256, (60, 8, 8)).astype(np.uint8), np.arange(60) % 3
    np.savez("mine.npz", images=images, labels=labels, test_images=images, test_labels=(labels + 1) % 3)
    assert call("--dataset arrays --data mine.npz --rate 0.2") == 0
    assert "about random; try a network (--evidence network --arch NAME)" in capsys.readouterr().err


def patch_evidence(n=2000, wrong=0.25):
    """Answers that know all classes but for noise, of labels of which so many are others: (evidence, which)."""
    rng = np.random.RandomState(0)
    right = np.arange(n) % 10
    flipped = rng.permutation(n) < wrong * n
    labels = np.where(flipped, (right + rng.randint(1, 10, n)) % 10, right)
    logits = 5 * np.eye(10)[right] + rng.randn(n, 10)
    return PatchEvidence(labels, logits=logits, features=logits, accuracy=0.7, test_accuracy=0.9, settings={}), flipped


def test_the_estimate_of_wrong_labels_is_near_what_is_true():
    evidence, flipped = patch_evidence()
    for method in ("random", "el2n", "loss"):
        coreset = mc.select(method, evidence, 0.2)
        data, kept = map(float, re.findall(r"(\d+\.\d)%", str(wrong_labels(evidence, coreset))))
        assert data == pytest.approx(25, abs=2)
        assert kept == pytest.approx(100 * flipped[coreset.indices].mean(), abs=4)


def test_a_networks_answers_are_no_ground_for_the_estimate():
    evidence, _ = patch_evidence(200)
    plain = mc.Evidence(evidence.labels, logits=evidence.logits)
    assert wrong_labels(plain, mc.select("random", plain, 0.2)) is None
    one = dataclasses.replace(evidence, labels=np.zeros(200, int), logits=np.zeros((200, 1)))
    assert wrong_labels(one, mc.select("random", one, 0.2)) is None


def test_the_summary_has_it_beside_what_is_known(here, capsys):
    assert call("--dataset digits --rate 0.2 --pool 300") == 0
    said = capsys.readouterr().out
    assert re.search(r"wrong      about [01]\.\d% of the data, 0\.\d% of the coreset \(estimated\)", said)
    assert "bad " not in said
    assert call("--dataset digitsN --rate 0.2") == 0
    said = capsys.readouterr().out
    assert "bad        20.0% of the data, 0.0% of the coreset" in said
    assert float(re.search(r"wrong      about (\d+\.\d)% of the data", said)[1]) == pytest.approx(20, abs=3)
