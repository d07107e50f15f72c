"""Files that mean harm: nothing in them is run, nothing is written outside, no more memory is taken than they hold."""

import ast
import contextlib
import gzip
import io
import json
import os
import pickle
import re
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

import ms_coreset
from ms_coreset.checksums import digest
from ms_coreset.cli import experiment
from ms_coreset.coreset import Coreset, read_dropped
from ms_coreset.datasets.imagenet import _read_truth
from ms_coreset.datasets.overlays.human_labels import read_human_labels
from ms_coreset.datasets.readers.archive import extract, unpack
from ms_coreset.datasets.readers.idx import read_idx
from ms_coreset.datasets.readers.image_files import open_image
from ms_coreset.datasets.readers.matlab import read_matlab
from ms_coreset.datasets.split import Split
from ms_coreset.datasets.tiny_imagenet import read_annotations
from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.report import write_report
from ms_coreset.experiment.report.study import Study, read_plan
from ms_coreset.experiment.store import Store
from ms_coreset.json_files import read_json
from ms_coreset.networks.torch_files import read_state
from ms_coreset.networks.weights import read_weights
from ms_coreset.npy_files import open_array
from ms_coreset.npz import read_npz
from ms_coreset.pickle_files import read_pickle
from ms_coreset.training.recipe import load_recipe
from ms_coreset.yaml_files import parse_yaml, read_yaml

from . import hostile, readers


def human(path):
    clean = Split("CIFAR10", readers.PIXELS, readers.LABELS, classes=("a", "b"), mean=(0.5,) * 3, std=(0.2,) * 3)
    return read_human_labels(clean, path.parent)


def batch(path):
    return readers.load_quietly("CIFAR10", path.parents[1])


# What reads pickles: the file's place, what is put around the pickle, and the reader.
PLACES = {
    "index .bin": ("some.bin", bytes, lambda path: read_dropped(path, 10)),
    "CIFAR batch": ("cifar-10-batches-py/data_batch_1", bytes, batch),
    "CIFAR names": ("cifar-10-batches-py/batches.meta", bytes, batch),
    "CIFAR-N .pt": ("cifar-n/CIFAR-10_human.pt", bytes, lambda path: human(path.parent)),
    "CIFAR-N .pt, archive": ("cifar-n/CIFAR-10_human.pt", hostile.in_zip, lambda path: human(path.parent)),
    ".pth": ("net.pth", hostile.in_zip, read_state),
    ".pth, former": ("net.pth", hostile.in_legacy, read_state),
}


@pytest.mark.parametrize("place", PLACES)
def test_pickles_are_refused_by_name_and_run_nothing(tmp_path, monkeypatch, place):
    """Every malicious pickle, at every place where a pickle is read."""
    monkeypatch.chdir(tmp_path)
    file, around, read = PLACES[place]
    reader = next(reader for reader in readers.READERS if reader.name == "CIFAR-10 pickles")
    reader.build(tmp_path)
    canary = tmp_path / "canary"
    before = {path for path in tmp_path.rglob("*") if path.is_file()} | {tmp_path / file}
    for name, content in hostile.pickles(canary).items():
        path = readers.put(tmp_path / file, around(content))
        with pytest.raises(MsCoresetError) as error:
            read(path)
        words = str(error.value)
        assert str(path) in words and re.search(hostile.REFUSED[name.partition(", protocol")[0]], words), (name, words)
        assert {path for path in tmp_path.rglob("*") if path.is_file()} <= before, name


def test_the_pickles_would_do_harm(tmp_path):
    """Against a corpus that is harmless because it is broken: Python's own unpickler runs most of it."""
    done = 0
    for name, content in hostile.pickles(tmp_path / "canary").items():
        if not name.endswith(("protocol 0", "protocol 4")):
            subprocess.run([sys.executable, "-c", "import pickle, sys; pickle.loads(bytes.fromhex(sys.argv[1]))",
                            content.hex()], capture_output=True, cwd=tmp_path, timeout=60)
            done += (tmp_path / "canary").exists()
            (tmp_path / "canary").unlink(missing_ok=True)
    assert done >= 12


