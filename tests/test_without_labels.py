"""Evidence without labels: what looks at none gives the same as beside any; all else says that it needs them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors import METHODS, RULES, SCORES
from ms_coreset.selectors.catalogue import QUOTAS
from ms_coreset.selectors.choice import Choice
from tests import recording

mc.set_device("CPU")
N, COLUMNS = 60, 4
RNG = np.random.RandomState(0)
LABELS = RNG.randint(0, COLUMNS, N)
ARRAYS = {"features": RNG.rand(N, 5), "logits": RNG.randn(N, COLUMNS), "boundary": RNG.rand(N), "imported": RNG.rand(N),
          "dynamics": recording.dynamics_of([RNG.randn(N, COLUMNS) for _ in range(12)], LABELS)}
LABELED, UNLABELED = mc.Evidence(LABELS, **ARRAYS), mc.Evidence(**ARRAYS)
# Options with which an entry that looks at labels by default looks at none.
WITHOUT = {"facility_location": {"kernel": "features"}, "graph_cut": {"kernel": "features"},
           "log_determinant": {"kernel": "features"}, "disparity_sum": {"kernel": "features"},
           "disparity_min": {"kernel": "features"}, "saturated_coverage": {"kernel": "features"},
           "sum_redundancy": {"kernel": "features"}, "cal": {"within_class": False}, "el2n": {"first": 0, "last": 2},
           "ccs": {"score": "entropy"}, "d2": {"score": "imported"}, "prune4rel": {"turns": False},
           "prototype": {"clusters": 3}}


def free(registry, options=WITHOUT):
    """(name, options) of the entries that look at no labels, with their default options or those above."""
    return [(name, given) for name in registry.names() for given in ({}, options.get(name)) if given is not None
            and not registry[name].needs_labels(given)]


def labeled(registry):
    return [name for name in registry.names() if registry[name].needs_labels({})]


@pytest.mark.parametrize("name, options", free(METHODS))
def test_a_method_without_labels_chooses_as_beside_any(name, options):
    chosen, beside = (mc.select(name, evidence, 0.3, seed=3, **options) for evidence in (UNLABELED, LABELED))
    np.testing.assert_array_equal(chosen.indices, beside.indices)
    assert chosen.manifest["labels"] is None and beside.manifest["labels"]


@pytest.mark.parametrize("name", labeled(METHODS))
def test_a_method_that_looks_at_labels_says_so_by_name(name):
    with pytest.raises(MsCoresetError, match=f"^{name} needs labels, which this evidence lacks; get it with [^\n]*$"):
        mc.select(name, UNLABELED, 0.3)
    assert "labels" in mc.describe(name)["needs"]


@pytest.mark.parametrize("name, options", free(SCORES))
def test_a_score_without_labels_is_the_same_beside_any(name, options):
    np.testing.assert_array_equal(mc.score(name, UNLABELED, **options), mc.score(name, LABELED, **options))


@pytest.mark.parametrize("name", labeled(SCORES))
def test_a_score_that_looks_at_labels_says_so_by_name(name):
    with pytest.raises(MsCoresetError, match=f"^{name} needs labels"):
        mc.score(name, UNLABELED)


@pytest.mark.parametrize("name", RULES.names())
def test_rules(name):
    if RULES[name].needs_labels({}):
        with pytest.raises(MsCoresetError, match=f"^{name} needs labels"):
            mc.select_by("entropy", name, UNLABELED, rate=0.3)
    else:
        chosen, beside = (mc.select_by("entropy", name, evidence, rate=0.3) for evidence in (UNLABELED, LABELED))
        np.testing.assert_array_equal(chosen.indices, beside.indices)


@pytest.mark.parametrize("name", QUOTAS.names())
def test_quotas(name):
    if QUOTAS[name].needs_labels({}):
        with pytest.raises(MsCoresetError, match=f"^quota {name} needs labels"):
            mc.select("k_center", UNLABELED, 0.3, quota=name)
    else:
        assert len(mc.select("k_center", UNLABELED, 0.3, quota=name)) == 18


@pytest.mark.parametrize("select, named", [
    (lambda evidence: mc.select("k_center", evidence, 0.3, balance=True), "balance"),
    (lambda evidence: mc.select_by("entropy", "top", evidence, rate=0.3, balance=True), "balance"),
    (lambda evidence: mc.select_by("entropy", "top", evidence, rate=0.3, normalize="class"), "normalize"),
    (lambda evidence: mc.select("ccs", evidence, 0.3, score="entropy", mis_ratio=0.2, cutoff_score="loss"), "ccs"),
    (lambda evidence: mc.select("ccs", evidence, 0.3, score="entropy", cutoff_score="entropy", mis_ratio="auto"),
     "ccs"),
    (lambda evidence: mc.select_by("entropy", "window", evidence, rate=0.3, mis_ratio=0.2), "window"),
    (mc.estimate_label_noise, "estimate_label_noise"),
])
def test_options_that_look_at_labels(select, named):
    with pytest.raises(MsCoresetError, match=f"^{named} needs labels"):
        select(UNLABELED)


def test_runs_and_the_validation_set_are_looked_at_too():
    evidence = mc.Evidence(LABELS, **ARRAYS, validation=UNLABELED)
    with pytest.raises(MsCoresetError, match=r"^the validation set of glister needs labels"):
        mc.select("glister", evidence, 0.3)
    with pytest.raises(MsCoresetError, match="labels differ"):
        mc.Evidence(LABELS, runs=(UNLABELED,))
    with pytest.raises(MsCoresetError, match="labels differ"):
        mc.Evidence(features=np.eye(5), runs=(UNLABELED,))
    assert len(mc.Evidence(runs=(UNLABELED,))) == N


@pytest.mark.parametrize("name", ARRAYS)
def test_any_array_tells_how_many_samples_there_are(name):
    evidence = mc.Evidence(**{name: ARRAYS[name]})
    assert len(evidence) == N and evidence.labels is None
    np.testing.assert_array_equal(evidence.groups, np.zeros(N))
    assert len(mc.select("random", evidence, 0.5)) == 30


def test_evidence_of_nothing_is_refused():
    with pytest.raises(MsCoresetError, match="evidence of nothing: give labels, or one of features"):
        mc.Evidence()
    with pytest.raises(MsCoresetError, match="features must be of at least one sample"):
        mc.Evidence(features=np.empty((0, 3)))
    with pytest.raises(MsCoresetError, match="logits must be a"):
        mc.Evidence(features=np.eye(4), logits=np.eye(5))


def test_a_part_and_what_is_held_out():
    part = UNLABELED.part(np.arange(5, 15))
    assert len(part) == 10 and part.labels is None
    rest, evidence = UNLABELED.hold_out(0.2)
    assert len(rest) == 48 == len(evidence) and len(evidence.validation) == 12


def test_plugins_look_at_labels_unless_they_say_otherwise():
    def first(evidence, request):
        """The first ones."""
        return mc.Selection(mc.pick_by_group(evidence.groups, request, lambda rows, k: rows[:k]))

    try:
        mc.register_method("first_ones", needs=("features",))(first)
        mc.register_method("first_free", needs=("features",), labels=False)(first)
        mc.register_score("first_score", labels=False)(lambda evidence: evidence.features[:, 0])
        with pytest.raises(MsCoresetError, match=r"^first_ones needs labels"):
            mc.select("first_ones", UNLABELED, 0.1)
        np.testing.assert_array_equal(mc.select("first_free", UNLABELED, 0.1).indices, np.arange(6))
        assert len(mc.select("first_score", UNLABELED, 0.1)) == 6
        assert mc.describe("first_free")["needs"] == ["features"]
        assert mc.describe("first_score")["needs"] == []
    finally:
        for registry, name in ((METHODS, "first_ones"), (METHODS, "first_free"), (METHODS, "first_score"),
                               (SCORES, "first_score")):
            if name in registry:
                registry.remove(name)


@pytest.mark.parametrize("text, named", [
    ("moderate", "moderate"), ("k_center", None), ("facility_location", "facility_location"),
    ("facility_location:kernel=features", None), ("entropy-strata", None), ("entropy-best_window", "best_window"),
    ("el2n-top", "el2n"), ("k_center:quota=drop", "quota drop"), ("k_center:quota=none", None),
    ("entropy-top:normalize=class", "normalize")])
def test_a_choice_says_what_of_it_looks_at_labels(text, named):
    assert Choice.parse(text).needing_labels == named


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("mine.npy", ARRAYS["features"].astype(np.float32))
    np.savez("both.npz", features=ARRAYS["features"], logits=ARRAYS["logits"])
    return tmp_path


def test_select_from_features_alone(here, capsys):
    main(["--dataset", "arrays", "--data", "mine.npy", "--method", "k_center", "--rate", "0.2"], "select")
    told = capsys.readouterr().out
    assert "12 of 60" in told and "per class" not in told
    coreset = mc.Coreset.load("index/arrays-mine-k_center-0.2.npz")
    assert coreset.manifest["labels"] is None and coreset.manifest["data"]["labels"] is None
    features = np.load("mine.npy")
    np.testing.assert_array_equal(coreset.indices, mc.select("k_center", mc.Evidence(features=features), 0.2).indices)
    again = ["--from-manifest", "index/arrays-mine-k_center-0.2.npz", "--data", "mine.npy"]
    assert main(again, "select") == 0
    assert "byte for byte" in capsys.readouterr().out
    main(["show", "index/arrays-mine-k_center-0.2.npz", "--classes"], "coreset")
    assert "per class" not in capsys.readouterr().out


def test_the_library_takes_the_same_file(here):
    result = mc.run_selection(dataset="arrays", data="mine.npy", method="herding", rate=0.1)
    assert len(result.coreset) == 6 and result.summary["per_class"] is None
    split = mc.load_dataset("arrays", root="mine.npy")
    assert isinstance(split.known["features"], np.memmap) or split.known["features"].base is not None
    assert split.known_labels is None and split.num_classes == 0
    assert mc.load_dataset("arrays", root="mine.npy", train=False) is None


@pytest.mark.parametrize("words, named", [
    ([], "moderate"), (["--method", "random", "--balance"], "balance"), (["--method", "loss"], "loss"),
    (["--method", "random", "--quota", "proportional"], "quota proportional")])
def test_the_command_says_in_a_line_what_needs_labels(here, capsys, words, named):
    assert main(["--dataset", "arrays", "--data", "both.npz", "--rate", "0.2", *words], "select") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {named} needs labels, but arrays-both brings none") and error.count("\n") == 1


def test_scores_of_logits_alone(here, capsys):
    main(["--dataset", "arrays", "--data", "both.npz"], "score")
    with np.load("scores/arrays-both.npz") as scores:
        assert "label" not in scores and {"index", "entropy", "margin"} <= set(scores)
    assert "label" not in Path("scores/arrays-both.csv").read_text().partition("\n")[0]


def test_imported_scores_of_features_alone(here):
    np.save("scores.npy", np.arange(N, dtype=float))
    main(["--dataset", "arrays", "--data", "mine.npy", "--scores-from", "scores.npy", "--rate", "0.1"], "select")
    coreset = mc.Coreset.load("index/arrays-mine-imported-0.1.npz")
    np.testing.assert_array_equal(np.sort(coreset.indices), np.arange(54, 60))


def test_noisy_labels_need_labels(here, capsys):
    assert main(["--dataset", "arraysN", "--data", "mine.npy", "--rate", "0.2", "--method", "random"], "select") == 2
    assert "label noise needs labels, but arrays-mine brings none" in capsys.readouterr().err


def test_random_patches_need_labels():
    images = RNG.randint(0, 256, (20, 8, 8, 1)).astype(np.uint8)
    split = mc.Split("mine", images, np.zeros(20, np.int64), classes=(), mean=(0.5,), std=(0.3,))
    with pytest.raises(MsCoresetError, match=r"^evidence of random patches needs labels, but mine brings none"):
        mc.patch_evidence(split)


def test_a_split_without_classes_has_no_labels():
    split = mc.Split("mine", None, np.zeros(5, np.int64), classes=(), mean=(), std=())
    assert split.known_labels is None
    with pytest.raises(MsCoresetError, match="out of range"):
        dataclasses.replace(split, labels=np.arange(5))
    part = split.subset(np.arange(2))
    assert part.known_labels is None and len(part) == 2


@pytest.mark.parametrize("words, remedy", [
    (["--method", "k_center", "--balance"], "leave balance out"),
    (["--method", "random", "--quota", "proportional"], "leave quota proportional out"),
    (["--score", "entropy", "--rule", "top", "--normalize", "class"], "leave normalize out"),
    (["--method", "moderate"], "choose by one of those without, such as k_center, herding, or facility_location with "
                               "kernel=features")])
def test_the_remedy_is_one_for_what_was_typed(here, capsys, words, remedy):
    assert main(["--dataset", "arrays", "--data", "both.npz", "--rate", "0.2", *words], "select") == 2
    assert capsys.readouterr().err.endswith(f"brings none: add 'labels', in an .npz, or {remedy}\n")


@pytest.mark.parametrize("command, words, message", [
    ("select", ["--method", "cal", "--within-class", "false"], "cal needs logits, but arrays-mine brings features and "
     "no images to ask a network about: add 'logits' to it, or 'images'"),
    ("select", ["--score", "forgetting", "--rule", "top"], "forgetting-top needs dynamics, but arrays-mine brings "
     "features and no images to ask a network about: give --dynamics, a record of mc.Recorder, or add 'images'"),
    ("select", ["--method", "deepfool"], "deepfool needs boundary, but arrays-mine brings features and no images to "
     "ask a network about: add 'images'"),
    ("score", ["--scores", "semdedup", "entropy"], "entropy needs logits, but arrays-mine brings features and no "
     "images to ask a network about: add 'logits' to it, or 'images'"),
    ("score", ["--scores", "semdedup", "ram_apl"], "ram_apl needs labels, but arrays-mine brings none: add 'labels', "
     "in an .npz, or leave it out")])
def test_what_is_missing_is_said_of_what_needs_it(here, capsys, command, words, message):
    rate = ["--rate", "0.2"] if command == "select" else []
    assert main(["--dataset", "arrays", "--data", "mine.npy", *rate, *words], command) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize("command, words, what", [
    ("select", ["--method", "k_center", "--rate", "0.5"], "training a base network"), ("train", [], "training"),
    ("score", ["--scores", "zcore"], "training a base network")])
def test_no_network_is_trained_on_pictures_without_labels(tmp_path, monkeypatch, capsys, command, words, what):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loose").mkdir()
    for number in range(6):
        Image.fromarray(RNG.randint(0, 256, (8, 8)).astype(np.uint8)).save(f"loose/{number}.png")
    assert main(["--dataset", "folder", "--data", "loose", *words], command) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {what} needs labels, but folder-loose brings none: sort its images into a folder "
                            "for each class")
    assert not list(tmp_path.rglob("*.ckpt"))
