"""Images and labels, by name.

Every module of this package that registers a loader (``family.register_dataset``) is a data set: adding one is
adding a file.
"""

import importlib
import pkgutil
from pathlib import Path

from ms_coreset.datasets.download import Access
from ms_coreset.datasets.family import DATASETS, register_dataset
from ms_coreset.datasets.overlays import OVERLAYS, apply_label_noise, make_label_noise
from ms_coreset.datasets.split import Split, class_balanced_indices
from ms_coreset.errors import MsCoresetError

__all__ = ["Split", "apply_label_noise", "class_balanced_indices", "default_overlay_path", "list_datasets",
           "load_dataset", "make_label_noise", "register_dataset"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def load_dataset(name, root="data", train=True, *, download=True, verify=False, log=Access.log):
    """Load the training or the test split of a data set.

    name: one of ``list_datasets()``, in any case; an ``N`` after it lays label noise over the training labels. The
        test split is always the clean one, under the name of the data set without noise
    root: folder that holds the data sets, each laid out as its publisher does
    download: fetch published files that are missing
    verify: refuse files that differ from the published ones (md5); otherwise they are read, with a warning
    log: called with each line for the user (a warning, a download, noise made because it was missing); by default
        the ``warning`` of the logger ``ms_coreset``, which ``logging`` shows on stderr

    Returns a ``Split`` with uint8 images. Raises ``MsCoresetError`` for an unknown name, and for files that are
    missing, damaged or refused; the message names the file.
    """
    family, letter = DATASETS[name]
    root = Path(root).expanduser()
    clean = family.split(root, train, Access(download, verify, log))
    if not letter or not train:
        return clean
    _, apply = OVERLAYS[letter]
    return apply(clean, root, log)


def list_datasets(pattern="*"):
    """Names of the data sets that match a shell ``pattern``, overlays included."""
    return DATASETS.names(pattern)


def default_overlay_path(root, name):
    """File below ``root`` that holds the overlay of a perturbed data set, such as ``CIFAR100N``.

    Raises ``MsCoresetError`` for an unknown name, or one without an overlay.
    """
    family, letter = DATASETS[name]
    if not letter:
        raise MsCoresetError(f"{family.name} is a data set without overlay: give {family.name}{'/'.join(OVERLAYS)}")
    locate, _ = OVERLAYS[letter]
    return locate(Path(root).expanduser(), family.name)
