"""SVHN and QMNIST: the same generated files read here and by torchvision's own classes, which share no code."""

import importlib
import struct

import numpy as np
import pytest
import scipy.io

from ms_coreset.datasets import load_dataset, mnist, svhn
from torch_ref.torchvision_compat import import_torchvision

ROWS = 30


@pytest.fixture(scope="module")
def torchvision_datasets():
    import_torchvision()
    return importlib.import_module("torchvision.datasets")


def read(name, root, train):
    return load_dataset(name, root, train, download=False, log=lambda line: None)


def items(dataset):
    """(images (n, height, width, channels), labels) as torchvision hands them out, sample by sample."""
    pairs = [dataset[i] for i in range(len(dataset))]
    images = np.stack([np.asarray(image) for image, _ in pairs])
    return images.reshape(*images.shape[:3], -1), [label for _, label in pairs]


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("part", ["train", "test"])
def test_svhn(tmp_path, monkeypatch, torchvision_datasets, part, compressed):
    rng = np.random.RandomState(compressed)
    variables = {"X": rng.randint(0, 256, (32, 32, 3, ROWS)).astype(np.uint8),
                 "y": rng.randint(1, 11, (ROWS, 1)).astype(np.uint8)}
    scipy.io.savemat(tmp_path / f"{part}_32x32.mat", variables, do_compression=compressed)
    monkeypatch.setattr(torchvision_datasets.SVHN, "_check_integrity", lambda self: True)
    theirs = torchvision_datasets.SVHN(tmp_path, part)
    split = read("SVHN", tmp_path, part == "train")
    images, labels = items(theirs)
    np.testing.assert_array_equal(split.images, images)
    assert split.labels.tolist() == labels and 0 in labels


def test_svhn_extra(tmp_path, monkeypatch, torchvision_datasets):
    rng = np.random.RandomState(0)
    monkeypatch.setattr(torchvision_datasets.SVHN, "_check_integrity", lambda self: True)
    theirs = []
    for part in ("train", "extra"):
        scipy.io.savemat(tmp_path / f"{part}_32x32.mat", {
            "X": rng.randint(0, 256, (32, 32, 3, ROWS)).astype(np.uint8), "y": rng.randint(1, 11, (ROWS, 1))})
        theirs.append(items(torchvision_datasets.SVHN(tmp_path, part)))
    split = read("SVHNextra", tmp_path, train=True)
    np.testing.assert_array_equal(split.images, np.concatenate([images for images, _ in theirs]))
    assert split.labels.tolist() == [label for _, labels in theirs for label in labels]


@pytest.mark.parametrize("train", [True, False])
def test_qmnist(tmp_path, torchvision_datasets, train):
    rng = np.random.RandomState(0)
    folder = tmp_path / "QMNIST" / "raw"
    folder.mkdir(parents=True)
    labels = rng.randint(0, 100_000, (ROWS, 8))
    labels[:, 0] = rng.randint(0, 10, ROWS)
    part = "train" if train else "test"
    for file, array, code, kind in ((f"qmnist-{part}-images-idx3-ubyte", rng.randint(0, 256, (ROWS, 28, 28)), 8, ">u1"),
                                    (f"qmnist-{part}-labels-idx2-int", labels, 12, ">i4")):
        shape = struct.pack(f">{array.ndim}I", *array.shape)
        (folder / file).write_bytes(bytes((0, 0, code, array.ndim)) + shape + array.astype(kind).tobytes())
    images, classes = items(torchvision_datasets.QMNIST(tmp_path, train=train))
    split = read("QMNIST", tmp_path, train)
    np.testing.assert_array_equal(split.images, images)
    assert split.labels.tolist() == classes


def test_published_files_are_the_ones_that_torchvision_names(torchvision_datasets):
    assert {file: md5 for _, file, md5 in torchvision_datasets.SVHN.split_list.values()} == svhn._MD5
    published = [pair for part in ("train", "test") for pair in torchvision_datasets.QMNIST.resources[part]]
    assert {url.rpartition("/")[2]: md5 for url, md5 in published} == mnist._QMNIST_MD5