def test_deeply_nested_keys_do_not_end_the_process(tmp_path):
    """Looking up a tuple, Python descends into it in C, as deep as it goes."""
    nested = pickle.PROTO + b"\2" + pickle.EMPTY_DICT + pickle.EMPTY_TUPLE + pickle.TUPLE1 * 1_000_000
    for ending in (pickle.NONE + pickle.SETITEM, pickle.NONE + pickle.SETITEM):
        path = readers.put(tmp_path / "some.bin", nested + ending + pickle.STOP)
        with pytest.raises(MsCoresetError, match="a tuple as a key"):
            read_pickle(path)
    for opcode in (pickle.FROZENSET, pickle.ADDITEMS):
        path = readers.put(tmp_path / "some.bin", pickle.PROTO + b"\4" + pickle.EMPTY_SET + pickle.MARK
                           + pickle.EMPTY_TUPLE + pickle.TUPLE1 * 1_000_000 + opcode + pickle.STOP)
        with pytest.raises(MsCoresetError, match="it uses EMPTY_SET"):
            read_pickle(path)


LENGTHS = {
    "BINBYTES8": pickle.BINBYTES8 + struct.pack("<Q", 10**12), "BINUNICODE8": pickle.BINUNICODE8
    + struct.pack("<Q", 10**12), "BYTEARRAY8": pickle.BYTEARRAY8 + struct.pack("<Q", 10**12),
    "BINSTRING": pickle.BINSTRING + struct.pack("<i", 2**31 - 1), "LONG4": pickle.LONG4 + struct.pack("<i", 2**31 - 1),
    "LONG_BINPUT": pickle.NONE + pickle.LONG_BINPUT + struct.pack("<I", 2**32 - 1) + pickle.STOP,
    "FRAME": pickle.FRAME + struct.pack("<Q", 10**12),
    "an array's shape": pickle.dumps(np.zeros(3)).replace(pickle.BININT1 + b"\3" + pickle.TUPLE1,
                                                          pickle.BININT + b"\xff\xff\xff\x7f" + pickle.TUPLE1),
    "an empty array": b"\x80\2cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
                      b"(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ftU\1b\x87R.",
}


def test_lengths_that_a_pickle_claims_take_no_memory(tmp_path):
    paths = {name: readers.put(tmp_path / f"{place}.bin", content) for place, (name, content) in
             enumerate(LENGTHS.items())}
    refuse_in_little_memory([(f"read_pickle({str(path)!r})", None if name == "LONG_BINPUT" else "harmless pickle")
                              for name, path in paths.items()])


_GUARDED = """
import json, resource, sys, traceback
import numpy
from pathlib import Path
from ms_coreset.datasets import load_dataset
from ms_coreset.datasets.readers.idx import read_idx
from ms_coreset.datasets.readers.matlab import read_matlab
import contextlib, io
from ms_coreset.cli import coreset, experiment, main
from ms_coreset.experiment.study_plan import plan_runs
from ms_coreset.coreset import Coreset, read_dropped
from ms_coreset.npy_files import open_array
from ms_coreset.pickle_files import read_pickle
from ms_coreset.safetensors_files import read_tensors
from ms_coreset.npz import read_npz
from unittest import mock
def runs(*words):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        assert main(words, "coreset") == 0, said.getvalue()
def torch_like(coreset):
    with mock.patch.dict(sys.modules, {"torch.utils.data": mock.Mock()}):
        coreset.to_torch_subset(range(coreset.n))
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (int(sys.argv[1]) << 20),) * 2)
for statement in sys.argv[2:]:
    told = ""
    try:
        exec(statement)
    except Exception:
        told = traceback.format_exc()
    print(json.dumps(told), flush=True)
"""


