"""The job of ``duplicates``: which samples are the same, or nearly so, in the training split and in the test split."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ms_coreset.arrays import as_array
from ms_coreset.checksums import array_digest
from ms_coreset.coreset import Coreset
from ms_coreset.datasets.pictures import in_order
from ms_coreset.datasets.readers.image_files import ImageFiles
from ms_coreset.datasets.split import Split
from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence
from ms_coreset.evidence_checks import require_finite
from ms_coreset.extraction import extract
from ms_coreset.extraction.picture_features import picture_features
from ms_coreset.identity import data_identity
from ms_coreset.jobs.attacked import training_split
from ms_coreset.jobs.base_network import base_network
from ms_coreset.jobs.computing import set_up
from ms_coreset.jobs.sources import NETWORK, Runtime, Sources
from ms_coreset.jobs.steps import Steps
from ms_coreset.selectors.near_duplicates import EUCLIDEAN, WHITENED, Groups, near_duplicates, threshold_of
from ms_coreset.tables import Column
from ms_coreset.terminal import note

BYTES, PIXELS, FEATURES, NEAR = "bytes", "pixels", "features", "near"  # in what two samples are the same
_SURELY = 1 - 1e-6  # cosine, from which pixels are compared
_LARGE = 0.05  # share of the samples in one group, from which its threshold is doubted


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Groups of samples that are the same, or nearly so; see ``duplicates``.

    Attributes:
        train: the training split.
        test: the test split, or None.
        groups: of places, those of the test split counted on from len(train); see ``Groups``.
        kinds: (m,) in what each member and its mate are the same: "bytes" of their files, "pixels", "features" where
            there are no images, or "near".
        metric: how features were compared.
        threshold: from which, or up to which, samples are near.
        compared: what the features are of.
        drop_leaks: whether no training sample is left of a group with test samples.
    """

    train: Split
    test: Split | None
    groups: Groups
    kinds: Sequence[str]
    metric: str
    threshold: float
    compared: str
    drop_leaks: bool = False

    @cached_property
    def labels(self) -> np.ndarray | None:
        """(n,) labels of all samples, or None where none are known."""
        known = [split.known_labels for split in self.splits]
        return None if any(labels is None for labels in known) else np.concatenate(known)  # type: ignore[arg-type]

    @property
    def splits(self) -> list[Split]:
        """The training split, and the test split if there is one."""
        return [self.train] if self.test is None else [self.train, self.test]

    @cached_property
    def leaks(self) -> np.ndarray:
        """(groups,) bool: which have samples of both splits."""
        tested = self._of_groups(self.groups.members >= len(self.train))
        return tested & self._of_groups(self.groups.members < len(self.train))

    @cached_property
    def conflicts(self) -> np.ndarray:
        """(groups,) bool: which have samples of different labels."""
        if self.labels is None or not len(self.groups):
            return np.zeros(len(self.groups), bool)
        first = self.labels[[places[0] for places in self.groups.each()]]
        return self._of_groups(self.labels[self.groups.members] != first[self.groups.numbers])

    @cached_property
    def equal(self) -> np.ndarray:
        """(groups,) bool: which have no near members, but equal ones alone."""
        return ~self._of_groups(np.array([kind == NEAR for kind in self.kinds], bool))

    @cached_property
    def dropped(self) -> np.ndarray:
        """Places of the training samples to drop, ascending: of each group all but the first, or all of a leak."""
        members, numbers = self.groups.members, self.groups.numbers
        first = np.r_[True, np.diff(numbers) > 0][:len(numbers)]
        kept = first & ~(self.leaks[numbers] & self.drop_leaks)
        return np.sort(members[~kept & (members < len(self.train))])

    @property
    def kept(self) -> Coreset:
        """The training samples that are left, as a coreset, which train, select and ``link_kept`` take."""
        left = np.setdiff1d(np.arange(len(self.train)), self.dropped)
        if not len(left):
            raise MsCoresetError(f"every sample of {self.train.name} would be dropped")
        options = {"metric": self.metric, "threshold": self.threshold, "drop_leaks": self.drop_leaks}
        identity = {} if self.train.images is None else {"data": data_identity(self.train)}
        return Coreset(left, len(self.train), len(left) / len(self.train), method="duplicates", options=options,
                       manifest={"dataset": self.train.name, "compared": self.compared, **identity})

    def place(self, place: int) -> tuple[Split, int]:
        """The split that a place in the groups is of, and the place there."""
        n = len(self.train)
        return (self.train, place) if place < n or self.test is None else (self.test, place - n)

    def name(self, place: int) -> str:
        """A sample's file, or the name of its split and its place."""
        split, row = self.place(place)
        names = self._names[not split.train]
        return f"{'train' if split.train else 'test'} {row}" if names is None else names[row]

    @cached_property
    def _names(self) -> list[list[str] | None]:
        return [split.file_names() for split in self.splits]

    def table(self) -> dict[str, Column]:
        """A row for each member, as ``write_table`` takes it.

        group, size of it; split, index in that, path, label, class; mate: what is most like it, kind, and "cosine" or
        "distance"; conflict: "labels" where the group has several; leak: "test" where it has samples of both splits;
        state: "kept" or "dropped" of training samples.
        """
        members, numbers = self.groups.members, self.groups.numbers
        rows = [self.place(place) for place in members.tolist()]
        sizes = np.bincount(numbers, minlength=1)
        dropped = set(self.dropped.tolist())
        paths = [None if (names := self._names[not split.train]) is None else names[row] for split, row in rows]
        labels = [None if split.known_labels is None else int(split.labels[row]) for split, row in rows]
        states = [None if not split.train else "dropped" if row in dropped else "kept" for split, row in rows]
        marks = {name: [name_of if found[number] else None for number in numbers.tolist()]
                 for name, name_of, found in (("conflict", "labels", self.conflicts), ("leak", "test", self.leaks))}
        return {"group": (int, numbers.tolist()), "size": (int, sizes[numbers].tolist()),
                "split": (str, ["train" if split.train else "test" for split, _ in rows]),
                "index": (int, [row for _, row in rows]), "path": (str, paths), "label": (int, labels),
                "class": (str, [None if label is None else split.classes[label]
                                for (split, _), label in zip(rows, labels, strict=True)]),
                "mate": (str, [self.name(place) for place in self.groups.mates.tolist()]),
                "kind": (str, list(self.kinds)),
                "distance" if self.metric == EUCLIDEAN else "cosine": (float, self.groups.nearness.tolist()),
                "conflict": (str, marks["conflict"]), "leak": (str, marks["leak"]), "state": (str, states)}

    def _of_groups(self, members: np.ndarray) -> np.ndarray:
        """(groups,) bool: which have a member that ``members`` (m,) marks."""
        return np.bincount(self.groups.numbers, members, len(self.groups)) > 0


