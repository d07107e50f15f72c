"""What files hold, but for what no two runs have in common: measured seconds and megabytes, and the time of day."""

import hashlib
import json
from pathlib import Path

import numpy as np

_MEASURED = ("seconds", "peak_mb", "finished", "revision")  # the last may change under a long campaign


def contents(folder):
    """Relative path -> what it holds, comparable, of all files below ``folder`` but hidden ones."""
    folder = Path(folder)
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: _content(path) for name, path in files.items() if not _hidden(name)}


def litter(folder):
    """The hidden files that are left below ``folder``, which nothing reads."""
    return [str(path.relative_to(folder)) for path in Path(folder).rglob("*")
            if path.is_file() and _hidden(str(path.relative_to(folder)))]


def _hidden(name):
    return any(part.startswith(".") for part in Path(name).parts)


def _content(path):
    try:
        if path.suffix == ".json":
            return _drop_measured(json.loads(path.read_text()))
        if path.suffix == ".jsonl":
            return [_drop_measured(json.loads(line)) for line in path.read_text().splitlines()]
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            notes = _drop_measured(json.loads(str(arrays.pop("manifest"))))
            return notes, {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items()}
    except Exception as error:  # no whole file, in whatever way
        return f"{type(error).__name__}: {error}"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _drop_measured(value):
    if isinstance(value, dict):
        return {name: _drop_measured(one) for name, one in value.items() if name not in _MEASURED}
    return [_drop_measured(one) for one in value] if isinstance(value, list) else value
