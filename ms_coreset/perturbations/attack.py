"""Attacked images: changed by a few grey levels so that a network's answer changes.

Both attacks work on pixels in [0, 1]; a network that takes normalised images is wrapped by ``on_pixels``. The network
answers in evaluation mode, so an image's attack depends on that image alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ms_coreset.device import fill_up
from ms_coreset.engines import engine_of
from ms_coreset.errors import MsCoresetError, require_kind, require_network, require_number, require_whole
from ms_coreset.kinds import Trainable
from ms_coreset.randomness import check_seed, stream

ATTACKS = ("gsa", "pgd")
AGAINST = ("own", "true")
MOST_STEPS = 100_000  # a larger number is probably a typing error
_DEFAULTS = {"gsa": {"against": "own", "steps": 1, "random_start": False},
             "pgd": {"against": "true", "steps": 10, "random_start": True}}


def attack(logits: Callable, images: np.ndarray, labels: np.ndarray, *, seed: int = 0, batch_size: int = 128,
           **options: Any) -> tuple[np.ndarray, np.ndarray, dict]:
    """Attack every image by the gradient's sign or by projected gradient descent: uint8 in, uint8 out.

    Every pixel stays within ``floor(255 eps)`` grey levels of the clean one. See ``gradient_sign`` and
    ``projected_gradient`` for the formulas.

    Args:
        logits: a callable, images (B, C, H, W) float32 in [0, 1] as a Tensor -> (B, classes); see ``on_pixels``.
        images: (n, height, width, channels) uint8; not changed.
        labels: (n,) true labels.
        seed: of the random start of "pgd", 0 to 2**32 - 1.
        batch_size: images at a time; it changes the result only by rounding in the network.
        **options: attack ("gsa" or "pgd"), eps, alpha, steps, against and random_start; see ``attack_options``.

    Returns:
        (images, kinds, manifest): the attacked images; the kind of each, (n,) int8 (1: the network's answer has
        changed, 2: it is the same); and a manifest of plain values.

    Raises:
        MsCoresetError: for an option outside its range.
    """
    options = attack_options(seed=seed, **options)
    require_whole("batch_size", batch_size)
    require_kind("images", images, np.ndarray)
    if images.dtype != np.uint8 or images.ndim != 4 or not images.size:
        raise MsCoresetError(f"images are {images.dtype} of shape {images.shape}: give uint8 of (n, height, width, "
                             "channels)")
    labels = _check_labels(labels, len(images))
    _require_callable(logits)
    steps = [slice(begin, begin + batch_size) for begin in range(0, len(images), batch_size)]
    places = np.arange(len(images))
    parts = [attack_rows(logits, images[rows], labels[rows], places[rows], options, batch_size) for rows in steps]
    attacked, kinds = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return attacked, kinds, {**options, "n": len(images), "counts": np.bincount(kinds, minlength=3)[1:].tolist()}


def attack_options(attack: str = "gsa", eps: float = 8 / 255, alpha: float = 2 / 255, steps: int | None = None,
                   against: str | None = None, random_start: bool | None = None, seed: int = 0) -> dict[str, Any]:
    """The options of an attack, checked, as the plain values that begin its manifest.

    Args:
        attack: "gsa", one step of ``eps`` along the gradient's sign, or "pgd", projected gradient descent.
        eps: how far a pixel may move, above 0 and at most 1, in units of the whole range.
        alpha: step size of pgd.
        steps: number of steps of pgd (default 10; torchattacks had 40 before version 3.3).
        against: the class that images are moved away from: the network's "own" answer to the clean image (default of
            gsa), or the "true" label (default of pgd).
        random_start: whether pgd starts at a uniform random place in the eps-ball around the image (default: yes).
        seed: of the random start, 0 to 2**32 - 1.

    Returns:
        The options by name.

    Raises:
        MsCoresetError: for an option outside its range.
    """
    require_kind("attack", attack, str)
    if attack not in ATTACKS:
        raise MsCoresetError(f"unknown attack {attack!r}: there are {', '.join(ATTACKS)}")
    given = {"against": against, "steps": steps, "random_start": random_start}
    chosen = _DEFAULTS[attack] | {name: value for name, value in given.items() if value is not None}
    if attack == "gsa" and (chosen["steps"], chosen["random_start"]) != (1, False):
        raise MsCoresetError("gsa is one step from the image itself: more steps, or a random start, are pgd")
    require_whole("steps", chosen["steps"], most=MOST_STEPS)
    if chosen["against"] not in AGAINST:
        raise MsCoresetError(f"attack against {chosen['against']!r}: there are {', '.join(AGAINST)}")
    require_kind("random_start", chosen["random_start"], bool, np.bool_)
    for name, value in (("eps", eps), ("alpha", alpha)):
        require_number(name, value)
        if not 0 < value <= 1:
            raise MsCoresetError(f"{name} {value}: must be above 0 and at most 1 (8/255 is 8 grey levels)")
    return {"kind": f"{attack}_attack", "kinds": [f"{attack}, fooled", f"{attack}, withstood"], "attack": attack,
            "eps": float(eps), "alpha": float(eps if attack == "gsa" else alpha), **chosen, "seed": check_seed(seed)}


def attack_rows(logits: Callable, images: np.ndarray, labels: np.ndarray, rows: np.ndarray, options: dict[str, Any],
                batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """At most ``batch_size`` images attacked, and their kinds; see ``attack``.

    Args:
        logits: as in ``attack``.
        images: (b, height, width, channels) uint8.
        labels: (b,) true labels.
        rows: (b,) places of the images in the whole data set.
        options: result of ``attack_options``.
        batch_size: the network gets so many images at a time; b at most.

    Returns:
        (attacked images, kinds (b,) int8).
    """
    b = len(images)
    images, labels, rows = (fill_up(array, batch_size) for array in (images, labels, rows))
    clean = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32) / np.float32(255)
    before = answers(logits, clean)
    target = before if options["against"] == "own" else labels
    if options["attack"] == "gsa":
        moved = gradient_sign(logits, clean, target, eps=options["eps"])
    else:
        start = random_start(clean, rows, options["eps"], options["seed"]) if options["random_start"] else None
        moved = projected_gradient(logits, clean, target, eps=options["eps"], alpha=options["alpha"],
                                   steps=options["steps"], start=start)
    attacked = to_pixels(moved.transpose(0, 2, 3, 1), images, options["eps"])
    after = answers(logits, attacked.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255))
    return attacked[:b], np.where(after == before, 2, 1).astype(np.int8)[:b]


def on_pixels(network: Trainable, mean: Sequence[float], std: Sequence[float]) -> Callable:
    """Wrap a network that takes normalised images as a callable on pixels in [0, 1], in evaluation mode.

    Args:
        network: takes normalised images.
        mean: per channel, of pixels in [0, 1].
        std: standard deviation, likewise.

    Returns:
        A callable, images (B, C, H, W) as a Tensor -> logits (B, classes).

    Raises:
        MsCoresetError: unless mean and std are finite numbers and std is above 0.
    """
    engine = engine_of(network)
    require_network(network)
    for name, values in (("mean", mean), ("std", std)):
        array = np.asarray(values)
        if array.dtype.kind not in "fiu" or not array.size or not np.isfinite(array).all() or (
                name == "std" and (array <= 0).any()):
            raise MsCoresetError(f"{name} must be a number for each channel, got {str(values)[:80]}")
    network.set_train(False)
    mean, std = (engine.tensor(np.reshape(values, (1, -1, 1, 1)).astype(np.float32)) for values in (mean, std))

    def logits(pixels: Any) -> Any:
        return network((pixels - mean) / std)

    logits.coreset_engine = engine  # type: ignore[attr-defined]  # of the tensors that it takes
    return logits


def _check_labels(labels: np.ndarray, n: int) -> np.ndarray:
    """Labels as an array; raises ``MsCoresetError`` unless they are n whole numbers of at least 0."""
    labels = np.asarray(labels)
    if labels.shape != (n,) or labels.dtype.kind not in "iu" or labels.min(initial=0) < 0:
        raise MsCoresetError(f"labels must be {n} whole numbers of at least 0, got {labels.dtype} of shape "
                             f"{labels.shape}")
    return labels


def _require_known(labels: np.ndarray, logits: Callable, images: np.ndarray) -> None:
    """Check that the network has a logit for each label: MindSpore's own error would be very long.

    Raises:
        MsCoresetError: for a label without a logit.
    """
    engine = engine_of(logits)
    with engine.asking():
        first = engine.tensor(np.ascontiguousarray(fill_up(images[:1], len(images)), np.float32))
        classes = logits(first).shape[1]
    if len(labels) and labels.max() >= classes:
        raise MsCoresetError(f"label {labels.max()} is out of range: the network tells {classes} classes apart")


def _require_callable(logits: object) -> None:
    engine_of(logits)
    if not callable(logits):
        raise MsCoresetError(f"logits must be a callable, such as on_pixels gives, got {type(logits).__name__}")


def _require_pixels(name: str, images: np.ndarray, shape: tuple[int, ...] | None = None) -> None:
    """Raise ``MsCoresetError`` unless images are (B, C, H, W) floating point in [0, 1]."""
    require_kind(name, images, np.ndarray)
    if images.dtype.kind != "f" or images.ndim != 4 or not images.size or not ((images >= 0) & (images <= 1)).all():
        raise MsCoresetError(f"{name} must be (B, C, H, W) floating point in [0, 1], got {images.dtype} of shape "
                             f"{images.shape}")
    if shape is not None and images.shape != shape:
        raise MsCoresetError(f"{name} must be of shape {shape} like images, got {images.shape}")


def answers(logits: Callable, images: np.ndarray) -> np.ndarray:
    """The class of the largest logit (the first of equal ones) of each image.

    Args:
        logits: as in ``attack``.
        images: (B, C, H, W) float32 in [0, 1].

    Returns:
        (B,) int64.
    """
    engine = engine_of(logits)
    with engine.asking():
        return engine.array(logits(engine.tensor(np.ascontiguousarray(images)))).argmax(axis=1)


def gradient_sign(logits: Callable, images: np.ndarray, labels: np.ndarray | None = None,
                  *, eps: float = 8 / 255) -> np.ndarray:
    """One step along the gradient's sign: ``clip(x + eps sign(grad_x CE(f(x), y)), 0, 1)``.

    A pixel whose gradient is exactly 0 stays as it is.

    Source: Goodfellow et al., Explaining and harnessing adversarial examples, ICLR 2015, section 4. With the network's
    own answers it is the GradientSignAttack of advertorch, as the Moderate repository calls it. Departure from that
    repository: the network is in evaluation mode; there it normalised by each batch and learnt from it.

    Args:
        logits: as in ``attack``.
        images: (B, C, H, W) float32 in [0, 1].
        labels: (B,) the classes y, or None for the network's own answers.
        eps: how far a pixel moves, 0 to 1.

    Returns:
        (B, C, H, W) float32 in [0, 1].

    Raises:
        MsCoresetError: for an argument of another shape or outside its range.
    """
    _require_pixels("images", images)
    _require_callable(logits)
    labels = answers(logits, images) if labels is None else labels
    return projected_gradient(logits, images, labels, eps=eps, alpha=eps, steps=1)


def projected_gradient(logits: Callable, images: np.ndarray, labels: np.ndarray, *, eps: float = 8 / 255,
                       alpha: float = 2 / 255, steps: int = 10, start: np.ndarray | None = None) -> np.ndarray:
    """Projected gradient descent: ``steps`` times ``x <- clip(x + alpha sign(grad_x CE(f(x), y)))``.

    Each step is clipped to the eps-ball (of the maximum norm) around the image, and to [0, 1].

    Source: Madry et al., Towards deep learning models resistant to adversarial attacks, ICLR 2018, section 2.1, with
    the defaults of torchattacks 3.3 and later.

    Args:
        logits: as in ``attack``.
        images: (B, C, H, W) float32 in [0, 1].
        labels: (B,) the classes y.
        eps: radius of the ball, 0 to 1.
        alpha: step size, 0 to 1.
        steps: number of steps, 1 or more.
        start: (B, C, H, W) first x, or None for the images themselves.

    Returns:
        (B, C, H, W) float32 in [0, 1].

    Raises:
        MsCoresetError: for an argument of another shape or outside its range.
    """
    _require_pixels("images", images)
    _require_callable(logits)
    labels = _check_labels(labels, len(images))
    require_whole("steps", steps, most=MOST_STEPS)
    for name, value in (("eps", eps), ("alpha", alpha)):
        require_number(name, value, 0, 1, "from 0 to 1")
    if start is not None:
        _require_pixels("start", start, images.shape)
    _require_known(labels, logits, images)
    gradient = _loss_gradient(logits, labels)
    radius, step = np.float32(eps), np.float32(alpha)
    moved = images if start is None else start
    for _ in range(steps):
        moved = moved + step * np.sign(gradient(moved))
        moved = np.clip(images + np.clip(moved - images, -radius, radius), 0, 1)
    return moved


def random_start(images: np.ndarray, rows: np.ndarray, eps: float, seed: int) -> np.ndarray:
    """A uniform random place in the eps-ball of each image, clipped to [0, 1].

    Args:
        images: (B, C, H, W) float32 in [0, 1].
        rows: (B,) places of the images in the whole data set.
        eps: radius of the ball.
        seed: 0 to 2**32 - 1; the place depends on seed and row alone.

    Returns:
        (B, C, H, W) float32.
    """
    drawn = np.stack([stream(seed, "attack start", row).uniform(-eps, eps, images.shape[1:]) for row in rows])
    return np.clip(images + drawn.astype(np.float32), 0, 1)


def to_pixels(moved: np.ndarray, clean: np.ndarray, eps: float) -> np.ndarray:
    """Images rounded to uint8, and kept within ``floor(255 eps)`` grey levels of the clean ones.

    Args:
        moved: images in [0, 1].
        clean: uint8, of the same shape.
        eps: how far a pixel may move.

    Returns:
        uint8, of the same shape.
    """
    # The repository truncates, which would move pixels down by half a level on average.
    levels = int(255 * eps + 1e-6)
    clean = clean.astype(np.int16)
    moved = np.rint(255 * moved.astype(np.float64)).astype(np.int16)
    return np.clip(moved, np.maximum(clean - levels, 0), np.minimum(clean + levels, 255)).astype(np.uint8)


def _loss_gradient(logits: Callable, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function from images to the gradient of their summed cross entropy, as float32 arrays."""
    engine = engine_of(logits)
    # A mean's gradient is smaller by the batch's size: the sign, all that counts, is the same unless the division
    # underflows.
    cross_entropy = engine.mean_cross_entropy()
    labels = engine.tensor(np.asarray(labels).astype(np.int32))

    def loss(images: Any) -> Any:
        return cross_entropy(logits(images), labels)

    gradient = engine.gradient(loss)

    def of(images: np.ndarray) -> np.ndarray:
        return engine.array(gradient(engine.tensor(np.ascontiguousarray(images, np.float32))))

    return of
