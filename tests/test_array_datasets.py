"""SVHN, QMNIST and the user's own arrays: generated files in each layout, whole, wrong and damaged ones."""

import gzip
import hashlib
import io
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.coreset import Coreset
from ms_coreset.datasets import class_balanced_indices, default_overlay_path, download, load_dataset, mnist, svhn
from ms_coreset.datasets.readers.matlab import read_matlab, read_structs
from ms_coreset.errors import MsCoresetError

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
SVHN_LABELS = np.array([1, 10, 9, 2, 10], np.uint8)[:, None]


def quietly(name, root, train=True, **options):
    return load_dataset(name, root, train, **{"download": False, "log": lambda line: None} | options)


def refusal(match, name, root, train=True, **options):
    with pytest.raises(MsCoresetError, match=match) as error:
        quietly(name, root, train, **options)
    assert "\n" not in str(error.value)
    return error


def damage(content):
    """A strategy: the content truncated, or with one to three bits flipped."""
    flips = st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 7)), min_size=1, max_size=3)
    return st.one_of(st.integers(0, len(content) - 1).map(lambda end: content[:end]),
                     flips.map(lambda places: flip(content, places)))


def flip(content, places):
    content = bytearray(content)
    for place, bit in places:
        content[place] ^= 1 << bit
    return bytes(content)


# SVHN


def mat(compressed=True, **variables):
    """A .mat file as SciPy writes it."""
    stream = io.BytesIO()
    scipy.io.savemat(stream, variables, do_compression=compressed)
    return stream.getvalue()


def svhn_file(rows=5, seed=0, labels=None, compressed=True):
    pixels = np.random.RandomState(seed).randint(0, 256, (32, 32, 3, rows)).astype(np.uint8)
    labels = np.resize(SVHN_LABELS, (rows, 1)) if labels is None else labels
    return pixels, mat(compressed, X=pixels, y=labels)


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("folder", ["svhn", "."])
@pytest.mark.parametrize("compressed", [True, False])
def test_svhn_reads_the_published_layout(tmp_path, folder, compressed):
    for train, file in ((True, "train_32x32.mat"), (False, "test_32x32.mat")):
        pixels, content = svhn_file(seed=train, compressed=compressed)
        put(tmp_path / folder / file, content)
        split = quietly("svhn", tmp_path, train)
        assert split.images.shape == (5, 32, 32, 3) and split.images.dtype == np.uint8
        assert split.images.flags.c_contiguous and split.images.flags.writeable
        for sample, row, column, channel in ((0, 0, 0, 0), (1, 3, 7, 2), (4, 31, 30, 1)):
            assert split.images[sample, row, column, channel] == pixels[row, column, channel, sample]
        assert split.labels.tolist() == [1, 0, 9, 2, 0] and split.labels.dtype == np.int64
        assert split.classes == tuple("0123456789") and split.train == train


def test_svhn_with_extra_is_the_training_file_and_then_the_extra_one(tmp_path):
    first, content = svhn_file(rows=4, seed=1)
    put(tmp_path / "svhn" / "train_32x32.mat", content)
    put(tmp_path / "svhn" / "test_32x32.mat", content)
    second, content = svhn_file(rows=3, seed=2, labels=np.array([[7], [8], [10]], np.uint8))
    put(tmp_path / "extra_32x32.mat", content)
    split = quietly("SVHNextra", tmp_path)
    np.testing.assert_array_equal(split.images, np.concatenate([first, second], axis=3).transpose(3, 0, 1, 2))
    assert split.images.flags.c_contiguous
    assert split.labels.tolist() == [1, 0, 9, 2, 7, 8, 0]
    assert len(quietly("SVHN", tmp_path)) == len(quietly("SVHNextra", tmp_path, train=False)) == 4
    for name in ("SVHN", "SVHNextra"):
        assert quietly(name, tmp_path).mean == (0.4377, 0.4438, 0.4728)
        assert quietly(name, tmp_path).std == (0.198, 0.201, 0.197)


@pytest.mark.parametrize("compressed", [True, False])
def test_svhn_labels_may_be_doubles_and_other_variables_are_passed_over(tmp_path, compressed):
    variables = {"note": "text", "more": np.arange(9.0), "cell": np.array([[1], "a"], object),
                 "X": np.zeros((32, 32, 3, 5), np.uint8), "y": SVHN_LABELS.astype(float)}
    put(tmp_path / "svhn" / "train_32x32.mat", mat(compressed, **variables))
    assert quietly("SVHN", tmp_path).labels.tolist() == [1, 0, 9, 2, 0]


def test_svhn_is_compared_with_the_published_sums(tmp_path, monkeypatch):
    _, content = svhn_file()
    put(tmp_path / "svhn" / "train_32x32.mat", content)
    lines = []
    quietly("SVHN", tmp_path, log=lines.append)
    assert len(lines) == 1 and "not the published files (md5): train_32x32.mat" in lines[0]
    refusal("not the published files", "SVHN", tmp_path, verify=True)
    monkeypatch.setitem(svhn._MD5, "train_32x32.mat", hashlib.md5(content).hexdigest())
    assert len(quietly("SVHN", tmp_path, verify=True, log=lines.append)) == 5 and len(lines) == 1


@pytest.mark.parametrize("name, train, file", [("SVHN", True, "train"), ("SVHN", False, "test"),
                                               ("SVHNextra", True, "extra")])
