"""A validation set that is held out of the samples: what gradmatch and glister aim at, and never choose."""

import dataclasses
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.coreset import Coreset
from ms_coreset.errors import MsCoresetError

mc.set_device("CPU")


def evidence_of(n=40, classes=3, d=5, seed=0):
    rng = np.random.RandomState(seed)
    return mc.Evidence(rng.randint(0, classes, n), rng.randn(n, d).astype(np.float32),
                       2 * rng.randn(n, classes).astype(np.float32))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with a base network of digits, held out from which is a fifth."""
    folder = tmp_path_factory.mktemp("base")
    line = f"--dataset digits --epoch 2 --validation 0.2 --model-dir {folder / 'ckpt'}"
    assert main(shlex.split(line), "train") == 0
    return folder


@given(st.integers(2, 200), st.floats(0, 0.99), st.integers(0, 100))
def test_hold_out_parts_the_samples(n, share, seed):
    evidence = evidence_of(n)
    if round(share * n) in (0, n):
        with pytest.raises(MsCoresetError, match=f"share {share}|share of {share}"):
            evidence.hold_out(share, seed)
        return
    places, rest = evidence.hold_out(share, seed)
    others = np.setdiff1d(np.arange(n), places)
    assert len(others) == round(share * n)
    for rows, part in ((places, rest), (others, rest.validation)):
        np.testing.assert_array_equal(part.labels, evidence.labels[rows])
        np.testing.assert_array_equal(part.features, evidence.features[rows])
        np.testing.assert_array_equal(part.logits, evidence.logits[rows])
    np.testing.assert_array_equal(places, evidence.hold_out(share, seed)[0])


@pytest.mark.parametrize("share", [0, 1, 1.5, -0.1, True, "much", float("nan"), 0.001, 0.999])
def test_impossible_shares_are_refused(share):
    with pytest.raises(MsCoresetError, match="share"):
        evidence_of().hold_out(share)


def test_held_out_are_the_samples_that_training_of_that_share_and_seed_holds_out():
    rng = np.random.RandomState(0)
    split = mc.Split("noise", rng.randint(0, 255, (30, 8, 8, 1)).astype(np.uint8), np.arange(30) % 3,
                     classes=tuple("abc"), mean=(0.5,), std=(0.3,))
    recipe = mc.Recipe(arch="mlp", epochs=1, validation=0.2)
    loss = mc.train(mc.create_network("mlp", 3, 1, image_size=8, width=8), split, recipe, seed=5).dynamics.loss[0]
    places, _ = mc.Evidence(split.labels).hold_out(0.2, 5)
    np.testing.assert_array_equal(places, np.flatnonzero(~np.isnan(loss)))


@pytest.mark.parametrize("method", ["gradmatch", "glister"])
@pytest.mark.parametrize("balance", [False, True])
def test_it_is_aimed_at(method, balance):
    """Other labels of the held-out samples make another coreset; those of the rest stay."""
    evidence = evidence_of(60)
    places, rest = evidence.hold_out(0.3, 1)
    plain = mc.select(method, rest, 0.3, balance=balance)
    changed = dataclasses.replace(rest.validation, labels=(rest.validation.labels + 1) % 3)
    assert set(plain.indices) != set(mc.select(method, dataclasses.replace(rest, validation=changed), 0.3,
                                               balance=balance).indices)
    whole = plain.within(places, 60)
    assert set(whole.indices) <= set(places)
    np.testing.assert_array_equal(evidence.labels[whole.indices], rest.labels[plain.indices])


def test_a_part_of_a_part_is_of_the_whole():
    evidence, pool = evidence_of(), np.arange(40) * 2 + 1
    places, rest = evidence.hold_out(0.25)
    coreset = mc.select("glister", rest, 0.2).within(places, 40).within(pool, 81)
    np.testing.assert_array_equal(coreset.pool, pool[places])
    assert coreset.n == 81
    np.testing.assert_array_equal(np.flatnonzero(~np.isnan(coreset.scores)), pool[places])


@pytest.mark.parametrize("method", ["gradmatch", "glister"])
def test_select_holds_out(method, base, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = f"--dataset digits --method {method} --rate 0.1 --model-dir {base / 'ckpt'}"
    assert main(shlex.split(f"{line} --held-out 0.2"), "select") == 0
    assert "kept       115 of 1,150" in capsys.readouterr().out
    coreset = Coreset.load(f"index/digits-{method}-0.1.npz")
    split = mc.load_dataset("digits")
    network = mc.network_from_weights(base / "ckpt/digits/mlp/best.ckpt", 8, 1)
    places, rest = mc.extract(network, split).hold_out(0.2, 0)
    expected = mc.select(method, rest, 0.1)
    np.testing.assert_array_equal(coreset.indices, places[expected.indices])
    np.testing.assert_array_equal(coreset.pool, places)
    assert coreset.options["held_out"] == 0.2
    assert main(shlex.split(f"{line} --save plain"), "select") == 0
    assert set(Coreset.load(f"plain/digits-{method}-0.1.npz").indices) != set(coreset.indices)


@pytest.mark.parametrize(("options", "message"), [
    ("--method moderate --held-out 0.1", "moderate has no option --held-out; its options: --center"),
    ("--score loss --rule top --held-out 0.1", "loss by top has no option --held-out"),
    ("--method glister --held-out 1", "held-out share 1: must be at least 0 and below 1"),
    ("--method glister --held-out much", "held-out share much"),
    ("--method glister --held-out 0.0001", "held-out share 0.0001: none of 1437 samples")])
def test_mistakes(options, message, base, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = f"--dataset digits --rate 0.1 {options} --model-dir {base / 'ckpt'}"
    assert main(shlex.split(line), "select") == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list(tmp_path.glob("index/*"))


def test_a_study_holds_out_by_each_seed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = ("--datasets digits --pool 150 --methods glister:held_out=0.2 glister --rates 0.1 0.2 --seeds 0 1 --epoch 1 "
            "--save study")
    assert main(shlex.split(line), "experiment") == 0
    records = [json.loads(line) for line in Path("study/runs.jsonl").read_text().splitlines()]
    assert {record["status"] for record in records} == {"done"}
    sizes = {(str(record["options"]), record["rate"]): record["k"] for record in records}
    assert sizes == {("{'held_out': 0.2}", 0.1): 12, ("{'held_out': 0.2}", 0.2): 24, ("{}", 0.1): 15, ("{}", 0.2): 30}
    pools = {record["seed"]: Coreset.load(Path("study") / record["indices"]).pool for record in records
             if record["options"]}
    assert len(pools[0]) == len(pools[1]) == 120
    assert set(pools[0]) != set(pools[1])