def refuse_in_little_memory(statements, megabytes=64):
    """Run statements in a process that may take so much memory above its imports; each, with the words of its refusal,
    or None where it is not refused."""
    done = subprocess.run([sys.executable, "-c", _GUARDED, str(megabytes), *(statement for statement, _ in statements)],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for (statement, words), line in zip(statements, done.stdout.splitlines(), strict=True):
        told = json.loads(line)
        last = told.strip().rpartition("\n")[2]
        if words is None:
            assert told == "", told
        else:
            assert "MsCoresetError" in last and re.search(words, last) and "MemoryError" not in told, (statement, told)


def npy_header(shape, dtype="|u1"):
    text = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def zip_member(name, content, method=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr(name, content)
    return stream.getvalue()


BOMB = 320 << 20  # bytes of zeros: more than any file of a megabyte may stand for
ZEROS = b"\0" * (1 << 20)


def zeros_in_gzip(before=b""):
    """A third of a gigabyte of zeros, in a third of a megabyte."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(before) + b"".join(packer.compress(ZEROS) for _ in range(BOMB >> 20)) + packer.flush()


def idx_header(*shape):
    return bytes((0, 0, 8, len(shape))) + struct.pack(f">{len(shape)}I", *shape)


def test_headers_of_a_million_million_rows_take_no_memory(tmp_path):
    idx = readers.put(tmp_path / "a-idx3-ubyte", idx_header(2**32 - 1, 28, 28) + bytes(100))
    gz = readers.put(tmp_path / "a-idx3-ubyte.gz", gzip.compress(idx_header(2**32 - 1, 28, 28) + bytes(100)))
    npy = readers.put(tmp_path / "a.npy", npy_header((10**12,), "<i8"))
    length = npy.stat().st_size
    npz = readers.put(tmp_path / "a.npz", zip_member("labels.npy", npy_header((10**12,), "<i8")))
    mat = readers.put(tmp_path / "a.mat", readers.mat(False, X=np.zeros((2, 2), np.uint8)).replace(
        struct.pack("<ii", 2, 2), struct.pack("<ii", 10**6, 10**6)))
    entry = b'{"a": {"dtype": "F32", "shape": [1000000000000], "data_offsets": [0, 32]}}'
    safe = readers.put(tmp_path / "a.safetensors", struct.pack("<Q", len(entry)) + entry + bytes(32))
    many = readers.put(tmp_path / "many.safetensors", struct.pack("<Q", 10**12) + b"{}" + bytes(100))
    rows = "its header announces 3,367,254,359,280"
    refuse_in_little_memory([
        (f"read_idx(Path({str(idx)!r}), (28, 28))", rows), (f"read_idx(Path({str(gz)!r}), (28, 28))", rows),
        (f"open_array({str(npy)!r})", "is not a whole .npy"), (f"open_array({str(npy)!r}, 'r+')", "not a whole .npy"),
        (f"read_npz({str(npz)!r}, ('labels',))", "does not fit its size"),
        (f"read_tensors({str(safe)!r})", "of shape .1000000000000. has 32 bytes"),
        (f"read_tensors({str(many)!r})", "a header of 1,000,000,000,000 bytes"),
        (f"read_matlab({str(mat)!r}, ('X',))", "is no whole MATLAB 5 file")])
    assert npy.stat().st_size == length  # mapped for writing, NumPy would have made it as long as it says


def test_decompression_bombs_take_no_memory(tmp_path):
    bomb = readers.put(tmp_path / "a-idx3-ubyte.gz", zeros_in_gzip(idx_header(BOMB // 784, 28, 28)))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("labels.npy", "w") as member:
        member.write(npy_header((BOMB,)))
        for _ in range(BOMB >> 20):
            member.write(ZEROS)
    npz = readers.put(tmp_path / "a.npz", stream.getvalue())
    png = readers.put(tmp_path / "photos" / "a" / "a.png", png_of(20_000, 20_000))
    refuse_in_little_memory([(f"read_idx(Path({str(bomb)!r}), (28, 28))", "in a file of 3"),
                              (f"read_npz({str(npz)!r}, ('labels',))", "can't be as large as it says")])
    refuse_in_little_memory([(f"load_dataset('folder', {str(png.parents[1])!r}, image_size=8).images[:]",
                               "20000 x 20000 pixels|decompression bomb")], 512)


def png_of(width, height):
    """A PNG file whose header is of so many pixels, and holds a part of them."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(6)
    pixels = b"".join(packer.compress(bytes(1 + 3 * width)) for _ in range(height // 100)) + packer.flush()
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


def test_archives_that_fill_the_disk_are_refused(tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("top/a", "w") as member:
        for _ in range(BOMB >> 20):
            member.write(ZEROS)
    readers.put(tmp_path / "a.zip", stream.getvalue())
    info = tarfile.TarInfo("top/a")
    info.size = BOMB
    readers.put(tmp_path / "a.tar.gz", zeros_in_gzip(info.tobuf()))
    for name in ("a.zip", "a.tar.gz"):
        with pytest.raises(MsCoresetError, match="unpacks to more than any archive of images does"):
            unpack(tmp_path / name, tmp_path / "top")
        assert not (tmp_path / "top").exists()
    with pytest.raises(MsCoresetError, match="unpacks to more than any archive of images does"):
        extract(tmp_path / "a.tar.gz", tmp_path, ["top/a"])
    assert not (tmp_path / "top").exists()


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_archives_write_nothing_outside(tmp_path, kind):
    """Traversal, absolute names, links, devices: the archive is refused, and nothing is there but the archive."""
    outside, inside = tmp_path / "outside", tmp_path / "outside" / "deep" / "inside"
    inside.mkdir(parents=True)
    made = {"tar.gz": hostile.tars, "zip": hostile.zips}[kind](outside)
    for name, content in made.items():
        path = readers.put(inside / f"archive.{kind}", content)
        with pytest.raises(MsCoresetError):
            unpack(path, inside / "top")
        if kind == "tar.gz":
            with pytest.raises(MsCoresetError):
                extract(path, inside, ["top/link", "top/file"])
        left = [str(place.relative_to(tmp_path)) for place in tmp_path.rglob("*") if not place.is_dir()]
        assert left == [f"outside/deep/inside/archive.{kind}"], (name, left)


@pytest.mark.parametrize("text", [
    "!!python/object/apply:os.system ['touch canary']", "!!python/object/new:os.system ['touch canary']",
    "!!python/name:os.system", "!!python/module:os", "a: !!python/object:os.system {}", "!!python/tuple [1]",
    "a: &a [*a]", "[" * 5000, "{a: " * 5000, "- " * 5000, "? " * 5000, "a: 2020-99-99"])
def test_yaml_makes_nothing_but_plain_values(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    path = readers.put(tmp_path / "some.yaml", text.encode())
    for read in (read_yaml, load_recipe):
        with pytest.raises(MsCoresetError, match=r"some\.yaml is not YAML"):
            read(path)
    assert read_plan(text) == {"methods": [], "rates": [], "seeds": []}
    assert [entry.name for entry in tmp_path.iterdir()] == ["some.yaml"]


def test_yaml_that_repeats_itself_is_refused():
    """Nine lines that spell a thousand million values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"] + [
        f"a{line}: &a{line} [{', '.join([f'*a{line - 1}'] * 10)}]" for line in range(1, 9)]
    with pytest.raises(MsCoresetError, match="study repeats itself too often"):
        parse_yaml("\n".join(lines), "study")
    assert parse_yaml("a: &a {lr: 0.1}\nb: *a\nc: {<<: *a, x: 1}", "study")["c"] == {"lr": 0.1, "x": 1}


def test_yaml_as_large_as_no_settings_are_is_refused(tmp_path):
    path = readers.put(tmp_path / "some.yaml", b"# " + bytes(1 << 20))
    with pytest.raises(MsCoresetError, match="which no settings do"):
        read_yaml(path)


def test_messages_are_one_line_of_printable_characters():
    """What a file is called, or holds, can't move the cursor of a terminal, or forge a second line."""
    assert str(MsCoresetError("a\nb\tc  d\x1b[2J\udcff\u202e")) == "a b c d\\x1b[2J\\udcff\\u202e"
    assert str(MsCoresetError("plain  text, naïve")) == "plain  text, naïve"
    assert len(str(MsCoresetError("x" * 10**6))) < 5000


def test_limits_of_the_guard_itself():
    """What takes memory and is refused by the system, not by a reader, is seen."""
    with pytest.raises(AssertionError, match="MemoryError"):
        refuse_in_little_memory([("numpy.ones(1 << 28)", "MemoryError")])


def test_a_coreset_of_a_million_million_samples_takes_no_memory(tmp_path):
    path = readers.put(tmp_path / "some.npz", readers.dump(
        np.savez, manifest=np.array('{"n": 1000000000000, "rate": 0.1, "method": "x", "options": {}, "seed": 0}'),
        indices=np.arange(3)))
    with pytest.raises(MsCoresetError, match="a data set of 1000000000000 samples"):
        Coreset.load(path)
    with pytest.raises(MsCoresetError, match="holds Python objects"):
        read_npz(readers.put(path, readers.dump(np.savez, indices=np.array([None]))), ("indices",))
    assert os.listdir(tmp_path) == ["some.npz"]


def claim_samples(folder, name, n=10**9, **arrays):
    """A coreset file of some hundred bytes that is of a thousand million samples."""
    notes = {"n": n, "rate": 0.1, "method": "x", "options": {}, "seed": 0, "dataset": "digits"}
    return readers.put(folder / f"{name}.npz", readers.dump(
        np.savez_compressed, manifest=np.array(json.dumps(notes)), indices=np.arange(3), **arrays))


def test_files_that_claim_a_thousand_million_samples_take_no_memory(tmp_path):
    """What they hold is worked on: three places, not a mask, or a list, of all that there may be."""
    one, other = claim_samples(tmp_path, "one"), claim_samples(tmp_path, "other", weights=np.arange(1.0, 4))
    pooled = claim_samples(tmp_path, "pooled", pool=np.arange(0, 20, 2)[::-1] + 2)
    noted = claim_samples(tmp_path, "noted", scores=np.zeros(3))
    large = readers.put(tmp_path / "large.npz", readers.dump(
        np.savez_compressed, indices=np.arange(3), manifest=np.array(" " * (1 << 23))))
    runs = "runs{}".format
    refuse_in_little_memory([
        (runs(("diff", str(one), str(other), "--no-data")), None),
        (runs(("diff", str(one), str(pooled), "--no-data")), None),
        (runs(("show", str(one), "--no-data")), None), (runs(("show", str(pooled), "--no-data")), None),
        (runs(("show", str(one), "--export", str(tmp_path / "kept.csv"), "--no-data")), None),
        (f"torch_like(Coreset.load({str(one)!r}))", None),
        (f"Coreset.load({str(one)!r}).sort_by_index()", None),
        (f"Coreset.load({str(noted)!r})", "scores of shape"),
        (f"Coreset.load({str(large)!r})", "'manifest' is said to be of"),
        (f"read_dropped({str(readers.put(tmp_path / 'some.bin', pickle.dumps(np.arange(9))))!r}, 9)", "drops every")])


LISTS = "datasets: digits\nmethods: [random]\nrates: [{}]\nseeds: [{}]\n".format(
    ", ".join(f"0.{number:05}" for number in range(1, 2000)), ", ".join(map(str, range(2000))))


def test_studies_of_more_runs_than_any_has_take_no_memory(tmp_path, capsys):
    path = readers.put(tmp_path / "mine.yaml", LISTS.encode())
    arguments = f"experiment.parser('').parse_args(['--config', {str(path)!r}])"
    refuse_in_little_memory([(f"plan_runs(experiment.job_of({arguments}).plan, 'CPU')", "a study of 3,998,000 runs")])
    readers.put(path, b"datasets: digits\nnum-exp: 1000000000\n")
    with pytest.raises(SystemExit) as stopped:
        experiment.parser("experiment").parse_args(["--config", str(path)])
    assert stopped.value.code == 2 and "argument --num-exp" in capsys.readouterr().err


def test_a_report_of_more_runs_than_any_study_has_is_refused(tmp_path):
    readers._study(tmp_path)
    readers.put(tmp_path / "study/study.yaml", LISTS.encode())
    with pytest.raises(MsCoresetError, match=r"a study of .* runs"):
        write_report(tmp_path / "study", output=tmp_path / "page.html", data=tmp_path)


def test_a_run_s_coreset_lies_in_its_study(tmp_path):
    readers._study(tmp_path)
    outside = claim_samples(tmp_path, "outside", 100)
    for place in (str(outside), "../outside.npz", "indices/../../outside.npz"):
        runs = [{**run, "indices": place} for run in readers._runs()]
        readers.put(tmp_path / "study/runs.jsonl", b"".join(readers.json_text(run) + b"\n" for run in runs))
        study = Study.read(tmp_path / "study")
        with pytest.raises(MsCoresetError, match="lies in the study's folder"):
            study.coreset(study.runs[0])


def pipe(path):
    """A pipe that no one writes to."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path


def link_to(device):
    def link(path):
        path.unlink(missing_ok=True)
        path.symlink_to(device)
        return path
    return link


NO_FILES = {"a pipe": pipe, "a link to /dev/zero": link_to("/dev/zero"), "a link to a pipe": lambda path: link_to(
    pipe(path.with_name("a pipe")))(path), "a link to /proc/self/pagemap": link_to("/proc/self/pagemap")}
OTHERS = {
    "recipe.yaml": load_recipe, "study.yaml": read_yaml, "notes.json": read_json, "some.npy": open_array,
    "net.ckpt": read_weights, "net.pth": read_weights, "some.npz": Coreset.load, "a.npz": lambda path: read_npz(
        path, ("labels",)), "some.bin": lambda path: read_dropped(path, 10), "any": digest, "top.zip": lambda path:
    unpack(path, path.with_name("top")), "top.tar.gz": lambda path: extract(path, path.parent, ["top/a"]),
    "a-idx3-ubyte": lambda path: read_idx(path, (28, 28)), "a-idx3-ubyte.gz": lambda path: read_idx(path, (28, 28)),
    "a.mat": lambda path: read_matlab(path, ("X",)), "val_annotations.txt": read_annotations,
    "truth.txt": _read_truth, "a.png": lambda path: open_image(path).__enter__(),
    "runs.jsonl": lambda path: Store(path.parent), "study/runs.jsonl": lambda path: Study.read(path.parent)}


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_regular_file_is_read_by_no_reader(kind, tmp_path):
    """A pipe blocks for ever, a device goes on for ever; a link to either has a size of 0."""
    signal.alarm(60)
    try:
        for name, read in OTHERS.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            with pytest.raises((MsCoresetError, OSError)) as error:
                read(NO_FILES[kind](path))
            assert "\n" not in str(error.value), name
            path.unlink()
    finally:
        signal.alarm(0)


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_regular_file_does_not_hang_a_reader_of_whole_sets(kind, tmp_path):
    """Every file of every reader in the place of which such a thing lies."""
    signal.alarm(60)
    try:
        for reader in readers.READERS:
            if not {"mindspore", "torch"} & set(reader.imports):
                reader.build(tmp_path / "root")
                for file in dict.fromkeys(reader.files):
                    NO_FILES[kind](tmp_path / "root" / file)
                with contextlib.suppress(MsCoresetError):
                    reader.read(tmp_path / "root")
                shutil.rmtree(tmp_path / "root")
    finally:
        signal.alarm(0)


def test_every_reader_opens_by_the_one_function():
    """Nothing opens a file for reading but ``files.open_file``; what writes, and the system's own files, may."""
    allowed = {"files.py": 2, "npy_files.py": 3, "jobs/steps.py": 2, "selectors/memory.py": 1,
               "datasets/download.py": 1, "datasets/readers/archive.py": 1}
    package = Path(ms_coreset.__file__).parent
    for path in package.rglob("*.py"):
        calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                 if isinstance(node, ast.Call)]
        found = [call for call in calls if call == "open" or call.endswith((".read_text", ".read_bytes", ".fromfile"))]
        assert len(found) == allowed.get(str(path.relative_to(package)), 0), (path, found)


def test_a_record_whose_method_is_no_text_is_passed_over(tmp_path):
    readers.put(tmp_path / "runs.jsonl", readers.json_text({**readers.RUN, "method": ["a"]}) + b"\n")
    assert len(Store(tmp_path).records) == 1
