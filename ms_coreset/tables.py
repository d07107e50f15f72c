"""Tables with a line for each sample, as text (.csv) or as Apache Parquet (.parquet)."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import atomic_write
from ms_coreset.kinds import FilePath
from ms_coreset.terminal import one_line

SUFFIXES = (".csv", ".parquet")
Column = tuple[type, Sequence]  # int, float or str, and values of it; None: there is none


def write_table(path: FilePath, columns: Mapping[str, Column]) -> None:
    """Write a table by the suffix of its file.

    Text has a line of names first; a value that is not there is empty, and the bytes of a file's name stay what they
    are. Parquet has 64-bit whole numbers, doubles and strings, and null for what is not there.

    Args:
        path: the file, .csv or .parquet.
        columns: of equal length, by their names.

    Raises:
        MsCoresetError: for another suffix, for .parquet where pyarrow is not installed or a text is no Unicode, and
            when the file can't be written.
    """
    suffix = Path(path).suffix
    if suffix not in SUFFIXES:
        raise MsCoresetError(f"can't write the table {path}: the name must end in {' or '.join(SUFFIXES)}")
    if suffix == ".parquet":
        write_parquet(path, columns)
        return
    with atomic_write(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        write_csv(stream, columns)


def write_csv(stream: IO[str], columns: Mapping[str, Column]) -> None:
    """Write a table as text into an open file; see ``write_table``."""
    lines = csv.writer(stream, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(zip(*(values for _, values in columns.values()), strict=True))
    stream.flush()


def frame_of(columns: Mapping[str, Column]) -> Any:
    """A ``pandas.DataFrame`` of a table: Int64, float64 and object columns, what is not there as pandas' NA.

    Raises:
        MsCoresetError: where pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise MsCoresetError(f"a DataFrame needs pandas (pip install pandas): {one_line(error)}") from error
    types = {int: "Int64", float: "float64", str: "object"}
    return pandas.DataFrame({name: pandas.Series(values, dtype=types[kind])
                             for name, (kind, values) in columns.items()})


def write_parquet(path: FilePath, columns: Mapping[str, Column]) -> None:
    """Write a table as Parquet; see ``write_table``."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MsCoresetError(f"{path}: .parquet needs pyarrow (pip install pyarrow): {one_line(error)}; .csv needs "
                             "nothing") from error
    types: dict[type, Any] = {int: pyarrow.int64(), float: pyarrow.float64(), str: pyarrow.string()}
    try:
        table = pyarrow.table({name: pyarrow.array(values, types[kind]) for name, (kind, values) in columns.items()})
    except UnicodeEncodeError as error:
        raise MsCoresetError(f"{path}: a name in it is no Unicode text, which .parquet can't hold; .csv can") from error
    with atomic_write(path) as stream:
        parquet.write_table(table, stream)
