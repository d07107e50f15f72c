"""JSON files, written whole or not at all."""

from __future__ import annotations

import json
from typing import Any

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import atomic_write, read_file
from ms_coreset.kinds import FilePath


def write_json(path: FilePath, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    # File names that are not UTF-8 hold lone surrogates; a backslash and their number is how JSON writes them.
    with atomic_write(path, "w", encoding="utf-8", errors="backslashreplace") as stream:
        json.dump(value, stream, indent=1, ensure_ascii=False)
        stream.write("\n")


def read_json(path: FilePath) -> Any:
    """Read a JSON file; raises ``MsCoresetError`` naming the file when it is missing or not JSON."""
    try:
        return json.loads(read_file(path).decode())
    except OSError as error:
        raise MsCoresetError(f"can't read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise MsCoresetError(f"{path} is not JSON: {error}") from error
