"""Data sets: generated files in each publisher's layout always, the real ones where MS_CORESET_DATA names them."""

import dataclasses
import gzip
import hashlib
import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from ms_coreset.datasets import (
    cifar,
    default_overlay_path,
    digits,
    download,
    list_datasets,
    load_dataset,
    make_label_noise,
    register_dataset,
)
from ms_coreset.datasets.family import DATASETS
from ms_coreset.datasets.readers.idx import read_idx
from ms_coreset.datasets.split import Split
from ms_coreset.errors import MsCoresetError
from ms_coreset.json_files import read_json
from ms_coreset.registry import Registry

CIFAR_SETS = ["CIFAR10", "CIFAR100"]
IDX_SETS = ["MNIST", "FashionMNIST"]


class Python2Pickler(pickle._Pickler):
    """Writes strings as Python 2 did, which is what CIFAR's publisher used."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_string(self, value):
        raw = value if isinstance(value, bytes) else value.encode("latin1")
        self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string


def python2_pickle(value):
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(value)
    return stream.getvalue()


class Cifar:
    """A small CIFAR set on disk: random pixels, every class at least once, in each file."""

    def __init__(self, root, name, rows=None):
        self.root, self.layout = root, getattr(cifar, name)
        self.folder = root / self.layout.folder
        self.folder.mkdir(parents=True)
        self.rows = rows or self.layout.num_classes
        self.rng = np.random.RandomState(0)
        for member in self.layout.train | self.layout.test:
            self.write(member)
        (meta,) = self.layout.meta
        names = [f"class {number}" for number in range(self.layout.num_classes)]
        self.put(meta, {self.layout.names_key: names, "num_vis": 3072})

    def put(self, member, value):
        (self.folder / member).write_bytes(python2_pickle(value))

    def write(self, member, **changes):
        labels = self.rng.permutation(self.rows) % self.layout.num_classes
        self.put(member, {
            "batch_label": "", "data": self.rng.randint(0, 256, (self.rows, 3072)).astype(np.uint8),
            self.layout.label_key: labels.tolist(), "filenames": ["a.png"] * self.rows} | changes)

    def members(self):
        return [*self.layout.train, *self.layout.test, *self.layout.meta]

    def pack(self):
        """Turn the folder into the archive that is published."""
        archive = self.root / self.layout.archive
        with tarfile.open(archive, "w:gz") as tar:
            for member in self.members():
                tar.add(self.folder / member, f"{self.layout.folder}/{member}")
                (self.folder / member).unlink()
        self.folder.rmdir()
        return archive


def write_idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_mnist(folder, suffix="", rows=20):
    rng = np.random.RandomState(0)
    arrays = {}
    for part in ("train", "t10k"):
        arrays[part] = rng.randint(0, 256, (rows, 28, 28)), rng.randint(0, 10, rows)
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", arrays[part][0])
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", arrays[part][1])
    return arrays


def quietly(name, root, train=True, **options):
    return load_dataset(name, root, train, **{"download": False, "log": lambda line: None} | options)


def refusal(match, name, root, train=True, **options):
    with pytest.raises(MsCoresetError, match=match) as error:
        quietly(name, root, train, **options)
    assert "\n" not in str(error.value)
    return error


# Names


def test_every_data_set_is_listed_with_its_overlays():
    assert {"digits", "MNIST", "FashionMNIST", "CIFAR10", "CIFAR100"} <= set(list_datasets())
    assert list_datasets("cifar*") == [name + letter for name in ("CIFAR10", "CIFAR100") for letter in ("", *"NCA")]


@pytest.mark.parametrize("name", ["DIGITS", "digits", "Digits"])
def test_names_ignore_case_and_come_back_as_listed(name, tmp_path):
    assert load_dataset(name, tmp_path).name == "digits"
    assert quietly(name + "n", tmp_path).name == "digitsN"


@pytest.mark.parametrize("name, near", [
    ("CIFAR100B", "CIFAR100"), ("FashonMNIST", "FashionMNIST"), ("digitsNN", "digitsN"),
    ("", None), (None, None)])
def test_unknown_names_are_refused_with_the_nearest(name, near, tmp_path):
    refusal(f"unknown data set {name!r}: " + (f"did you mean '{near}'" if near else "there are"), name, tmp_path)


def test_a_data_set_is_one_decorated_function(monkeypatch, tmp_path):
    monkeypatch.setattr("ms_coreset.datasets.family.DATASETS", Registry("data set"))
    monkeypatch.setattr("ms_coreset.datasets.DATASETS", sys.modules["ms_coreset.datasets.family"].DATASETS)

    @register_dataset("Dots", mean=(0.5,), std=(0.5,), aliases=["points"])
    def load_dots(root, train, access):
        rows = 10 if train else 4
        return np.zeros((rows, 4, 4, 1), np.uint8), np.arange(rows) % 2, ["even", "odd"]

    assert list_datasets() == ["Dots", "DotsN", "DotsC", "DotsA"]
    split = load_dataset("POINTS", tmp_path, train=False)
    assert (split.name, len(split), split.num_classes, split.image_size, split.train) == ("Dots", 4, 2, 4, False)
    assert quietly("pointsN", tmp_path).bad.sum() == 2


@pytest.mark.parametrize("name", [name for name in list_datasets() if not DATASETS[name][1] and DATASETS[name][0].mean])
def test_every_data_set_has_a_mean_and_a_std_for_each_channel_and_a_description(name):
    family, _ = DATASETS[name]
    assert len(family.mean) == len(family.std) in (1, 3)
    assert all(0 < value < 1 for value in (*family.mean, *family.std))
    assert family.load.__doc__


def test_importing_is_light():
    program = "import sys, ms_coreset.datasets; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"mindspore", "torch", "sklearn", "scipy"} & set(modules)


# Digits


def test_digits_are_split_once_for_all(tmp_path):
    train, test = (load_dataset("digits", tmp_path, train) for train in (True, False))
    assert (train.images.shape, test.images.shape) == ((1437, 8, 8, 1), (360, 8, 8, 1))
    assert train.images.dtype == np.uint8 and train.labels.dtype == np.int64
    share = np.bincount(test.labels) / np.bincount(np.concatenate([train.labels, test.labels]))
    assert share.min() > 0.19 and share.max() < 0.21
    np.random.seed(5)
    np.testing.assert_array_equal(load_dataset("digits", tmp_path).images, train.images)


def test_digits_rows_are_all_there_once(tmp_path):
    from sklearn.datasets import load_digits
    data = load_digits()
    rows = digits._test_rows(data.target)
    assert len(np.unique(rows)) == 360
    test = load_dataset("digits", tmp_path, train=False)
    np.testing.assert_array_equal(test.images[..., 0], np.rint(data.images[rows] * 255 / 16))
    np.testing.assert_array_equal(test.labels, data.target[rows])
    rest = np.delete(data.target, rows)
    np.testing.assert_array_equal(load_dataset("digits", tmp_path).labels, rest)


def test_digits_values_span_the_bytes_and_mean_and_std_are_the_training_parts(tmp_path):
    split = load_dataset("digits", tmp_path)
    assert len(np.unique(split.images)) == 17 and split.images.min() == 0 and split.images.max() == 255
    pixels = split.images / 255
    assert split.mean == (round(pixels.mean(), 4),) and split.std == (round(pixels.std(), 4),)


# CIFAR


@pytest.mark.parametrize("name", CIFAR_SETS)
@pytest.mark.parametrize("train", [True, False])
def test_cifar_reads_the_published_layout(tmp_path, name, train):
    data = Cifar(tmp_path, name)
    split = quietly(name, tmp_path, train)
    members = data.layout.train if train else data.layout.test
    entries = [pickle.loads((data.folder / member).read_bytes(), encoding="latin1") for member in members]
    planar = np.concatenate([entry["data"] for entry in entries])
    assert split.images.shape == (len(members) * data.rows, 32, 32, 3) and split.images.dtype == np.uint8
    assert split.images.flags.c_contiguous and split.images.flags.writeable
    for row, y, x, channel in ((0, 0, 0, 0), (3, 5, 7, 1), (-1, 31, 30, 2)):
        assert split.images[row, y, x, channel] == planar[row, channel * 1024 + y * 32 + x]
    assert split.labels.tolist() == [label for entry in entries for label in entry[data.layout.label_key]]
    assert split.classes == tuple(f"class {number}" for number in range(data.layout.num_classes))
    assert (split.name, split.train, split.bad, split.clean_labels, split.manifest) == (name, train, None, None, {})


def test_cifar_warns_once_of_files_that_are_not_the_published_ones(tmp_path):
    Cifar(tmp_path, "CIFAR10")
    lines = []
    quietly("CIFAR10", tmp_path, log=lines.append)
    assert len(lines) == 1
    assert "data_batch_1, data_batch_2, data_batch_3, data_batch_4, data_batch_5, batches.meta" in lines[0]
    refusal("not the published files", "CIFAR10", tmp_path, verify=True)


def test_warnings_reach_a_user_who_set_nothing_up(tmp_path):
    Cifar(tmp_path, "CIFAR10")
    program = f"import ms_coreset.datasets as d; d.load_dataset('CIFAR10', {str(tmp_path)!r})"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stderr.startswith("CIFAR10: read as they are") and not result.stdout


def with_published_sums(monkeypatch, data):
    """Make the generated set the published one."""
    def sums(members):
        return {member: hashlib.md5((data.folder / member).read_bytes()).hexdigest() for member in members}
    parts = {part: sums(getattr(data.layout, part)) for part in ("train", "test", "meta")}
    archive = data.pack()
    layout = dataclasses.replace(data.layout, **parts, archive_md5=hashlib.md5(archive.read_bytes()).hexdigest())
    monkeypatch.setattr(cifar, layout.name, layout)
    return archive


@pytest.mark.parametrize("name", CIFAR_SETS)
def test_cifar_is_unpacked_from_the_archive_at_hand(monkeypatch, tmp_path, name):
    data = Cifar(tmp_path, name)
    archive = with_published_sums(monkeypatch, data)
    lines = []
    assert len(load_dataset(name, tmp_path, download=False, verify=True, log=lines.append)) > 0
    assert len(load_dataset(name, tmp_path, train=False, download=False, verify=True, log=lines.append)) == data.rows
    assert sorted(path.name for path in data.folder.iterdir()) == sorted(data.members())
    assert archive.exists() and not lines


def test_unpacking_goes_on_after_an_interruption_and_overwrites_nothing(tmp_path):
    data = Cifar(tmp_path, "CIFAR100")
    data.pack()
    quietly("CIFAR100", tmp_path)
    (data.folder / "meta").unlink()
    stamp = os.stat(data.folder / "train").st_mtime_ns
    quietly("CIFAR100", tmp_path)
    assert os.stat(data.folder / "train").st_mtime_ns == stamp


def test_cifar_is_downloaded_when_nothing_is_there(monkeypatch, tmp_path):
    data = Cifar(tmp_path / "server", "CIFAR100")
    archive = with_published_sums(monkeypatch, data)
    monkeypatch.setattr(download, "fetch", lambda url, path, md5: copy_to(archive, path, md5, data.layout.url == url))
    lines = []
    split = load_dataset("CIFAR100", tmp_path, verify=True, log=lines.append)
    assert len(split) == data.rows
    assert lines == [f"{tmp_path}/cifar-100-python.tar.gz is missing: downloading {data.layout.url}"]


def copy_to(archive, path, md5, expected_url):
    content = archive.read_bytes()
    assert expected_url and md5 == hashlib.md5(content).hexdigest()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize("name, url, target", [
    ("CIFAR10", "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "cifar-10-python.tar.gz"),
    ("CIFAR100N", "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz", "cifar-100-python.tar.gz"),
    ("MNIST", "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz",
     "MNIST/raw/train-images-idx3-ubyte.gz"),
    ("FashionMNIST", "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-images-idx3-ubyte.gz",
     "FashionMNIST/raw/train-images-idx3-ubyte.gz"),
])
def test_without_download_the_user_is_told_what_to_put_where(tmp_path, name, url, target):
    refusal(f"{tmp_path}/{target} is missing: get it from {url} and put it there", name, tmp_path)


def test_a_part_of_a_cifar_set_is_not_filled_up_with_the_whole(tmp_path):
    data = Cifar(tmp_path, "CIFAR10")
    (data.folder / "data_batch_3").unlink()
    refusal("data_batch_3 is missing", "CIFAR10", tmp_path, download=True)
    assert len(quietly("CIFAR10", tmp_path, train=False)) == 10


@pytest.mark.parametrize("changes, message", [
    ({"data": np.zeros((100, 3072), np.float32)}, "not uint8"),
    ({"data": np.zeros((100, 3071), np.uint8)}, "not uint8"),
    ({"data": np.zeros((100, 3, 1024), np.uint8)}, "not uint8"),
    ({"data": np.array([[None] * 3072] * 100)}, "type 'O8'"),
    ({"data": [1, 2, 3]}, "not uint8"),
    ({"fine_labels": [0] * 99}, "not a list of 100 integers"),
    ({"fine_labels": [0.5] * 100}, "not a list of 100 integers"),
    ({"fine_labels": [[0], [0, 1]] * 50}, "not a list of 100 integers"),
    ({"fine_labels": None}, "not a list of 100 integers"),
    ({"fine_labels": [0] * 99 + [100]}, r"label 100 is out of range \(0 to 99\)"),
    ({"fine_labels": [-1] + [0] * 99}, "label -1 is out of range"),
    ({"fine_labels": [2**70] + [0] * 99}, "label 1180591620717411303424 is out of range"),
    ({"data": np.zeros((0, 3072), np.uint8), "fine_labels": []}, "hold no images"),
])
def test_cifar_refuses_what_is_not_its_layout_and_names_the_file(tmp_path, changes, message):
    Cifar(tmp_path, "CIFAR100").write("train", **changes)
    refusal(f"CIFAR100.*{message}" if "no images" in message else f"cifar-100-python/train.*{message}",
            "CIFAR100", tmp_path)


@pytest.mark.parametrize("member, value, message", [
    ("train", [1, 2], "holds no 'data'"), ("train", {"data": 1}, "holds no 'fine_labels'"),
    ("meta", {}, "holds no 'fine_label_names'"), ("meta", {"fine_label_names": ["a"] * 10}, "not a list of 100 names"),
    ("meta", {"fine_label_names": 3}, "not a list of 100 names")])
def test_cifar_refuses_another_file_in_a_members_place(tmp_path, member, value, message):
    Cifar(tmp_path, "CIFAR100").put(member, value)
    refusal(f"cifar-100-python/{member}.*{message}", "CIFAR100", tmp_path)


@pytest.mark.parametrize("member", ["train", "meta"])
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_cifar_refuses_a_truncated_file(tmp_path, member, share):
    path = Cifar(tmp_path, "CIFAR100").folder / member
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refusal(f"{path} is not a whole, harmless pickle", "CIFAR100", tmp_path)


def test_cifar_runs_nothing_that_a_file_names(tmp_path):
    data = Cifar(tmp_path, "CIFAR100")
    canary = tmp_path / "canary"
    program = f"cposix\nsystem\n(S'touch {canary}'\ntR."
    (data.folder / "train").write_bytes(program.encode())
    refusal("names posix.system", "CIFAR100", tmp_path)
    assert not canary.exists()


def archive_of(root, entries):
    """A CIFAR-100 archive with ``entries``: (tarfile.TarInfo, content)."""
    archive = root / "cifar-100-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for info, content in entries:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return archive


def cifar100_entries(skip=()):
    return [(tarfile.TarInfo(f"cifar-100-python/{name}"), b"x") for name in ("train", "test", "meta")
            if name not in skip]


@pytest.mark.parametrize("name", ["../outside", "/tmp/../{root}/outside", "cifar-100-python/../../outside"])
def test_nothing_but_the_named_members_is_extracted(tmp_path, name):
    root = tmp_path / "root"
    root.mkdir()
    archive_of(root, [(tarfile.TarInfo(name.format(root=tmp_path)), b"hostile"), *cifar100_entries()])
    refusal("harmless pickle", "CIFAR100", root)  # the members came out; their content is no data
    assert {path.name for path in tmp_path.rglob("*")} == {
        "root", "cifar-100-python", "cifar-100-python.tar.gz", "train", "test", "meta"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_link_in_a_members_place_is_refused(tmp_path, kind):
    link = tarfile.TarInfo("cifar-100-python/train")
    link.type, link.linkname = kind, "/etc/passwd"
    archive_of(tmp_path, [(link, b""), *cifar100_entries(skip="train")])
    refusal("cifar-100-python/train is not a plain file", "CIFAR100", tmp_path)
    assert not (tmp_path / "cifar-100-python" / "train").exists()


def test_an_archive_that_lacks_a_member_is_named(tmp_path):
    archive = archive_of(tmp_path, cifar100_entries(skip=["meta"]))
    refusal(f"{archive}: .*cifar-100-python/meta", "CIFAR100", tmp_path)
    assert not (tmp_path / "cifar-100-python").exists()


@pytest.mark.parametrize("damage", [
    lambda content: content[: len(content) // 2], lambda content: b"no archive", lambda content: b"",
    lambda content: content[:-100] + bytes(92) + content[-8:]])
def test_a_damaged_archive_is_named_and_leaves_no_half_file(tmp_path, damage):
    data = Cifar(tmp_path, "CIFAR100")
    archive = data.pack()
    archive.write_bytes(damage(archive.read_bytes()))
    refusal(f"{archive} is damaged", "CIFAR100", tmp_path)
    assert not list(tmp_path.rglob("*.part"))


# MNIST and Fashion-MNIST


@pytest.mark.parametrize("name", IDX_SETS)
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("folder", ["raw", ""])
def test_idx_files_are_read_plain_and_compressed_in_both_places(tmp_path, name, suffix, folder):
    arrays = write_mnist(tmp_path / name / folder, suffix)
    for train, part in ((True, "train"), (False, "t10k")):
        split = quietly(name, tmp_path, train)
        assert split.images.dtype == np.uint8 and split.labels.dtype == np.int64 and split.images.flags.writeable
        np.testing.assert_array_equal(split.images[..., 0], arrays[part][0])
        np.testing.assert_array_equal(split.labels, arrays[part][1])


def test_sums_are_published_of_compressed_files_only(tmp_path):
    write_mnist(tmp_path / "MNIST" / "raw")
    write_mnist(tmp_path / "FashionMNIST" / "raw", ".gz")
    lines = []
    quietly("MNIST", tmp_path, verify=True, log=lines.append)
    assert not lines
    quietly("FashionMNIST", tmp_path, log=lines.append)
    assert len(lines) == 1 and "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz" in lines[0]
    refusal("not the published files", "FashionMNIST", tmp_path, verify=True)


def test_missing_idx_files_are_downloaded(monkeypatch, tmp_path):
    write_mnist(tmp_path / "server", ".gz")
    calls = []

    def fetch(url, path, md5):
        calls.append((url, md5))
        copied = (tmp_path / "server" / path.name).read_bytes()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(copied)

    monkeypatch.setattr(download, "fetch", fetch)
    assert len(quietly("mnist", tmp_path, train=False, download=True)) == 20
    base = "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-"
    assert calls == [(f"{base}images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
                     (f"{base}labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c")]
    assert (tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz").exists()


def idx_header(*shape, kind=8):
    return bytes((0, 0, kind, len(shape))) + struct.pack(f">{len(shape)}I", *shape)


@pytest.mark.parametrize("content, message", [
    (b"", "no IDX file"),
    (idx_header(20, 28, 28)[:10], "no IDX file"),
    (idx_header(20, 28, 28, kind=13), "no IDX file"),
    (idx_header(20), "no IDX file"),
    (b"\1" + idx_header(20, 28, 28)[1:], "no IDX file"),
    (idx_header(20, 28, 27) + bytes(20 * 28 * 27), r"items of shape \(28, 27\)"),
    (idx_header(20, 28, 28) + bytes(20 * 784 - 1), "announces 15,680 bytes, it holds 15,679"),
    (idx_header(20, 28, 28) + bytes(20 * 784 + 1), "announces 15,680 bytes, it holds more"),
    (idx_header(2**32 - 1, 28, 28) + bytes(100), "announces 3,367,254,359,280 bytes, in a file of"),
    (idx_header(0, 28, 28), "0 images but .* 20 labels"),
])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_refuses_what_its_header_does_not_fit(tmp_path, content, message, suffix):
    folder = tmp_path / "MNIST" / "raw"
    write_mnist(folder, suffix)
    path = folder / f"train-images-idx3-ubyte{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    refusal(f"{path}.*{message}", "MNIST", tmp_path)


@pytest.mark.parametrize("damage", [
    lambda content: content[: len(content) // 2], lambda content: b"no gzip",
    lambda content: content[:-8] + bytes(8), lambda content: content[:100] + b"x" * 50 + content[150:]])
def test_a_damaged_gzip_is_named(tmp_path, damage):
    folder = tmp_path / "MNIST"
    write_mnist(folder, ".gz")
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    refusal(f"{path} is damaged", "MNIST", tmp_path)


@pytest.mark.parametrize("labels", [np.float16(1), np.zeros((), int), np.zeros((2, 1), int), np.zeros(2)])
def test_a_split_has_a_column_of_labels(labels):
    with pytest.raises(MsCoresetError, match="labels must be"):
        Split("toy", None, np.asarray(labels), classes=("a", "b"), mean=(), std=())


@pytest.mark.parametrize(("labels", "wrong"), [([0, 1, 2, 0], 2), ([0, 1, -1, 5], -1)])
def test_the_first_label_out_of_range_is_named(labels, wrong):
    with pytest.raises(MsCoresetError, match=rf"toy: label {wrong} is out of range \(0 to 1\)"):
        Split("toy", None, np.array(labels), classes=("a", "b"), mean=(), std=())


def test_idx_label_out_of_range_is_named(tmp_path):
    folder = tmp_path / "MNIST"
    write_mnist(folder)
    path = folder / "train-labels-idx1-ubyte"
    write_idx(path, np.array([0] * 19 + [10]))
    refusal(rf"{path}: label 10 is out of range \(0 to 9\)", "MNIST", tmp_path)


def test_idx_names_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(MsCoresetError, match=r"can't read .*nowhere"):
        read_idx(tmp_path / "nowhere", ())


# Label noise on disk


@pytest.fixture
def clean(tmp_path):
    return load_dataset("digits", tmp_path)


def test_missing_noise_is_made_with_the_defaults_and_said_so(tmp_path, clean):
    lines = []
    noisy = load_dataset("digitsN", tmp_path, log=lines.append)
    path = tmp_path / "noisy" / "digits.npy"
    assert lines == [f"label noise {path} was missing: made with ratio 0.2, seed 0"]
    assert noisy.bad.sum() == round(0.2 * 1437) == noisy.manifest["flipped"]
    np.testing.assert_array_equal(noisy.bad, noisy.labels != clean.labels)
    np.testing.assert_array_equal(noisy.clean_labels, clean.labels)
    np.testing.assert_array_equal(noisy.images, clean.images)
    assert noisy.name == "digitsN" and noisy.manifest["dataset"] == "digits"
    again = load_dataset("digitsN", tmp_path, log=lines.append)
    np.testing.assert_array_equal(again.labels, noisy.labels)
    assert len(lines) == 1


def test_noise_is_stored_as_the_moderate_repository_does(tmp_path, clean):
    path = make_label_noise(clean, tmp_path, ratio=0.35, seed=4, exact=False)
    stored = np.load(path, allow_pickle=False)
    assert stored.dtype == np.int64 and stored.shape == clean.labels.shape
    manifest = read_json(path.with_suffix(".json"))
    assert (manifest["ratio"], manifest["seed"], manifest["exact"]) == (0.35, 4, False)
    noisy = quietly("digitsN", tmp_path)
    np.testing.assert_array_equal(noisy.labels, stored)
    assert noisy.manifest == manifest


def test_the_test_split_is_the_clean_one(tmp_path):
    Cifar(tmp_path, "CIFAR100")
    test, base = (quietly(name, tmp_path, train=False) for name in ("CIFAR100N", "CIFAR100"))
    np.testing.assert_array_equal(test.labels, base.labels)
    np.testing.assert_array_equal(test.images, base.images)
    assert (test.name, test.bad, test.train) == ("CIFAR100", None, False)
    assert not (tmp_path / "noisy").exists()


@pytest.mark.parametrize("name, file", [("CIFAR100N", "cifar.npy"), ("cifar10n", "cifar10.npy"),
                                        ("Fashion-MNISTN", "fashionmnist.npy")])
def test_overlays_lie_where_the_moderate_repository_looks(tmp_path, name, file):
    assert default_overlay_path(tmp_path, name) == tmp_path / "noisy" / file


def test_a_clean_data_set_has_no_overlay(tmp_path):
    with pytest.raises(MsCoresetError, match="CIFAR100 is a data set without overlay: give CIFAR100N"):
        default_overlay_path(tmp_path, "cifar100")


def test_noise_without_a_manifest_is_taken_as_it_is(tmp_path, clean):
    path = make_label_noise(clean, tmp_path)
    path.with_suffix(".json").unlink()
    lines = []
    noisy = load_dataset("digitsN", tmp_path, log=lines.append)
    assert lines == [f"{path} has no manifest: taken as it is, 287 of 1437 labels differ from the clean ones"]
    assert noisy.bad.sum() == noisy.manifest["flipped"] == 287
    assert noisy.manifest["ratio_realised"] == 287 / 1437


def test_noise_for_other_data_is_refused_until_it_is_deleted(tmp_path):
    data = Cifar(tmp_path, "CIFAR100")
    quietly("CIFAR100N", tmp_path)
    data.write("train")
    path = tmp_path / "noisy" / "cifar.npy"
    refusal(f"{path} was made for other data than this CIFAR100 .*; delete {path}", "CIFAR100N", tmp_path)
    path.unlink()
    assert quietly("CIFAR100N", tmp_path).bad.sum() == 20


def test_noise_that_its_manifest_does_not_describe_is_refused(tmp_path, clean):
    path = make_label_noise(clean, tmp_path)
    np.save(path, clean.labels)
    refusal(r"digits\.npy is not what digits\.json describes; delete", "digitsN", tmp_path)


@pytest.mark.parametrize("manifest", ["[]", "{}", '{"clean_labels": 3}'])
def test_a_manifest_that_says_nothing_is_refused(tmp_path, clean, manifest):
    make_label_noise(clean, tmp_path).with_suffix(".json").write_text(manifest)
    refusal("other data", "digitsN", tmp_path)


@pytest.mark.parametrize("labels, message", [
    (np.zeros(1436, np.int64), r"int64 of shape \(1436,\).*shape \(1437,\)"),
    (np.zeros((1437, 1), np.int64), r"shape \(1437, 1\)"),
    (np.zeros(1437), "float64"),
    (np.full(1437, None), "not a whole .npy file"),
    (np.full(1437, 10), "labels 10 to 10, but digits has 0 to 9"),
    (np.full(1437, -1), "labels -1 to -1"),
    (np.full(1437, 2**64 - 1, np.uint64), "labels 18446744073709551615"),
])
def test_labels_that_do_not_fit_are_refused(tmp_path, labels, message):
    path = tmp_path / "noisy" / "digits.npy"
    path.parent.mkdir()
    np.save(path, labels)
    refusal(f"{path}.*{message}.*; delete {path} to have it made anew", "digitsN", tmp_path)


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda content: b"",
                                    lambda content: content.replace(b"(1437,)", b"(9999999999999,)"),
                                    lambda content: content.replace(b"{", b"("),
                                    lambda content: content[:8] + b"\xff\xff" + content[10:] * 10,
                                    lambda content: b"PK\3\4" + content])
def test_damaged_labels_are_refused(tmp_path, clean, damage):
    path = make_label_noise(clean, tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    refusal(f"{path} is not a whole .npy file: .*; delete {path}", "digitsN", tmp_path)


def test_noise_is_not_overwritten_unless_forced(tmp_path, clean):
    path = make_label_noise(clean, tmp_path)
    with pytest.raises(MsCoresetError, match=f"{path} exists already"):
        make_label_noise(clean, tmp_path, seed=1)
    make_label_noise(clean, tmp_path, seed=1, force=True)
    assert quietly("digitsN", tmp_path).manifest["seed"] == 1


def test_noise_is_laid_over_clean_training_data_only(tmp_path):
    for split in (quietly("digitsN", tmp_path), load_dataset("digits", tmp_path, train=False)):
        with pytest.raises(MsCoresetError, match="clean training data only"):
            make_label_noise(split, tmp_path, force=True)


def test_noise_that_cannot_be_written_is_an_error_of_one_line(tmp_path, clean):
    (tmp_path / "noisy").write_text("a file where a folder is needed")
    refusal("can't write .*noisy", "digitsN", tmp_path)


# The real data, where it is at hand


def real(folder, name, train=True):
    family, _ = DATASETS[name]
    try:
        return quietly(family.name, folder, train)
    except MsCoresetError as error:
        if "is missing" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("name, rows, classes", [
    ("CIFAR10", (50_000, 10_000), ("airplane", "automobile")),
    ("FashionMNIST", (60_000, 10_000), ("T-shirt/top", "Trouser")), ("MNIST", (60_000, 10_000), ("0", "1"))])
def test_real_sets_have_the_published_size_balance_and_color(real_data, name, rows, classes):
    for train, size in zip((True, False), rows, strict=True):
        split = real(real_data, name, train)
        assert len(split) == size and split.classes[:2] == classes
        counts = np.bincount(split.labels, minlength=10)
        assert counts.min() > 0.08 * size and counts.max() < 0.12 * size
        if train:
            pixels = split.images[:20_000].reshape(-1, split.in_channels) / 255
            np.testing.assert_allclose(pixels.mean(0), split.mean, atol=0.01)
            np.testing.assert_allclose(pixels.std(0), split.std, atol=0.01)


@pytest.mark.parametrize("name, rows", [("CIFAR10", (5085, 1017)), ("CIFAR100", (486, 916))])
def test_real_subsets_are_read_with_as_many_rows_as_they_have(real_data, name, rows):
    for train, size in zip((True, False), rows, strict=True):
        split = real(real_data / "exact", name, train)
        assert split.images.shape == (size, 32, 32, 3)
        pixels = split.images.reshape(-1, 3) / 255
        np.testing.assert_allclose(pixels.mean(0), split.mean, atol=0.02)
        np.testing.assert_allclose(pixels.std(0), split.std, atol=0.02)


def test_real_photographs_are_put_together_the_right_way(real_data):
    """In photographs, pixels side by side are alike in both directions, and so are a pixel's colours."""
    images = real(real_data / "exact", "CIFAR10").images[:500].astype(float)

    def likeness(first, second):
        return np.corrcoef(first.ravel(), second.ravel())[0, 1]

    assert likeness(images[:, 1:], images[:, :-1]) > 0.9
    assert likeness(images[:, :, 1:], images[:, :, :-1]) > 0.9
    assert likeness(images[..., 0], images[..., 1]) > 0.85


def test_real_fashion_mnist_label_noise(real_data, tmp_path):
    real(real_data, "FashionMNIST")
    (tmp_path / "FashionMNIST").symlink_to(real_data / "FashionMNIST")
    noisy = quietly("FashionMNISTN", tmp_path)
    assert noisy.bad.sum() == 12_000
    counts = np.bincount(noisy.clean_labels[noisy.bad], minlength=10)
    assert counts.min() > 1000 and counts.max() < 1400
