"""Names for classes whose folders are named by WordNet numbers, such as n01443537."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import read_file


def class_names(path: Path, wnids: Sequence[str]) -> list[str]:
    """The classes' names by a file of words, or the numbers where there is no such file.

    Args:
        path: the file; each line has a number, a tab and its words.
        wnids: WordNet numbers of the classes.

    Returns:
        A name for each number.

    Raises:
        MsCoresetError: for a file that can't be read.
    """
    if not path.is_file():
        return list(wnids)
    try:
        lines = read_file(path).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MsCoresetError(f"can't read {path}: {error}") from error
    return distinct_names(wnids, dict(line.partition("\t")[::2] for line in lines))


def distinct_names(wnids: Sequence[str], words: dict[str, str]) -> list[str]:
    """The first word for each number; the number is added to words of two classes (crane: bird and machine).

    Args:
        wnids: WordNet numbers of the classes.
        words: number -> words, separated by commas; a number that it lacks is its own name.

    Returns:
        A name for each number, all different.
    """
    names = [words.get(wnid, wnid).split(",")[0].strip() or wnid for wnid in wnids]
    uses = Counter(names)
    return [name if uses[name] == 1 else f"{name} ({wnid})" for name, wnid in zip(names, wnids, strict=True)]