def duplicates(data: Any, test: Any = None, *, features: Any = None, test_features: Any = None, metric: str = WHITENED,
               threshold: float | None = None, drop_leaks: bool = False, seed: int = 0,
               cache: str | os.PathLike | None = None) -> Duplicates:
    """Find the samples that are the same, or nearly so, also in a test split.

    Same are files of the same bytes, images of the same pixels and, where there are no images, equal features. Near are
    those whose features are (``near_duplicates``). Groups are what hangs together by such pairs; in each, the training
    sample that comes first is suggested to be kept.

    The features are, in this order, those that are given, those that came with the data, or ``picture_features``, which
    take neither labels nor a network. For these the default threshold was measured (docs/duplicates.md); for others
    look at the least alike pairs.

    Args:
        data: a ``Split``, an ``Evidence`` with features, or features (n, d).
        test: the same of test samples, or None.
        features: (n, d) of the samples of ``data``, such as a network's.
        test_features: (m, d) of those of ``test``.
        metric: "whitened", "cosine" or "euclidean", see ``near_duplicates``.
        threshold: the least cosine, or the largest Euclidean distance, of samples that are near; by default 0.7
            whitened, 0.99 cosine.
        drop_leaks: whether to drop all training samples of a group with test samples, not all but the first.
        seed: of the random patches.
        cache: folder where ``picture_features`` are kept.

    Returns:
        ``Duplicates``.

    Raises:
        MsCoresetError: for data without images and features, features of another number or width, images of another
            kind in the test split, a metric or threshold that can't be meant, or one that calls everything alike.
    """
    threshold = threshold_of(metric, threshold)
    splits = [_as_split(data, True)] + ([] if test is None else [_as_split(test, False)])
    given = [features, test_features][:len(splits)]
    rows, compared = _features(splits, given, seed, cache)
    keys, kind = _keys(splits, rows)
    groups = near_duplicates(np.concatenate(rows), keys, metric=metric, threshold=threshold)
    found = Duplicates(train=splits[0], test=splits[1] if len(splits) > 1 else None, groups=groups,
                       kinds=[kind if equal else NEAR for equal in groups.equal], metric=metric, threshold=threshold,
                       compared=compared, drop_leaks=drop_leaks)
    _tell_doubts(found)
    return _with_pixels(found)


@dataclass(frozen=True)
class DuplicatesJob:
    """Duplicates that are wanted of a data set by its name.

    Attributes:
        sources: of the data, and of the network whose features are compared, where ``sources.evidence`` names one.
        metric: see ``duplicates``.
        threshold: see ``duplicates``.
        drop_leaks: see ``duplicates``.
        test: whether the test split is looked at, too.
        runtime: what the network computes on.
    """

    sources: Sources
    metric: str = WHITENED
    threshold: float | None = None
    drop_leaks: bool = False
    test: bool = True
    runtime: Runtime = field(default_factory=Runtime)


