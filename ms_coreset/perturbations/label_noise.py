"""Label noise: a share of the labels is replaced by wrong ones, which are drawn or given by people."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ms_coreset.checksums import array_digest
from ms_coreset.errors import MsCoresetError, require_number, require_whole
from ms_coreset.randomness import stream


def symmetric_noise(labels: np.ndarray, num_classes: int, ratio: float = 0.2, *, seed: int = 0,
                    exact: bool = True) -> tuple[np.ndarray, dict]:
    """Replace a share of the labels, each by one of the other classes with equal chance.

    Source: ``exact=False`` is the distribution of the Moderate coreset repository (tmllab/2023_ICLR_Moderate-DS).
    Departures: that code sets no seed, so that its draws can't be repeated; our default is an exact count.

    Args:
        labels: (n,) integers in ``0 .. num_classes - 1``; not changed.
        num_classes: 2 or more.
        ratio: share of the labels to replace, 0 to 1.
        seed: of the random stream "label noise" (``randomness.stream``), 0 to 2**32 - 1.
        exact: ``True`` replaces exactly ``round(ratio * n)`` labels (half to even), drawn without replacement;
            ``False`` replaces each on its own with chance ``ratio``, so that the realised share varies around it.

    Returns:
        (the noisy labels, (n,) int64, and a manifest of plain values).

    Raises:
        MsCoresetError: for a ratio, a number of classes, a seed or labels outside these ranges.
    """
    labels = _check(labels, num_classes, ratio)
    rng = stream(seed, "label noise")
    flipped = _draw(np.arange(len(labels)), ratio, exact, rng)
    # A step of 1 to num_classes - 1 round the circle of classes reaches each other class, and never its own.
    steps = rng.randint(1, num_classes, size=len(flipped))
    noisy = labels.copy()
    noisy[flipped] = (labels[flipped] + steps) % num_classes
    return noisy, _manifest("symmetric", labels, noisy, num_classes, ratio=float(ratio), seed=int(seed),
                            exact=bool(exact))


def asymmetric_noise(labels: np.ndarray, targets: np.ndarray, ratio: float = 0.2, *, seed: int = 0,
                     exact: bool = True) -> tuple[np.ndarray, dict]:
    """Replace a share of the labels, each by the one class that its class is mistaken for.

    Source: Patrini et al., Making deep neural networks robust to label noise, CVPR 2017, section 5. Departure: an exact
    count is our default.

    Args:
        labels: (n,) integers; not changed.
        targets: (num_classes,) the class that takes each one's place; a class that is its own target is never replaced.
        ratio: share to replace of the labels that have another target, 0 to 1; of all labels it can be less.
        seed: as in ``symmetric_noise``, of the stream "asymmetric label noise".
        exact: as in ``symmetric_noise``.

    Returns:
        (the noisy labels, (n,) int64, and a manifest of plain values).

    Raises:
        MsCoresetError: as ``symmetric_noise``, and for targets that are no classes.
    """
    targets = np.asarray(targets)
    if targets.ndim != 1 or targets.dtype.kind not in "iu" or not ((targets >= 0) & (targets < len(targets))).all():
        raise MsCoresetError("targets must be (C,) classes, 0 to C - 1, one for each class, got "
                             f"{targets.dtype} of shape {targets.shape}")
    num_classes = len(targets)
    labels = _check(labels, num_classes, ratio)
    rng = stream(seed, "asymmetric label noise")
    flipped = _draw(np.flatnonzero(targets[labels] != labels), ratio, exact, rng)
    noisy = labels.copy()
    noisy[flipped] = targets[labels[flipped]]
    return noisy, _manifest("asymmetric", labels, noisy, num_classes, ratio=float(ratio), seed=int(seed),
                            exact=bool(exact), targets=targets.tolist())


def human_noise(labels: np.ndarray, num_classes: int, given: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Replace labels by given ones, such as those that people gave.

    Args:
        labels: (n,) integers, the true labels.
        num_classes: 2 or more.
        given: (n,) integers, the labels given.

    Returns:
        (the labels given, (n,) int64, and a manifest of plain values).

    Raises:
        MsCoresetError: for labels of another length or out of range.
    """
    labels, given = _check(labels, num_classes), _check(given, num_classes)
    if len(given) != len(labels):
        raise MsCoresetError(f"{len(given)} labels were given for {len(labels)} samples")
    return given, _manifest("human", labels, given, num_classes)


