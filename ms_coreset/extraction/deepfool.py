"""DeepFool for many images at once: how far an image must move until a network's answer changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ms_coreset.batches import evaluation_batches, evaluation_size
from ms_coreset.datasets.split import Split
from ms_coreset.device import fill_up
from ms_coreset.distributed import current
from ms_coreset.engines import engine_of
from ms_coreset.errors import require_kind, require_network, require_number, require_same_classes, require_whole
from ms_coreset.kinds import Network
from ms_coreset.progress import Progress


def deepfool_distances(network: Network, split: Split, max_iter: int = 50, *, overshoot: float = 0.0,
                       top_m: int | None = None, batch_size: int = 256) -> np.ndarray:
    """Squared length ||r||^2 of DeepFool's perturbation r of every image of ``split``.

    The network is in evaluation mode, and images are normalised and not clipped to the range of pixels; ||r|| is in
    units of normalised pixels. See ``squared_perturbations`` for the algorithm and its source.

    Args:
        network: a network with as many classes as the split.
        split: n images.
        max_iter: largest number of steps, 1 or more; an image that still keeps its class counts with the r it has then.
        overshoot: the image moves by (1 + overshoot) r, and that length counts; 0 or more.
        top_m: use only the m likeliest classes of the unperturbed image, 2 or more; None: all classes.
        batch_size: images at a time, the copies for the classes included; it changes the result only by rounding.

    Returns:
        (n,) float64, at least 0.

    Raises:
        MsCoresetError: for an option outside its range, and for a network of another number of classes.
    """
    engine = engine_of(network)
    require_network(network, "head")
    require_kind("split", split, Split)
    require_same_classes(network, split, "boundaries between classes")
    require_whole("batch_size", batch_size, 1)
    if top_m is not None:
        require_whole("top_m", top_m, 2)
    network.set_train(False)
    classes = network.head.out_channels
    together = max(1, batch_size // min(classes, top_m or classes))
    ranks = current()
    own = ranks.part(len(split), evaluation_size(split, together))
    distances = np.empty(own.stop - own.start)
    with Progress(len(distances), "boundary") as progress:
        for batch in evaluation_batches(split, together, own.start, own.stop, engine.ahead):
            distances[batch.rows - own.start] = squared_perturbations(network, batch.images, max_iter, overshoot, top_m,
                                                                      batch_size)
            progress.update(len(batch.rows))
    return ranks.join(distances)


def squared_perturbations(logits: Callable, images: np.ndarray, max_iter: int = 50, overshoot: float = 0.0,
                          top_m: int | None = None, batch_size: int = 256) -> np.ndarray:
    """||r||^2 of the perturbations r that DeepFool finds.

    Start at x, with k0 = argmax f(x) the class of the image. Move to the nearest of the linearised boundaries, until k0
    is no longer the answer: with w_k = grad f_k - grad f_k0, each step is r += |f_k - f_k0| / ||w_k||^2 w_k for the
    class k with the least |f_k - f_k0| / ||w_k||.

    Source: Moosavi-Dezfooli et al., DeepFool, CVPR 2016, algorithm 2; as DeepCore, without overshoot by default.
    Departures: classes of equal gradient (||w_k|| = 0) are passed over, and an image for which there is no other class
    is not moved.

    Args:
        logits: a callable, images as a Tensor -> (B, C) as a Tensor, each row a function of its own image alone.
        images: (n, ...) floating point; the callable gets this precision, perturbations are summed up in float64.
        max_iter: largest number of steps, 1 or more; images that still keep their class count with the r they have
            then.
        overshoot: the image moves by (1 + overshoot) r, and that length counts; 0 or more.
        top_m: use only the m likeliest classes of the unperturbed image, 2 or more; None: all.
        batch_size: images at a time.

    Returns:
        (n,) float64, at least 0.

    Raises:
        MsCoresetError: for an option outside its range.
    """
    require_whole("max_iter", max_iter, 1)
    if top_m is not None:
        require_whole("top_m", top_m, 2)
    require_number("overshoot", overshoot, 0, allowed="0 or more, and finite")
    network = _Differentiable(logits, batch_size)
    moved = np.zeros(images.shape)
    answers = network.logits(images)
    first = answers.argmax(axis=1)
    classes = np.sort(np.argsort(-answers, axis=1, kind="stable")[:, :top_m], axis=1)
    active = np.arange(len(images))
    for _ in range(max_iter):
        position = (images[active] + (1 + overshoot) * moved[active]).astype(images.dtype)
        answers = network.logits(position)
        keeping = answers.argmax(axis=1) == first[active]
        active, position, answers = active[keeping], position[keeping], answers[keeping]
        if not len(active):
            break
        gradients = network.gradients(position, classes[active], answers.shape[1])
        moved[active] += _steps(answers, gradients, classes[active], first[active])
    return (1 + overshoot)**2 * (moved.reshape(len(images), -1)**2).sum(axis=1)


def _steps(answers: np.ndarray, gradients: np.ndarray, classes: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The step to the nearest linearised boundary of each of b images, in the shape of an image, float64.

    Args:
        answers: (b, C) logits.
        gradients: (b, m, ...) of the logits of ``classes``.
        classes: (b, m) classes that are looked at.
        first: (b,) the image's own class, one of these.
    """
    rows = np.arange(len(answers))
    normals = gradients - gradients[classes == first[:, None]][:, None]
    lengths = np.sqrt((normals.reshape(*classes.shape, -1)**2).sum(axis=2))
    heights = np.abs(np.take_along_axis(answers, classes, axis=1) - answers[rows, first][:, None])
    # The class itself has no normal, and is passed over like any class whose gradient equals its own.
    ratios = np.divide(heights, lengths, out=np.full(lengths.shape, np.inf), where=lengths > 0)
    nearest = ratios.argmin(axis=1)
    ratio, length = ratios[rows, nearest], lengths[rows, nearest]
    scale = np.divide(ratio, length, out=np.zeros(len(rows)), where=length > 0)
    return scale.reshape(-1, *[1] * (normals.ndim - 2)) * normals[rows, nearest]


