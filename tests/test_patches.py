"""Random patches and ridge regression: evidence without training, by hand, in strange cases, cached, in commands."""

import dataclasses
import json
import re
import shlex
import tracemalloc

import numpy as np
import pytest
from PIL import Image

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.datasets.pictures import ArrayPictures
from ms_coreset.errors import MsCoresetError
from ms_coreset.extraction import random_patches
from ms_coreset.extraction.random_patches import Encoder, Filters, patch_evidence, reduce
from ms_coreset.extraction.ridge import ridge_left_out
from ms_coreset.selectors import processors

mc.set_device("CPU")
N = 60


def split_of(images, labels, classes=3):
    images = np.asarray(images, np.uint8)
    channels = images.shape[3]
    return mc.Split("toy", images, np.asarray(labels), classes=tuple("abcdefgh"[:classes]), mean=(0.5,) * channels,
                    std=(0.2,) * channels)


def call(line, command="select"):
    """The exit code of a command in this process."""
    return main(shlex.split(line), command)


def stripes(n=N, size=12, channels=3, classes=3, seed=0):
    """Noise, and a bright stripe of a width that tells the class."""
    rng = np.random.RandomState(seed)
    images, labels = rng.randint(0, 90, (n, size, size, channels)), np.arange(n) % classes
    for image, label in zip(images, labels, strict=True):
        image[:, 4:5 + label] += 150
    return split_of(images, labels, classes)


def test_left_out_answers_by_hand():
    # Three numbers -1, 0, 1 of deviation sqrt(2/3); without the third, the others have mean -1/2.
    features, labels = np.array([[-1.0], [0.0], [1.0]]), np.array([0, 1, 1])
    found = ridge_left_out(features, labels, 2, lambdas=(0.5,))
    x = features[:, 0] / (np.sqrt(2 / 3) * 1.001)
    centered, target = x[:2] - x[:2].mean(), np.array([2 / 3, -1 / 3]) - 1 / 6
    slope = centered @ target / (centered @ centered + 3 * 0.5)
    answer = slope * (x[2] - x[:2].mean()) + 1 / 6
    np.testing.assert_allclose(found.answers()[2], [answer, -answer], rtol=1e-12)
    np.testing.assert_allclose(found.answers(slice(2, 3))[0], [answer, -answer], rtol=1e-12)


def test_ridge_chooses_the_penalty_that_is_right_most_often():
    rng = np.random.RandomState(0)
    labels = np.arange(80) % 4
    features = np.eye(4)[labels] @ rng.randn(4, 60) + 2 * rng.randn(80, 60)
    found = ridge_left_out(features, labels, 4)
    each = [ridge_left_out(features, labels, 4, lambdas=(lam,)).accuracy for lam in (1e-4, 1e-3, 1e-2, 1e-1)]
    assert found.accuracy == max(each) > min(each)
    assert found.accuracy == (found.answers().argmax(axis=1) == labels).mean()
    assert found.lam == (1e-4, 1e-3, 1e-2, 1e-1)[int(np.argmax(each))]


def test_ridge_in_blocks_on_few_or_many_samples_is_the_same(monkeypatch):
    rng = np.random.RandomState(1)
    features, labels = rng.randn(50, 20).astype(np.float32), rng.randint(0, 3, 50)
    whole = ridge_left_out(features, labels, 3)
    monkeypatch.setattr("ms_coreset.extraction.ridge.BLOCK_BYTES", 8 * 20 * 7)
    parts = ridge_left_out(features, labels, 3)
    by_samples = ridge_left_out(np.hstack([features, np.full((50, 40), 9)]), labels, 3, lambdas=(parts.lam,))
    np.testing.assert_allclose(parts.answers(), whole.answers(), atol=1e-12)
    spread = features.std(axis=0, dtype=float)
    if by_samples.accuracy == parts.accuracy:  # columns that never vary add nothing but to the overall deviation
        np.testing.assert_allclose(by_samples.answers(), parts.answers(), atol=0.05 / spread.min())