def test_svhn_is_downloaded_from_its_publisher(tmp_path, monkeypatch, name, train, file):
    _, content = svhn_file()
    if file == "extra":
        put(tmp_path / "svhn" / "train_32x32.mat", content)
    fetched = []

    def fetch(url, path, md5):
        fetched.append((url, md5))
        put(path, content)

    monkeypatch.setattr(download, "fetch", fetch)
    quietly(name, tmp_path, train, download=True)
    assert fetched == [(f"http://ufldl.stanford.edu/housenumbers/{file}_32x32.mat", svhn._MD5[f"{file}_32x32.mat"])]
    (tmp_path / "svhn" / f"{file}_32x32.mat").unlink()
    refusal(f"svhn/{file}_32x32.mat is missing: get it from http://ufldl", name, tmp_path, train)


PIXELS = np.zeros((32, 32, 3, 2), np.uint8)
LABELS = np.ones((2, 1), np.uint8)


@pytest.mark.parametrize("variables, message", [
    ({"X": PIXELS}, "holds no numeric array 'y'"),
    ({"y": LABELS}, "holds no numeric array 'X'"),
    ({"X": np.array([[1], "a"], object), "y": LABELS}, "holds no numeric array 'X'"),
    ({"X": PIXELS * 1j, "y": LABELS}, "holds no numeric array 'X'"),
    ({"X": "text", "y": LABELS}, "holds no numeric array 'X'"),
    ({"X": PIXELS.astype(np.float32), "y": LABELS}, "'X' is float32 of shape"),
    ({"X": PIXELS.transpose(3, 0, 1, 2), "y": LABELS}, r"not uint8 of shape \(32, 32, 3, n\)"),
    ({"X": PIXELS[..., 0], "y": LABELS}, r"not uint8 of shape \(32, 32, 3, n\)"),
    ({"X": PIXELS, "y": LABELS[:1]}, "is not 2 whole numbers"),
    ({"X": PIXELS, "y": LABELS.T}, "is not 2 whole numbers"),
    ({"X": PIXELS, "y": LABELS + 0.5}, "is not 2 whole numbers"),
    ({"X": PIXELS, "y": LABELS * np.nan}, "is not 2 whole numbers"),
    ({"X": PIXELS, "y": LABELS * 11}, r"label 11 is out of range \(0 to 9\)"),
    ({"X": PIXELS, "y": -LABELS.astype(np.int16)}, "label -1 is out of range"),
    ({"X": PIXELS, "y": LABELS * np.inf}, "label inf is out of range"),
])
def test_svhn_refuses_what_is_not_its_layout_and_names_the_file(tmp_path, variables, message):
    path = put(tmp_path / "svhn" / "train_32x32.mat", mat(**variables))
    refusal(f"{path}.*{message}", "SVHN", tmp_path)


def test_svhn_without_images_is_refused(tmp_path):
    put(tmp_path / "svhn" / "train_32x32.mat", mat(X=PIXELS[..., :0], y=LABELS[:0]))
    refusal("SVHN: its files .* hold no images", "SVHN", tmp_path)


def header(order="<"):
    return b"MATLAB 5.0".ljust(124) + (b"\x00\x01IM" if order == "<" else b"\x01\x00MI")


def element(kind, content, order="<", length=None):
    return struct.pack(f"{order}II", kind, len(content) if length is None else length) + content + bytes(
        -len(content) % 8)


def matrix(name, shape, kind, content, order="<", length=None, class_of=9):
    parts = [element(6, struct.pack(f"{order}II", class_of, 0), order),
             element(5, struct.pack(f"{order}{len(shape)}i", *shape), order), element(1, name, order),
             element(kind, content, order, length)]
    return element(14, b"".join(parts), order)


@pytest.mark.parametrize("order", "<>")
def test_matlab_arrays_of_both_byte_orders_are_read(tmp_path, order):
    values = np.arange(6, dtype=f"{order}i2").reshape(2, 3)
    small = struct.pack(f"{order}I", 1 << 16 | 2) + b"\x07\0\0\0"  # one byte of type 2, within the tag
    parts = [element(6, struct.pack(f"{order}II", 9, 0), order), element(5, struct.pack(f"{order}2i", 1, 1), order),
             element(1, b"s", order), small]
    content = header(order) + matrix(b"m", (2, 3), 3, values.tobytes("F"), order, class_of=10)
    path = put(tmp_path / "a.mat", content + element(14, b"".join(parts), order))
    arrays = read_matlab(path, ("m", "s"))
    np.testing.assert_array_equal(arrays["m"], values)
    assert arrays["s"].tolist() == [[7]]
    if order == "<":
        np.testing.assert_array_equal(scipy.io.loadmat(path)["m"], values)


def test_matlab_numbers_of_every_type_are_read(tmp_path):
    kinds = ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8", "i8", "u8")
    path = put(tmp_path / "a.mat", mat(**{kind: np.array([[1, 2, 3]], kind) for kind in kinds}))
    for kind, array in read_matlab(path, kinds).items():
        assert (array.dtype, array.tolist()) == (np.dtype(kind), [[1, 2, 3]])