class _Differentiable:
    """A callable's logits and input gradients, as float64 arrays, ``batch_size`` images at a time."""

    def __init__(self, logits: Callable, batch_size: int) -> None:
        def sum_of_chosen(images: Any, chosen: Any) -> Any:
            return (logits(images) * chosen).sum()

        self._engine, self._logits, self._batch_size = engine_of(logits), logits, batch_size
        self._gradient = self._engine.gradient(sum_of_chosen)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits (n, C) of n images."""
        with self._engine.asking():
            return self._in_batches(self._logits, images)

    def gradients(self, images: np.ndarray, classes: np.ndarray, outputs: int) -> np.ndarray:
        """Gradients (n, m, ...) of the logits of ``classes`` (n, m), of n images; there are ``outputs`` logits."""
        # Every image once for each of its classes: rows do not mix, so one backward pass serves all of them.
        n, m = classes.shape
        copies = np.repeat(images, m, axis=0)
        chosen = np.eye(outputs, dtype=images.dtype)[classes.ravel()]
        return self._in_batches(self._gradient, copies, chosen).reshape(n, m, *images.shape[1:])

    def _in_batches(self, function: Callable, *arrays: np.ndarray) -> np.ndarray:
        n = len(arrays[0])
        parts = [self._of_batch(function, [array[begin:begin + self._batch_size] for array in arrays])
                 for begin in range(0, n, self._batch_size)]
        return np.concatenate(parts).astype(np.float64)

    def _of_batch(self, function: Callable, arrays: Sequence[np.ndarray]) -> np.ndarray:
        whole = (self._engine.tensor(fill_up(array, self._batch_size)) for array in arrays)
        return self._engine.array(function(*whole))[:len(arrays[0])]
