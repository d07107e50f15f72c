"""Files of similarities that were computed elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import SIMILARITY
from ms_coreset.evidence_checks import as_similarity
from ms_coreset.files import open_file, reading
from ms_coreset.npy_files import open_array
from ms_coreset.selectors import METHODS
from ms_coreset.selectors.catalogue import PRECOMPUTED
from ms_coreset.selectors.choice import Choice

if TYPE_CHECKING:
    from ms_coreset.datasets.split import Split


def with_similarity(split: Split, path: str) -> Split:
    """A copy of ``split`` with the similarities of a file in ``known``.

    Args:
        split: the whole training split
        path: .npy, an (n, n) array, which is mapped; or .npz, a sparse matrix as ``scipy.sparse.save_npz`` writes it

    Raises:
        MsCoresetError: for a file that can't be read, or is of another number of samples.
    """
    try:
        return replace(split, known={**split.known, SIMILARITY: as_similarity(_read(path), len(split))})
    except MsCoresetError as error:
        raise MsCoresetError(str(error) if path in str(error) else f"{path}: {error}") from error


def _read(path: str) -> Any:
    suffix = Path(path).suffix.lower()
    if suffix == ".npy":
        return open_array(path)
    if suffix != ".npz":
        raise MsCoresetError(f"{path}: similarities are read of .npy, an array, and .npz, a sparse matrix of SciPy")
    from scipy.sparse import load_npz  # scipy takes longer to load than --help may

    with reading(path, "sparse matrix (.npz of scipy.sparse.save_npz)"), open_file(path) as stream:
        return load_npz(stream)


def by_similarity(choice: Choice, path: str | None) -> Choice:
    """The choice, by the similarities of a file where one is given, unless it names another kernel.

    Raises:
        MsCoresetError: where a file is given for nothing, or is lacking.
    """
    options = METHODS[choice.name].options if choice.name in METHODS else {}
    if path is None and choice.options.get("kernel") == PRECOMPUTED:
        raise MsCoresetError(f"{choice.name}: kernel {PRECOMPUTED} goes with --similarity FILE")
    if path is None:
        return choice
    if "kernel" not in options or choice.options.get("kernel", PRECOMPUTED) != PRECOMPUTED:
        suited = ", ".join(name for name in METHODS.names() if "kernel" in METHODS[name].options)
        kernel = f" with kernel {choice.options['kernel']}" if "kernel" in options else ""
        raise MsCoresetError(f"--similarity {path} is of no use to {choice.name}{kernel}: it goes with {suited}")
    return replace(choice, options={**choice.options, "kernel": PRECOMPUTED})
