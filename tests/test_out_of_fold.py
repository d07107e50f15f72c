"""Scores by networks that did not train on the samples, and how far several runs agree."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.checksums import digest
from ms_coreset.cli import main
from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs.out_of_fold import foldable_scores, folds_of, join_folds, require_foldable, scores_in
from ms_coreset.selectors.choice import Choice

SMALL = "--dataset digits --arch mlp --width 8 --epochs 10 --lr 0.2 --pool 200"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folds_are_even_in_every_class_and_follow_from_the_seed():
    labels = np.repeat([4, 7, 9], [10, 31, 9])
    fold = folds_of(labels, 5, 3)
    for label in (4, 7, 9):
        counts = np.bincount(fold[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    assert np.bincount(fold).tolist() == [10] * 5
    np.testing.assert_array_equal(fold, folds_of(labels, 5, 3))
    assert (fold != folds_of(labels, 5, 4)).any()
    with pytest.raises(MsCoresetError, match="--out-of-fold 5: there are but 3 samples"):
        folds_of(np.zeros(3, int), 5, 0)


def test_each_sample_is_asked_of_the_network_that_had_not_seen_it():
    labels = np.arange(20) % 2

    def ask(fold, others, rows):
        assert sorted([*others, *rows]) == list(range(20))
        answers = np.column_stack([np.full(len(rows), fold), rows])
        return SimpleNamespace(features=None, boundary=None, logits=answers), f"network {fold}"

    evidence = join_folds(labels, 4, 0, ask)
    np.testing.assert_array_equal(evidence.logits[:, 0], folds_of(labels, 4, 0))
    np.testing.assert_array_equal(evidence.logits[:, 1], np.arange(20))
    assert evidence.features is None
    assert evidence.checkpoints == ("network 0", "network 1", "network 2", "network 3")


def test_which_scores_go():
    assert set(foldable_scores()) == {"deepfool", "el2n", "entropy", "grand", "least_confidence", "loss", "margin"}


@pytest.mark.parametrize(("text", "expected"), [
    ("el2n", [("el2n", {})]), ("moderate", [("moderate", {})]), ("ccs:score=loss", [("loss", {})]),
    ("ccs:score=loss,mis_ratio=0.1", [("loss", {}), ("accumulated_margin", {})]),
    ("el2n-strata:mis_ratio=0.1,cutoff_score=loss,first=0", [("el2n", {"first": 0}), ("loss", {})])])
def test_scores_that_a_choice_goes_by(text, expected):
    assert scores_in(Choice.parse(text)) == expected


@pytest.mark.parametrize(("words", "message"), [
    ("--out-of-fold 1 --method el2n", "--out-of-fold 1: must be a whole number, 2 or more"),
    ("--out-of-fold 3 --method moderate", "moderate looks at several samples at once, and each network's features"),
    ("--out-of-fold 3 --method aum", "aum is of a training's own samples; what goes: "),
    ("--out-of-fold 3 --method el2n --first 0", "el2n is of a training's own samples"),
    ("--out-of-fold 3 --method grand --variant deepcore", "grand looks at several samples at once"),
    ("--out-of-fold 3 --score loss --rule strata --mis-ratio 0.1", "accumulated_margin is of a training's own"),
    ("--out-of-fold 3 --method random", "random asks no network"),
    ("--out-of-fold 3 --method el2n --evidence patches", "evidence of patches is out of fold by itself"),
    ("--out-of-fold 3 --method el2n --ckpt mine.pth", "--ckpt mine.pth has no part in it")])
def test_what_does_not_go_out_of_fold_is_refused_before_training(here, capsys, words, message):
    assert main(f"select {SMALL} --rate 0.2 {words}".split()) == 2
    assert message in capsys.readouterr().err
    assert not (here / "ckpt").exists()


@pytest.mark.mindspore
def test_a_selection_out_of_fold(here, capsys):
    line = f"select {SMALL} --rate 0.2 --method el2n --out-of-fold 3"
    assert main(line.split()) == 0
    said = capsys.readouterr()
    assert "3 networks, out of fold: " in said.out and "of left-out labels right" in said.out
    folders = sorted(path.name for path in (here / "ckpt" / "digits-pool200").iterdir())
    assert folders == [f"mlp-w8-fold{fold}of3-seed0" for fold in (1, 2, 3)]
    coreset = mc.Coreset.load(here / "index" / "digits-el2n-0.2.npz")
    split = mc.load_dataset("digits").subset(coreset.pool)
    fold = folds_of(split.labels, 3, 0)
    for number in range(3):  # by hand
        rows = np.flatnonzero(fold == number)
        network = mc.create_network("mlp", 10, 1, image_size=8, width=8)
        mc.load_weights(network, here / "ckpt" / "digits-pool200" / folders[number] / "best.ckpt")
        expected = mc.score("el2n", mc.extract(network, split.subset(rows), need=("logits",)))
        np.testing.assert_allclose(coreset.scores[coreset.pool][rows], expected, rtol=1e-5)
    files = [here / "ckpt" / "digits-pool200" / folder / "best.ckpt" for folder in folders]
    assert coreset.manifest["base"] == {"networks": [digest(path) for path in files], "seed": 0}
    assert (coreset.manifest["recipe"]["arch"], coreset.manifest["recipe"]["width"]) == ("mlp", 8)
    assert main([*line.split(), "--save", "again"]) == 0
    assert "no base network" not in capsys.readouterr().err
    again = ["select", "--from-manifest", "index/digits-el2n-0.2.npz"]
    assert main(again) == 0
    assert "base networks" not in capsys.readouterr().err
    shutil.copy(files[1], files[2])
    assert main(again) == 1
    assert "note: base networks: [" in capsys.readouterr().err


@pytest.mark.mindspore
def test_scores_out_of_fold_of_several_runs_and_their_agreement(here, capsys):
    assert main(f"score {SMALL} --out-of-fold 2 --runs 2".split()) == 0
    said = capsys.readouterr().out
    with np.load(here / "scores" / "digits-2folds.npz") as found:
        assert set(foldable_scores()) - {"deepfool"} <= set(found.files) and "forgetting" not in found.files
    for name in ("el2n", "loss", "margin"):
        assert f"agreement  {name} of 2 runs: correlation " in said
    assert len(list((here / "ckpt" / "digits-pool200").iterdir())) == 4


def test_what_came_with_the_data_is_not_asked_of_folds(here, capsys):
    rng = np.random.RandomState(0)
    np.savez("a.npz", labels=np.arange(30) % 3, logits=rng.randn(30, 3))
    line = "select --dataset arrays --data a.npz --method el2n --rate 0.5 --out-of-fold"
    assert main([*line.split(), "3"]) == 2
    assert "out of fold 3: logits came with arrays-a, no network is asked; leave it out" in capsys.readouterr().err


# Agreement

def test_agreement_by_hand():
    found = mc.agreement([[0, 1, 2, 9], [0, 1, 9, 2]], rate=0.5)
    assert found.correlation == pytest.approx(np.corrcoef([0, 1, 2, 9], [0, 1, 9, 2])[0, 1])
    assert (found.rank_correlation, found.in_common) == (pytest.approx(0.8), 1)
    three = mc.agreement([[1, 2, 3], [1, 2, 3], [3, 2, 1]], rate=0.34)
    assert (three.correlation, three.in_common) == (pytest.approx(-1 / 3), pytest.approx(1 / 3))
    assert str(three) == "correlation -0.333, of ranks -0.333; of the highest 34% 33.3% in common"


def test_equal_scores_share_a_rank_and_gaps_are_left_out():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.RandomState(0)
    scores = rng.randint(0, 5, (2, 60)).astype(float)
    known = np.ones(60, bool)
    known[[3, 8]] = False
    gaps = np.where(known, scores, [[np.nan], [1.0]])
    assert mc.agreement(gaps).rank_correlation == pytest.approx(stats.spearmanr(*scores[:, known])[0])
    assert np.isnan(mc.agreement([np.ones(4), np.arange(4)]).correlation)


@pytest.mark.parametrize(("scores", "rate"), [
    (np.ones(3), 0.1), (np.ones((1, 3)), 0.1), (np.ones((2, 3)), 0), (np.ones((2, 3)), 1.5), (np.ones((2, 1)), 0.5),
    (np.array([[1, np.nan], [np.nan, 1]]), 0.5)])
def test_what_agreement_is_not_of(scores, rate):
    with pytest.raises(MsCoresetError, match="agreement"):
        mc.agreement(scores, rate)


def test_nothing_is_asked_of_those_without_folds():
    from ms_coreset.jobs.sources import DataSource, Sources

    require_foldable(Sources(DataSource("digits")), [("moderate", {})])