# Pairs by name, "from: to". CIFAR-10 and MNIST: Patrini et al.; CIFAR-100: the next class of the same superclass.
_PAIRS = {
    "CIFAR10": {"truck": "automobile", "bird": "airplane", "deer": "horse", "cat": "dog", "dog": "cat"},
    "MNIST": {"2": "7", "3": "8", "7": "1", "5": "6", "6": "5"},
}
_SUPERCLASSES = {"CIFAR100": """
    beaver dolphin otter seal whale
    aquarium_fish flatfish ray shark trout
    orchid poppy rose sunflower tulip
    bottle bowl can cup plate
    apple mushroom orange pear sweet_pepper
    clock keyboard lamp telephone television
    bed chair couch table wardrobe
    bee beetle butterfly caterpillar cockroach
    bear leopard lion tiger wolf
    bridge castle house road skyscraper
    cloud forest mountain plain sea
    camel cattle chimpanzee elephant kangaroo
    fox porcupine possum raccoon skunk
    crab lobster snail spider worm
    baby boy girl man woman
    crocodile dinosaur lizard snake turtle
    hamster mouse rabbit shrew squirrel
    maple_tree oak_tree palm_tree pine_tree willow_tree
    bicycle bus motorcycle pickup_truck train
    lawn_mower rocket streetcar tank tractor"""}


def target_classes(name: str, classes: Sequence[str], next_class: bool = False) -> tuple[np.ndarray, str]:
    """The target of each class of the data set ``name``: the class that it is mistaken for.

    These are the published pairs of CIFAR10, CIFAR100 and MNIST, if ``classes`` have those names and ``next_class`` is
    not set; otherwise each class has the next one as its target, and the last class the first.

    Args:
        name: of the data set.
        classes: names of the classes.
        next_class: whether to take the next class in any case.

    Returns:
        ((num_classes,) integers, a word for the rule: "published" or "next class").
    """
    pairs = dict(_PAIRS.get(name, {}))
    for line in _SUPERCLASSES.get(name, "").split("\n"):
        members = line.split()
        pairs |= dict(zip(members, members[1:] + members[:1], strict=True))
    place = {word: number for number, word in enumerate(classes)}
    if next_class or not pairs or not pairs.keys() <= place.keys():
        return (np.arange(len(classes)) + 1) % len(classes), "next class"
    return np.array([place[pairs.get(word, word)] for word in classes]), "published"


def _draw(candidates: np.ndarray, ratio: float, exact: bool, rng: np.random.RandomState) -> np.ndarray:
    """Draw the places to flip: exactly the share of the candidates, or each with that chance."""
    if exact:
        return candidates[rng.permutation(len(candidates))[: round(ratio * len(candidates))]]
    return candidates[rng.random_sample(len(candidates)) < ratio]


def _manifest(kind: str, labels: np.ndarray, noisy: np.ndarray, num_classes: int, **options: Any) -> dict[str, Any]:
    n, flipped = len(labels), int((noisy != labels).sum())
    return {"kind": f"{kind}_label_noise", **options, "ratio_realised": flipped / n if n else 0.0, "n": n,
            "num_classes": int(num_classes), "flipped": flipped, "clean_labels": array_digest(labels),
            "noisy_labels": array_digest(noisy)}


def _check(labels: np.ndarray, num_classes: int, ratio: float = 0.0) -> np.ndarray:
    labels = np.asarray(labels)
    require_whole("num_classes", num_classes)
    require_number("noise ratio", ratio, 0, 1, "a share from 0 to 1")
    if num_classes < 2:
        raise MsCoresetError(f"label noise among {num_classes} classes: at least 2 are needed")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise MsCoresetError(f"labels are {labels.dtype} of shape {labels.shape}: give integers of shape (n,)")
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise MsCoresetError(f"labels are {labels.min()} to {labels.max()}: give 0 to {num_classes - 1}")
    return labels.astype(np.int64)
