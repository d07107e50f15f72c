"""Names for classes that are folders named by WordNet numbers, such as n01443537."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import read_file


def class_names(path: Path, wnids: Sequence[str]) -> list[str]:
    """The classes' names by the file ``path`` (a number, a tab and its words in a line), or ``wnids`` without it."""
    if not path.is_file():
        return list(wnids)
    try:
        lines = read_file(path).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MsCoresetError(f"can't read {path}: {error}") from error
    return distinct_names(wnids, dict(line.partition("\t")[::2] for line in lines))


def distinct_names(wnids: Sequence[str], words: dict[str, str]) -> list[str]:
    """The first word for each number; with the number after it for words of two classes (crane: bird and machine).

    words: number to words, separated by commas; a number that it lacks is its own name
    """
    names = [words.get(wnid, wnid).split(",")[0].strip() or wnid for wnid in wnids]
    uses = Counter(names)
    return [name if uses[name] == 1 else f"{name} ({wnid})" for name, wnid in zip(names, wnids, strict=True)]
