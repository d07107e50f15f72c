"""Files of scores that were computed elsewhere, and the matching of scores with samples."""

from __future__ import annotations

import csv
import io
import math
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ms_coreset.datasets.readers.image_files import ImageFiles
from ms_coreset.datasets.split import Split
from ms_coreset.errors import MsCoresetError
from ms_coreset.files import open_file, read_file, reading
from ms_coreset.networks.torch_pickles import read_arrays
from ms_coreset.npy_files import open_array
from ms_coreset.npz import read_npz
from ms_coreset.terminal import note

FIELD = "imported"  # of ``Evidence``, and of ``Split.known``
LEAST = 0.99  # least share of a file's scores that must belong to a sample
_PLACES = ("index", "idx", "place")  # names of a column of places
_NO_SCORES = ("label", "clean_label", "bad", "targets", "indices", "weights", "pool", "manifest")
_PICKLES = (".pkl", ".pickle", ".bin", ".pt", ".pth", ".data")
_TEXTS = (".csv", ".tsv", ".txt")
_SHOWN = 3  # names in a message


@dataclass(frozen=True)
class ScoreTable:
    """The scores in a file.

    Attributes:
        columns: name -> (m,) float64, NaN for a missing score
        names: (m,) names of the samples, such as files, or None
        places: (m,) places of the samples in the training split, or None; without names and places the scores are in
            its order
    """

    columns: dict[str, np.ndarray]
    names: list[str] | None = None
    places: np.ndarray | None = None

    def column(self, key: str | None, path: str) -> np.ndarray:
        """The scores named ``key``, or the only ones."""
        if key is None and len(self.columns) == 1:
            return next(iter(self.columns.values()))
        if key is None or key not in self.columns:
            what = "which is meant" if key is None else f"no scores {key!r}"
            raise MsCoresetError(f"{path}: {what}? --scores-key names one of {', '.join(self.columns) or 'none'}")
        return self.columns[key]


def with_scores(split: Split, path: str, key: str | None = None, low: bool = False) -> Split:
    """A copy of ``split`` with the scores of a file in ``known``; NaN for samples without a score.

    Args:
        split: the whole training split
        path: .csv, .tsv or .txt with a column of numbers, and perhaps one of names or places; .npy; .npz, also what
            ``score`` and ``select`` write; a pickled dictionary of arrays or tensors, such as CCS's data-score
        key: name of the scores, if there are several
        low: whether low scores are to be kept; they are then negated

    Raises:
        MsCoresetError: for a file that can't be read or belongs to other samples: without names and places, another
            number of scores; with names, less than 99 % of them among those of the samples.
    """
    table = read_scores(path)
    values = table.column(key, path)
    if np.isinf(values).any():
        raise MsCoresetError(f"{path}: its score {int(np.argmax(np.isinf(values)))} is infinite")
    places = _places(table, split, path, len(values))
    found = np.full(len(split), np.nan)
    found[places[places >= 0]] = (-values if low else values)[places >= 0]
    _tell(table, split, path, places, found)
    return replace(split, known={**split.known, FIELD: found})


def read_scores(path: str) -> ScoreTable:
    """The ``ScoreTable`` of a file, by its suffix; raises ``MsCoresetError`` naming it."""
    suffix = Path(path).suffix.lower()
    if suffix in _TEXTS:
        return _read_text(path)
    if suffix == ".npy":
        return _table({"score": np.asarray(open_array(path))}, path)
    if suffix == ".npz":
        return _table(_read_archive(path), path)
    if suffix in _PICKLES:
        return _table({name or "score": array for name, array in read_arrays(path).items()}, path)
    raise MsCoresetError(f"{path}: scores are read of {', '.join((*_TEXTS, '.npy', '.npz', *_PICKLES))}")


def _read_archive(path: str) -> dict[str, np.ndarray]:
    with reading(path, ".npz file"), open_file(path) as stream, zipfile.ZipFile(stream) as archive:
        names = [entry.filename.removesuffix(".npy") for entry in archive.infolist()]
    return read_npz(path, names, skip=[name for name in names if name in _NO_SCORES])


def _table(arrays: dict[str, np.ndarray], path: str) -> ScoreTable:
    """The columns of numbers among arrays; a column of places, which files of ``score`` have, is kept apart."""
    columns = {name: array for name, array in arrays.items()
               if name not in _NO_SCORES and array.ndim == 1 and array.dtype.kind in "fiub" and len(array)}
    places = next((columns.pop(name) for name in _PLACES if name in columns), None)
    if not columns:
        raise MsCoresetError(f"{path} holds no scores: a column of numbers, one for each sample")
    if places is not None and any(len(column) != len(places) for column in columns.values()):
        raise MsCoresetError(f"{path}: its scores are not as many as its places")
    return ScoreTable({name: np.asarray(column, np.float64) for name, column in columns.items()},
                      places=None if places is None else _whole(places, path))


def _whole(places: np.ndarray, path: str) -> np.ndarray:
    if not (np.isfinite(places).all() and (places == np.floor(places)).all()):
        raise MsCoresetError(f"{path}: places of samples must be whole numbers")
    return places.astype(np.int64)


# Text


