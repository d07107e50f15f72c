"""Data-parallel training: each rank computes its share of every batch, and all make the same update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ms_coreset.engines import engine_of
from ms_coreset.kinds import Network, Trainable

if TYPE_CHECKING:
    from ms_coreset.batches import Batch
    from ms_coreset.distributed import Alone

Tensor = Any  # of the network's framework
Backward = Callable[[np.ndarray, np.ndarray, "np.ndarray | None"], tuple[Tensor, Tensor, Sequence[Tensor]]]


def over_ranks(local: Backward, network: Network, parameters: Sequence[Any], ranks: Alone,
               of_samples: bool = False) -> Backward:
    """``local``, a function (images, labels, weights) -> (loss, logits, gradients), for batches shared by ``ranks``.

    ``local`` is given the rank's images and the whole batch's labels and weights (None: all 1). With f_r the fraction
    of the batch's weight in rank r's share, loss and gradients are sum_r f_r l_r. They are those of the whole batch,
    except for the order in which float32 numbers are summed, and for batch normalisation, which sees the share only.
    Logits are the whole batch's. There is one exchange per batch, of all parameters, the loss and the logits.

    Args:
        local: computes one rank's share.
        network: that is trained, of either framework.
        parameters: of the gradients.
        ranks: that share the batch.
        of_samples: see ``total_weight``.

    Returns:
        A function like ``local``, of the whole batch.
    """
    engine, borders = engine_of(network), _borders(parameters)

    def of_share(images: np.ndarray, labels: np.ndarray, weights: np.ndarray | None, share: slice) -> list[Tensor]:
        answers = engine.zeros(len(labels), network.head.out_channels)
        if share.start == share.stop:
            return [engine.zeros(borders[-1] + 1), answers.reshape(-1)]
        own = None if weights is None else weights[share]
        loss, logits, gradients = local(images, labels[share], own)
        fraction = float(total_weight(labels[share], own, of_samples) / total_weight(labels, weights, of_samples))
        around = [answers[:share.start], logits, answers[share.stop:]]
        return [*(fraction * gradient.reshape(-1) for gradient in gradients), fraction * loss.reshape(1),
                *(part.reshape(-1) for part in around if len(part))]

    def of_batch(images: np.ndarray, labels: np.ndarray,
                 weights: np.ndarray | None) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
        total = ranks.sum(engine.join(of_share(images, labels, weights, ranks.part(len(labels)))))
        gradients = [total[begin:end].reshape(parameter.shape)
                     for parameter, begin, end in zip(parameters, borders, borders[1:], strict=False)]
        return total[borders[-1]], total[borders[-1] + 1:].reshape(len(labels), -1), gradients

    return local if ranks.size == 1 else of_batch


class Gradients(Protocol):
    """Computes a network's gradients in training mode, updates it by them, and has the optimizer's memory."""

    @property
    def parameters(self) -> Sequence[Any]:
        """What it updates, each with its ``shape``."""

    def backward(self, images: np.ndarray, labels: np.ndarray,
                 weights: np.ndarray | None) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
        """(loss, logits, gradients of the parameters) of a batch."""

    def update(self, gradients: Sequence[Tensor], learning_rate: float) -> None:
        """Update the parameters by these gradients."""

    def reseed(self, rng: np.random.RandomState) -> None:
        """Let dropout draw from ``rng``."""

    def state(self) -> dict[str, np.ndarray]:
        """The optimizer's memory as arrays by name."""

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what ``state`` gave."""


class OverRanks:
    """A ``loop.Trainer`` of gradients: each rank computes them of its share of a batch, see ``over_ranks``.

    Args:
        gradients: of one rank's share.
        network: that is trained.
        ranks: that share every batch.
        of_samples: see ``total_weight``.
    """

    def __init__(self, gradients: Gradients, network: Network, ranks: Alone, of_samples: bool = False) -> None:
        self._backward = over_ranks(gradients.backward, network, gradients.parameters, ranks, of_samples)
        self._update, self.reseed = gradients.update, gradients.reseed
        self.state, self.restore = gradients.state, gradients.restore

    def step(self, batch: Batch, weights: np.ndarray | None, learning_rate: float) -> tuple[Tensor, Tensor]:
        """Update the network by a batch; see ``loop.Trainer``."""
        loss, logits, gradients = self._backward(batch.images, batch.labels, weights)
        self._update(gradients, learning_rate)
        return loss, logits


def total_weight(labels: np.ndarray, weights: np.ndarray | None, of_samples: bool = False) -> float:
    """The number by which the summed losses of a batch are divided: the sum of its weights; 1 where all are 0.

    Args:
        labels: (B,).
        weights: (B,), or None for all 1.
        of_samples: divide by the number of samples instead, as samplers want it.

    Returns:
        The number.
    """
    return len(labels) if weights is None or of_samples else weights.sum() or 1.0


def average_statistics(network: Trainable, ranks: Alone) -> None:
    """Set the running statistics of batch normalisation to their mean over all ranks.

    Args:
        network: is changed.
        ranks: that take part.
    """
    if ranks.size == 1:
        return
    statistics = [parameter for parameter in network.get_parameters() if not parameter.requires_grad]
    if not statistics:
        return
    engine, borders = engine_of(network), _borders(statistics)
    own = engine.tensor(np.concatenate([parameter.asnumpy().reshape(-1) for parameter in statistics]))
    mean = engine.array(ranks.sum(own) / ranks.size)
    for parameter, begin, end in zip(statistics, borders, borders[1:], strict=False):
        engine.write(parameter, mean[begin:end].reshape(parameter.shape))


def _borders(parameters: Sequence[Any]) -> list[int]:
    """Where each parameter begins in one row of them all, and where the last one ends."""
    return np.cumsum([0, *(int(np.prod(parameter.shape)) for parameter in parameters)]).tolist()