def structs(name, shape, fields, values, order="<", width=6):
    """An array of structs: ``values``, elements of the type array, struct by struct."""
    letters = b"".join(field.ljust(width, b"\0") for field in fields)
    parts = [element(6, struct.pack(f"{order}II", 2, 0), order), element(5, struct.pack(f"{order}2i", *shape), order),
             element(1, name, order), element(5, struct.pack(f"{order}i", width), order), element(1, letters, order)]
    return element(14, b"".join([*parts, *values]), order)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("kind", "coding"), [(1, "latin1"), (2, "latin1"), (4, "utf-16"), (16, "utf-8"),
                                              (17, "utf-16")])
def test_matlab_structs_hold_numbers_and_texts_of_every_coding(tmp_path, order, kind, coding):
    if coding == "utf-16":
        coding += "-le" if order == "<" else "-be"
    words = ("é", "dog")
    values = [part for number, word in enumerate(words) for part in (
        matrix(b"", (1, 1), 3, struct.pack(f"{order}h", number + 5), order, class_of=10),
        matrix(b"", (1, len(word)), kind, word.encode(coding), order, class_of=4))]
    path = put(tmp_path / "a.mat", header(order) + structs(b"S", (2, 1), (b"id", b"word"), values, order))
    assert read_structs(path, "S", ("word", "id")) == [("é", 5), ("dog", 6)]
    with pytest.raises(MsCoresetError, match="holds no structs 'T'"):
        read_structs(path, "T", ("id",))
    with pytest.raises(MsCoresetError, match="a struct of 'S' lacks 'name'"):
        read_structs(path, "S", ("id", "name"))


@pytest.mark.parametrize(("content", "message"), [
    (structs(b"S", (1, 1), (), (), width=0), r"'S' is of shape \(1, 1\), with names of 0 letters"),
    (structs(b"S", (100_001, 1), (b"id",), ()), r"'S' is of shape \(100001, 1\), with names of 6 letters"),
    (structs(b"S", (1, 1), (b"id",), [element(5, b"abcd")]), "the field 'id' is no array"),
    (structs(b"S", (1, 1), (b"id",), [matrix(b"", (1, 2), 5, b"abcdabcd", class_of=4)]), "the text 'id' is of type 5"),
    (structs(b"S", (1, 1), (b"id",), [matrix(b"", (1, 1), 16, bytes(1 << 17), class_of=4)]), "where at most 65,536")])
def test_matlab_structs_that_claim_what_they_do_not_hold_are_refused(tmp_path, content, message):
    path = put(tmp_path / "a.mat", header() + content)
    with pytest.raises(MsCoresetError, match=f"{path} is no whole MATLAB 5 file: .*{message}"):
        read_structs(path, "S", ("id",))


@pytest.mark.parametrize("content, message", [
    (b"", "ends 128 bytes too early"),
    (b"MATLAB 5.0".ljust(126) + b"XX", "its header says otherwise"),
    (bytes.fromhex("894844460d0a1a0a").ljust(512), "its header says otherwise"),
    (header() + element(14, b"", length=2**32 - 1), "an element ends at byte 4,294,967,431, the file at 136"),
    (header() + matrix(b"X", (32, 32, 3, 2**31 - 1), 2, b"abcd", length=2**32 - 1), "it ends 4,294,967,"),
    (header() + matrix(b"X", (32, 32, 3, 2), 2, b"abcd"), "is stored in 4 bytes of type 2"),
    (header() + matrix(b"X", (4,), 99, b"abcd"), "is stored in 4 bytes of type 99"),
    (header() + matrix(b"X", (-4, -1), 2, b"abcd"), r"'X' is of shape \(-4, -1\)"),
    (header() + matrix(b"X", (), 2, b"a"), r"'X' is of shape \(\)"),
    (header() + matrix(b"X" * 2000, (4,), 2, b"abcd"), "announces 2,000 bytes where at most 1,024 are due"),
    (header() + matrix(b"X", (1,) * 300, 2, b"a"), "announces 1,200 bytes where at most 1,024 are due"),
    (header() + element(15, zlib.compress(matrix(b"X", (4,), 2, b"abcd"))[:-1]), "ends|lacks its end"),
    (header() + element(15, zlib.compress(matrix(b"X", (4,), 2, b"abcd") + b"more")), "longer than its array"),
    (header() + element(15, zlib.compress(matrix(b"X", (4,), 2, b"abcd"))[:-4] + b"abcd"), "incorrect data check"),
    (header() + element(15, b"no zlib"), "Error -3"),
])
def test_matlab_files_that_claim_what_they_do_not_hold_are_refused(tmp_path, content, message):
    path = put(tmp_path / "a.mat", content)
    with pytest.raises(MsCoresetError, match=f"{path} is no whole MATLAB 5 file: .*({message})"):
        read_matlab(path, ("X",))


def test_a_header_that_announces_gigabytes_takes_no_memory(tmp_path):
    """3 GB are announced; the process may have 256 MB of data in all."""
    bomb = header() + element(15, zlib.compress(matrix(b"X", (32, 32, 3, 1 << 20), 2, b"", length=3 << 30)))
    path = put(tmp_path / "a.mat", bomb)
    program = ("import resource, sys; from ms_coreset.datasets.readers.matlab import read_matlab;"
               "resource.setrlimit(resource.RLIMIT_DATA, (1 << 28,) * 2);"
               "read_matlab(sys.argv[1], ('X',))")
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True)
    assert "MsCoresetError" in done.stderr and "more than it can stand for" in done.stderr