def _read_text(path: str) -> ScoreTable:
    with reading(path, "table of scores"):
        text = read_file(path).decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=_delimiter(text)) if any(map(str.strip, row))]
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise MsCoresetError(f"{path} is no table of scores: its lines have {_widths(rows)} columns")
    cells = [list(map(str.strip, column)) for column in zip(*rows, strict=True)]
    headed = len(rows) > 1 and any(_number(column[0]) is None and _numbers(column[1:]) is not None for column in cells)
    header = [column[0] for column in cells] if headed else [f"column {i}" for i in range(1, len(cells) + 1)]
    if len(set(header)) != len(header):
        raise MsCoresetError(f"{path}: two of its columns have one name")
    return _of_columns(dict(zip(header, (column[headed:] for column in cells), strict=True)), headed, path)


def _delimiter(text: str) -> str:
    line = text.partition("\n")[0]
    return next((mark for mark in ("\t", ",", ";") if mark in line), " " if " " in line.strip() else ",")


def _widths(rows: Sequence[Sequence[str]]) -> str:
    return " or ".join(str(width) for width in sorted({len(row) for row in rows})[:_SHOWN]) or "no"


def _of_columns(columns: dict[str, list[str]], headed: bool, path: str) -> ScoreTable:
    """The columns of numbers in a text; of the others, the one with most different values has the names."""
    numbers = {name or _PLACES[0]: values for name, cells in columns.items() if (values := _numbers(cells)) is not None}
    others = [name for name in columns if name not in numbers]
    if len(numbers) > 1 and not headed:
        raise MsCoresetError(f"{path} has several columns of numbers and no line that names them, such as index,score")
    table = _table({name.lower() if name.lower() in (*_PLACES, *_NO_SCORES) else name: np.array(values)
                    for name, values in numbers.items()}, path)
    if not others or table.places is not None:
        return table
    return replace(table, names=max((columns[name] for name in others), key=lambda cells: len(set(cells))))


def _numbers(cells: Sequence[str]) -> list[float] | None:
    """The numbers of a column, NaN for empty cells; None if it holds anything else, or nothing."""
    found = [_number(cell) for cell in cells]
    if any(value is None for value in found) or all(math.isnan(value) for value in found if value is not None):
        return None
    return [value for value in found if value is not None]


def _number(cell: str) -> float | None:
    if not cell:
        return math.nan
    try:
        return float(cell)
    except ValueError:
        return None


# Which sample each score is of


def _places(table: ScoreTable, split: Split, path: str, count: int) -> np.ndarray:
    """The place (m,) of the sample of each score, -1 without a sample."""
    if table.places is not None:
        places = np.where((table.places >= 0) & (table.places < len(split)), table.places, -1)
    elif table.names is not None:
        places = _by_name(table.names, _names(split, path))
    elif count == len(split):
        return np.arange(count)
    else:
        raise MsCoresetError(f"{path} has {count:,} scores without names or places, the training split "
                             f"{len(split):,} samples")
    told = places[places >= 0]
    if len(np.unique(told)) != len(told):
        first = int(np.flatnonzero(np.bincount(told, minlength=len(split)) > 1)[0])
        raise MsCoresetError(f"{path} has two scores of sample {first}")
    return places


def _names(split: Split, path: str) -> list[str]:
    if not isinstance(split.images, ImageFiles):
        raise MsCoresetError(f"{path} names its samples, but {split.name} is not made of files that have names: give a "
                             f"column {_PLACES[0]} of places, or a score for each sample in their order")
    return split.images.file_names()


def _by_name(theirs: Sequence[str], ours: Sequence[str]) -> np.ndarray:
    """Places (m,) of the samples ``ours`` that are named ``theirs``, -1 for none.

    Names are compared whole, or by their ends if these are still different; the way that finds most is used.
    """
    best = np.full(len(theirs), -1)
    for form in _FORMS:
        places = {form(name): place for place, name in enumerate(ours)}
        if len(places) == len(ours):
            found = np.array([places.get(form(name), -1) for name in theirs])
            best = found if (found >= 0).sum() > (best >= 0).sum() else best
    return best


def _end(parts: int) -> Callable[[str], str]:
    """The last so many parts of a file's name."""
    return lambda name: "/".join(name.replace("\\", "/").strip("/").split("/")[-parts:])


# From the whole name to the file's own name without its suffix.
_FORMS: tuple[Callable[[str], str], ...] = (_end(1000), _end(2), _end(1),
                                            lambda name: _end(1)(name).partition(".")[0])


def _tell(table: ScoreTable, split: Split, path: str, places: np.ndarray, found: np.ndarray) -> None:
    """Tell of scores without samples and the reverse; raises ``MsCoresetError`` if over 1 % of a file have none."""
    strange = np.flatnonzero(places < 0)
    names = table.names if table.names is not None else [str(place) for place in
                                                         (places if table.places is None else table.places)]
    if len(strange) > (1 - LEAST) * len(places):
        raise MsCoresetError(f"{path}: {len(strange):,} of its {len(places):,} scores are of no sample of "
                             f"{split.name}, such as {_some(names, strange)}: is it of other data?")
    if len(strange):
        note(f"{path}: {len(strange):,} of its scores are of no sample: {_some(names, strange)}")
    lacking = np.flatnonzero(np.isnan(found))
    if len(lacking):
        named = split.images.file_names() if isinstance(split.images, ImageFiles) else list(map(str, range(len(split))))
        note(f"{path}: {len(lacking):,} of {len(split):,} samples have no score: {_some(named, lacking)}")


def _some(names: Sequence[str], places: np.ndarray) -> str:
    return ", ".join(names[place] for place in places[:_SHOWN]) + (", ..." if len(places) > _SHOWN else "")

