"""One split of a data set: images, labels, and the perturbation if there is one."""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np

from ms_coreset.arrays import logits_of
from ms_coreset.checksums import array_digest
from ms_coreset.datasets.pictures import Pictures
from ms_coreset.errors import MsCoresetError, require_kind
from ms_coreset.evidence import part_of
from ms_coreset.kinds import Log
from ms_coreset.randomness import stream

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class Split:
    """Images and labels, with what a perturbation changed.

    Attributes:
        name: of the data set.
        images: (n, height, width, channels) uint8; or ``Pictures``, which are decoded when they are indexed; or None if
            only ``known`` has data about the samples.
        labels: (n,) int64 in ``0 .. len(classes) - 1``, as every method sees them (noisy ones for an ``N`` set).
        classes: names of the classes, in label order; empty where no labels are known, which are then all 0.
        mean: per channel, of pixels scaled to [0, 1].
        std: standard deviation, likewise.
        train: whether it is the training split.
        clean_labels: (n,) int64, the true labels; None unless a perturbation is known.
        bad: (n,) bool, which samples the perturbation touched; None unless that is known.
        bad_kinds: (n,) int8, the kind of perturbation, if ``bad`` is known: 0 for none, k for the k-th of the
            manifest's "kinds".
        manifest: what the perturbation did, as plain values.
        known: fields of ``Evidence`` that came with the data, such as "features": arrays (n, ...), and "dynamics":
            ``TrainingDynamics``.

    Raises:
        MsCoresetError: if lengths differ, or a label is out of range.
    """

    name: str
    images: np.ndarray | Pictures | None
    labels: np.ndarray
    _: KW_ONLY
    classes: Sequence[str]
    mean: Sequence[float]
    std: Sequence[float]
    train: bool = True
    clean_labels: np.ndarray | None = None
    bad: np.ndarray | None = None
    bad_kinds: np.ndarray | None = None
    manifest: dict = field(default_factory=dict)
    known: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._require_kinds()
        for what, values in {"images": self.images, **self.known}.items():
            count = None if values is None else getattr(values, "num_samples", None) or np.shape(values)[0]
            if count not in (None, len(self.labels)):
                raise MsCoresetError(f"{self.name}: {count} {what} but {len(self.labels)} labels")
        highest = max(0, self.num_classes - 1)
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() <= highest:
            wrong = next(label for label in self.labels if not 0 <= label <= highest)
            raise MsCoresetError(f"{self.name}: label {wrong} is out of range (0 to {highest})")

    def _require_kinds(self) -> None:
        for name, *kinds in (("name", str), ("classes", list, tuple), ("manifest", dict), ("known", dict),
                             ("labels", np.ndarray)):
            require_kind(f"a split's {name}", getattr(self, name), *kinds)
        if not all(isinstance(name, str) for name in self.classes):
            raise MsCoresetError(f"{self.name}: classes must be texts, got {str(self.classes)[:80]}")
        for name in ("labels", "clean_labels", "bad", "bad_kinds"):
            array = getattr(self, name)
            if not (array is None and name != "labels") and not _is_column(array, self.labels.size):
                raise MsCoresetError(f"{self.name}: {name} must be an (n,) array of whole numbers, got {_tell(array)}")
        if self.images is None:
            return
        if getattr(self.images, "dtype", None) != np.uint8 or self.images.ndim != 4:
            raise MsCoresetError(f"{self.name}: images must be (n, height, width, channels) uint8, got "
                                 f"{_tell(self.images)}")
        for name in ("mean", "std"):
            values = np.asarray(getattr(self, name))
            if values.shape != (self.images.shape[3],) or values.dtype.kind not in "fiu" or not np.isfinite(
                    values).all() or (name == "std" and (values <= 0).any()):
                raise MsCoresetError(f"{self.name}: {name} must be a number for each of {self.images.shape[3]} "
                                     f"channels, got {str(getattr(self, name))[:80]}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return len(self.classes)

    @property
    def known_labels(self) -> np.ndarray | None:
        """The labels; None where none are known."""
        return self.labels if self.num_classes else None

    def require_labels(self, what: str, instead: str | None = None) -> None:
        """Raise ``MsCoresetError`` where no labels are known, which ``what`` needs; ``instead`` is what else to do."""
        if not self.num_classes:
            remedy = self.images.to_label if isinstance(self.images, Pictures) else "add 'labels', in an .npz"
            raise MsCoresetError(f"{what} needs labels, but {self.name} brings none: {remedy}"
                                 + (f", or {instead}" if instead else ""))

    def require_images(self) -> np.ndarray | Pictures:
        """Return the images.

        Returns:
            (n, height, width, channels) uint8, or ``Pictures``.

        Raises:
            MsCoresetError: if the split has none.
        """
        if self.images is None:
            raise MsCoresetError(f"{self.name} has no images: no network can be trained on it, or asked about it")
        return self.images

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
        return self.require_images().shape[1]

    @property
    def in_channels(self) -> int:
        """Number of channels of an image."""
        return self.require_images().shape[3]

    @property
    def lazy(self) -> bool:
        """Whether the images are lazy: made when they are indexed."""
        return isinstance(self.images, Pictures)

    @property
    def origin(self) -> str | None:
        """Checksum of the source of lazy images, see ``Pictures.origin``; None for others."""
        return self.images.origin if isinstance(self.images, Pictures) else None

    def file_names(self) -> list[str] | None:
        """(n) names of the images' files below the data set's folder, with "/" between folders.

        None where images do not lie in files of their own: arrays, CIFAR, and what corruption or an attack made.
        """
        return self.images.file_names() if isinstance(self.images, Pictures) else None

    def fingerprint(self) -> str:
        """Checksum of the images, on which a network's answers depend; of lazy images see ``Pictures.digest``."""
        images = self.require_images()
        return images.digest if isinstance(images, Pictures) else array_digest(images)

    def subset(self, indices: np.ndarray) -> "Split":
        """A split of some of the samples; lazy images stay lazy.

        Args:
            indices: (m,) places of the samples, in the order of the new split.

        Returns:
            The split of m samples.
        """
        chosen: dict[str, Any] = {name: _at(getattr(self, name), indices)
                  for name in ("images", "labels", "clean_labels", "bad", "bad_kinds")}
        known = {name: part_of(values, indices, name) for name, values in self.known.items()}
        return dataclasses.replace(self, known=known, **chosen)


    def with_probabilities(self) -> "Split":
        """A copy of this split whose logits, which came with the data, are read as probabilities p and become log p.

        Returns:
            The split; see ``arrays.logits_of``.

        Raises:
            MsCoresetError: if no logits came with the data, and for rows that are no probabilities.
        """
        if "logits" not in self.known:
            raise MsCoresetError(f"probabilities: no logits came with {self.name} that could be these")
        return dataclasses.replace(self, known={**self.known, "logits": logits_of(self.known["logits"])})


def _is_column(array: Any, n: int) -> bool:
    return isinstance(array, np.ndarray) and array.shape == (n,) and array.dtype.kind in "iub"


def _tell(array: Any) -> str:
    if isinstance(array, np.ndarray):
        return f"{array.dtype} of shape {array.shape}"
    return type(array).__name__


def _at(values: np.ndarray | Pictures | None, indices: np.ndarray) -> np.ndarray | Pictures | None:
    if values is None:
        return None
    return values.subset(indices) if isinstance(values, Pictures) else values[indices]


def class_balanced_indices(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Draw a random part of ``size`` samples, spread over the classes as evenly as their sizes allow.

    Each class gives the same number. The remainder, and what a small class lacks, comes from the other classes, lowest
    class first. The samples are drawn from the seed's stream "pool" (``randomness.stream``).

    Args:
        labels: (n,) labels.
        size: how many samples, 1 .. n.
        seed: 0 to 2**32 - 1.

    Returns:
        (size,) indices, ascending.

    Raises:
        MsCoresetError: unless ``1 <= size <= len(labels)``.
    """
    if not 1 <= size <= len(labels):
        raise MsCoresetError(f"pool of {size} samples: must be 1 to {len(labels)}, the training split's size")
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    rng = stream(seed, "pool")
    shuffled = [rng.permutation(rows) for rows in members]
    # A sample's turn is its place within its class; taking all samples of a turn first keeps the classes even.
    turns = np.concatenate([np.arange(len(rows)) for rows in shuffled])
    chosen = np.argsort(turns, kind="stable")[:size]
    return np.sort(np.concatenate(shuffled)[chosen])


def class_order(names: Iterable[str]) -> list[str]:
    """Sort names of classes in the order that labels count them: by value if all are numbers, otherwise as text."""
    if all(map(_NUMBER.fullmatch, names)):
        return sorted(names, key=lambda name: (Decimal(name), name))
    return sorted(names)


def tell_order(names: Sequence[str], log: Log) -> None:
    """Tell the user by ``log`` if ``class_order`` of ``names`` differs from their order as text."""
    text = sorted(names)
    if list(names) != text:
        log(f"classes are named by numbers and count by value, {_begin(names)}; as text, as torchvision's ImageFolder "
            f"sorts them, the order is {_begin(text)}: the logits of a network that was trained so have other columns")


def _begin(names: Sequence[str]) -> str:
    return ", ".join(name[:20] for name in names[:12]) + (", ..." if len(names) > 12 else "")
