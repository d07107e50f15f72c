import builtins
import errno
import os
import pickle
import stat

import numpy as np
import pytest

from ms_coreset.checksums import array_digest, digest
from ms_coreset.errors import MsCoresetError
from ms_coreset.files import atomic_write, is_device
from ms_coreset.json_files import read_json, write_json
from ms_coreset.networks.torch_files import read_state
from ms_coreset.networks.torch_pickles import read_arrays
from ms_coreset.npy_files import create_array, open_array
from ms_coreset.npz import read_npz
from ms_coreset.pickle_files import read_pickle
from ms_coreset.safetensors_files import read_tensors


class Call:
    """Pickles to a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_atomic_write_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "deep" / "file.bin"
    for content in (b"old", b"new"):
        with atomic_write(path) as stream:
            stream.write(content)
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_atomic_write_keeps_the_old_file_when_it_is_interrupted(tmp_path, error):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with pytest.raises(error), atomic_write(path) as stream:
        stream.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.bin"]


def test_atomic_write_gives_the_usual_permissions(tmp_path):
    with atomic_write(tmp_path / "atomic"):
        pass
    (tmp_path / "usual").touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("atomic", "usual")]
    assert modes[0] == modes[1]


def test_atomic_write_names_the_file_that_cannot_be_written(tmp_path):
    (tmp_path / "folder").write_text("a file where a folder is needed")
    with pytest.raises(MsCoresetError, match=r"can't write .*folder/file"), atomic_write(tmp_path / "folder" / "file"):
        pass


def test_atomic_write_writes_to_a_pipe_or_device_and_leaves_it_there(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_json(pipe, 3)
    assert os.read(reader, 100) == b"3\n"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert [entry.name for entry in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize(("path", "expected"), [
    ("/dev/null", True), ("/dev/stdout", True), ("/dev/shm/nowhere", False), (".", False), (__file__, False)])
def test_what_is_a_device(path, expected):
    assert is_device(path) is expected


def test_json_round_trip(tmp_path):
    value = {"name": "naïve", "n": 3, "list": [1.5, None]}
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", None])
def test_read_json_names_a_file_that_is_none(tmp_path, content):
    path = tmp_path / "value.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MsCoresetError, match=r"value\.json"):
        read_json(path)


def test_digest_is_the_published_kind(tmp_path):
    (tmp_path / "file").write_bytes(b"hello")
    assert digest(tmp_path / "file") == "5d41402abc4b2a76b9719d911017c592"


def test_array_digest_depends_on_type_shape_and_contents_only():
    array = np.arange(6).reshape(2, 3)
    same = [array, array.copy(), np.asfortranarray(array), array[::1]]
    assert len({array_digest(one) for one in same}) == 1
    others = [array.T, array.ravel(), array.astype(np.int32), array + 1, array[:0]]
    assert len({array_digest(one) for one in [array, *others]}) == 6


@pytest.mark.parametrize("read", [
    open_array, lambda path: open_array(path, "r+"), lambda path: read_npz(path, ("a",)), read_pickle, read_arrays,
    read_state, read_tensors], ids=["npy", "writable npy", "npz", "pickle", "pickled arrays", "torch", "safetensors"])
def test_missing_is_told_from_damaged(tmp_path, read):
    path = tmp_path / "file"
    for reason in ("No such file or directory", "Is a directory"):
        with pytest.raises(MsCoresetError, match=f"^can't read {path}: {reason}$"):
            read(path)
        path.mkdir(exist_ok=True)
    path.rmdir()
    path.write_bytes(b"nothing that is read")
    with pytest.raises(MsCoresetError, match=f"^{path} is not a whole"):
        read(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_read_pickle_reads_arrays_and_plain_containers(tmp_path, protocol):
    value = {"data": np.arange(4, dtype=np.uint8), "labels": [1, 2], "scalar": np.float64(1.5), "bytes": b"\xff"}
    (tmp_path / "file").write_bytes(pickle.dumps(value, protocol))
    read = read_pickle(tmp_path / "file")
    np.testing.assert_array_equal(read.pop("data"), value.pop("data"))
    assert read == value


@pytest.mark.parametrize("function, name", [
    (os.system, "system"), (builtins.eval, "eval"), (builtins.getattr, "getattr"), (np.load, "load")])
def test_read_pickle_refuses_to_run_anything(tmp_path, function, name):
    canary = tmp_path / "canary"
    hostile = {"labels": [Call(function, f"open({str(canary)!r}, 'w')")]}
    (tmp_path / "file").write_bytes(pickle.dumps(hostile))
    with pytest.raises(MsCoresetError, match=rf"file is not a whole, harmless pickle: it names \S+\.{name}"):
        read_pickle(tmp_path / "file")
    assert not canary.exists()


def test_read_pickle_refuses_a_truncated_file_and_names_a_missing_one(tmp_path):
    whole = pickle.dumps({"data": np.zeros(1000)})
    (tmp_path / "half").write_bytes(whole[: len(whole) // 2])
    for name in ("half", "missing"):
        with pytest.raises(MsCoresetError, match=name):
            read_pickle(tmp_path / name)


def test_array_on_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    array = create_array(tmp_path / "a" / "x.npy", np.float32, (3, 2))
    array[:] = 1
    np.testing.assert_array_equal(np.load(tmp_path / "a" / "x.npy"), np.ones((3, 2)))
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(MsCoresetError, match=r"can't write .*y\.npy: No space left"):
        create_array(tmp_path / "a" / "y.npy", np.float32, (3, 2))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["x.npy"]
