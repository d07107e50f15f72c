"""Files that mean harm: pickles that would run code, archives that would write elsewhere.

What would be run leaves a file behind, ``canary``, by which a test sees it.
"""

import argparse
import builtins
import collections
import datetime
import functools
import io
import os
import pathlib
import pickle
import struct
import subprocess
import tarfile
import zipfile

import numpy as np


class Call:
    """Pickles to a call of any function, or to an object of a class with a state."""

    def __init__(self, function, *arguments, state=None):
        self._reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self._reduced


def _text(value):
    return pickle.BINUNICODE + struct.pack("<I", len(value.encode())) + value.encode()


def _global(module, name):
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def pickles(canary):
    """{name: (pickle, what it names first that is refused)}; each would make the file ``canary`` if it were run."""
    command, code = f"touch {canary}", f"open({str(canary)!r}, 'w')"
    made = {
        "os.system": Call(os.system, command), "eval": Call(builtins.eval, code), "exec": Call(builtins.exec, code),
        "open": Call(builtins.open, str(canary), "w"), "subprocess": Call(subprocess.Popen, ["touch", str(canary)]),
        "getattr": Call(builtins.getattr, Call(builtins.__import__, "os"), "system"),
        "import": Call(builtins.__import__, "os"), "partial": Call(functools.partial, os.system, command),
        "np.load": Call(np.load, str(canary)), "memmap": Call(np.memmap, str(canary), "u1", "w+", 0, (1,)),
        "tofile": Call(np.ndarray.tofile, np.zeros(1), str(canary)), "fromfile": Call(np.fromfile, "/etc/passwd"),
    }
    nested = {
        "in a list": [1, [2, {"a": made["eval"]}]], "as a key's value": {"data": made["os.system"]},
        "in an object array": np.array([made["eval"], 1], dtype=object),
        "as a state": Call(np.ndarray, (1,), state={"x": made["eval"]}),
        "as an argument": Call(np.dtype, made["eval"]),
        "as a Namespace's state": Call(argparse.Namespace, state={"x": made["os.system"]}),
        "as a path": Call(pathlib.PurePosixPath, made["os.system"]),
        "as a date's zone": Call(datetime.datetime, 2024, 1, 2, 3, 4, 5, 6, made["eval"]),
        "as a mapping's factory": Call(collections.defaultdict, os.system, state={"x": made["os.system"]}),
        "in a mapping": {"state_dict": {}, "args": Call(collections.Counter, made["eval"])},
    }
    dumped = {f"{name}, protocol {protocol}": pickle.dumps(value, protocol)
              for name, value in {**made, **nested}.items() for protocol in (0, 2, 4)}
    return {**dumped, **_by_opcodes(command, code)}


def _by_opcodes(command, code):
    """The ways to call something that ``pickle.dumps`` does not take."""
    stop, one = pickle.STOP, pickle.TUPLE1
    system = _global("posix", "system")
    return {
        "INST": pickle.MARK + _text(command) + b"iposix\nsystem\n" + stop,
        "OBJ": pickle.MARK + system + _text(command) + pickle.OBJ + stop,
        "NEWOBJ": pickle.PROTO + b"\2" + _global("subprocess", "Popen") + _text(command) + one + pickle.NEWOBJ + stop,
        "NEWOBJ_EX": pickle.PROTO + b"\4" + _global("subprocess", "Popen") + _text(command) + one
        + pickle.EMPTY_DICT + _text("shell") + pickle.NEWTRUE + pickle.SETITEM + pickle.NEWOBJ_EX + stop,
        "STACK_GLOBAL": pickle.PROTO + b"\4" + _text("posix") + _text("system") + pickle.STACK_GLOBAL + _text(command)
        + one + pickle.REDUCE + stop,
        "dotted STACK_GLOBAL": pickle.PROTO + b"\4" + _text("numpy") + _text("ndarray.tofile") + pickle.STACK_GLOBAL
        + _text(command) + one + pickle.REDUCE + stop,
        "dotted GLOBAL": _global("numpy", "f2py.os.system") + _text(command) + one + pickle.REDUCE + stop,
        "a module of an admitted name": _global("numpy.core.multiarray", "os.system") + _text(command) + one
        + pickle.REDUCE + stop,
        "memoised": _global("builtins", "eval") + pickle.BINPUT + b"\1" + pickle.POP + pickle.BINGET + b"\1"
        + _text(code) + one + pickle.REDUCE + stop,
        "BUILD on a class": _global("numpy", "ndarray") + pickle.EMPTY_DICT + _text("__setstate__")
        + _global("os", "system") + pickle.SETITEM + pickle.BUILD + _text(command) + pickle.BUILD + stop,
        "dotted name of a harmless class": pickle.PROTO + b"\4" + _text("argparse")
        + _text("Namespace.__init__.__globals__") + pickle.STACK_GLOBAL + stop,
        "a module behind a harmless class": _global("argparse", "_os.system") + _text(command) + one + pickle.REDUCE
        + stop,
        "NEWOBJ of a harmless class": pickle.PROTO + b"\2" + _global("argparse", "Namespace") + pickle.EMPTY_TUPLE
        + pickle.NEWOBJ + pickle.EMPTY_DICT + _text("__setstate__") + system + pickle.SETITEM + pickle.BUILD
        + _text(command) + pickle.BUILD + stop,
        "BUILD on a harmless class": _global("argparse", "Namespace") + pickle.EMPTY_DICT + pickle.BUILD + stop,
        "NEWOBJ of an array": pickle.PROTO + b"\2" + _global("numpy", "ndarray") + pickle.EMPTY_TUPLE + pickle.NEWOBJ
        + stop,
        "EXT1": pickle.PROTO + b"\2" + pickle.EXT1 + b"\1" + stop,
        "a persistent id": pickle.BINPERSID.join((_text("storage"), stop)),
        "a persistent id of another kind": pickle.MARK + _text("module") + _text("os") + pickle.TUPLE
        + pickle.BINPERSID + stop,
    }


