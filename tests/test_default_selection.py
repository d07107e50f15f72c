"""What ``select`` does where nothing is said of method, evidence or network."""

import re
import shlex

import numpy as np
import pytest
from PIL import Image

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.cli.select import parser
from ms_coreset.jobs.default_selection import TYPED

BARE = "--dataset digitsN --rate 0.2 --pool 300"
SAYS = "nothing says how to choose"


def call(line):
    return main(shlex.split(line), "select")


def choose(name):
    return mc.Coreset.load(f"index/{name}.npz")


@pytest.mark.parametrize("beside", ["", "--seed 3", "--balance", "--memory 1G", "--cache elsewhere --model-dir there"])
def test_on_a_cpu_it_is_what_the_note_says_to_type(here, capsys, beside):
    assert call(f"{BARE} {beside}") == 0
    said = capsys.readouterr()
    assert SAYS in said.err
    assert TYPED in said.err
    bare = choose("digitsN-ccs-balanced-0.2")
    assert call(f"{BARE} {beside} {TYPED} --save typed") == 0
    assert SAYS not in capsys.readouterr().err
    typed = mc.Coreset.load("typed/digitsN-ccs-balanced-0.2.npz")
    np.testing.assert_array_equal(bare.indices, typed.indices)
    np.testing.assert_array_equal(bare.scores, typed.scores)
    assert bare.manifest["arguments"] == typed.manifest["arguments"]
    assert not (here / "ckpt").exists()


def test_it_keeps_hardly_a_wrong_label_and_is_repeated(here, capsys):
    assert call("--dataset digitsN --rate 0.2") == 0
    assert "bad        20.0% of the data, 0.0% of the coreset" in capsys.readouterr().out
    assert call("--from-manifest index/digitsN-ccs-balanced-0.2.npz") == 0
    said = capsys.readouterr()
    assert "the same coreset now, byte for byte" in said.out
    assert SAYS not in said.err


@pytest.mark.parametrize("says", ["--method moderate", "--evidence network", "--arch mlp", "--recipe digits",
                                  "--epoch 1", "--lr 0.1"])
def test_whoever_says_anything_of_method_or_network_gets_it_as_published(here, capsys, says):
    assert call(f"{BARE} {says}") == 0
    said = capsys.readouterr()
    assert SAYS not in said.err
    assert "evidence   ckpt/digitsN-pool300/mlp/best.ckpt: " in said.out
    options = choose("digitsN-moderate-0.2").options
    assert (options["metric"], options["mis_ratio"], options["balance"]) == ("euclidean", 0.0, False)


def test_an_option_of_a_method_alone_says_something(here, capsys):
    assert call(f"{BARE} --center mean --epoch 1") == 0
    assert SAYS not in capsys.readouterr().err
    assert choose("digitsN-moderate-0.2").options["center"] == "mean"


def test_features_that_came_with_the_data_are_used_as_published(here, capsys):
    rng = np.random.RandomState(0)
    images = rng.randint(0, 256, (40, 8, 8)).astype(np.uint8)
    np.savez("own.npz", labels=np.arange(40) % 4, features=rng.randn(40, 3), images=images)
    assert call("--dataset arrays --data own.npz --rate 0.2") == 0
    assert SAYS not in capsys.readouterr().err
    assert choose("arrays-own-moderate-0.2").options["metric"] == "euclidean"


def test_images_without_features_are_asked_by_patches(here, capsys):
    rng = np.random.RandomState(0)
    np.savez("own.npz", labels=np.arange(40) % 4, images=rng.randint(0, 256, (40, 8, 8)).astype(np.uint8))
    assert call("--dataset arrays --data own.npz --rate 0.2") == 0
    assert SAYS in capsys.readouterr().err
    assert choose("arrays-own-ccs-balanced-0.2").options["score"] == "loss"


def test_on_an_accelerator_it_is_as_published(here, capsys, monkeypatch):
    from ms_coreset.jobs import gather_evidence, selection

    load = gather_evidence.load_pool
    monkeypatch.setattr(selection, "load_pool", lambda *given: ("GPU", *load(*given)[1:]))
    monkeypatch.setattr(gather_evidence, "first_network", lambda *given: pytest.fail("a network is asked"))
    with pytest.raises(pytest.fail.Exception, match="a network is asked"):
        call(BARE)
    assert SAYS not in capsys.readouterr().err


def test_one_class_is_told_what_goes_without_others(here, capsys):
    rng = np.random.RandomState(0)
    (here / "pictures/only").mkdir(parents=True)
    for number in range(20):
        Image.fromarray(rng.randint(0, 256, (16, 16, 3), np.uint8)).save(here / f"pictures/only/{number}.png")
    line = "--dataset folder --data pictures --rate 0.2 --device cpu"
    assert call(line) == 2
    remedy = re.search(r"--evidence patches --method k_center", capsys.readouterr().err)
    assert call(f"{line} {remedy[0]}") == 0


def test_help_says_it(capsys):
    text = " ".join(parser("select").format_help().split())
    assert TYPED in text