def test_a_missing_mat_file_is_named(tmp_path):
    with pytest.raises(MsCoresetError, match=r"can't read .*nowhere\.mat: No such file"):
        read_matlab(tmp_path / "nowhere.mat", ("X",))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_compressed_mat_file_is_refused_or_read_right(scratch, data):
    pixels, content = svhn_file(rows=2)
    path = put(scratch / "svhn" / "train_32x32.mat", data.draw(damage(content)))
    try:
        split = quietly("SVHN", scratch)
    except MsCoresetError as error:
        assert str(path) in str(error)
        return
    np.testing.assert_array_equal(split.images, pixels.transpose(3, 0, 1, 2))
    assert split.labels.tolist() == [1, 0]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_plain_mat_file_is_refused_or_read_as_it_is(scratch, data):
    """It has no checksum: flipped bits of pixels and labels can't be known, and change nothing else."""
    pixels, content = svhn_file(rows=2, compressed=False)
    path = put(scratch / "svhn" / "train_32x32.mat", data.draw(damage(content)))
    try:
        split = quietly("SVHN", scratch)
    except MsCoresetError as error:
        assert str(path) in str(error)
        return
    assert (split.images != pixels.transpose(3, 0, 1, 2)).sum() + (split.labels != [1, 0]).sum() <= 3


# QMNIST