def test_a_sample_that_only_itself_explains_is_answered_by_the_others():
    """Its leverage is next to 1; the answer without it is of the others' mean, not noise of rounding."""
    rng = np.random.RandomState(0)
    features, labels = np.zeros((200, 3)), rng.randint(0, 2, 200)
    features[:, 0] = labels + 0.1 * rng.randn(200)
    features[7, 2] = 1e6
    answers = ridge_left_out(features, labels, 2).answers()
    assert np.isfinite(answers).all()
    assert np.abs(answers[7]).max() < 2


def test_duplicates_do_no_harm():
    split = stripes()
    twice = split.subset(np.r_[np.arange(N), np.arange(N)])
    evidence = patch_evidence(twice, 10)
    np.testing.assert_allclose(evidence.logits[:N], evidence.logits[N:], atol=1e-4)
    assert np.isfinite(evidence.features).all()


def test_answers_of_one_filter_by_hand():
    """A filter that is the difference of two neighbours, on a step: where it answers, and in which quarter."""
    weights = np.zeros((1, 4, 4, 1))
    weights[0, :, 1], weights[0, :, 2] = -1, 1
    image = np.zeros((1, 8, 8, 1))
    image[0, :, 2:] = 100  # patches have 4 x 4 pixels: 5 x 5 places
    # At column 0 the step lies between the patch's second and third: 4 times 100, deviation 50.
    answer = 400 / np.sqrt(2500 + 10) - 0.25
    plain = Encoder(Filters(weights, np.zeros(1)), False, np.float64)(image).reshape(2, 2, 2)
    np.testing.assert_allclose(plain[0], [[answer / 3, 0]] * 2, atol=1e-12)
    np.testing.assert_allclose(plain[1], 0, atol=1e-12)
    # The mirror image has the step on the right, downwards.
    both = Encoder(Filters(weights, np.zeros(1)), True, np.float64)(image).reshape(2, 2, 2)
    np.testing.assert_allclose(both[0], plain[0], atol=1e-12)
    np.testing.assert_allclose(both[1], plain[0, :, ::-1], atol=1e-12)
    offset = Encoder(Filters(weights, np.full(1, 2.0)), False, np.float64)(image).reshape(2, 2, 2)
    np.testing.assert_allclose(offset[0], [[(answer - 2) / 3, 0]] * 2, atol=1e-12)
    np.testing.assert_allclose(offset[1], [[2 / 3 * 1.75, 1.75]] * 2, atol=1e-12)


def test_images_that_are_not_square():
    """Rows for columns in images and filters is rows for columns in the grid."""
    rng = np.random.RandomState(0)
    images, weights, offsets = rng.randint(0, 256, (3, 8, 14, 1)), rng.randn(2, 4, 4, 1), rng.randn(2)
    straight, turned = (Encoder(Filters(weights.transpose(0, *axes, 3), offsets), False, np.float64)(
        images.transpose(0, *axes, 3)).reshape(3, 2, 2, 2, 2) for axes in ((1, 2), (2, 1)))
    np.testing.assert_allclose(straight, turned.transpose(0, 1, 3, 2, 4), atol=1e-12)


@pytest.mark.parametrize("size", [8, 13, 28, 32])
def test_color_images_and_their_mirror_images_have_the_same_features(size):
    split = stripes(20, size)
    filters = random_patches.draw_filters(split.images, 6, 4, np.random.RandomState(0))
    encoder = Encoder(filters, True, np.float64)
    np.testing.assert_allclose(encoder(split.images), encoder(split.images[:, :, ::-1]), atol=1e-12)


