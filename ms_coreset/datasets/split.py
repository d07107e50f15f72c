"""One split of a data set: images, labels, and what was done to them."""

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import array_digest
from ms_coreset.randomness import stream


@dataclass(frozen=True)
class Split:
    """Images and labels, with what a perturbation changed.

    images: (n, height, width, channels) uint8
    labels: (n,) int64 in ``0 .. len(classes) - 1``, as every method sees them (noisy ones for an ``N`` set)
    classes: names of the classes, in label order
    mean, std: per channel, of pixels scaled to [0, 1]
    clean_labels, bad: (n,), only when a perturbation is known: the true labels, and which samples it touched
    manifest: what the perturbation did, as plain values

    Raises ``MsCoresetError`` when lengths differ or a label is out of range.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple
    mean: tuple
    std: tuple
    train: bool = True
    clean_labels: np.ndarray | None = None
    bad: np.ndarray | None = None
    manifest: dict = field(default_factory=dict)

    def __post_init__(self):
        if len(self.images) != len(self.labels):
            raise MsCoresetError(f"{self.name}: {len(self.images)} images but {len(self.labels)} labels")
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < self.num_classes:
            wrong = next(label for label in self.labels if not 0 <= label < self.num_classes)
            raise MsCoresetError(f"{self.name}: label {wrong} is out of range (0 to {self.num_classes - 1})")

    def __len__(self):
        return len(self.labels)

    @property
    def num_classes(self):
        return len(self.classes)

    @property
    def image_size(self):
        return self.images.shape[1]

    @property
    def in_channels(self):
        return self.images.shape[3]

    def fingerprint(self):
        """Checksum of the images: what a network's answers to them depend on."""
        return array_digest(self.images)

    def subset(self, indices):
        """The samples at ``indices``, in that order."""
        chosen = {name: getattr(self, name)[indices] for name in ("images", "labels", "clean_labels", "bad")
                  if getattr(self, name) is not None}
        return dataclasses.replace(self, **chosen)


def class_balanced_indices(labels, size, seed):
    """Ascending indices of a random part of ``size`` samples, as even over the classes as their sizes allow.

    Each class gives the same number; what a small class lacks, and the remainder, is shared by the others, lowest
    class first. Drawn from the seed's stream "pool". Raises ``MsCoresetError`` unless ``1 <= size <= len(labels)``.
    """
    if not 1 <= size <= len(labels):
        raise MsCoresetError(f"pool of {size} samples: must be 1 to {len(labels)}, the training split's size")
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    rng = stream(seed, "pool")
    shuffled = [rng.permutation(rows) for rows in members]
    # A sample's turn is its place within its class: taking whole turns first is what keeps classes even.
    turns = np.concatenate([np.arange(len(rows)) for rows in shuffled])
    chosen = np.argsort(turns, kind="stable")[:size]
    return np.sort(np.concatenate(shuffled)[chosen])