def idx(array, code=8):
    kind = {8: ">u1", 12: ">i4"}[code]
    return bytes((0, 0, code, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(kind).tobytes()


def write_qmnist(folder, suffix="", rows=20):
    rng = np.random.RandomState(0)
    arrays = {}
    pack = gzip.compress if suffix else bytes
    for part in ("train", "test"):
        images, labels = rng.randint(0, 256, (rows, 28, 28)), rng.randint(0, 100_000, (rows, 8))
        labels[:, 0] = rng.randint(0, 10, rows)
        put(folder / f"qmnist-{part}-images-idx3-ubyte{suffix}", pack(idx(images)))
        put(folder / f"qmnist-{part}-labels-idx2-int{suffix}", pack(idx(labels, 12)))
        arrays[part] = images, labels
    return arrays


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("folder", ["raw", ""])
def test_qmnist_is_read_plain_and_compressed_in_both_places(tmp_path, suffix, folder):
    arrays = write_qmnist(tmp_path / "QMNIST" / folder, suffix)
    for train, part in ((True, "train"), (False, "test")):
        split = quietly("qmnist", tmp_path, train)
        np.testing.assert_array_equal(split.images[..., 0], arrays[part][0])
        np.testing.assert_array_equal(split.labels, arrays[part][1][:, 0])
        assert split.labels.dtype == np.int64 and split.images.dtype == np.uint8 and split.images.flags.writeable
        assert (split.mean, split.std, split.classes) == ((0.1308,), (0.3088,), tuple("0123456789"))


def test_qmnist_is_downloaded_from_its_publisher(tmp_path, monkeypatch):
    write_qmnist(tmp_path / "server", ".gz")
    fetched = {}

    def fetch(url, path, md5):
        fetched[url.rpartition("/")[2]] = url, md5
        put(path, (tmp_path / "server" / path.name).read_bytes())

    monkeypatch.setattr(download, "fetch", fetch)
    for train in (True, False):
        quietly("QMNIST", tmp_path, train, download=True)
    assert list(fetched) == list(mnist._QMNIST_MD5)
    assert all(md5 == mnist._QMNIST_MD5[file] and url.startswith("https://raw.githubusercontent.com/facebookresearch/")
               for file, (url, md5) in fetched.items())
    refusal("not the published files", "QMNIST", tmp_path, verify=True)


@pytest.mark.parametrize("content, message", [
    (idx(np.zeros((20, 8)), 8), "no IDX file of 32-bit integers in 2 dimensions"),
    (idx(np.zeros(20), 12), "no IDX file of 32-bit integers in 2 dimensions"),
    (idx(np.zeros((20, 7)), 12), r"items of shape \(7,\), not \(8,\)"),
    (idx(np.zeros((20, 8)), 12)[:-1], "announces 640 bytes, it holds 639"),
    (idx(np.zeros((20, 8)), 12) + b"x", "announces 640 bytes, it holds more"),
    (bytes((0, 0, 12, 2)) + struct.pack(">2I", 2**32 - 1, 8) + bytes(64), "137,438,953,440 bytes, in a file of"),
    (idx(np.zeros((19, 8)), 12), "20 images but .* 19 labels"),
    (idx(np.full((20, 8), 10), 12), r"label 10 is out of range \(0 to 9\)"),
    (idx(np.full((20, 8), -1), 12), "label -1 is out of range"),
])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_qmnist_refuses_labels_that_are_not_its_own(tmp_path, content, message, suffix):
    write_qmnist(tmp_path / "QMNIST", suffix)
    file = f"qmnist-train-labels-idx2-int{suffix}"
    put(tmp_path / "QMNIST" / file, gzip.compress(content) if suffix else content)
    refusal(f"QMNIST/(qmnist-train-images.*)?{file if 'images' not in message else ''}.*{message}", "QMNIST", tmp_path)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_qmnist_labels_are_refused_or_read_right(scratch, data):
    arrays = write_qmnist(scratch / "QMNIST", ".gz", rows=4)
    path = scratch / "QMNIST" / "qmnist-train-labels-idx2-int.gz"
    path.write_bytes(data.draw(damage(gzip.compress(idx(arrays["train"][1], 12), mtime=0))))
    try:
        split = quietly("QMNIST", scratch)
    except MsCoresetError as error:
        assert str(path) in str(error)
        return
    np.testing.assert_array_equal(split.labels, arrays["train"][1][:, 0])


# The user's own arrays


RNG = np.random.RandomState(0)
IMAGES = RNG.randint(0, 256, (12, 8, 8, 3)).astype(np.uint8)
Y = np.resize([0, 1, 2], 12)
FEATURES = RNG.randn(12, 5).astype(np.float32)
LOGITS = RNG.randn(12, 3).astype(np.float32)


def own(root, save=np.savez, **arrays):
    path = root / "mine.npz"
    save(path, **arrays)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_of_images_become_a_split(tmp_path, save):
    path = own(tmp_path, save, labels=Y, images=IMAGES, test_images=IMAGES[:4], test_labels=Y[:4])
    split = quietly("arrays", path)
    np.testing.assert_array_equal(split.images, IMAGES)
    np.testing.assert_array_equal(split.labels, Y)
    assert split.labels.dtype == np.int64 and split.images.flags.c_contiguous
    assert (split.name, split.classes, split.train, split.known) == ("arrays-mine", ("0", "1", "2"), True, {})
    np.testing.assert_allclose(split.mean, IMAGES.mean(axis=(0, 1, 2)) / 255, rtol=1e-12)
    np.testing.assert_allclose(split.std, (IMAGES / 255).std(axis=(0, 1, 2)), rtol=1e-12)
    test = quietly("arrays", path, train=False)
    assert (test.mean, test.std, test.train, test.name) == (split.mean, split.std, False, "arrays-mine")
    np.testing.assert_array_equal(test.images, IMAGES[:4])


def test_gray_images_need_no_channels_and_a_missing_test_split_is_none(tmp_path):
    path = own(tmp_path, labels=Y, images=IMAGES[..., 0])
    split = quietly("arrays", path)
    assert split.images.shape == (12, 8, 8, 1) and split.in_channels == 1
    assert quietly("arrays", path, train=False) is None
    assert quietly("arraysN", path, train=False) is None


def test_features_and_logits_come_with_the_split_and_are_cut_with_it(tmp_path):
    split = quietly("arrays", own(tmp_path, labels=Y, features=FEATURES.astype(np.float16), logits=LOGITS))
    assert split.images is None and split.known["features"].dtype == np.float16
    pool = class_balanced_indices(split.labels, 6, seed=0)
    part = split.subset(pool)
    assert part.images is None and len(part) == 6
    np.testing.assert_array_equal(part.known["features"], FEATURES.astype(np.float16)[pool])
    np.testing.assert_array_equal(part.known["logits"], LOGITS[pool])
    np.testing.assert_array_equal(part.labels, Y[pool])


@pytest.mark.parametrize("ask", [lambda split: split.image_size, lambda split: split.in_channels,
                                 lambda split: split.fingerprint()])
def test_a_split_without_images_says_so(tmp_path, ask):
    split = quietly("arrays", own(tmp_path, labels=Y, features=FEATURES))
    with pytest.raises(MsCoresetError, match="arrays-mine has no images: no network can be trained on it"):
        ask(split)


@pytest.mark.parametrize("labels, classes, expected, names", [
    ([7, 3, 7, 11], None, [1, 0, 1, 2], ("3", "7", "11")),
    ([-1, 1, -1, 1], None, [0, 1, 0, 1], ("-1", "1")),
    (["cat", "ant", "cat", "bee"], None, [2, 0, 2, 1], ("ant", "bee", "cat")),
    (["cat", "ant", "cat", "bee"], ["cat", "dog", "bee", "ant"], [0, 3, 0, 2], ("cat", "dog", "bee", "ant")),
    ([2, 0, 2, 0], ["x", "y", "z"], [2, 0, 2, 0], ("x", "y", "z")),
    ([True, False, True, False], None, [1, 0, 1, 0], ("False", "True")),
    (np.array([2**64 - 1, 5, 5, 5], np.uint64), None, [1, 0, 0, 0], ("5", str(2**64 - 1))),
])
def test_labels_of_any_values_become_classes_in_order(tmp_path, labels, classes, expected, names):
    extra = {} if classes is None else {"classes": classes}
    split = quietly("arrays", own(tmp_path, labels=labels, features=FEATURES[:4], **extra))
    assert (split.labels.tolist(), split.classes) == (expected, names)


@pytest.mark.parametrize(("values", "ordered", "said"), [
    (range(12), range(12), True), (range(2, 12), range(2, 12), True), (["01", "02", "10"], ["01", "02", "10"], False),
    (["-1", "-10", "3"], ["-10", "-1", "3"], True), (["10", "9", "9.5"], ["9", "9.5", "10"], True),
    (["9" * 5000, "1" + "0" * 5000], ["9" * 5000, "1" + "0" * 5000], True), (["1", "01"], ["01", "1"], False),
    (["1", "10", "2", "unknown"], ["1", "10", "2", "unknown"], False)])
def test_texts_that_are_all_numbers_count_by_value(tmp_path, values, ordered, said):
    values, ordered = (tuple(map(str, texts)) for texts in (values, ordered))
    labels = np.array(values * 3)
    logits = np.array([[name == other for other in ordered] for name in labels], float)
    path = own(tmp_path, labels=labels, logits=logits, images=np.resize(IMAGES, (len(labels), 8, 8, 3)),
               test_images=IMAGES[:2], test_labels=labels[[1, 1]])
    lines = []
    split = mc.load_dataset("arrays", path, log=lines.append)
    assert split.classes == ordered and (split.known["logits"].argmax(axis=1) == split.labels).all()
    assert mc.load_dataset("arrays", path, train=False, log=lines.append).labels.tolist() == [split.labels[1]] * 2
    assert len(lines) == said and all("ImageFolder" in line for line in lines)
    given = quietly("arrays", own(tmp_path, labels=labels, classes=sorted(values)))
    assert given.classes == tuple(sorted(values))  # these are in the order of the columns


def test_test_labels_are_the_training_labels_classes(tmp_path):
    path = own(tmp_path, labels=np.array(["b", "a"] * 6), images=IMAGES, test_images=IMAGES[:2],
               test_labels=np.array(["b", "b"]))
    assert quietly("arrays", path, train=False).labels.tolist() == [1, 1]


def test_mean_and_std_may_be_given(tmp_path):
    path = own(tmp_path, labels=Y, images=IMAGES, mean=0.5, std=[0.1, 0.2, 0.3])
    split = quietly("arrays", path)
    assert (split.mean, split.std) == ((0.5,) * 3, (0.1, 0.2, 0.3))
    constant = quietly("arrays", own(tmp_path, labels=Y, images=np.full_like(IMAGES, 51)))
    np.testing.assert_allclose(constant.mean, 0.2)
    assert constant.std == (1.0,) * 3


@pytest.mark.parametrize("changes, message", [
    ({"labels": None}, "'images' goes with 'labels', which is missing"),
    ({"lables": Y}, "holds 'lables': its arrays may be labels, images"),
    ({"labels": Y + 0.5}, r"labels must be \(n,\) whole numbers or texts.*float64"),
    ({"labels": Y[:, None]}, r"labels must be .* shape \(12, 1\)"),
    ({"labels": Y[:0], "images": None}, r"labels must be .* shape \(0,\)"),
    ({"labels": np.array([None] * 12)}, "Python objects"),
    ({"images": IMAGES / 255}, "images must be uint8, square .* float64"),
    ({"images": IMAGES[:, :5]}, r"images must be uint8, square .* \(12, 5, 8, 3\)"),
    ({"images": IMAGES[:, 0, 0]}, r"images must be uint8, .* \(12, 3\)"),
    ({"images": IMAGES[..., :0]}, "images must be uint8"),
    ({"images": IMAGES[:9]}, "9 images but 12 labels"),
    ({"features": FEATURES[:9]}, "9 features but 12 labels"),
    ({"features": FEATURES[:, 0]}, r"features must be numbers of shape \(n, columns\)"),
    ({"features": FEATURES[:, :0]}, "features must be numbers"),
    ({"features": FEATURES * 1j}, "features must be numbers"),
    ({"logits": FEATURES}, "logits have 5 columns, but there are 3 classes"),
    ({"classes": ["a", "b"]}, "labels: 2 is none of the 2 classes 0 to 1"),
    ({"classes": ["a", "a", "b"]}, "classes must be .* each once"),
    ({"classes": [0.5, 1, 2]}, "classes must be"),
    ({"labels": np.array(["x", "y"] * 6), "classes": ["x", "z"]}, "labels: y is none of the 2 classes x to z"),
    ({"mean": 128}, r"mean must be one number or 3, of pixels scaled to \[0, 1\], got 128"),
    ({"mean": [0.1, 0.2]}, "mean must be one number or 3"),
    ({"std": 0.0}, "std must be"), ({"std": np.nan}, "std must be"), ({"std": "a"}, "std must be"),
    ({"images": None, "features": FEATURES, "mean": 0.5}, "'mean' goes with 'images', which is missing"),
])
def test_arrays_that_do_not_fit_are_refused_by_name(tmp_path, changes, message):
    arrays = {"labels": Y, "images": IMAGES} | changes
    path = own(tmp_path, **{key: value for key, value in arrays.items() if value is not None})
    refusal(f"{path}.*{message}|^arrays-mine: {message}", "arrays", path)


@pytest.mark.parametrize("arrays, message", [
    ({"test_images": IMAGES}, "'test_images' goes with 'test_labels'"),
    ({"test_labels": Y}, "'test_labels' goes with 'test_images'"),
    ({"test_images": IMAGES[:, :5, :5], "test_labels": Y}, r"test_images are of shape \(5, 5, 3\), images of"),
    ({"test_images": IMAGES[:3], "test_labels": Y}, "3 images but 12 labels"),
    ({"test_images": IMAGES, "test_labels": Y + 1}, "test_labels: 3 is none of the 3 classes 0 to 2"),
    ({"test_images": IMAGES, "test_labels": Y.astype(str)}, "test_labels must be numbers or texts as the labels are"),
])
def test_test_arrays_that_do_not_fit_are_refused_by_name(tmp_path, arrays, message):
    path = own(tmp_path, labels=Y, images=IMAGES, **arrays)
    refusal(message, "arrays", path, train=False)


@pytest.mark.parametrize("name, message", [(".", "holds no .npy files: put features there"),
                                           ("nowhere.npz", "is not there: arrays are an .npz or .safetensors file")])
def test_arrays_are_a_file_or_a_folder(tmp_path, name, message):
    refusal(message, "arrays", tmp_path / name)


def npy(header_text, content=b""):
    text = header_text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def zip_archive(path, name, content, **changes):
    """An archive whose directory says of the member what ``changes`` say."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
        for field, value in changes.items():
            setattr(archive.getinfo(name), field, value)
    return path


@pytest.mark.parametrize("content, changes, message", [
    (npy("{'descr': '<i8', 'fortran_order': False, 'shape': (999999999999,), }"), {}, "does not fit its size"),
    (npy("{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }", bytes(8)), {}, "does not fit its size"),
    (npy("{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }", bytes(8)), {"file_size": 2**40},
     "can't be as large as it says"),
    (npy("{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }", bytes(8)), {"compress_size": 2**40},
     "can't be as large as it says"),
    (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", bytes(8)), {}, "Python objects"),
    (npy("__import__('os').system('touch canary')"), {}, "malformed node"),
    (b"no npy", {}, "is not a whole .npz file"),
])
def test_npz_members_that_claim_what_they_do_not_hold_are_refused(tmp_path, monkeypatch, content, changes, message):
    monkeypatch.chdir(tmp_path)
    refusal(f"mine.npz is not a whole .npz file: .*{message}|mine.npz {message}", "arrays",
            zip_archive(tmp_path / "mine.npz", "labels.npy", content, **changes))
    assert not (tmp_path / "canary").exists()


def test_an_array_that_the_directory_hides_is_missed(tmp_path):
    """The first entry claims that the second is its comment."""
    path = own(tmp_path, labels=Y, features=FEATURES)
    content = bytearray(path.read_bytes())
    first = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", first + 1)
    struct.pack_into("<H", content, first + 32, content.index(b"PK\x05\x06") - second)
    path.write_bytes(content)
    with np.load(path) as arrays:
        assert arrays.files == ["labels"]
    refusal(f"{path} is not a whole .npz file: its directory of arrays is damaged", "arrays", path)


def test_arrays_of_one_name_are_refused(tmp_path):
    path = own(tmp_path, labels=Y)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("labels.npy", b"")
    refusal("'labels' is there twice", "arrays", path)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_npz_is_refused_or_read_right(scratch, data):
    stream = io.BytesIO()
    data.draw(st.sampled_from([np.savez, np.savez_compressed]))(stream, labels=Y, images=IMAGES[:, :2, :2],
                                                                features=FEATURES)
    path = put(scratch / "mine.npz", data.draw(damage(stream.getvalue())))
    try:
        split = quietly("arrays", path)
    except MsCoresetError as error:
        assert str(path) in str(error)
        return
    np.testing.assert_array_equal(split.images, IMAGES[:, :2, :2])
    np.testing.assert_array_equal(split.labels, Y)
    np.testing.assert_array_equal(split.known["features"], FEATURES)


def test_label_noise_lies_beside_the_file(tmp_path):
    path = own(tmp_path, labels=np.resize(["ant", "bee"], 50), features=np.zeros((50, 2)))
    lines = []
    noisy = quietly("arraysN", path, log=lines.append)
    assert noisy.name == "arrays-mineN" and noisy.bad.sum() == 10 and noisy.known["features"].shape == (50, 2)
    assert (tmp_path / "noisy" / "arrays-mine.npy").is_file() and len(lines) == 1
    assert default_overlay_path(path, "arraysN") == tmp_path / "noisy" / "arrays-mine.npy"
    np.testing.assert_array_equal(quietly("arraysN", path).labels, noisy.labels)


# Commands


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with ``known.npz`` (features and logits of 60 samples), ``features.npz`` and ``images.npz``."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.RandomState(0)
    labels = np.repeat([10, 20, 30], 20)
    features = rng.randn(60, 6) + labels[:, None]
    np.savez("known.npz", labels=labels, features=features, logits=rng.randn(60, 3))
    np.savez("features.npz", labels=labels, features=features)
    np.savez("images.npz", labels=labels, images=rng.randint(0, 256, (60, 8, 8)).astype(np.uint8), features=features)
    return tmp_path


def command(line, name="select"):
    return main(line.split(), name)


def test_selecting_by_arrays_alone_needs_no_network(here):
    program = ("import sys; from ms_coreset.cli import main;"
               "code = main('--dataset arrays --data known.npz --method craig --rate 0.2'.split(), 'select');"
               "print([name for name in ('mindspore', 'torch', 'ms_coreset.networks.layers') if name in sys.modules]);"
               "sys.exit(code)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert "craig coreset of arrays-known, rate 0.2" in done.stdout
    assert "by         features, logits of known.npz" in done.stdout
    assert "next:" not in done.stdout and "network" not in done.stderr
    assert sorted(path.name for path in here.iterdir()) == ["features.npz", "images.npz", "index", "known.npz"]
    coreset = Coreset.load("index/arrays-known-craig-0.2.npz")
    with np.load("known.npz") as arrays:
        evidence = mc.Evidence(labels=arrays["labels"] // 10 - 1, features=arrays["features"],
                               logits=arrays["logits"].astype(np.float32))
    assert coreset.indices.tolist() == mc.select("craig", evidence, rate=0.2).indices.tolist()
    assert coreset.manifest["came_with_data"] == ["features", "logits"] and coreset.manifest["checkpoint"] is None


def test_scripts_take_arrays(here):
    for script, *arguments in (("select.py", "--rate", "0.5", "--pool", "30"),
                               ("score.py", "--scores", "center_distance")):
        done = subprocess.run([sys.executable, SCRIPTS / script, "--dataset", "arrays", "--data", "features.npz",
                               *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    coreset = Coreset.load("index/arrays-features-moderate-0.5.npz")
    assert (len(coreset.pool), coreset.n) == (30, 60)
    with np.load("scores/arrays-features.npz") as scores:
        assert scores["center_distance"].shape == (60,)
        np.testing.assert_array_equal(scores["label"], np.repeat([0, 1, 2], 20))


def test_score_gives_what_the_arrays_allow(here, capsys):
    assert command("--dataset arrays --data known.npz", "score") == 0
    printed = capsys.readouterr()
    assert "arrays-known brings features, logits and no images" in printed.err
    with np.load("scores/arrays-known.npz") as scores:
        assert {"entropy", "el2n", "grand", "center_distance"} <= set(scores) and "forgetting" not in scores


@pytest.mark.parametrize("line, message", [
    ("--data features.npz --method craig", "needs logits, but arrays-features brings features and no images to ask a "
     "network about: add 'logits' to it, or 'images'"),
    ("--data features.npz --method ccs", "needs dynamics, but arrays-features brings features and no images to ask a "
     "network about: give --dynamics, a record of mc.Recorder, or add 'images'"),
    ("--data known.npz --score grand --rule top --runs 2", "runs 2: features, logits came with arrays-known"),
    ("--data data", "data is not there: arrays are an .npz or .safetensors file"),
])
def test_what_arrays_lack_is_said(here, capsys, line, message):
    assert command(f"--dataset arrays --rate 0.2 {line}") == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("error:")
    assert said.count("\n") == 1
    assert not (here / "ckpt").exists()


def test_training_without_images_is_refused(here, capsys):
    assert command("--dataset arrays --data known.npz --arch mlp", "train") == 2
    assert capsys.readouterr().err == ("error: arrays-known has no images: no network can be trained on it, or asked "
                                       "about it\n")


@pytest.mark.mindspore
def test_what_is_not_in_the_file_is_asked_of_a_network(here, capsys):
    assert command("--dataset arrays --data images.npz --method craig --rate 0.2 --arch mlp --epoch 1") == 0
    printed = capsys.readouterr()
    assert "features came with arrays-images; logits: a network is asked" in printed.err
    assert "next: " in printed.out and "--dataset arrays --coreset index/arrays-images-craig" in printed.out
    assert (here / "ckpt/arrays-images/mlp/best.ckpt").is_file()
    assert Coreset.load("index/arrays-images-craig-0.2.npz").manifest["came_with_data"] == ["features"]


def test_noise_of_arrays_is_made_by_command_and_used(here, capsys):
    assert command("--dataset arrays --data known.npz --ratio 0.5 --seed 3", "label-noise") == 0
    assert "noisy/arrays-known.npy" in capsys.readouterr().out
    assert command("--dataset arraysN --data known.npz --method moderate --rate 0.5") == 0
    assert "bad        50.0% of the data" in capsys.readouterr().out
    assert (here / "index/arrays-knownN-moderate-0.5.npz").is_file()


def test_nothing_is_drawn_where_there_are_no_images(here, capsys):
    assert command("--dataset arrays --data known.npz --preview noisy.png", "label-noise") == 2
    assert capsys.readouterr().err.startswith("error: arrays-known has no images")
    assert not (here / "noisy.png").exists()


def test_probabilities_in_the_place_of_logits(here, capsys):
    with np.load("known.npz") as known:
        arrays = {name: known[name] for name in known}
    p = np.exp(arrays["logits"] - arrays["logits"].max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    np.savez("known-p.npz", **{**arrays, "logits": p})
    np.savez("wrong.npz", **{**arrays, "logits": p * 2})
    by = "--dataset arrays --method loss --rate 0.2 --data"
    assert command(f"{by} known.npz") == command(f"{by} known-p.npz --probabilities") == 0
    assert "probabilities" not in capsys.readouterr().err
    logits, asked = (Coreset.load(f"index/arrays-{name}-loss-0.2.npz") for name in ("known", "known-p"))
    assert asked.indices.tolist() == logits.indices.tolist()
    assert command("--from-manifest index/arrays-known-p-loss-0.2.npz --data known-p.npz") == 0
    assert command("--dataset arrays --data known-p.npz --probabilities --scores entropy", "score") == 0
    capsys.readouterr()
    assert command(f"{by} known-p.npz --save other") == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if "probabilities" in line]
    assert len(notes) == 1 and notes[0].startswith("note: logits look like probabilities") and "Warning" not in notes[0]
    for options, message in (("wrong.npz", "probabilities of sample 0 are none"),
                             ("features.npz", "no logits came with arrays-features")):
        assert command(f"{by} {options} --probabilities") == 2
        assert message in capsys.readouterr().err