def find_duplicates(job: DuplicatesJob) -> Duplicates:
    """Find the duplicates of a data set; raises ``MsCoresetError`` as ``duplicates``, and for data that are missing."""
    threshold_of(job.metric, job.threshold)
    sources = job.sources
    device = set_up(job.runtime, sources.network)
    train = training_split(sources)
    test = sources.data.load(train=False) if job.test else None
    features: list[np.ndarray | None] = [None, None]
    if sources.evidence.kind == NETWORK:
        network, checkpoint = base_network(sources, train, device, Steps())
        cache = sources.evidence.cache
        features = [None if split is None else extract(network, split, ["features"], cache=cache).features
                    for split in (train, test)]
        note(f"features of {checkpoint}: the default threshold was measured with random patches")
    return duplicates(train, test, features=features[0], test_features=features[1], metric=job.metric,
                      threshold=job.threshold, drop_leaks=job.drop_leaks, seed=sources.seed,
                      cache=sources.evidence.cache)


def _as_split(data: Any, train: bool) -> Split:
    """Data of any kind as a ``Split``; of arrays one without images."""
    if isinstance(data, Split):
        return data
    evidence = data if isinstance(data, Evidence) else Evidence(features=np.asarray(as_array("features", data)))
    if evidence.features is None:
        raise MsCoresetError("this evidence has no features to compare: give them, or a split with images")
    labels, classes = np.zeros(len(evidence), np.int64), tuple[str, ...]()
    if evidence.labels is not None:
        values, labels = np.unique(evidence.labels, return_inverse=True)
        classes = tuple(map(str, values))
    return Split("features", None, labels, classes=classes, mean=(), std=(), train=train,
                 known={"features": np.asarray(evidence.features)})


def _features(splits: Sequence[Split], given: Sequence[Any], seed: int,
              cache: str | os.PathLike | None) -> tuple[list[np.ndarray], str]:
    """The features (n, d) of each split, and what they are of."""
    found = [split.known.get("features") if rows is None else np.asarray(as_array("features", rows))
             for split, rows in zip(splits, given, strict=True)]
    if any(rows is None for rows in found):
        if any(rows is not None for rows in found):
            raise MsCoresetError("features of one split alone: give those of the test split, too, or leave it out")
        shapes = {split.require_images().shape[1:] for split in splits}
        if len(shapes) > 1:
            raise MsCoresetError(f"training and test images of shapes {' and '.join(map(str, sorted(shapes)))}")
        return picture_features(splits, seed=seed, cache=cache), "random patches"
    told = [rows for rows in found if rows is not None]
    for split, rows in zip(splits, told, strict=True):
        if rows.ndim != 2 or len(rows) != len(split) or rows.dtype.kind not in "fiu":
            raise MsCoresetError(f"features must be ({len(split)}, d) numbers, got {rows.dtype} of shape {rows.shape}")
        require_finite(rows, "features" if split.train else "test features", range(len(rows)))
    if len({rows.shape[1] for rows in told}) > 1:
        raise MsCoresetError(f"features of {told[0].shape[1]} and {told[1].shape[1]} numbers can't be compared")
    return told, "given features"


def _keys(splits: Sequence[Split], features: Sequence[np.ndarray]) -> tuple[np.ndarray, str]:
    """(n,) numbers, the same for samples that are the same, and in what they are."""
    files = [split.images for split in splits if isinstance(split.images, ImageFiles)]
    if len(files) == len(splits):
        return np.unique(_file_digests(files), return_inverse=True)[1], BYTES
    arrays = all(isinstance(split.images, np.ndarray) for split in splits)
    contents = [split.images for split in splits] if arrays else features
    digests = np.array([array_digest(row) for rows in contents for row in rows])  # type: ignore[union-attr]
    return np.unique(digests, return_inverse=True)[1], PIXELS if arrays else FEATURES


def _file_digests(files: Sequence[ImageFiles]) -> list[str]:
    """A text for each file, the same for files of the same bytes; those of a size of their own are not read."""
    sizes = np.concatenate([images.sizes for images in files])
    _, of_size, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    places = [(images, place) for images in files for place in range(len(images))]
    alone = counts[of_size] == 1
    return in_order(lambda row: str(row) if alone[row] else places[row][0].bytes_digest(places[row][1]),
                    range(len(places)))


def _with_pixels(found: Duplicates) -> Duplicates:
    """``found`` after the pixels of files were compared whose features are the same."""
    kinds = list(found.kinds)
    if found.metric == EUCLIDEAN or not all(isinstance(split.images, ImageFiles) for split in found.splits):
        return found
    groups = found.groups
    for i in np.flatnonzero((groups.nearness >= _SURELY) & ~groups.equal):
        one, other = (split.require_images()[row] for split, row in
                      (found.place(int(groups.members[i])), found.place(int(groups.mates[i]))))
        kinds[i] = PIXELS if np.array_equal(one, other) else NEAR
    return replace(found, kinds=kinds)


def _tell_doubts(found: Duplicates) -> None:
    sizes = np.bincount(found.groups.numbers, minlength=1)
    total = sum(map(len, found.splits))
    if sizes.max() > max(20, _LARGE * total):
        note(f"one group has {sizes.max():,} of {total:,} samples: if they are not alike, the threshold "
             f"{found.threshold:g} is too loose for these data")
