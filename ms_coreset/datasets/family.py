"""The data sets there are, by name: what a data set has to bring, and what comes for free."""

from collections.abc import Callable
from dataclasses import dataclass

from ms_coreset.datasets.overlays import OVERLAYS
from ms_coreset.datasets.split import Split
from ms_coreset.errors import MsCoresetError
from ms_coreset.registry import Registry

DATASETS = Registry("data set")  # name -> (family, overlay letter or "")


@dataclass(frozen=True)
class Family:
    """One data set without perturbations.

    mean, std: per channel, of the training pixels scaled to [0, 1]
    load: ``(root, train, access) -> images, labels, classes``: (n, height, width, channels) uint8, (n,) int64 and
        the classes' names; ``access`` is a ``download.Access``
    """

    name: str
    mean: tuple
    std: tuple
    load: Callable

    def split(self, root, train, access):
        """Load one split; raises ``MsCoresetError`` when its files are empty, or for the loader's reasons."""
        images, labels, classes = self.load(root, train, access)
        if not len(labels):
            raise MsCoresetError(f"{self.name}: its files below {root} hold no images; get them anew")
        return Split(self.name, images, labels, tuple(classes), self.mean, self.std, train)


def register_dataset(name, mean, std, aliases=()):
    """Decorator that makes a loader (see ``Family.load``) known as ``name``, and with each overlay's letter after it.

    The loader's docstring is the data set's description.
    """
    def register(load):
        family = Family(name, mean, std, load)
        for letter in ("", *OVERLAYS):
            DATASETS.add(name + letter, (family, letter), [alias + letter for alias in aliases])
        return load
    return register


def check_labels(labels, num_classes, path):
    """The labels of a file as (n,) int64; raises ``MsCoresetError`` naming the file for one that is out of range."""
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if len(wrong):
        raise MsCoresetError(f"{path}: label {wrong[0]} is out of range (0 to {num_classes - 1}); get the file anew")
    return labels.astype("int64")
