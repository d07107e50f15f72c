"""Images in folders, decoded when they are needed, in every layout that is known: generated trees and real ones."""

import dataclasses
import gzip
import io
import itertools
import json
import math
import os
import re
import shutil
import struct
import tarfile
import threading
import time
import tracemalloc
import zipfile
import zlib
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import ms_coreset as mc
from ms_coreset import batches, progress
from ms_coreset.batches import evaluation_batches
from ms_coreset.cli import main
from ms_coreset.cli.common.common_options import add_data_options, add_network_options, new_parser
from ms_coreset.datasets import default_overlay_path, download, pictures, tiny_imagenet
from ms_coreset.datasets.readers import archive, image_check, image_files
from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs.default_recipe import recipe_of
from ms_coreset.jobs.options import data_of, network_of
from ms_coreset.jobs.sources import NetworkSource
from ms_coreset.training.crops import NUMBERS, crop_box, resized_crops, view_for_test
from ms_coreset.training.loop import data_digest
from ms_coreset.training.pipeline import EpochPlan, training_batches

mc.set_device("CPU")
WNIDS = ["n01443537", "n01641577", "n02012849", "n03126707"]
RECIPE = mc.Recipe(arch="mlp", epochs=2, batch_size=8, lr=0.05, crop_scale=0.3, crop_size=12, flip=True)


