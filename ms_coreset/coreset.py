"""The result of a selection, and its files."""

from __future__ import annotations

import contextlib
import json
import math
import os
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import numpy as np

from ms_coreset.arrays import as_array, plain
from ms_coreset.errors import MsCoresetError, require_kind, require_whole, warn
from ms_coreset.files import atomic_write
from ms_coreset.npz import read_npz
from ms_coreset.pickle_files import read_pickle
from ms_coreset.randomness import check_seed
from ms_coreset.tables import SUFFIXES, Column, frame_of, write_parquet, write_table

if TYPE_CHECKING:
    from ms_coreset.datasets.split import Split

_LARGEST = 10**9  # samples: a damaged file must not make ``keep_mask`` take any amount of memory
_LARGEST_NOTES = 1 << 24  # bytes of the manifest, four a letter
_OPTIONAL = ("weights", "scores", "pool", "gains")


@dataclass(frozen=True)
class Coreset:
    """The result of a selection: which samples are kept, in which order, with which weights.

    Arrays may be of any library, as in ``Evidence``. NumPy numbers and arrays in the options and the manifest become
    Python's, and tuples become lists, so that loading a file gives back what was saved.

    Attributes:
        indices: (k,) int64 places of the kept samples in the data set, all different, in pick order (of methods that
            keep a part of a ranking: in the order of the ranking).
        n: size of the data set they point into.
        rate: share of the samples that was asked for, in (0, 1].
        method: the method that picked them.
        options: its options.
        seed: its seed, 0 to 2**32 - 1.
        weights: (k,) float64, the weight of each in training, or None.
        scores: (n,) float64, high = keep, or None; NaN outside the pool.
        pool: (m,) ascending places of the samples that it was chosen from, or None for all n.
        gains: (k,) float64, what each pick added to the value of the set function that was maximized, at its time: a
            place to cut a ranking is where they get small. None for other methods.
        manifest: further notes as plain values, such as versions, data and command.

    Raises:
        MsCoresetError: for indices that are out of range or repeated, for weights, gains or scores of another shape,
            and for values of another type or range than above.
    """

    indices: np.ndarray
    n: int
    rate: float
    _: KW_ONLY
    method: str
    options: dict = field(default_factory=dict)
    seed: int = 0
    weights: np.ndarray | None = None
    scores: np.ndarray | None = None
    pool: np.ndarray | None = None
    gains: np.ndarray | None = None
    manifest: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_whole("n, the size of the data set,", self.n)
        if self.n > _LARGEST:
            raise MsCoresetError(f"a data set of {self.n} samples: at most {_LARGEST:,} can be told apart")
        found = {name: np.asarray(as_array(name, value)) for name in ("indices", *_OPTIONAL)
                 if (value := getattr(self, name)) is not None}
        for name, what in (("indices", "coreset ind"), ("pool", "pool ind")):
            if name in found:
                found[name] = _places(what, found[name], self.n)
        for name, value in found.items():
            object.__setattr__(self, name, value)
        for name in ("weights", "gains"):
            values = found.get(name)
            if values is not None and not (_holds_numbers(values) and np.shape(values) == (len(self),)
                                           and np.isfinite(values).all()):
                raise MsCoresetError(f"{len(self)} coreset indices but {name} of shape {np.shape(values)}, or not "
                                     "all of them finite numbers")
        if self.scores is not None and not (_holds_numbers(self.scores) and np.shape(self.scores) == (self.n,)):
            raise MsCoresetError(f"a data set of {self.n} but scores of shape {np.shape(self.scores)}, or no numbers")
        rate = self.rate
        if isinstance(rate, bool) or not isinstance(rate, int | float | np.number) or not 0 < rate <= 1:
            raise MsCoresetError(f"rate {rate}: must be above 0 and at most 1, the share that was asked for")
        check_seed(self.seed)
        for name, kind in (("method", str), ("options", dict), ("manifest", dict)):
            require_kind(name, getattr(self, name), kind)
        for name in ("n", "rate", "method", "options", "seed", "manifest"):
            object.__setattr__(self, name, plain(getattr(self, name)))

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        """The places of the kept samples, in pick order."""
        return iter(self.indices.tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """``indices``, so that a coreset is an index of arrays: ``features[coreset]``."""
        found = np.asarray(self.indices, dtype)
        return found.copy() if copy else found

    @property
    def keep_mask(self) -> np.ndarray:
        """(n,) bool: which samples are kept."""
        mask = np.zeros(self.n, bool)
        mask[self.indices] = True
        return mask

    @property
    def dropped(self) -> np.ndarray:
        """(n - k,) int64 places of the dropped samples, by ascending score, or ascending if there are no scores.

        For Moderate this is the order of its repository: the near tail, then the far tail.
        """
        dropped = np.flatnonzero(~self.keep_mask)
        if self.scores is None:
            return dropped
        return dropped[np.argsort(self.scores[dropped], kind="stable")]

    def sort_by_index(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The kept samples in the order of the data set, in which training takes them.

        Returns:
            (indices, weights): (k,) int64 places in ascending order, and the (k,) float64 weights of the same samples,
            or None for a coreset without weights. The coreset itself keeps its pick order.
        """
        order = np.argsort(self.indices)
        return self.indices[order], None if self.weights is None else self.weights[order]

    def ascending(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The old name of ``sort_by_index``, deprecated: it warns.

        Returns:
            What ``sort_by_index`` returns.
        """
        warn("Coreset.ascending is deprecated: it is now Coreset.sort_by_index", DeprecationWarning)
        return self.sort_by_index()

    def within(self, pool: np.ndarray, n: int) -> Coreset:
        """Convert a coreset of a part of a data set to a coreset of the whole data set.

        Args:
            pool: (m,) places of the part's samples in the whole data set; m is this coreset's ``n``.
            n: size of the data set.

        Returns:
            A ``Coreset`` of the whole data set; its scores are NaN outside the pool.

        Raises:
            MsCoresetError: if ``pool`` has another number of places than this coreset's ``n``, or one is out of range
                or repeated.
        """
        pool = _places("pool ind", np.asarray(as_array("pool", pool)), n)
        self._require_of_size(len(pool), "the pool")
        scores = None
        if self.scores is not None:
            scores = np.full(n, np.nan)
            scores[pool] = self.scores
        made_from = pool if self.pool is None else pool[self.pool]
        return Coreset(pool[self.indices], n, self.rate, method=self.method, options=self.options, seed=self.seed,
                       weights=self.weights, scores=scores, pool=made_from, gains=self.gains, manifest=self.manifest)

    def summary(self, split: Split) -> dict:
        """Count what was kept of ``split``: samples, classes, and samples known to be bad.

        Args:
            split: the data set that the coreset was chosen from.

        Returns:
            A dict. "kept", "available": numbers of samples; "per_class": (min, median, max) number of kept samples over
            the classes, None without labels; "bad_available", "bad_kept": share of samples that a known perturbation
            touched, among those available and among those kept, or None if none is known; "bad_by_kind": kind of
            perturbation -> the same two shares.

        Raises:
            MsCoresetError: for a split of another size.
        """
        self._require_of_size(len(split), "the split")
        available = slice(None) if self.pool is None else self.pool
        per_class = np.bincount(split.labels[self.indices], minlength=split.num_classes)
        bad = None if split.bad is None else (float(split.bad[available].mean()), float(split.bad[self.indices].mean()))
        return {"kept": len(self), "available": self.n if self.pool is None else len(self.pool),
                "per_class": (int(per_class.min()), float(np.median(per_class)), int(per_class.max()))
                if split.num_classes else None,
                "bad_available": bad and bad[0], "bad_kept": bad and bad[1],
                "bad_by_kind": self._bad_by_kind(split, available)}

    def _bad_by_kind(self, split: Split, available: Any) -> dict[str, tuple]:
        if split.bad_kinds is None:
            return {}
        names = map(str, split.manifest.get("kinds") or [split.manifest.get("kind", "bad")])
        return {name: tuple(float((split.bad_kinds[rows] == code).mean()) for rows in (available, self.indices))
                for code, name in enumerate(names, start=1)}

    def save(self, path: str | os.PathLike, dropped: str | os.PathLike | None = None) -> None:
        """Write the coreset to ``path`` (.npz): the arrays, and all else as JSON in the entry "manifest".

        Args:
            path: the file.
            dropped: a second file, for the dropped places as ``save_dropped`` writes them; then both files are
                written, or neither is.

        Raises:
            MsCoresetError: if a file can't be written, and for options or a manifest that JSON can't hold.
        """
        with contextlib.ExitStack() as files:
            whole = files.enter_context(atomic_write(path))
            if dropped is not None:
                self._write_dropped(files.enter_context(atomic_write(dropped)))
            self._write(whole)
            whole.flush()  # what fails for want of space fails here, before either file gets its name

    def _write(self, stream: IO[bytes]) -> None:
        arrays = {name: value for name in ("indices", *_OPTIONAL)
                  if (value := getattr(self, name)) is not None}
        notes = plain({"n": self.n, "rate": self.rate, "method": self.method, "options": self.options,
                       "seed": self.seed, "indices": "kept, in pick order", **self.manifest})
        np.savez_compressed(stream, manifest=np.array(json.dumps(notes, default=_refuse_to_write)), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Coreset:
        """Read a coreset that ``save`` wrote.

        Args:
            path: the file.

        Returns:
            A ``Coreset``.

        Raises:
            MsCoresetError: if the file is missing, damaged or no coreset file; it names the file.
        """
        if not os.path.isfile(path):
            raise MsCoresetError(f"no coreset file {path}: make one with ms-coreset select")
        what = "whole coreset file (.npz of ms-coreset select)"
        arrays: dict[str, Any] = read_npz(path, ("manifest", "indices", *_OPTIONAL), most={"manifest": _LARGEST_NOTES},
                                          what=what)
        try:
            notes = json.loads(str(arrays.pop("manifest")))
            described = {name: notes.pop(name) for name in ("n", "rate", "method", "options", "seed")}
            notes.pop("indices", None)
            return cls(arrays.pop("indices"), **described, **arrays, manifest=notes)
        except MsCoresetError as error:
            raise MsCoresetError(f"{path} is not a {what}: {error}") from error
        except Exception as error:  # the notes are not JSON, or lack an entry
            raise MsCoresetError(f"{path} is not a {what}") from error

    def save_dropped(self, path: str | os.PathLike) -> None:
        """Write the dropped places as the Moderate repository does: a pickled int64 array, in the order of ``dropped``.

        Args:
            path: the file.

        Raises:
            MsCoresetError: if the file can't be written.
        """
        with atomic_write(path) as stream:
            self._write_dropped(stream)

    def _write_dropped(self, stream: IO[bytes]) -> None:
        pickle.dump(self.dropped, stream, protocol=4)
        stream.flush()

    def to_torch_subset(self, dataset: Any) -> Any:
        """A ``torch.utils.data.Subset`` of ``dataset`` with the kept samples, in pick order.

        Args:
            dataset: a PyTorch data set of n samples.

        Returns:
            The ``Subset``.

        Raises:
            MsCoresetError: for a data set of another size, or without a length.
        """
        from torch.utils.data import Subset

        if not hasattr(dataset, "__len__"):
            raise MsCoresetError(f"a {type(dataset).__name__} has no length: give the data set that was selected from")
        self._require_of_size(len(dataset), "this one")
        return Subset(dataset, self.indices.tolist())

    def to_hf(self, dataset: Any) -> Any:
        """A Hugging Face ``datasets.Dataset`` of the kept samples, in pick order.

        It has the columns of ``dataset`` and coreset_index, the place in that; coreset_weight, 1 where the coreset has
        no weights; and coreset_score where it has scores. Nothing is copied but these: ``Dataset.select`` keeps places.

        Args:
            dataset: a ``datasets.Dataset`` of n samples.

        Returns:
            The ``Dataset``.

        Raises:
            MsCoresetError: for another kind of data set, one of another size, or with columns of these names.
        """
        if not all(hasattr(dataset, name) for name in ("select", "add_column", "column_names")):
            raise MsCoresetError(f"a {type(dataset).__name__} is no Dataset of Hugging Face's datasets; of a "
                                 "DatasetDict give one split, as in data[\"train\"]")
        self._require_of_size(len(dataset), "this one")
        weights = np.zeros(self.n)
        weights[self.indices] = self._weights
        added = {"coreset_index": np.arange(self.n), "coreset_weight": weights}
        if self.scores is not None:
            added["coreset_score"] = self.scores
        taken = sorted(added.keys() & set(dataset.column_names))
        if taken:
            raise MsCoresetError(f"the data set has a column {taken[0]} already: rename it first")
        for name, values in added.items():  # before samples are left out: after that, all columns would be copied
            dataset = dataset.add_column(name, values.tolist())
        return dataset.select(self.indices.tolist())

    def to_fiftyone(self, dataset: Any, split: Split, field: str = "coreset") -> Any:
        """Write into a ``fiftyone.Dataset`` what became of each sample, which is found by its file's name.

        Samples of ``split`` get the fields coreset_kept, coreset_weight (of the kept, 1 where the coreset has no
        weights) and coreset_score (where it has scores and the sample was in the pool), and one of the tags
        coreset_kept and coreset_dropped; other samples of the data set are left as they are. What an earlier call has
        written under the same names is replaced.

        Files are the same whose whole paths are; where no path is, as after a folder was moved, those that end in the
        name below the folder of ``split``.

        Args:
            dataset: a ``fiftyone.Dataset`` or a view of one.
            split: the data set that was selected from, whose images have names of files.
            field: what the names of fields and tags begin with.

        Returns:
            A view of the kept samples.

        Raises:
            MsCoresetError: for a split of another size or without names, another kind of data set, and one that has
                none of the files, or several of a name.
        """
        if not all(hasattr(dataset, name) for name in ("set_values", "select_by", "untag_samples")):
            raise MsCoresetError(f"a {type(dataset).__name__} is no Dataset of FiftyOne")
        self._require_of_size(len(split), "the split")
        found = _by_file(split, *dataset.values(["filepath", "id"]))
        weights = dict(zip(self.indices.tolist(), self._weights.tolist(), strict=True))
        scores = {} if self.scores is None else dict(enumerate(self.scores.tolist()))
        values: dict[str, dict[int, Any]] = {
            "kept": dict(enumerate(self.keep_mask.tolist())), "weight": weights,
            "score": {place: score for place, score in scores.items() if not math.isnan(score)}}
        for name, of_places in values.items():
            if of_places or dataset.has_field(f"{field}_{name}"):
                dataset.set_values(f"{field}_{name}", {sample: of_places.get(place) for sample, place in found.items()},
                                   key_field="id")
        dataset.untag_samples([f"{field}_kept", f"{field}_dropped"])
        for state, tag in ((True, f"{field}_kept"), (False, f"{field}_dropped")):
            dataset.select_by(f"{field}_kept", [state]).tag_samples(tag)
        return dataset.select_by(f"{field}_kept", [True])

    def _require_of_size(self, n: int, whose: str) -> None:
        if n != self.n:
            raise MsCoresetError(f"the coreset is of a data set of {self.n} samples, {whose} has {n}: use it with the "
                                 "data that it was selected from")

    def export(self, path: str | os.PathLike, split: Split | None = None) -> None:
        """Write what was kept, by the suffix of the file.

        .txt and .json list the kept places in pick order: a line each, or {"indices", "weights"} (and
        "gains", if there are). .csv and .parquet
        are tables of the kept in pick order, and with ``split`` then of the others by their place, with the columns

        * index: place in the data set
        * path: its file below the data set's folder, with "/" between folders; none of data that do not lie in files
        * label, class: its label, and the name of that
        * score: high = keep; none without scores
        * weight: of the kept, 1 where the coreset has no weights
        * gain: of the kept, only where the coreset has gains
        * state: "kept", "dropped", or "outside" the pool that the choice was made from

        Path, label and class need ``split``. What there is none of is empty in .csv, null in .parquet.

        Args:
            path: the file.
            split: the data set.

        Raises:
            MsCoresetError: for another suffix, a split of another size, and .parquet without pyarrow.
        """
        path = Path(path)
        weights = self._weights.tolist()
        rows = self.indices.tolist()
        gains = {} if self.gains is None else {"gains": self.gains.tolist()}
        lists = {".txt": lambda: "".join(f"{row}\n" for row in rows),
                 ".json": lambda: json.dumps({"indices": rows, "weights": weights, **gains}) + "\n"}
        if path.suffix in SUFFIXES:
            write_table(path, self._table(split))
            return
        if path.suffix not in lists:
            raise MsCoresetError(f"can't export to {path}: the name must end in {', '.join((*lists, *SUFFIXES))}")
        with atomic_write(path, "w", encoding="utf-8") as stream:
            stream.write(lists[path.suffix]())

    def to_frame(self, split: Split | None = None) -> Any:
        """The table of ``export`` as a ``pandas.DataFrame``.

        Args:
            split: the data set; with it the dropped samples follow the kept ones.

        Returns:
            A DataFrame with the columns index, path, label, class, score, weight and state.

        Raises:
            MsCoresetError: for a split of another size, and where pandas is not installed.
        """
        return frame_of(self._table(split))

    def to_parquet(self, path: str | os.PathLike, split: Split | None = None) -> None:
        """Write the table of ``export`` as Apache Parquet, whatever the file's suffix.

        Args:
            path: the file.
            split: the data set; with it the dropped samples follow the kept ones.

        Raises:
            MsCoresetError: for a split of another size, and where pyarrow is not installed.
        """
        write_parquet(path, self._table(split))

    @property
    def _weights(self) -> np.ndarray:
        return np.ones(len(self)) if self.weights is None else self.weights

    def _table(self, split: Split | None) -> dict[str, Column]:
        """The columns of ``export``."""
        order, state = self.indices, ["kept"] * len(self)
        if split is not None:
            self._require_of_size(len(split), "the split")
            order = np.concatenate([order, np.flatnonzero(~self.keep_mask)])
            pooled = np.ones(self.n, bool) if self.pool is None else np.isin(np.arange(self.n), self.pool)
            state += np.where(pooled[order[len(self):]], "dropped", "outside").tolist()
        nothing: list[None] = [None] * len(order)
        names = None if split is None else split.file_names()
        labels = None if split is None or split.known_labels is None else split.known_labels[order].tolist()
        classes = None if split is None or labels is None else [split.classes[label] for label in labels]
        scores = nothing if self.scores is None else [None if np.isnan(score) else score
                                                      for score in self.scores[order].tolist()]
        return {"index": (int, order.tolist()),
                "path": (str, nothing if names is None else [names[place] for place in order]),
                "label": (int, labels or nothing), "class": (str, classes or nothing),
                "score": (float, scores),
                "weight": (float, [*self._weights.tolist(), *nothing[len(self):]]),
                **({} if self.gains is None else {"gain": (float, [*self.gains.tolist(), *nothing[len(self):]])}),
                "state": (str, state)}


def _by_file(split: Split, paths: Sequence[str], samples: Sequence[str]) -> dict[str, int]:
    """Sample -> place in ``split``, of the ``samples`` whose files, ``paths``, are files of it.

    Raises:
        MsCoresetError: where none is, where two paths end in the same name, and for a split without names.
    """
    names = split.file_names()
    if names is None:
        raise MsCoresetError(f"{split.name} does not lie in files of its own: FiftyOne finds samples by their files")
    root = getattr(split.images, "root", None)
    whole = {} if root is None else {os.path.abspath(os.path.join(root, name)): place
                                     for place, name in enumerate(names)}
    if found := {sample: whole[path] for sample, path in zip(samples, paths, strict=True) if path in whole}:
        return found
    below = {name: place for place, name in enumerate(names)}
    depths = sorted({name.count("/") + 1 for name in names})
    for sample, path in zip(samples, paths, strict=True):
        parts = path.replace(os.sep, "/").split("/")
        place = next((below[end] for depth in depths if (end := "/".join(parts[-depth:])) in below), None)
        if place is not None:
            found[sample] = place
    if not found or len({*found.values()}) < len(found):
        raise MsCoresetError(f"{'several' if found else 'no'} samples of FiftyOne's data set have a file of "
                             f"{split.name} such as {names[0]}: their filepath has to end in that")
    return found


def _places(what: str, places: np.ndarray, n: int) -> np.ndarray:
    """Check places in a data set of n and return them as (k,) int64; ``what`` begins their name in messages."""
    places = np.asarray(places)
    if places.ndim != 1 or not np.issubdtype(places.dtype, np.integer):
        raise MsCoresetError(f"{what}ices must be a (k,) array of integers, got {places.dtype} of shape {places.shape}")
    if len(places) and not 0 <= places.min() <= places.max() < n:
        wrong = places.max() if places.max() >= n else places.min()
        raise MsCoresetError(f"{what}ex {wrong} is out of range for a data set of {n}")
    if len(np.unique(places)) != len(places):
        raise MsCoresetError(f"{what}ices hold a place twice: a coreset holds each index once")
    return places.astype(np.int64)


def _refuse_to_write(value: Any) -> NoReturn:
    raise MsCoresetError(f"a {type(value).__name__} in the options or the manifest can't be kept in a coreset's file: "
                         "only numbers, texts, lists and dicts can")


def _holds_numbers(array: np.ndarray) -> bool:
    return np.asarray(array).dtype.kind in "iuf"


def read_dropped(path: str | os.PathLike, n: int) -> np.ndarray:
    """The places that are kept according to a file of dropped places.

    Args:
        path: a file of dropped places, as the Moderate repository or ``save_dropped`` writes it.
        n: size of the data set.

    Returns:
        (k,) int64 places of the samples that the file does not drop, ascending.

    Raises:
        MsCoresetError: if the file is damaged, drops a place out of range, or drops every sample; it names the file.
    """
    dropped = np.asarray(read_pickle(path))
    if dropped.ndim != 1 or (dropped.size and not np.issubdtype(dropped.dtype, np.integer)):
        raise MsCoresetError(f"{path} does not hold a list of dropped places")
    if dropped.size and not 0 <= dropped.min() <= dropped.max() < n:
        raise MsCoresetError(f"{path} drops sample {dropped.max()}, but the training split has {n}: "
                             "was it made for another data set?")
    kept = np.setdiff1d(np.arange(n), dropped)
    if not len(kept):
        raise MsCoresetError(f"{path} drops every sample")
    return kept