def test_filters_are_of_patches_with_something_in_them():
    images = np.zeros((30, 8, 8, 1), np.uint8)
    images[3] = np.random.RandomState(0).randint(0, 256, (8, 8, 1))
    filters = random_patches.draw_filters(images, 500, 4, np.random.RandomState(0))
    assert len(filters.offsets) == 25  # as many as there are
    norms = np.linalg.norm(filters.weights.reshape(25, -1), axis=1)
    assert norms.min() > 0
    np.testing.assert_allclose(filters.weights.mean(axis=(1, 2, 3)), 0, atol=1e-12)


def test_filters_follow_from_100_000_patches_of_10_000_images():
    rng = np.random.RandomState(0)
    assert random_patches._random_patches(np.zeros((140, 32, 32, 1), np.uint8), 6, rng).shape == (100_000, 36)
    assert random_patches._random_patches(np.zeros((10_001, 4, 4, 1), np.uint8), 4, rng).shape == (10_000, 16)


@pytest.mark.parametrize(("size", "first"), [(64, 0.5), (48, 1 / 3), (40, 0)])
def test_larger_images_are_averaged_to_32_pixels(size, first):
    images = np.zeros((1, size, size, 1), np.uint8)
    images[:, :, 1::2] = 1
    small = reduce(images)
    assert small.shape == (1, 32, 32, 1)
    assert small.dtype == np.float32
    np.testing.assert_allclose(small.mean(), 0.5, rtol=1e-6)  # the parts are equal: no light is lost
    width = size / 32
    np.testing.assert_allclose(small[0, 0, 0, 0], (min(width, 2) - 1) / width, rtol=1e-6)
    assert first in (0, pytest.approx(small[0, 0, 0, 0], rel=1e-6))


@pytest.mark.parametrize(("size", "channels"), [(4, 1), (5, 3), (8, 1), (15, 3), (28, 1), (64, 3), (40, 1)])
def test_sizes_and_channels(size, channels):
    split = stripes(24, max(size, 8), channels)
    split = dataclasses.replace(split, images=np.ascontiguousarray(split.images[:, :size, :size]))
    evidence = patch_evidence(split, 5)
    assert evidence.features.shape == evidence.logits.shape == (24, 3)
    assert evidence.features.dtype == evidence.logits.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(evidence.features, axis=1), 1, rtol=1e-5)
    assert evidence.settings["mirrored"] == (channels == 3)


def test_what_patches_tell_is_right_and_comes_with_how_far():
    split, test = stripes(90), stripes(60, seed=1)
    evidence = patch_evidence(split, 12, test=test)
    assert evidence.accuracy == (evidence.logits.argmax(axis=1) == split.labels).mean() > 0.8
    assert evidence.test_accuracy > 0.8
    bad = np.arange(300) % 10 == 0
    wrong = stripes(300)
    wrong = dataclasses.replace(wrong, labels=np.where(bad, (wrong.labels + 1) % 3, wrong.labels))
    loss = mc.score("loss", patch_evidence(wrong, 12))
    assert bad[np.argsort(-loss)[:30]].mean() > 0.9
    assert patch_evidence(split, 12).test_accuracy is None
    assert len(mc.select("moderate", evidence, 0.2)) == 18


@pytest.mark.parametrize("images", [
    np.full((6, 8, 8, 1), 7), np.full((6, 8, 8, 3), [[[[7, 0, 200]]]]), np.zeros((6, 8, 8, 1))])
def test_images_of_one_color(images):
    evidence = patch_evidence(split_of(images, [0, 1, 2, 0, 0, 0]))
    assert np.isfinite(evidence.logits).all()
    assert np.isfinite(evidence.features).all()
    np.testing.assert_allclose(evidence.logits[0], evidence.logits[3], atol=1e-4)
    # All that is left is how often a label is, without the sample itself.
    np.testing.assert_allclose(evidence.logits[1], 10 * (np.array([0.8, 0, 0.2]) - np.array([4, 1, 1]) / 6), atol=1e-4)


@pytest.mark.parametrize(("labels", "classes"), [
    ([0] * 8, 1), ([0] * 8, 3), ([0] * 7 + [1], 2), ([0], 1), ([1], 3), ([0, 1], 2), ([2, 2], 3)])
