"""The readers give the same images, in the same order, with the same labels, as torchvision's data sets."""

import gzip
import importlib.util
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.training.crops import NUMBERS, crop_box, view_for_test
from torch_ref.torchvision_compat import import_torchvision

if importlib.util.find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed", allow_module_level=True)
torchvision = import_torchvision()
transforms, datasets = torchvision.transforms, torchvision.datasets

SIZES = [(64, 64), (50, 80), (81, 50), (33, 200), (256, 257), (90, 91), (64, 65)]
MODES = {"RGB": "jpg", "L": "png", "P": "png", "RGBA": "png", "LA": "png", "CMYK": "jpeg", "1": "bmp"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Images of all sizes, modes and formats, some deeper down, with things beside them that are none."""
    root = tmp_path_factory.mktemp("tree")
    rng = np.random.RandomState(0)
    for part, classes in (("train", ("b", "a", "Z")), ("val", ("a", "Z"))):
        for name in classes:
            for number, size in enumerate(SIZES):
                for place in (root / part / name, root / part / name / "deeper"):
                    save(rng, place / f"{number}.{'PNG' if number % 2 else 'jpg'}", size)
    for mode, suffix in MODES.items():
        save(rng, root / "train" / "modes" / f"{mode}.{suffix}", (70, 60), mode)
    turned = Image.Exif()
    turned[274] = 6  # a quarter turn, which neither carries out
    save(rng, root / "train" / "modes" / "turned.jpg", (70, 40), exif=turned)
    shades = Image.fromarray(rng.randint(0, 256, (60, 70)).astype(np.uint8)).convert("P")
    shades.save(root / "train" / "modes" / "transparent.png", transparency=bytes(range(256)))
    (root / "train" / "a" / "notes.txt").write_text("no image")
    (root / "train" / "list.txt").write_text("no class")
    return root


def save(rng, path, size, mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    # Smooth at a coarse scale, so that resizing has something to get wrong.
    coarse = Image.fromarray(rng.randint(0, 256, (6, 6, 3)).astype(np.uint8))
    picture = coarse.resize(size, Image.Resampling.BICUBIC)
    picture.convert(mode).save(path, **options)


def assert_same(split, reference, rows=None):
    """Pixels and labels; ``reference`` gives Pillow images. rows: which pixels to look at, by default all."""
    assert len(split) == len(reference)
    np.testing.assert_array_equal(split.labels, reference.targets)
    rows = np.arange(len(split)) if rows is None else rows
    pixels = [np.asarray(reference[row][0]).reshape(split.images.shape[1:]) for row in rows]
    np.testing.assert_array_equal(split.images[rows], pixels)


@pytest.mark.parametrize(("size", "steps"), [
    (32, [transforms.Resize(32), transforms.CenterCrop(32)]),
    (64, [transforms.Resize(64), transforms.CenterCrop(64)]),
    (None, [transforms.Resize(256), transforms.CenterCrop(224)]),
    (112, [transforms.Resize(128), transforms.CenterCrop(112)])])
@pytest.mark.parametrize("train", [True, False])
def test_image_folder(tree, train, size, steps):
    split = mc.load_dataset("folder", tree, train, image_size=size)
    reference = datasets.ImageFolder(tree / ("train" if train else "val"), transforms.Compose(steps))
    if train:
        assert list(split.classes) == reference.classes
        assert_same(split, reference)
    else:  # torchvision numbers the classes of each part on its own
        assert [split.classes[label] for label in split.labels] == [reference.classes[i] for i in reference.targets]
        np.testing.assert_array_equal(split.images[:], [np.asarray(image) for image, _ in reference])


def test_places_are_those_of_torchvision_where_classes_are_numbers(tmp_path):
    rng = np.random.RandomState(1)
    for name in range(12):
        save(rng, tmp_path / str(name) / "0.png", (9, 9))
    split = mc.load_dataset("folder", tmp_path, image_size=9, log=lambda line: None)
    reference = datasets.ImageFolder(tmp_path)
    np.testing.assert_array_equal(split.images[:], [np.asarray(image) for image, _ in reference])
    assert [split.classes[label] for label in split.labels] == [reference.classes[i] for i in reference.targets]
    assert split.classes == tuple(map(str, range(12))) and reference.classes[2] == "10"


def test_resizing_before_a_test(tree):
    steps = transforms.Compose([transforms.Resize(73), transforms.CenterCrop(64)])
    tested = view_for_test(mc.load_dataset("folder", tree, image_size=64), mc.load_recipe("tiny"))
    assert_same(tested, datasets.ImageFolder(tree / "train", steps))
    arrays = np.random.RandomState(0).randint(0, 256, (5, 64, 64, 3)).astype(np.uint8)
    split = mc.Split("arrays", arrays, np.zeros(5, np.int64), classes=("a",), mean=(0.5,) * 3, std=(0.5,) * 3)
    expected = [np.asarray(steps(Image.fromarray(array))) for array in arrays]
    np.testing.assert_array_equal(view_for_test(split, mc.load_recipe("tiny")).images[:], expected)


@pytest.fixture(scope="module")
def real_data():
    folder = os.environ.get("MS_CORESET_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("MS_CORESET_DATA names no folder with real data")
    return Path(folder)


@pytest.mark.parametrize("scale", [0.08, 0.5])
def test_random_resized_crops_are_torchvisions(monkeypatch, scale):
    """torchvision's windows, with our numbers in the place of those it draws."""
    for seed in range(300):
        rng = np.random.RandomState(seed)
        width, height = rng.randint(1, 400, 2)
        numbers = rng.random_sample(NUMBERS)
        tries, places = iter(numbers), iter(numbers[::-1])  # the top is drawn before the left

        def uniform(tensor, low, high, tries=tries):
            return torch.tensor([float(low) + (float(high) - float(low)) * next(tries)], dtype=torch.float64)

        def randint(low, high, size, places=places):
            return torch.tensor([int(next(places) * high)])

        monkeypatch.setattr(torch.Tensor, "uniform_", uniform)
        monkeypatch.setattr(torch, "randint", randint)
        image = Image.new("RGB", (int(width), int(height)))
        top, left, h, w = transforms.RandomResizedCrop.get_params(image, (scale, 1), (3 / 4, 4 / 3))
        assert crop_box(int(width), int(height), scale, numbers) == (left, top, w, h)


def real(folder, name, train):
    try:
        return mc.load_dataset(name, folder, train, download=False, log=lambda line: None)
    except MsCoresetError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(("name", "steps"), [("TinyImageNet", []), ("TinyImageNet32", [transforms.Resize(32)])])
def test_real_tiny_imagenet(real_data, name, steps):
    split = real(real_data, name, True)
    reference = datasets.ImageFolder(real_data / "tiny-imagenet-200" / "train", transforms.Compose(steps))
    assert_same(split, reference, np.arange(0, len(split), 37))


def test_real_tiny_imagenet_val_is_that_of_a_sorted_folder(real_data, tmp_path):
    split = real(real_data, "TinyImageNet", False)
    folder = real_data / "tiny-imagenet-200" / "val"
    if not (folder / "images").is_dir():
        pytest.skip(f"{folder} is not in the published layout")
    for line in (folder / "val_annotations.txt").read_text().splitlines():
        name, wnid = line.split("\t")[:2]
        (tmp_path / wnid).mkdir(exist_ok=True)
        os.symlink(folder / "images" / name, tmp_path / wnid / name)
    assert_same(split, datasets.ImageFolder(tmp_path), np.arange(0, len(split), 23))


CIFAR_KEYS = {"CIFAR10": ("cifar-10-batches-py", "labels", "batches.meta", "label_names", 10),
              "CIFAR100": ("cifar-100-python", "fine_labels", "meta", "fine_label_names", 100)}


@pytest.fixture
def skip_checksums(monkeypatch):
    """Let torchvision read files whose sums are not the published ones: parts of sets, and generated ones."""
    monkeypatch.setattr(datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)


def assert_same_array(split, reference):
    np.testing.assert_array_equal(split.labels, reference.targets)
    np.testing.assert_array_equal(split.images, np.asarray(reference.data).reshape(split.images.shape))


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", CIFAR_KEYS)
def test_cifar(tmp_path, skip_checksums, name, train):
    rng = np.random.RandomState(0)
    place, key, meta, names, classes = CIFAR_KEYS[name]
    kind = getattr(datasets, name)
    (tmp_path / place).mkdir()
    for file, _ in [*kind.train_list, *kind.test_list]:
        entries = {"data": rng.randint(0, 256, (7, 3072)).astype(np.uint8), key: rng.randint(0, classes, 7).tolist()}
        (tmp_path / place / file).write_bytes(pickle.dumps(entries))
    (tmp_path / place / meta).write_bytes(pickle.dumps({names: [f"class {i}" for i in range(classes)]}))
    assert_same_array(real(tmp_path, name, train), kind(tmp_path, train=train))


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
def test_mnist(tmp_path, name, train):
    rng = np.random.RandomState(0)
    folder = tmp_path / name / "raw"
    folder.mkdir(parents=True)
    for part in ("train", "t10k"):
        for file, shape in ((f"{part}-images-idx3-ubyte", (9, 28, 28)), (f"{part}-labels-idx1-ubyte", (9,))):
            header = bytes((0, 0, 8, len(shape))) + struct.pack(f">{len(shape)}I", *shape)
            values = rng.randint(0, 10 if len(shape) == 1 else 256, shape).astype(np.uint8)
            (folder / file).write_bytes(header + values.tobytes())
    assert_same_array(real(tmp_path, name, train), getattr(datasets, name)(tmp_path, train=train))


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", CIFAR_KEYS)
def test_real_cifar(real_data, skip_checksums, name, train):
    root = real_data / "exact"
    assert_same_array(real(root, name, train), getattr(datasets, name)(root, train=train))


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
def test_real_mnist(real_data, tmp_path, name, train):
    split = real(real_data, name, train)
    assert_same_array(split, getattr(datasets, name)(unpack(real_data, tmp_path, name), train=train))


def unpack(real_data, tmp_path, name):
    """torchvision wants IDX files unpacked."""
    for path in (real_data / name / "raw").glob("*.gz"):
        target = tmp_path / name / "raw" / path.stem
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(gzip.decompress(path.read_bytes()))
    return tmp_path