_SYSTEM, _EVAL = r"names (os|posix|nt)\.system", r"names (__builtin__|builtins)\.eval"
# What the refusal of each says, as a pattern.
REFUSED = {
    "os.system": _SYSTEM, "eval": _EVAL, "exec": r"\.exec\b", "open": r"names (io|__builtin__|builtins|_io)\.open",
    "subprocess": r"(subprocess|commands)\.Popen", "getattr": r"\.getattr", "import": r"\.__import__",
    "partial": r"functools\.partial",
    "np.load": r"numpy\S*\.load", "memmap": r"numpy\S*\.memmap", "tofile": r"\.getattr|ndarray\.tofile",
    "fromfile": r"numpy\S*\.fromfile", "in a list": _EVAL, "as a key's value": _SYSTEM,
    "in an object array": "O8|" + _EVAL, "as a state": "calls numpy.ndarray|" + _EVAL, "as an argument": _EVAL,
    "as a Namespace's state": r"argparse\.Namespace|" + _SYSTEM,
    "as a path": r"pathlib\S*\.PurePosixPath|" + _SYSTEM, "as a date's zone": r"datetime\.datetime|" + _EVAL,
    "as a mapping's factory": r"collections\.defaultdict|" + _SYSTEM, "in a mapping": r"collections\.Counter|" + _EVAL,
    "dotted name of a harmless class": r"argparse\.Namespace\.__init__", "NEWOBJ of an array": "it uses NEWOBJ",
    "a module behind a harmless class": r"names argparse\._os\.system",
    "NEWOBJ of a harmless class": r"argparse\.Namespace|" + _SYSTEM,
    "BUILD on a harmless class": r"argparse\.Namespace|sets the state of a type",
    "INST": _SYSTEM, "OBJ": _SYSTEM, "NEWOBJ": r"subprocess\.Popen",
    "NEWOBJ_EX": r"subprocess\.Popen", "STACK_GLOBAL": _SYSTEM, "dotted STACK_GLOBAL": r"numpy\.ndarray\.tofile",
    "dotted GLOBAL": r"numpy\.f2py\.os\.system", "a module of an admitted name": r"multiarray\.os\.system",
    "memoised": _EVAL, "BUILD on a class": r"os\.system", "EXT1": "it uses EXT1", "a persistent id": "persistent id",
    "a persistent id of another kind": "persistent id",
}


def in_zip(content, name="archive/data.pkl"):
    """A pickle where torch.save puts it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, content)
        archive.writestr(f"{name.partition('/')[0]}/version", "3\n")
    return stream.getvalue()


def in_legacy(content):
    """A pickle where torch.save put it before version 1.6: after a magic number, a version and the system's sizes."""
    head = (0x1950a86a20f9469cfc6c, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}})
    return b"".join(pickle.dumps(value, 2) for value in head) + content + pickle.dumps([], 2)


# Names that would land outside a folder two levels below ``outside``.
NAMES = ("../canary", "../../canary", "top/../../canary", "/{outside}/canary", "..\\canary", "C:\\canary",
         "top/./../../canary", "\\\\host\\canary", "top//../../canary")
LINKS = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z")


def tars(outside):
    """{name: .tar.gz} that would write to the folder ``outside`` above the one they are unpacked in."""
    made = {name: _tar((_tar_member(name.format(outside=str(outside).strip("/"))), b"x")) for name in NAMES}
    for kind in LINKS:
        link = _tar_member("top/link")
        link.type, link.linkname, link.devmajor, link.devminor = kind, str(outside), 1, 3
        made[f"type {kind!r}"] = _tar((link, b""), (_tar_member("top/link/canary"), b"x"))
        link = _tar_member("top/file")
        link.type, link.linkname = kind, "../../canary"
        made[f"type {kind!r}, relative"] = _tar((link, b""), (_tar_member("top/file"), b"x"))
    return made


def zips(outside):
    """The same as .zip; a symbolic link there is a file of that kind."""
    made = {name: _zip((name.format(outside=str(outside).strip("/")), b"x", 0o100644)) for name in NAMES}
    for kind in (0o120777, 0o020666, 0o060666, 0o010666, 0o140666):
        made[f"mode {kind:o}"] = _zip(("top/link", str(outside).encode(), kind), ("top/link/canary", b"x", 0o100644))
    return made


def _tar_member(name):
    return tarfile.TarInfo(name)


def _tar(*members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def _zip(*members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content, mode in members:
            info = zipfile.ZipInfo()
            info.filename, info.external_attr, info.create_system = name, mode << 16, 3
            archive.writestr(info, content)
    return stream.getvalue()