def test_few_samples_and_classes(labels, classes):
    evidence = patch_evidence(split_of(stripes(len(labels)).images, labels, classes))
    assert evidence.features.shape == evidence.logits.shape == (len(labels), classes)
    assert np.isfinite(evidence.logits).all()
    assert np.isfinite(evidence.features).all()
    assert 0 <= evidence.accuracy <= 1
    mc.select("moderate", evidence, 1.0)
    mc.score("loss", evidence)


def test_two_classes_keep_the_length_of_what_tells_them_apart():
    features = patch_evidence(stripes(40, classes=2), 8).features
    assert len(np.unique(np.round(features[:, 0], 6))) > 20
    np.testing.assert_allclose(features.sum(axis=1), 0, atol=1e-6)


def test_seed_and_filters_count_and_normalization_does_not():
    split = stripes()
    first = patch_evidence(split, 8)
    np.testing.assert_array_equal(patch_evidence(split, 8).logits, first.logits)
    assert (patch_evidence(split, 8, seed=1).logits != first.logits).any()
    assert (patch_evidence(split, 9).logits != first.logits).any()
    other = dataclasses.replace(split, mean=(0.1,) * 3)
    np.testing.assert_array_equal(patch_evidence(other, 8).logits, first.logits)


def test_pictures_that_are_decoded_when_asked_for_are_told_the_same_of():
    split = stripes(40, 20)
    lazy = dataclasses.replace(split, images=ArrayPictures(split.images))
    np.testing.assert_array_equal(patch_evidence(lazy, 6).logits, patch_evidence(split, 6).logits)


@pytest.mark.parametrize("n", [400, 1000])  # more and fewer than features
def test_the_same_bytes_on_any_number_of_threads(n):
    found = []
    for threads in (1, 2, 3):
        with processors._blas().limit(limits=threads):
            found.append(patch_evidence(stripes(n, 8, 1), 80))
    for other in found[1:]:
        assert other.logits.tobytes() == found[0].logits.tobytes()
        assert other.features.tobytes() == found[0].features.tobytes()


def test_features_that_do_not_fit_lie_in_a_file_that_goes_again(tmp_path, monkeypatch):
    split, made = stripes(600, 8, 1), []
    created = random_patches.create_array
    monkeypatch.setattr(random_patches, "create_array", lambda *a: made.append(a[0]) or created(*a))
    whole = patch_evidence(split, 80)
    assert not made
    parts = patch_evidence(split, 80, memory="1M", cache=tmp_path)
    assert [path.parent.parent for path in made] == list(tmp_path.iterdir())
    assert not made[0].exists()
    np.testing.assert_array_equal(parts.logits, whole.logits)


def test_memory_beside_the_features_does_not_grow_with_the_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(random_patches, "SAMPLED_IMAGES", 50)
    monkeypatch.setattr(random_patches, "ROUND_BYTES", 1 << 16)
    monkeypatch.setattr("ms_coreset.extraction.ridge.BLOCK_BYTES", 1 << 16)

    def peak(n):
        split = stripes(n, 8, 1)
        tracemalloc.start()
        patch_evidence(split, 20, memory=0, cache=tmp_path)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(300)  # what is imported and kept
    few, many = peak(400), peak(4000)
    assert many - few < 0.3 * (4 * 3600 * 160)  # bytes of the features; what traces lines takes some, too