def write_image(path, seed, size=(16, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.RandomState(seed).randint(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")  # lossless, whatever it is called
    return pixels


def write_tree(root, classes, each=5, size=(16, 16), place="{name}/{number}.png"):
    """Images of random pixels; returns the pixels by path."""
    return {place.format(name=name, number=number): write_image(root / place.format(name=name, number=number),
                                                                100 * label + number, size)
            for label, name in enumerate(classes) for number in range(each)}


def load(name, root, train=True, **options):
    return mc.load_dataset(name, root, train, **{"download": False, "log": lambda line: None, **options})


def refusal(message, name, root, train=True, **options):
    with pytest.raises(MsCoresetError, match=message) as caught:
        load(name, root, train, **options)
    assert "\n" not in str(caught.value)


@pytest.fixture
def tree(tmp_path):
    """Four classes of five 16-pixel images to train on, and two each to test on."""
    root = tmp_path / "photos"
    write_tree(root / "train", "abcd")
    write_tree(root / "val", "abcd", 2)
    return root


# Lazy images

def test_indices_give_arrays(tree):
    images = load("folder", tree).images
    assert images.shape == (20, 16, 16, 3) and len(images) == 20 and images.dtype == np.uint8 and images.ndim == 4
    everything = np.asarray(images)
    expected = [write_image(tree / "x.png", 100 * label + number) for label in range(4) for number in range(5)]
    np.testing.assert_array_equal(everything, expected)
    mask = np.arange(20) % 3 == 0
    for key in (slice(3, 9), slice(None, None, -2), np.array([7, 7, 0, -1]), [1, 2], mask, np.array([], int), 4,
                np.int64(-3), slice(20, 30)):
        np.testing.assert_array_equal(images[key], everything[key])
        assert images[key].dtype == np.uint8
    with pytest.raises(IndexError):
        images[20]


def test_subsets_decode_nothing_and_know_their_files(tree, monkeypatch):
    split = load("folder", tree)
    everything = split.images[:]
    with monkeypatch.context() as patched:
        patched.setattr(image_files, "open_image", None)
        part = split.subset(np.array([3, 1, 17])).subset(np.array([2, 0]))
        assert part.images.shape == (2, 16, 16, 3) and part.labels.tolist() == [3, 0]
        half = split.subset(split.labels < 2)
        assert len(half) == 10 and half.lazy
    np.testing.assert_array_equal(part.images[:], everything[[17, 3]])
    np.testing.assert_array_equal(half.images[:], everything[:10])


def test_the_fingerprint_is_of_names_sizes_times_and_scaling(tree, tmp_path):
    first = load("folder", tree)
    assert load("folder", tree).fingerprint() == first.fingerprint()
    assert load("folder", tree, image_size=8).fingerprint() != first.fingerprint()
    assert first.subset(np.arange(20)[::-1]).fingerprint() != first.fingerprint()
    moved = tmp_path / "elsewhere"
    shutil.copytree(tree, moved)  # keeps the times
    assert load("folder", moved).fingerprint() == first.fingerprint()
    os.utime(moved / "train" / "b" / "0.png", (1, 1))
    assert load("folder", moved).fingerprint() != first.fingerprint()
    (tree / "train" / "b" / "0.png").rename(tree / "train" / "b" / "5.png")
    renamed = load("folder", tree)
    assert renamed.fingerprint() != first.fingerprint()
    assert data_digest(renamed) != data_digest(first) == data_digest(first)
    (tree / "train" / "b" / "5.png").unlink()
    with pytest.raises(MsCoresetError, match=r"can't read .*b/5\.png"):
        load("folder", tree).subset(np.arange(3)).fingerprint() and renamed.subset(np.arange(20)).fingerprint()


DAMAGE = {"text": lambda path: path.write_text("no image"), "empty": lambda path: path.write_bytes(b""),
          "truncated": lambda path: path.write_bytes(path.read_bytes()[:300]),
          "gone": lambda path: path.unlink(), "a folder": lambda path: (path.unlink(), path.mkdir()),
          "postscript": lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n"),
          "a bomb": lambda path: path.write_bytes(bomb())}


def bomb():
    """A small PNG that announces 10^10 pixels."""
    stream = io.BytesIO()
    Image.new("1", (8, 8)).save(stream, format="PNG")
    content = bytearray(stream.getvalue())
    content[16:24] = (100_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


@pytest.mark.mindspore
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("use", ["index", "train", "evaluate"])
def test_a_file_that_is_no_whole_image_is_named(tree, damage, use):
    split = load("folder", tree, image_size=16)
    damage(tree / "train" / "c" / "2.png")
    uses = {"index": lambda: split.images[:],
            "train": lambda: list(training_batches(split, np.arange(20), RECIPE, 0, 0, 2)),
            "evaluate": lambda: list(evaluation_batches(split, 6))}
    with pytest.raises(MsCoresetError, match=r"train/c/2\.png can't be read as an image") as caught:
        uses[use]()
    assert "\n" not in str(caught.value)
    assert len(list(evaluation_batches(split.subset(np.arange(10)), 6))) == 2  # the others can still be read


def test_names_of_any_bytes(tmp_path):
    names = [b"\xff\xfe.png", "\u00fcml\u00e4ut.PNG".encode(), b"a b\n.png"]
    write_image(tmp_path / "a" / "plain.png", 0)
    for name in names:
        (tmp_path / "a" / os.fsdecode(name)).write_bytes((tmp_path / "a" / "plain.png").read_bytes())
    split = load("folder", tmp_path)
    assert split.images[:].shape == (4, 16, 16, 3) and split.fingerprint()
    for name, shown in ((names[0], r"\\xff\\xfe\.png"), (names[2], r"a b\\n\.png")):
        (tmp_path / "a" / os.fsdecode(name)).write_text("")
        damaged = [place for place in range(4) if split.images._source.relative(place).endswith(name)]
        with pytest.raises(MsCoresetError, match=f"{shown} can't be read") as caught:
            split.images[damaged]
        assert "\n" not in str(caught.value)


@pytest.mark.mindspore
@pytest.mark.parametrize("options", [{}, {"crop_size": None}, {"crop_scale": None, "crop_size": None, "flip": False}])
def test_batches_do_not_depend_on_the_number_of_threads(tree, monkeypatch, options):
    split = load("folder", tree, image_size=16)
    recipe = mc.Recipe(**{**RECIPE.as_dict(), **options})
    seen = {}
    for workers in (1, 3, 24):  # more than a batch has images
        monkeypatch.setattr(pictures, "WORKERS", workers)
        threads = set()
        original = image_files.ImageFiles.original
        monkeypatch.setattr(image_files.ImageFiles, "original",
                            lambda *key, o=original, t=threads: t.add(threading.get_ident()) or o(*key))
        seen[workers] = [*training_batches(split, np.arange(1, 20), recipe, 5, 0, 3), *evaluation_batches(split, 7, 4)]
        assert len(threads) <= workers
    for workers in (3, 24):
        assert len(seen[1]) == len(seen[workers]) == 3 * 3 + 3
        for first, second in zip(seen[1], seen[workers], strict=True):
            for one, other in zip(first, second, strict=True):
                np.testing.assert_array_equal(one, other)


def test_all_processors_decode_and_ranks_of_a_machine_share_them(monkeypatch):
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert available == pictures.WORKERS == pictures.count_workers()
    monkeypatch.setattr(pictures, "WORKERS", 192)
    for ranks, expected in ((8, 24), (200, 1)):
        monkeypatch.setattr(pictures, "current", lambda ranks=ranks: SimpleNamespace(local_size=ranks))
        assert pictures.count_workers() == expected


@pytest.mark.mindspore
def test_lazy_evaluation_equals_that_of_arrays_from_any_start(tree):
    lazy = load("folder", tree, image_size=16)
    arrays = mc.Split("arrays", lazy.images[:], lazy.labels, classes=lazy.classes, mean=lazy.mean, std=lazy.std)
    for start in (0, 3, 19, 20, 25):
        batches = list(zip(evaluation_batches(lazy, 6, start), evaluation_batches(arrays, 6, start), strict=True))
        assert sum(len(batch.rows) for batch, _ in batches) == max(0, 20 - start)
        for first, second in batches:
            for one, other in zip(first, second, strict=True):
                np.testing.assert_array_equal(one, other)
                assert one.dtype == other.dtype


@pytest.mark.mindspore
def test_large_images_are_evaluated_fewer_at_a_time(tree, monkeypatch):
    split = load("folder", tree, image_size=16)
    monkeypatch.setattr(batches, "_LARGEST_EVALUATED", 4 * 16 * 16 * 3 * 6)
    assert [len(batch.rows) for batch in evaluation_batches(split, 100)] == [6, 6, 6, 2]


@pytest.mark.mindspore
def test_evidence_of_lazy_images_is_that_of_arrays(tree, tmp_path):
    lazy = load("folder", tree, image_size=16)
    arrays = mc.Split("arrays", lazy.images[:], lazy.labels, classes=lazy.classes, mean=lazy.mean, std=lazy.std)
    network = mc.create_network("mlp", 4, 3, image_size=16, width=8)
    first, second = (mc.extract(network, split, cache=tmp_path / "cache") for split in (lazy, arrays))
    np.testing.assert_array_equal(first.features, second.features)
    assert len(list((tmp_path / "cache").iterdir())) == 2  # a cache of lazy images is not that of an array


@pytest.mark.mindspore
def test_few_batches_wait_when_they_are_large(tree, monkeypatch):
    split = load("folder", tree, image_size=16).subset(np.arange(400) % 20)
    prepared = []
    get = batches._EvaluationSource.__getitem__
    monkeypatch.setattr(batches._EvaluationSource, "__getitem__",
                        lambda self, item: prepared.append(item) or get(self, item))

    def ahead():
        prepared.clear()
        read = evaluation_batches(split, 4)
        next(read)
        time.sleep(1)
        read.close()
        return len(prepared)

    assert 10 < ahead() < 25
    monkeypatch.setattr(batches, "QUEUE_BYTES", 4 * 16 * 16 * 3 * 4)  # one batch
    assert ahead() <= 4


# Resized crops

def test_former_recipes_draw_what_they_drew():
    recipe = mc.load_recipe("moderate")
    plan, rng = EpochPlan(50, recipe, 3, 7), np.random.RandomState([3, 7])
    np.testing.assert_array_equal(plan.order, rng.permutation(50))
    np.testing.assert_array_equal(plan.shift, rng.randint(0, 9, (50, 2)))
    np.testing.assert_array_equal(plan.mirror, rng.randint(0, 2, 50).astype(bool))
    assert plan.crop is None


def test_crops_by_hand():
    numbers = np.zeros(NUMBERS)
    # Area 1 x 100 x 100, ratio 1: the whole.
    numbers[0], numbers[1] = 1 - 1e-12, 0.5
    assert crop_box(100, 100, 0.25, numbers) == (0, 0, 100, 100)
    # Area 1/4, ratio 1: 50 x 50, at 51 places each way.
    numbers[0], numbers[-2], numbers[-1] = 0, 0.999, 0.5
    assert crop_box(100, 100, 0.25, numbers) == (50, 25, 50, 50)
    # Area 0.48 and ratio 3/4: 60 x 80.
    numbers[1] = 0
    assert crop_box(100, 100, 0.48, numbers)[2:] == (60, 80)
    # The first try does not fit (120 x 90 wide), the second does.
    numbers[:4] = (1 - 1e-12, 1, 0, 0.5)
    assert crop_box(100, 100, 0.25, numbers)[2:] == (50, 50)
    # None fits: the middle of the largest allowed ratio.
    assert crop_box(400, 30, 0.9, np.full(NUMBERS, 0.5)) == (180, 0, 40, 30)
    assert crop_box(30, 400, 0.9, np.full(NUMBERS, 0.5)) == (0, 180, 30, 40)


@given(st.integers(1, 300), st.integers(1, 300), st.floats(0.01, 1), st.integers(0, 2**32 - 1))
def test_crops_lie_within_the_image(width, height, scale, seed):
    left, top, w, h = crop_box(width, height, scale, np.random.RandomState(seed).random_sample(NUMBERS))
    assert left >= 0 and top >= 0 and w >= 1 and h >= 1 and left + w <= width and top + h <= height


def test_crops_are_as_large_and_as_wide_as_they_should_be():
    boxes = [crop_box(1000, 1000, 0.08, numbers) for numbers in np.random.RandomState(0).random_sample((4000, NUMBERS))]
    areas = np.array([w * h for _, _, w, h in boxes]) / 1e6
    ratios = np.log([w / h for _, _, w, h in boxes])
    assert abs(areas.min() - 0.08) < 0.01 and 0.45 < areas.mean() < 0.54  # large ones fit less often
    assert abs(ratios).max() < math.log(4 / 3) + 0.01 and abs(ratios.mean()) < 0.01


def test_a_whole_crop_is_the_image_itself(tree):
    split = load("folder", tree, image_size=16)
    recipe = mc.Recipe(epochs=1, crop_scale=1)
    numbers = np.full((20, NUMBERS), 0.5)
    np.testing.assert_array_equal(resized_crops(split.images, np.arange(20), recipe, numbers), split.images[:])
    np.testing.assert_array_equal(resized_crops(split.images[:], np.arange(20), recipe, numbers), split.images[:])


def test_tests_resize_first_and_evidence_does_not(tree):
    split = load("folder", tree, image_size=16)
    assert view_for_test(split, RECIPE) is split
    recipe = mc.Recipe(epochs=1, test_resize=20)
    for images in (split.images, split.images[:]):
        given = mc.Split("s", images, split.labels, classes=split.classes, mean=split.mean, std=split.std)
        tested = view_for_test(given, recipe)
        first = Image.fromarray(split.images[0]).resize((20, 20), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(tested.images[0], np.asarray(first)[2:18, 2:18])
    with pytest.raises(MsCoresetError, match="resized to 10 pixels can't be cropped to 16"):
        view_for_test(split, mc.Recipe(epochs=1, test_resize=10))


def test_images_of_two_channels_are_not_resized():
    split = mc.Split("s", np.zeros((3, 8, 8, 2), np.uint8), np.zeros(3, np.int64), classes=("a",), mean=(0.5,) * 2,
                     std=(0.5,) * 2)
    with pytest.raises(MsCoresetError, match="2 channels"):
        view_for_test(split, mc.Recipe(epochs=1, test_resize=9))


@pytest.mark.parametrize(("values", "message"), [
    ({"crop_scale": 0}, "crop_scale is 0"), ({"crop_scale": 1.5}, "crop_scale is 1.5"), ({"crop_size": 8}, "crop_size"),
    ({"crop_scale": 0.1, "crop_padding": 4}, "one of the two ways"), ({"test_resize": 0}, "test_resize is 0"),
    ({"crop_scale": 0.1, "crop_size": 5.5}, "crop_size is 5.5")])
def test_impossible_recipes_are_refused(values, message):
    with pytest.raises(MsCoresetError, match=message):
        mc.Recipe(epochs=1, **values)


def test_one_way_of_cropping_takes_the_place_of_the_other():
    padded = mc.load_recipe("tiny", crop_padding=4)
    assert (padded.crop_scale, padded.crop_size, padded.crop_padding) == (None, None, 4)
    resized = mc.load_recipe("moderate", crop_scale=0.5)
    assert (resized.crop_scale, resized.crop_padding) == (0.5, 0)


@pytest.mark.mindspore
def test_training_on_lazy_images_is_training_on_arrays(tree):
    lazy = load("folder", tree, image_size=16)
    arrays = mc.Split("arrays", lazy.images[:], lazy.labels, classes=lazy.classes, mean=lazy.mean, std=lazy.std)
    weights = []
    for split in (lazy, arrays):
        network = mc.create_network("mlp", 4, 3, image_size=16, width=8)
        result = mc.train(network, split, RECIPE.override(test_resize=18, validation=0.2), test=split)
        weights.append([parameter.asnumpy() for parameter in network.get_parameters()])
    assert "test_accuracy" in result.history[0]
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)


# A user's own folder

def test_parts_are_found_and_classes_are_those_of_training(tree):
    train, test = load("folder", tree), load("ImageFolder", tree, train=False)
    assert (train.name, train.classes, len(train), len(test)) == ("folder-photos", tuple("abcd"), 20, 8)
    shutil.rmtree(tree / "val" / "a")
    assert load("folder", tree, train=False).labels.tolist() == [1, 1, 2, 2, 3, 3]
    (tree / "val").rename(tree / "validation")
    assert len(load("folder", tree, train=False)) == 6
    write_image(tree / "validation" / "e" / "0.png", 0)
    refusal("validation/e: there is no such class among the 4 to train on", "folder", tree, train=False)


def test_a_tree_of_classes_alone_has_nothing_to_test_on(tree):
    flat = tree / "train"
    assert load("folder", flat).classes == tuple("abcd")
    assert load("folder", flat, train=False) is None
    assert load("folderN", flat).bad.sum() == 4


def test_hidden_and_other_files_are_passed_over_and_deeper_ones_found(tree):
    folder = tree / "train" / "a"
    for name in (".hidden.png", "notes.txt", "._0.png"):
        (folder / name).write_text("")
    write_image(tree / "train" / ".cache" / "x.png", 0)
    write_image(folder / ".thumbnails" / "x.png", 0)
    write_image(folder / "deeper" / "x.PNG", 0)
    os.symlink(folder, folder / "round")  # without end, if it were followed
    split = load("folder", tree)
    assert len(split) == 21 and split.classes == tuple("abcd")
    assert split.labels.tolist() == [0] * 6 + [1] * 5 + [2] * 5 + [3] * 5


@pytest.mark.parametrize(("change", "message"), [
    (lambda root: (root / "train" / "e").mkdir(), "train/e holds no images"),
    (lambda root: shutil.rmtree(root / "train"), "has val, but no folder 'train'"),
    (lambda root: shutil.rmtree(root), r"can't read .*: No such file"),
    (lambda root: (shutil.rmtree(root), root.mkdir()), "has no class folders")])
def test_trees_that_are_none_are_refused(tree, change, message):
    change(tree)
    refusal(message, "folder", tree, image_size=16)


@pytest.mark.parametrize(("sizes", "expected"), [
    ([(16, 16)], 16), ([(64, 64)], 64), ([(65, 65)], 224), ([(16, 20)], 224), ([(16, 16), (20, 20)], 224)])
def test_small_squares_of_one_size_keep_it(tmp_path, sizes, expected):
    for number in range(6):
        write_image(tmp_path / f"{number % 2}" / f"{number}.png", number, sizes[number % len(sizes)])
    assert load("folder", tmp_path).images.shape[1:] == (expected, expected, 3)


@pytest.mark.parametrize(("classes", "looked_at"), [("ab", 32), ("abc", 33)])
def test_some_images_tell_the_size_however_many_there_are(tmp_path, monkeypatch, classes, looked_at):
    """32, rounded up to as many of every class, from its first to its last."""
    for name in classes:
        write_image(tmp_path / name / "00.png", 0)
        for number in range(1, 40):
            shutil.copy(tmp_path / name / "00.png", tmp_path / name / f"{number:02}.png")
    opened = []
    monkeypatch.setattr("ms_coreset.datasets.folder.open_image",
                        lambda path: opened.append(path) or image_files.open_image(path))
    assert load("folder", tmp_path).image_size == 16
    assert len(opened) == len(set(opened)) == looked_at
    assert {str(tmp_path / name / f"{number}.png") for name in classes for number in ("00", "39")} <= set(opened)


@pytest.mark.parametrize("size", [0, -3])
def test_impossible_sizes_are_refused(tree, size):
    refusal("at least 1", "folder", tree, image_size=size)


def test_sets_of_one_size_have_no_other(tmp_path):
    refusal("image size 64: digits has images of one size", "digits", tmp_path, image_size=64)


def sources_by(*typed):
    """(data set, network) that a command's options describe."""
    options = new_parser("x", "x")
    add_data_options(options)
    add_network_options(options)
    given = vars(options.parse_args(typed))
    return data_of(given), network_of(given)


@pytest.mark.parametrize(("typed", "expected"), [
    (["--dataset", "TinyImageNet", "--data", "x"], ("tiny", "lenet")),
    (["--dataset", "CIFAR10", "--data", "tiny-imagenet"], ("moderate", "laptop")),  # never by the path
    (["--dataset", "CIFAR100N"], ("moderate", "laptop-100")),
    (["--dataset", "CIFAR10"], ("moderate", "laptop")), (["--dataset", "ImageNet"], ("imagenet", "lenet"))])
def test_recipes_go_by_the_data_sets_name(typed, expected):
    data, network = sources_by(*typed)
    for device, name in zip(("GPU", "CPU"), expected, strict=True):
        assert recipe_of(network, data.name, device) == mc.load_recipe(name)


@pytest.mark.parametrize(("arch", "name"), [("airbench", "laptop"), ("AirBench", "laptop"), ("mlp", "lenet"),
                                            ("resnet18", "lenet")])
def test_recipes_of_one_network_are_for_no_other(arch, name):
    """A learning rate of 0.25 and whitened patches would undo any other network."""
    _, network = sources_by("--dataset", "CIFAR10", "--arch", arch)
    assert recipe_of(network, "CIFAR10", "CPU") == mc.load_recipe(name, arch=arch)
    assert recipe_of(NetworkSource(), "CIFAR10", "CPU", arch=arch) == mc.load_recipe(name)


def test_a_recipe_of_no_network_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text("arch: resnet19\nepochs: 2")
    with pytest.raises(MsCoresetError, match="unknown network 'resnet19'"):
        recipe_of(NetworkSource(recipe=str(tmp_path / "mine.yaml")), "digits", "CPU")


def test_every_field_of_a_recipe_can_be_typed_but_those_of_the_steps_of_multistep():
    _, network = sources_by("--dataset", "digits")
    assert {field.name for field in dataclasses.fields(mc.Recipe)} - network.overrides.keys() == {"milestones", "gamma"}
    _, network = sources_by("--dataset", "digits", "--epochs", "3", "--schedule", "linear", "--min-lr", "0.01",
                            "--warmup", "0.25", "--warmup-from", "0.5", "--whiten")
    expected = {"epochs": 3, "schedule": "linear", "min_lr": 0.01, "warmup": 0.25, "warmup_from": 0.5, "whiten": True}
    assert recipe_of(network, "digits", "CPU") == mc.load_recipe("digits", **expected)
    _, network = sources_by("--dataset", "CIFAR10", "--no-whiten")
    assert not recipe_of(network, "CIFAR10", "CPU").whiten


def test_recipes_and_files_of_a_folder_go_by_size_and_name(tmp_path):
    data, network = sources_by("--dataset", "folderN", "--data", str(tmp_path / "cats"))
    for size, name, on_cpu in ((8, "moderate", "lenet"), (32, "moderate", "laptop"), (64, "tiny", "lenet"),
                               (224, "imagenet", "lenet")):
        assert recipe_of(network, data.name, "Ascend", size) == mc.load_recipe(name)
        assert recipe_of(network, data.name, "CPU", size) == mc.load_recipe(on_cpu)
    assert data.name_in_files == "folder-catsN"
    assert dataclasses.replace(data, image_size=64).name_in_files == "folder-catsN-64px"


@pytest.mark.mindspore
def test_commands_on_a_folder_with_and_without_a_test_part(tree, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    short = ["--arch", "mlp", "--width", "8", "--epoch", "2", "--batch-size", "8"]
    assert main(["select", "--dataset", "folderN", "--data", "photos", "--rate", "0.5", *short]) == 0
    assert "10 of 20" in capsys.readouterr().out
    coreset = tmp_path / "index" / "folder-photosN-moderate-0.5.npz"
    assert main(["train", "--dataset", "folderN", "--data", "photos", "--coreset", str(coreset), *short,
                 "--crop-scale", "0.3", "--test-resize", "18"]) == 0
    assert "of 8 test samples" in capsys.readouterr().out
    assert main(["train", "--dataset", "folder", "--data", "photos/train", *short]) == 0
    assert "nothing to test on" in capsys.readouterr().out
    assert (tmp_path / "ckpt" / "folder-train" / "mlp-w8" / "best.ckpt").is_file()
    assert (tmp_path / "noisy" / "folder-photos.npy").is_file()
    (tree / "train" / "a" / "1.png").write_text("")
    assert main(["train", "--dataset", "folder", "--data", "photos", *short]) == 2
    captured = capsys.readouterr().err.splitlines()[-1]
    assert captured.startswith("error: ") and "train/a/1.png" in captured


@pytest.mark.mindspore
def test_attacked_images_are_drawn_beside_the_files(tree, monkeypatch, capsys):
    monkeypatch.chdir(tree.parent)
    assert main(["attack", "--dataset", "folder", "--data", "photos", "--arch", "mlp", "--epoch", "1", "--eps",
                 "16/255", "--preview", "attacked.png"]) == 0
    assert "drew  attacked.png" in capsys.readouterr().out
    assert Image.open("attacked.png").format == "PNG"


# Pictures of more than 8 bits

GRAY = np.random.RandomState(4).randint(0, 256, (16, 16)).astype(np.uint8)
GRAY[0, :2] = 0, 255


def tiff(path, values, **tags):
    """A grey TIFF by hand: what ``values`` are, and ``tags`` (number -> value) over what follows from them."""
    form = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    entries = {256: values.shape[1], 257: values.shape[0], 258: 8 * values.dtype.itemsize, 259: 1, 262: 1, 273: 8,
               277: 1, 278: values.shape[0], 279: values.nbytes, 339: form, **{int(k[1:]): v for k, v in tags.items()}}
    order = ">" if values.dtype.byteorder == ">" else "<"
    head = (b"MM" if order == ">" else b"II") + struct.pack(order + "HI", 42, 8 + values.nbytes)
    directory = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    path.write_bytes(head + values.tobytes() + struct.pack(order + "H", len(entries)) + directory + b"\0\0\0\0")


def pgm(path, values, white):
    path.write_bytes(b"P5\n%d %d\n%d\n" % (*values.shape[::-1], white) + values.astype(">u2").tobytes())


def pillow(path, values):
    Image.fromarray(values).save(path)


DEEP = {"16 bits.png": lambda path: pillow(path, GRAY.astype(np.uint16) * 257),
        "16 bits.tif": lambda path: pillow(path, GRAY.astype(np.uint16) * 257),
        "16 bits, big-endian.tif": lambda path: tiff(path, GRAY.astype(">u2") * np.array(257, ">u2")),
        "16 bits, white is zero.tif": lambda path: tiff(path, (255 - GRAY).astype(np.uint16) * 257, t262=0),
        "16 bits with a sign.tif": lambda path: tiff(path, np.rint(GRAY * (32767 / 255)).astype(np.int16)),
        "32 bits with a sign.tif": lambda path: pillow(path, GRAY.astype(np.int32) * 257),
        "32 bits.tif": lambda path: tiff(path, GRAY.astype(np.uint32) * 257),
        "real to 255.tif": lambda path: pillow(path, GRAY.astype(np.float32)),
        "real to 1.tif": lambda path: pillow(path, (GRAY / 255).astype(np.float32)),
        "16 bits.pgm": lambda path: pgm(path, GRAY.astype(int) * 257, 65535),
        "12 bits.pgm": lambda path: pgm(path, np.rint(GRAY * (4095 / 255)), 4095),
        "8 bits.pgm": lambda path: pillow(path, GRAY), "8 bits.bmp": lambda path: pillow(path, GRAY)}


@pytest.mark.parametrize("name", DEEP)
def test_deep_pictures_are_the_same_picture(tmp_path, name):
    (tmp_path / "a").mkdir()
    DEEP[name](tmp_path / "a" / name)
    images = load("folder", tmp_path).images
    np.testing.assert_array_equal(images[0], np.repeat(GRAY[..., None], 3, axis=2))
    numbers = np.full((1, NUMBERS), 0.5)  # crops are taken from the same
    np.testing.assert_array_equal(resized_crops(images, np.arange(1), mc.Recipe(epochs=1, crop_scale=1), numbers),
                                  images[:])


def test_deep_values_are_rounded_and_not_stretched(tmp_path):
    (tmp_path / "a").mkdir()
    values = np.random.RandomState(0).randint(0, 60000, (16, 16)).astype(np.uint16)
    values[0, :4] = 128, 129, 385, 386  # below and above 257 (k + 1/2)
    pillow(tmp_path / "a" / "x.png", values)
    pixels = load("folder", tmp_path).images[0][..., 0]
    assert pixels[0, :4].tolist() == [0, 1, 1, 2] and pixels.max() == round(values.max() / 257) < 240
    expected = [round(Fraction(int(value), 257)) for value in values.ravel()]
    assert pixels.ravel().tolist() == expected


def test_values_from_2_to_the_14_on_are_of_16_bits(tmp_path):
    (tmp_path / "a").mkdir()
    for name, highest in (("0.png", 16384), ("1.png", 20000), ("2.png", 32767)):
        pillow(tmp_path / "a" / name, np.full((16, 16), highest, np.uint16))
    assert load("folder", tmp_path).images[:][:, 0, 0, 0].tolist() == [64, 78, 127]  # 63.75, 77.82 and 127.498
    pillow(tmp_path / "a" / "3.png", np.full((16, 16), 16383, np.uint16))
    with pytest.raises(MsCoresetError, match="largest value is 16,383, which fits 14"):
        load("folder", tmp_path).images[3]


def test_other_modes_are_as_pillow_converts_them(tmp_path):
    (tmp_path / "a").mkdir()
    color = Image.fromarray(np.random.RandomState(0).randint(0, 256, (16, 16, 3)).astype(np.uint8))
    files = [(mode, suffix) for mode, suffix in (("1", "png"), ("1", "tif"), ("L", "webp"), ("LA", "png"), ("P", "png"),
             ("PA", "tif"), ("RGBA", "png"), ("RGBA", "tif"), ("CMYK", "tif"), ("CMYK", "jpg"), ("YCbCr", "jpg"))]
    for number, (mode, suffix) in enumerate(files):
        color.convert(mode).save(tmp_path / "a" / f"{number:02}.{suffix}")
    images = load("folder", tmp_path).images[:]
    for number, (_, suffix) in enumerate(files):
        with Image.open(tmp_path / "a" / f"{number:02}.{suffix}") as picture:
            np.testing.assert_array_equal(images[number], np.asarray(picture.convert("RGB")))


REFUSED = {"12 bits.png": (lambda path: pillow(path, GRAY.astype(np.uint16) * 16), "fits 12: are all .*--bits 12"),
           "14 bits.tif": (lambda path: pillow(path, GRAY.astype(np.uint16) * 64), "fits 14.*--bits 14"),
           "10 bits.tif": (lambda path: pillow(path, GRAY.astype(np.int32) + 256), "fits 10: .*--bits 10"),
           "8 bits.tif": (lambda path: pillow(path, GRAY.astype(np.int32)), "fits 8.*--bits 8"),
           "large.tif": (lambda path: pillow(path, GRAY.astype(np.int32) * 70000), "from 0 to 1.785e\\+07, not"),
           "negative.tif": (lambda path: pillow(path, GRAY.astype(np.int32) * 257 - 5), "from -5 to 65530, not"),
           "negative real.tif": (lambda path: pillow(path, GRAY / np.float32(255) - 1), "from -1 to 0, not"),
           "real to 65535.tif": (lambda path: pillow(path, GRAY * np.float32(257)), "from 0 to 65535, not"),
           "nan.tif": (lambda path: pillow(path, np.where(GRAY > 9, GRAY, np.nan).astype(np.float32)), "not finite"),
           "infinite.tif": (lambda path: pillow(path, np.where(GRAY > 9, 1, np.inf).astype(np.float32)), "not finite"),
           "signed.tif": (lambda path: tiff(path, GRAY.astype(np.int8)), "have a sign")}


@pytest.mark.parametrize("name", REFUSED)
def test_values_that_do_not_tell_what_white_is_are_refused_by_name(tmp_path, name):
    make, message = REFUSED[name]
    (tmp_path / "a").mkdir()
    make(tmp_path / "a" / name)
    with pytest.raises(MsCoresetError, match=f"a/{re.escape(name)} can't be brought to 8 bits: .*{message}"):
        load("folder", tmp_path).images[:]


def test_bits_say_what_white_is_of_files_that_do_not_tell(tmp_path):
    (tmp_path / "a").mkdir()
    pillow(tmp_path / "a" / "0.png", np.rint(GRAY * (4095 / 255)).astype(np.uint16))
    pillow(tmp_path / "a" / "1.tif", np.rint(GRAY * (4095 / 255)).astype(np.int32))
    pgm(tmp_path / "a" / "2.pgm", GRAY.astype(int) * 257, 65535)  # these two tell
    pillow(tmp_path / "a" / "3.png", GRAY)
    split = load("folder", tmp_path, bits=12)
    np.testing.assert_array_equal(split.images[:], np.repeat(np.broadcast_to(GRAY, (4, 16, 16))[..., None], 3, axis=3))
    dark = load("folder", tmp_path, bits=16)
    assert dark.images[0].max() == 16 and dark.subset(np.array([0])).images[0].max() == 16
    undecided = load("folder", tmp_path)
    assert len({each.fingerprint() for each in (split, dark, undecided)}) == 3
    pillow(tmp_path / "a" / "black.png", np.zeros((16, 16), np.uint16))
    assert load("folder", tmp_path).images[4].max() == 0
    for bits in (7, 32, 12.0):
        refusal("bits", "folder", tmp_path, bits=bits)
    np.savez(tmp_path / "x.npz", labels=[0, 1])
    refusal("bits 12: arrays has no image files", "arrays", tmp_path / "x.npz", bits=12)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_cameras_rotation_is_not_carried_out(tmp_path, suffix):
    (tmp_path / "a").mkdir()
    turned = Image.Exif()
    turned[274] = 6
    half = np.zeros((16, 16), np.uint8)
    half[:8] = 255
    Image.fromarray(half).convert("RGB").save(tmp_path / "a" / f"x.{suffix}", exif=turned, quality=100)
    pixels = load("folder", tmp_path).images[0][..., 0]
    assert pixels[:7].min() > 200 and pixels[9:].max() < 50


# Layouts of a user's own folder

def said(root, train=True):
    lines = []
    return load("folder", root, train, log=lines.append, image_size=16), lines


@pytest.mark.parametrize(("trained", "tested"), [
    ("Training", "Testing"), ("TRAIN", "TEST"), ("train", "Test"), ("Train", "VAL"), ("train", "Validation"),
    ("training_set/training_set", "test_set/test_set"), ("train-images", "valid"), ("traindata", "testdata"),
    ("archive/Train", "archive/Test"), ("archive/train/train", "archive/val")])
def test_parts_in_any_case_doubled_and_wrapped(tmp_path, trained, tested):
    write_tree(tmp_path / trained, "abc", 2)
    write_tree(tmp_path / tested, "abc", 1)
    for junk in ("__MACOSX", ".ipynb_checkpoints", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information"):
        write_image(tmp_path / junk / "x.png", 0)
        write_image(tmp_path / trained / junk / "x.png", 0)
        write_image(tmp_path / trained / "a" / junk / "x.png", 0)
    for place in (tmp_path, tmp_path / trained, tmp_path / trained / "a"):
        (place / "Thumbs.db").write_text("")
    split, lines = said(tmp_path)
    assert (split.classes, split.labels.tolist()) == (tuple("abc"), [0, 0, 1, 1, 2, 2])
    assert [line for line in lines if "archive: that" not in line] == [] and len(lines) == trained.startswith("archive")
    test, lines = said(tmp_path, train=False)
    assert test.labels.tolist() == [0, 1, 2] and lines == []


def test_a_wrapper_of_classes_is_looked_through(tmp_path):
    write_tree(tmp_path / "archive", "ab")
    split, lines = said(tmp_path)
    assert split.classes == ("a", "b") and "nothing but the folder archive" in lines[0] and len(lines) == 1
    assert said(tmp_path, train=False)[0] is None


@pytest.mark.parametrize(("places", "classes", "message"), [
    (["cats"], ["cats"], "has one class, cats"),
    (["cats/2020"], ["cats"], "has one class, cats"),
    (["cats/train", "cats/test", "dogs/train", "dogs/test"], ["cats", "dogs"], r"cats/test, cats/train, dogs/test"),
    (["bus", "car", "train"], ["bus", "car", "train"], "classes named like parts of a data set: train"),
    (["train/a", "train/val"], ["a", "val"], "classes named like parts of a data set: val"),
    (["train/a", "train/b", "val/a", "test/b", "extra/a"], ["a", "b"], "left aside in .*: extra, test$"),
    (["train/a", "train/b", "train"], ["a", "b"], r"left aside in .*train: 1 images .* such as 0\.png"),
    ([str(number) for number in range(12)], [str(number) for number in range(12)], "count by value, 0, 1, 2, .*text"),
    (["-1", "0", "1"], ["-1", "0", "1"], None), (["01", "02", "10"], ["01", "02", "10"], None),
    (["1", "10", "2x"], ["1", "10", "2x"], None), (["0.5", "1.5", "10"], ["0.5", "1.5", "10"], None),
    (["-2", "-10"], ["-10", "-2"], None), (["1.5", "10", "2"], ["1.5", "2", "10"], "by value, 1.5, 2, 10; as text")])
def test_what_may_not_be_meant_is_said(tmp_path, places, classes, message):
    for number, place in enumerate(places):
        write_image(tmp_path / "photos" / place / "0.png", number)
    split, lines = said(tmp_path / "photos")
    assert list(split.classes) == classes and len(lines) == (message is not None)
    assert message is None or re.search(message, lines[0])


def test_parts_without_classes_are_no_classes(tmp_path):
    for number, part in enumerate(("train", "test")):
        write_image(tmp_path / part / "0.png", number)
    refusal("train has no class folders", "folder", tmp_path)


def test_two_folders_for_one_part_are_refused(tree):
    write_image(tree / "TRAIN" / "a" / "0.png", 0)
    refusal("has TRAIN and train: which one is meant", "folder", tree)
    (tree / "TRAIN").rename(tree / "Test_set")
    assert len(load("folder", tree, train=False)) == 8  # val comes first
    write_image(tree / "test" / "a" / "0.png", 0)
    assert len(load("folder", tree, train=False)) == 8
    shutil.rmtree(tree / "val")
    refusal("has Test_set and test", "folder", tree, train=False)


def test_numbers_count_by_value_in_both_parts(tmp_path):
    for part in ("train", "val"):
        write_tree(tmp_path / part, [str(number) for number in range(11)], 1)
    train, test = load("folder", tmp_path), load("folder", tmp_path, train=False)
    assert train.labels.tolist() == test.labels.tolist() == [0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9]


# Broken images, all at once

@pytest.fixture
def broken_tree(tree):
    """``tree`` with three images to train on, and one to test on, that are none."""
    for name, damage in (("train/a/1.png", "text"), ("train/c/2.png", "truncated"), ("train/c/3.png", "a bomb"),
                         ("val/d/0.png", "empty")):
        DAMAGE[damage](tree / name)
    return tree


@pytest.mark.parametrize("train", [True, False])
def test_all_broken_images_are_named_in_one_run(broken_tree, train):
    refusal(r"^4 of 28 images of folder-photos can't be used: train/a/1\.png: it is none of BMP, .*; "
            r"train/c/2\.png: .*; train/c/3\.png: .*pixels.*; val/d/0\.png: "
            r".*all are listed in .*checked/folder-photos\.json; .*--skip-broken",
            "folder", broken_tree, train, broken="refuse")
    listed = json.loads((broken_tree.parent / "checked" / "folder-photos.json").read_text())
    assert listed["images"] == 28
    assert [(entry["part"], entry["place"], entry["file"]) for entry in listed["broken"]] == [
        ("train", 1, "train/a/1.png"), ("train", 12, "train/c/2.png"), ("train", 13, "train/c/3.png"),
        ("test", 6, "val/d/0.png")]


def test_checking_tells_how_far_it_is(broken_tree, monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_INTERVAL", 0)
    load("folder", broken_tree, broken="skip")
    assert re.findall(r"checking images: (\d+) of 28 images", capsys.readouterr().err) == ["20", "28"]


def test_broken_images_are_left_out_and_the_data_is_another(broken_tree):
    lines = []
    whole = load("folder", broken_tree)
    train = load("folder", broken_tree, broken="skip", log=lines.append)
    test = load("folder", broken_tree, False, broken="skip", log=lines.append)
    assert (len(train), len(test)) == (17, 7) and train.labels.tolist() == [0] * 4 + [1] * 5 + [2] * 3 + [3] * 5
    assert train.images[:].shape == (17, 16, 16, 3) and test.images[:].shape == (7, 16, 16, 3)
    assert "3 of 20 images of folder-photos, train, can't be used and are left out" in lines[0]
    assert "1 of 8 images of folder-photos, test" in lines[1] and "folder-photos.json" in lines[1]
    assert train.fingerprint() != whole.fingerprint() and data_digest(train) != data_digest(whole)
    for name in ("train/a/1.png", "train/c/2.png", "train/c/3.png", "val/d/0.png"):
        (broken_tree / name).unlink()
    deleted = load("folder", broken_tree, broken="refuse")
    assert deleted.fingerprint() == train.fingerprint()  # the same images at the same places
    assert load("folder", broken_tree, broken="skip", log=lines.append).fingerprint() == train.fingerprint()
    assert len(lines) == 2


def test_a_class_of_broken_images_only_is_refused(tree):
    for number in range(5):
        DAMAGE["text"](tree / "train" / "b" / f"{number}.png")
    refusal("folder-photos: no image of class b can be used", "folder", tree, broken="skip")
    with pytest.raises(MsCoresetError, match="broken is 'keep'"):
        load("folder", tree, broken="keep")


def test_what_was_found_is_kept_until_files_change(broken_tree, monkeypatch):
    tried = []
    fault = image_files.ImageFiles.fault
    monkeypatch.setattr(image_files.ImageFiles, "fault", lambda self, place: tried.append(place) or fault(self, place))

    def kept(memory=False):
        if not memory:
            image_check._known.clear()
        tried.clear()
        left = len(load("folder", broken_tree, broken="skip"))
        return left, len(set(tried))  # places of either split, 0 to 19

    file = broken_tree.parent / "checked" / "folder-photos.json"
    assert kept() == (17, 20) and kept() == (17, 4) and kept(memory=True) == (17, 0)
    whole = file.read_text()
    for strange in ("", "[]", "{}", whole.replace('"place": 1,', '"place": 99,'), whole.replace("train", "other"),
                    whole.replace('"digest": "', '"digest": "0'), whole.replace('"place": 1,', '"place": true,'),
                    whole.replace('"place": 1,', '"place": 2,')):  # a whole image, as after a disk's failure
        file.write_text(strange)
        assert kept() == (17, 20) and file.read_text() == whole
    write_image(broken_tree / "train" / "a" / "1.png", 1)
    assert kept() == (18, 20)
    os.utime(broken_tree / "val" / "a" / "0.png", (1, 1))
    assert kept(memory=True) == (18, 20)
    file.unlink()
    file.parent.rmdir()
    file.parent.write_text("")  # no file can be written
    assert kept() == (18, 20) and kept(memory=True) == (18, 0)


def test_the_quick_try_of_jpegs_finds_what_decoding_finds(tmp_path):
    """Cut off at many lengths, and in grey, colour and four colours, baseline and progressive."""
    rng = np.random.RandomState(0)
    for number, (mode, progressive) in enumerate(itertools.product(("L", "RGB", "CMYK"), (False, True))):
        picture = Image.fromarray(rng.randint(0, 256, (40, 40, 3)).astype(np.uint8)).convert(mode)
        stream = io.BytesIO()
        picture.save(stream, format="JPEG", progressive=progressive, quality=90)
        whole = stream.getvalue()
        for length in [*rng.randint(1, len(whole), 25), len(whole) - 1, len(whole) - 2, len(whole)]:
            place = tmp_path / "a" / f"{number}-{length:05}.jpg"
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(whole[:length])
    images = load("folder", tmp_path, image_size=40).images

    def decode(place):
        try:
            return images[place] is not None
        except MsCoresetError:
            return False

    faults = [images.fault(place) is None for place in range(len(images))]
    assert faults == [decode(place) for place in range(len(images))] and 6 <= sum(faults) < len(faults) / 2


@pytest.mark.mindspore
def test_commands_name_all_broken_images_and_leave_them_out(broken_tree, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    short = ["--dataset", "folder", "--data", "photos", "--arch", "mlp", "--width", "8", "--epoch", "1"]
    for command in ("select", "train", "score"):
        assert main([command, *short]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: 4 of 28 images") and "train/a/1.png" in error and "val/d/0.png" in error
    assert not (tmp_path / "ckpt").exists()
    assert main(["select", *short, "--rate", "0.5", "--skip-broken"]) == 0
    captured = capsys.readouterr()
    assert "3 of 20 images of folder-photos, train" in captured.err and "of 17" in captured.out
    assert captured.out.splitlines()[-1].endswith(" --skip-broken")
    coreset = str(tmp_path / "index" / "folder-photos-moderate-0.5.npz")
    assert main(["train", *short, "--coreset", coreset, "--skip-broken"]) == 0
    assert "of 7 test samples" in capsys.readouterr().out
    assert main(["select", "--from-manifest", coreset, "--data", "photos"]) == 0
    assert "the same coreset now" in capsys.readouterr().out
    assert main(["coreset", "show", coreset, "--data", "photos"]) == 0
    assert "per class" in capsys.readouterr().out  # read as it was then, without them
    for name in ("train/a/1.png", "train/c/2.png", "train/c/3.png", "val/d/0.png"):
        write_image(broken_tree / name, 0)
    capsys.readouterr()
    assert main(["train", *short, "--coreset", coreset]) == 2  # the coreset is of the data without them
    assert "of a data set of 17 samples, folder-photos has 20" in capsys.readouterr().err


def test_published_sets_are_tried_when_asked(tiny, tmp_path, monkeypatch, capsys):
    DAMAGE["text"](tiny / "train" / WNIDS[0] / "images" / f"{WNIDS[0]}_1.JPEG")
    assert len(load("tiny", tiny.parent)) == 12
    refusal(r"1 of 24 images of TinyImageNet can't be used: train/n01443537/images/n01443537_1\.JPEG", "tiny",
            tiny.parent, broken="refuse")
    assert len(load("tiny", tiny.parent, broken="skip")) == 11
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--dataset", "tiny", "--verify", "--no-download"]) == 2
    assert "1 of 24 images" in capsys.readouterr().err


# Tiny ImageNet

@pytest.fixture
def tiny(tmp_path):
    """A small set as published, the last annotation without an end of line; returns its folder."""
    folder = tmp_path / "data" / "tiny-imagenet-200"
    write_tree(folder / "train", WNIDS, 3, (64, 64), "{name}/images/{name}_{number}.JPEG")
    lines = []
    for number in range(12):
        name = f"val_{number}.JPEG"
        write_image(folder / "val" / "images" / name, 1000 + number, (64, 64))
        lines.append(f"{name}\t{WNIDS[number * 7 % 4]}\t0\t0\t63\t63")
    (folder / "val" / "val_annotations.txt").write_text("\n".join(lines))
    write_image(folder / "test" / "images" / "test_0.JPEG", 0, (64, 64))
    (folder / "words.txt").write_text("n01443537\tgoldfish, Carassius auratus\nn02012849\tcrane\nn03126707\tcrane\n")
    return folder


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_tiny_imagenet(tiny):
    train, test = load("tiny", tiny.parent), load("tiny-imagenet-200", tiny.parent, train=False)
    assert train.images.shape == (12, 64, 64, 3) and test.images.shape == (12, 64, 64, 3)
    assert train.classes == ("goldfish", "n01641577", "crane (n02012849)", "crane (n03126707)")
    assert train.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3 == test.labels.tolist()
    np.testing.assert_array_equal(train.images[4], write_image(tiny / "x.JPEG", 101, (64, 64)))
    # Of class 0: files 0, 4 and 8; of class 1: 3, 7 and 11, sorted as text.
    order = [0, 4, 8, 11, 3, 7, 10, 2, 6, 1, 5, 9]
    np.testing.assert_array_equal(test.images[:], [write_image(tiny / "x.JPEG", 1000 + i, (64, 64)) for i in order])
    small = load("TinyImageNet32", tiny.parent)
    resized = Image.fromarray(train.images[5]).resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(small.images[5], np.asarray(resized))


def test_a_part_of_tiny_imagenet(tiny):
    shutil.rmtree(tiny / "train" / WNIDS[1])
    assert load("tiny", tiny.parent, train=False).labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    (tiny / "val" / "images" / "val_4.JPEG").unlink()
    refusal(r"images/val_4\.JPEG is missing, although", "tiny", tiny.parent, train=False)


@pytest.mark.parametrize("layout", ["{0}/{1}", "{0}/images/{1}"])
@pytest.mark.parametrize("annotated", [True, False])
def test_sorted_val_is_the_same(tiny, layout, annotated):
    before = load("tiny", tiny.parent, train=False).images[:]
    for name, wnid in tiny_imagenet.read_annotations(tiny / "val" / "val_annotations.txt"):
        target = tiny / "val" / layout.format(wnid, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        (tiny / "val" / "images" / name).rename(target)
    (tiny / "val" / "images").rmdir()
    if not annotated:
        (tiny / "val" / "val_annotations.txt").unlink()
    np.testing.assert_array_equal(load("tiny", tiny.parent, train=False).images[:], before)


@pytest.mark.parametrize("line", ["val_0.JPEG", "../../x.JPEG\tn01443537", "val_0.JPEG\t../..", ""])
def test_annotations_that_are_none_are_refused(tiny, line):
    (tiny / "val" / "val_annotations.txt").write_text(line)
    refusal(r"val_annotations\.txt", "tiny", tiny.parent, train=False)


def test_missing_annotations_are_said(tiny):
    (tiny / "val" / "val_annotations.txt").unlink()
    refusal(r"val_annotations\.txt is missing", "tiny", tiny.parent, train=False)


def test_tiny_imagenet_with_label_noise(tiny):
    noisy = load("TinyImageNetN", tiny.parent)
    assert noisy.bad.sum() == 2 and noisy.lazy and noisy.subset(noisy.bad).images.shape == (2, 64, 64, 3)
    assert default_overlay_path(tiny.parent, "TinyImageNetN").is_file()


def test_tiny_imagenet_is_downloaded_and_unpacked_once(tiny, tmp_path, monkeypatch):
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as opened:
        for name, content in contents(tiny).items():
            opened.writestr(f"tiny-imagenet-200/{name}", content)
    calls = []

    def fetch(url, path, md5):
        calls.append((url, md5))
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(packed, path)

    monkeypatch.setattr(download, "fetch", fetch)
    root = tmp_path / "new"
    for _ in range(2):
        split = load("tiny", root, download=True)
    np.testing.assert_array_equal(split.images[:], load("tiny", tiny.parent).images[:])
    assert contents(root / "tiny-imagenet-200") == contents(tiny)
    assert calls == [("http://cs231n.stanford.edu/tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de")]
    shutil.rmtree(root / "tiny-imagenet-200")
    refusal("not the published files", "tiny", root, verify=True)
    shutil.rmtree(tiny / "train")
    refusal("tiny-imagenet-200/train is missing: put it there", "tiny", tiny.parent)


# Converting Tiny ImageNet

@pytest.mark.parametrize("copy", [[], ["--copy"]])
def test_conversion_sorts_keeps_the_rest_and_can_be_repeated(tiny, capsys, copy):
    before, pixels = contents(tiny), load("tiny", tiny.parent, train=False).images[:]
    command = ["convert-tiny", "--data", str(tiny.parent), *copy]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "12 files in 4 classes, 3 to 3 in each" in out and "this is a part of it" in out
    after = contents(tiny)
    for name, wnid in tiny_imagenet.read_annotations(tiny / "val" / "val_annotations.txt"):
        assert after[f"val/{wnid}/{name}"] == before[f"val/images/{name}"]
        assert (f"val/images/{name}" in after) == bool(copy)
    assert (tiny / "val" / "images").exists() == bool(copy) and "test/images/test_0.JPEG" in after
    assert len(after) == len(before) + (12 if copy else 0)
    np.testing.assert_array_equal(load("tiny", tiny.parent, train=False).images[:], pixels)
    assert main(command) == 0
    assert contents(tiny) == after


@pytest.mark.parametrize("copy", [[], ["--copy"]])
def test_conversion_that_was_stopped_half_way_goes_on(tiny, tmp_path, monkeypatch, copy):
    other = tmp_path / "other"
    shutil.copytree(tiny.parent, other)
    assert main(["convert-tiny", "--data", str(other), *copy]) == 0
    moved = []
    name = "copyfileobj" if copy else "replace"
    module = shutil if copy else os
    do = getattr(module, name)

    def stop_at_the_fifth(*arguments):
        moved.append(1)
        if len(moved) == 5:
            raise KeyboardInterrupt
        return do(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(module, name, stop_at_the_fifth)
        assert main(["convert-tiny", "--data", str(tiny.parent), *copy]) == 130
    assert 0 < len([name for name in contents(tiny) if name.startswith("val/n")]) < 12
    assert len(load("tiny", tiny.parent, train=False).images[:]) == 12  # half-way, it can be read, too
    assert main(["convert-tiny", "--data", str(tiny.parent), *copy]) == 0
    assert contents(tiny) == contents(other / "tiny-imagenet-200")


def test_conversion_says_what_is_missing(tiny, capsys):
    for number in (3, 5):
        (tiny / "val" / "images" / f"val_{number}.JPEG").unlink()
    assert main(["convert-tiny", "--data", str(tiny.parent)]) == 2
    assert "val_3.JPEG is missing, and 1 others" in capsys.readouterr().err
    assert main(["convert-tiny", "--data", str(tiny / "nowhere")]) == 2
    assert "can't read" in capsys.readouterr().err


# ImageNet and CINIC-10

@pytest.fixture
def imagenet(tmp_path):
    """A small set with class folders, of photographs of two sizes, and a development kit; returns its folder."""
    folder = tmp_path / "imagenet"
    write_tree(folder / "train", WNIDS, 2, (300, 280), "{name}/{name}_{number}.JPEG")
    for number in range(8):
        write_image(folder / "val" / WNIDS[number * 3 % 4] / f"ILSVRC2012_val_{number}.JPEG", 50 + number, (230, 400))
    kit = folder / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    kinds = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object), ("num_children", object)]
    synsets = np.array([(i + 1, wnid, f"word {wnid[-1]}, other", 0) for i, wnid in enumerate(reversed(WNIDS))]
                       + [(5, "n00001740", "entity", 4)], kinds)
    scipy.io.savemat(kit / "meta.mat", {"synsets": synsets.reshape(-1, 1)})
    truth = [4 - WNIDS.index(WNIDS[number * 3 % 4]) for number in range(8)]
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{number}\n" for number in truth))
    return folder


def test_imagenet_with_class_folders_and_flat(imagenet):
    train, test = load("ImageNet", imagenet.parent), load("imagenet-1k", imagenet.parent, train=False)
    assert train.images.shape == (8, 224, 224, 3) and test.images.shape == (8, 224, 224, 3)
    assert train.classes == ("word 7 (n01443537)", "word 7 (n01641577)", "word 9", "word 7 (n03126707)")
    assert load("ImageNet", imagenet.parent, image_size=64).images.shape == (8, 64, 64, 3)
    pixels = test.images[:]
    for path in list((imagenet / "val").rglob("*.JPEG")):
        path.rename(imagenet / "val" / path.name)
    for wnid in WNIDS:
        (imagenet / "val" / wnid).rmdir()
    flat = load("ImageNet", imagenet, train=False)  # the folder itself may be given, too
    np.testing.assert_array_equal(flat.labels, test.labels)
    np.testing.assert_array_equal(flat.images[:], pixels)
    shutil.rmtree(imagenet / "train" / WNIDS[2])
    assert load("ImageNet", imagenet, train=False).labels.tolist() == [0, 0, 1, 1, 2, 2]
    (imagenet / "val" / "ILSVRC2012_val_7.JPEG").unlink()
    refusal("7 images, but .* 8 lines", "ImageNet", imagenet, train=False)
    shutil.rmtree(imagenet / "ILSVRC2012_devkit_t12")
    refusal("ground_truth.txt, which tells", "ImageNet", imagenet, train=False)
    assert load("ImageNet", imagenet).classes == (WNIDS[0], WNIDS[1], WNIDS[3])


def test_imagenet_that_is_not_there_is_explained(tmp_path, tree):
    refusal("register at image-net.org", "ImageNet", tmp_path)
    refusal("register at image-net.org", "ImageNet", tree)  # someone's own folders are no ImageNet


def test_a_damaged_kit_is_named(imagenet):
    (imagenet / "ILSVRC2012_devkit_t12" / "data" / "meta.mat").write_bytes(b"no matrix")
    refusal(r"meta\.mat is no whole MATLAB 5 file: .*; unpack ILSVRC2012_devkit_t12\.tar\.gz", "ImageNet", imagenet)


def test_cinic10(tmp_path, monkeypatch):
    folder = tmp_path / "source"
    for place, (part, each) in enumerate((("train", 2), ("valid", 3), ("test", 1))):
        for label, name in enumerate(("airplane", "bird", "truck")):
            for number in range(each):
                write_image(folder / part / name / f"{number}.png", 1000 * place + 10 * label + number, (32, 32))
    root = tmp_path / "data"
    root.mkdir()
    with tarfile.open(root / "CINIC-10.tar.gz", "w:gz") as opened:
        opened.add(folder, ".")
    train, test = load("CINIC-10", root), load("CINIC10", root, train=False)
    assert (len(train), len(test), train.classes) == (6, 3, ("airplane", "bird", "truck"))
    both = load("CINIC10all", root)
    assert both.labels.tolist() == [0, 0, 1, 1, 2, 2, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    np.testing.assert_array_equal(both.images[:6], train.images[:])
    np.testing.assert_array_equal(both.images[9], write_image(tmp_path / "x.png", 1010, (32, 32)))
    assert load("CINIC10allN", root).bad.sum() == 3
    shutil.rmtree(root / "CINIC-10" / "valid")
    assert len(load("CINIC10", root)) == 6
    refusal("CINIC-10/valid is missing", "CINIC10all", root)


# Archives

def zip_of(path, entries):
    with zipfile.ZipFile(path, "w") as opened:
        for name, content, mode in entries:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            opened.writestr(entry, content)


def tar_of(path, entries):
    with tarfile.open(path, "w:gz") as opened:
        for name, content, mode in entries:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            if mode == 0o120777:
                entry.type, entry.linkname, entry.size = tarfile.SYMTYPE, content, 0
            opened.addfile(entry, io.BytesIO(content.encode()))


@pytest.mark.parametrize("pack", [zip_of, tar_of])
@pytest.mark.parametrize(("name", "mode", "message"), [
    ("../evil", 0o100644, "outside"), ("set/../../evil", 0o100644, "outside"), ("/tmp/evil", 0o100644, "outside"),
    ("set/..\\evil", 0o100644, "outside"), ("set/link", 0o120777, "no plain file")])
def test_nothing_is_written_outside_and_no_links(tmp_path, pack, name, mode, message):
    (tmp_path / "in").mkdir()
    packed = tmp_path / "in" / "packed"
    pack(packed, [("set/a.png", "content", 0o100644), (name, "/etc/passwd", mode)])
    with pytest.raises(MsCoresetError, match=message):
        archive.unpack(packed, tmp_path / "in" / "set")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "packed"]


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_archives_are_unpacked_whole_or_not_at_all(tmp_path, pack):
    packed = tmp_path / "packed"
    pack(packed, [(f"{prefix}{number}", "content" * number, 0o100644) for prefix in ("set/", "./b/")
                  for number in range(50)])
    whole = packed.read_bytes()
    archive.unpack(packed, tmp_path / "set")
    assert len(contents(tmp_path / "set")) == 100 and (tmp_path / "set" / "b" / "7").read_text() == "content" * 7
    with pytest.raises(MsCoresetError, match="can't unpack"):
        archive.unpack(packed, tmp_path / "set")
    for damaged in (whole[:len(whole) // 2], b"nothing", b""):
        packed.write_bytes(damaged)
        with pytest.raises(MsCoresetError, match="can't unpack"):
            archive.unpack(packed, tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["packed", "set"]


@pytest.mark.parametrize("padding", [0, 3 << 20])
def test_the_sum_at_the_end_of_a_tar_is_compared_however_far_it_is(tmp_path, padding):
    packed = tmp_path / "packed"
    tar_of(packed, [("set/a.png", "content", 0o100644)])
    whole = gzip.compress(gzip.decompress(packed.read_bytes()) + bytes(padding))
    packed.write_bytes(whole[:-8] + bytes(4) + whole[-4:])
    with pytest.raises(MsCoresetError, match=r"can't unpack .*CRC check failed"):
        archive.unpack(packed, tmp_path / "set")
    packed.write_bytes(whole)
    archive.unpack(packed, tmp_path / "set")
    assert list(contents(tmp_path / "set")) == ["a.png"]


# Real images, and many of them

def test_real_tiny_imagenet(real_data):
    try:
        train, test = load("TinyImageNet", real_data), load("TinyImageNet", real_data, train=False)
    except MsCoresetError as error:
        pytest.skip(str(error))
    assert (len(train), len(test), train.num_classes) == (20_000, 5_000, 100)
    assert set(np.bincount(train.labels)) == {200} and set(np.bincount(test.labels)) == {50}
    pixels = train.images[::10].reshape(-1, 3) / np.float32(255)
    np.testing.assert_allclose(pixels.mean(0), train.mean, atol=0.01)
    np.testing.assert_allclose(pixels.std(0), train.std, atol=0.01)


@pytest.mark.slow
def test_a_hundred_thousand_files_are_listed_in_seconds_and_little_memory(tmp_path):
    for label in range(100):
        (tmp_path / f"n{label:08}").mkdir()
        for number in range(1000):
            os.close(os.open(tmp_path / f"n{label:08}" / f"n{label:08}_{number}.JPEG", os.O_CREAT))
    tracemalloc.start()
    began = time.perf_counter()
    split = load("folder", tmp_path, image_size=224)
    seconds, (held, _) = time.perf_counter() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(split) == 100_000 and split.images.shape == (100_000, 224, 224, 3)
    assert seconds < 20 and held < 100_000 * 120


@pytest.mark.parametrize("name", [None, "readme.txt"])
def test_a_folder_without_images_is_said_to_have_none(tmp_path, name):
    if name is not None:
        (tmp_path / name).write_text("none here")
    refusal(r"has no class folders, and no images either \(\.jpg", "folder", tmp_path)
