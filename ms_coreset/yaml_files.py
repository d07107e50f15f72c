"""YAML files of plain values, bounded in size and in depth."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import read_file
from ms_coreset.kinds import FilePath

_LARGEST_YAML, _DEEPEST_YAML = 1 << 20, 50  # bytes of a file and number of its values; depth of nesting


def read_yaml(path: FilePath) -> Any:
    """Read a YAML file of plain values; raises ``MsCoresetError`` naming a file that can't be read or is no YAML."""
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
    """The plain value of a YAML text; raises ``MsCoresetError`` naming ``what`` for a text that is no YAML.

    Only plain values are made, and at most ``_LARGEST_YAML`` of them. Each use of an alias counts: with aliases a few
    lines can stand for a thousand million values.
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
    """Refuse values that are nested so deeply that reading them takes minutes.

    The time grows with the depth of every value, and MindSpore raises Python's recursion limit to ten thousand.

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
    """Number of plain values in ``value``, itself included; a value that contains itself raises ``RecursionError``."""
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