def test_cache_is_used_for_the_same_and_not_for_anything_else(tmp_path, monkeypatch):
    split, test = stripes(), stripes(20, seed=1)
    made = []
    drawn = random_patches.draw_filters
    monkeypatch.setattr(random_patches, "draw_filters", lambda *a: made.append(1) or drawn(*a))
    first = patch_evidence(split, 6, test=test, cache=tmp_path)
    again = patch_evidence(split, 6, test=test, cache=tmp_path)
    assert len(made) == 1
    assert (again.accuracy, again.test_accuracy, again.settings) == (first.accuracy, first.test_accuracy,
                                                                     first.settings)
    np.testing.assert_array_equal(again.features, first.features)
    relabeled = dataclasses.replace(split, labels=(split.labels + 1) % 3)
    others = [(split, 6, 0, None), (split, 7, 0, test), (split, 6, 1, test), (relabeled, 6, 0, test),
              (dataclasses.replace(split, images=255 - split.images), 6, 0, test),
              (split, 6, 0, dataclasses.replace(test, labels=(test.labels + 1) % 3))]
    for *other, tested in others:
        patch_evidence(*other, test=tested, cache=tmp_path)
    assert len(made) == 1 + len(others)
    monkeypatch.setattr(random_patches, "VERSION", 2)
    patch_evidence(split, 6, test=test, cache=tmp_path)
    assert len(made) == 2 + len(others)


@pytest.mark.parametrize("damage", [
    lambda folder: (folder / "features.npy").write_bytes(b"short"),
    lambda folder: (folder / "patches.json").write_text("{"),
    lambda folder: (folder / "patches.json").write_text("{}"),
    lambda folder: (folder / "patches.json").write_text("[3]"),
    lambda folder: (folder / "patches.json").unlink(),
    lambda folder: (folder / "logits.json").write_text(json.dumps({"rows": 7, "shape": [60, 3]}))])
def test_damaged_cache_is_made_anew(tmp_path, damage):
    split = stripes()
    first = patch_evidence(split, 6, cache=tmp_path)
    kept = np.array(first.logits)
    damage(next(tmp_path.iterdir()))
    again = patch_evidence(split, 6, cache=tmp_path)
    np.testing.assert_array_equal(again.logits, kept)
    assert again.accuracy == first.accuracy


@pytest.mark.parametrize(("given", "message"), [
    ({"split": stripes(6, 8).images}, "split must be of type Split"),
    ({"split": dataclasses.replace(stripes(6, 8), images=np.zeros((6, 3, 3, 3), np.uint8))}, "3 x 3 pixels are too"),
    ({"split": dataclasses.replace(stripes(6, 8), images=None)}, "has no images"),
    ({"filters": 0}, "filters 0: must be a whole number"), ({"seed": -1}, "seed -1"), ({"memory": "much"}, "memory"),
    ({"cache": 3}, "cache must be the name"), ({"test": "none"}, "test must be of type Split")])
def test_refusals(given, message):
    with pytest.raises(MsCoresetError, match=message):
        patch_evidence(**{"split": stripes(6, 8), **given})


@pytest.fixture(scope="module")
def patch_run(tmp_path_factory):
    """A folder where digitsN's coreset was chosen by patches."""
    folder = tmp_path_factory.mktemp("chosen")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call("--dataset digitsN --rate 0.2 --evidence patches") == 0
    return folder


def test_select_by_patches_trains_nothing_and_keeps_hardly_a_wrong_label(patch_run):
    coreset = mc.Coreset.load(patch_run / "index/digitsN-moderate-0.2.npz")
    bad = mc.load_dataset("digitsN", root=patch_run / "data").bad
    assert bad[coreset.indices].mean() < 0.02 < bad.mean()
    assert sorted(path.name for path in patch_run.iterdir()) == ["cache", "data", "index"]
    base = coreset.manifest["base"]
    assert (base["evidence"], base["filters"], base["side"], base["lam"]) == ("patches", 80, 4, 0.1)
    assert 0.7 < base["accuracy"] < 0.85
    assert coreset.manifest["checkpoint"] is None


