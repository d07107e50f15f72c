"""YAML of plain values, in bounds: how much, and how deeply nested."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import read_file
from ms_coreset.kinds import FilePath

_LARGEST_YAML, _DEEPEST_YAML = 1 << 20, 50  # bytes of a file, and values in it; how deep they are nested


def read_yaml(path: FilePath) -> Any:
    """Read a YAML file of plain values; raises ``MsCoresetError`` naming the file when it can't be had, or is none."""
    try:
        if os.path.getsize(path) > _LARGEST_YAML:
            raise MsCoresetError(f"{path} has more than {_LARGEST_YAML:,} bytes, which no settings do")
        text = read_file(path).decode()
    except OSError as error:
        raise MsCoresetError(f"can't read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MsCoresetError(f"{path} is not YAML: {error}") from error
    return parse_yaml(text, path)


def parse_yaml(text: str, what: FilePath) -> Any:
    """The plain value of a YAML text; raises ``MsCoresetError`` naming ``what`` it is for a text that is none.

    Nothing but plain values is made, and no more than ``_LARGEST_YAML`` of them, counted as often as aliases repeat
    them: a few lines can spell a thousand million.
    """
    import yaml

    try:
        _require_shallow(yaml, text, what)
        value = yaml.safe_load(text)
        if _count(value, {}) > _LARGEST_YAML:
            raise MsCoresetError(f"{what} repeats itself too often")
    except MsCoresetError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError, KeyError) as error:
        raise MsCoresetError(f"{what} is not YAML: {' '.join(str(error).split())}") from error
    return value


def _require_shallow(yaml: ModuleType, text: str, what: FilePath) -> None:
    """Refuse values nested so deeply that reading them takes minutes.

    The time grows with the depth of each, and MindSpore raises Python's own limit to ten thousand.

    Raises:
        MsCoresetError: for such values.
    """
    depth = 0
    for token in yaml.scan(text):
        name = type(token).__name__
        depth += name.endswith(("SequenceStartToken", "MappingStartToken")) - name.endswith("EndToken")
        if depth > _DEEPEST_YAML:
            raise MsCoresetError(f"{what} is not YAML of settings: its values are nested {depth} deep")


def _count(value: Any, known: dict[int, int | None]) -> int:
    """How many plain values there are in one, itself included; what holds itself is a ``RecursionError``."""
    if not isinstance(value, dict | list | set | tuple):
        return 1
    if id(value) not in known:
        known[id(value)] = None
        within = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count(entry, known) for entry in within)
    found = known[id(value)]
    if found is None:
        raise RecursionError("it holds itself")
    return found