def test_the_command_says_how_far_to_trust_and_is_repeated_from_the_cache(patch_run, monkeypatch, capsys):
    monkeypatch.chdir(patch_run)
    monkeypatch.setattr(random_patches, "draw_filters", None)  # all is there
    assert call("--from-manifest index/digitsN-moderate-0.2.npz") == 0
    said = capsys.readouterr()
    trust = r"random patches: 7\d\.\d% of left-out labels right, 9\d\.\d% of the test split"
    assert re.search(f"evidence   {trust}", said.out)
    assert "the same coreset now, byte for byte" in said.out
    assert call("--from-manifest index/digitsN-moderate-0.2.npz --filters 9") == 2
    assert call("--dataset digitsN --evidence patches --scores loss el2n --save s", "score") == 0
    assert re.search(f"by {trust}", capsys.readouterr().out)
    with np.load("s/digitsN-patches.npz") as scores:
        assert {"loss", "el2n"} < set(scores)


def test_all_scores_that_need_no_training_go(patch_run, monkeypatch):
    monkeypatch.chdir(patch_run)
    assert call("--dataset digitsN --evidence patches", "score") == 0
    with np.load("scores/digitsN-patches.npz") as scores:
        assert set(scores) == {"bad", "cal", "center_distance", "clean_label", "el2n", "entropy", "grand", "index",
                               "label", "least_confidence", "loss", "margin", "prototype", "ram_apl", "semdedup"}


@pytest.mark.parametrize(("command", "line", "message"), [
    ("select", "--evidence patches --method ccs", "ccs needs dynamics, which only a network has: take --evidence "
     "network, or --score loss --cutoff-score loss"),
    ("select", "--evidence patches --method deepfool", "deepfool needs boundary, which only a network has"),
    ("select", "--evidence patches --score aum --rule strata", "aum-strata needs dynamics"),
    ("select", "--evidence patches --runs 2", "--runs is about networks"),
    ("select", "--evidence patches --ckpt a.ckpt", "--ckpt is about networks"),
    ("select", "--evidence patches --filters 0", "--filters 0: must be a whole number"),
    ("select", "--filters 9", "--filters 9 is about random patches: it goes with --evidence patches"),
    ("score", "--evidence patches --scores loss forgetting", "forgetting needs dynamics"),
    ("experiment", "--evidence network patches --methods random aum", "aum needs dynamics")])
def test_refused_in_one_line_before_any_work(here, capsys, command, line, message):
    assert call(f"--dataset digitsN {line}", command) == 2
    assert message in capsys.readouterr().err
    assert not list(here.iterdir())


def test_larger_images_are_said_to_be_reduced(here, capsys):
    rng = np.random.RandomState(0)
    for part in ("train", "val"):
        for name in ("bright", "dark"):
            folder = here / "photos" / part / name
            folder.mkdir(parents=True)
            for i in range(6):
                pixels = rng.randint(0, 100, (40, 40, 3)) + 120 * (name == "bright") * (np.arange(40) % 8 < 4)[:, None]
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    line = "--dataset folder --data photos --image-size 40 --rate 0.5 --balance --evidence patches --filters 20"
    assert call(line) == 0
    said = capsys.readouterr()
    assert "images of 40 x 40 pixels are reduced to 32 x 32 for random patches" in said.err
    assert "100.0% of the test split" in said.out


@pytest.mark.mindspore
def test_a_study_sets_patches_beside_a_network(here):
    line = ("--dataset digitsN --pool 200 --methods random moderate --rates 0.3 --evidence network patches --epoch 1 "
            "--filters 20 --arch mlp")
    assert call(line, "experiment") == 0
    records = [json.loads(row) for row in (here / "results/study/runs.jsonl").read_text().splitlines()]
    assert [(record["method"], record["select_arch"]) for record in records] == [
        ("random", "mlp"), ("moderate", "mlp"), ("random", "patches"), ("moderate", "patches")]
    assert records[0]["indices"] == records[2]["indices"]  # which asks neither
    assert records[3]["bad"]["kept"] < records[1]["bad"]["kept"]
    assert records[3]["base_accuracy"] > 0.7
    assert records[3]["seconds"]["base"] == 0 < records[3]["seconds"]["extract"]
    assert records[3]["command"].endswith("--evidence patches")
