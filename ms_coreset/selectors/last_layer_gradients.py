"""Gradients of the cross entropy with respect to the last layer, factorized."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ms_coreset.evidence import Evidence, require_field
from ms_coreset.evidence_checks import require_label_columns
from ms_coreset.rows import row_wise, take
from ms_coreset.selectors import row_blocks
from ms_coreset.selectors.products import multiply, resident_rows
from ms_coreset.selectors.row_blocks import blocks
from ms_coreset.softmax import softmax


@dataclass(frozen=True)
class LastLayerGradients:
    """Gradients of the cross entropy with respect to the last layer's weights and bias, factorized.

    With p = softmax(z), sample i's gradient is G_i = [g_i ; vec(g_i e_i^T)] with g_i = p_i - onehot(y_i), so that <G_i,
    G_j> = <g_i, g_j> (1 + <e_i, e_j>): (n, C) and (n, d) numbers represent n C (d + 1), which are never stored.

    Attributes:
        errors: (n, C) float64, the g_i: the gradient with respect to the logits, which is that of the bias.
        features: (n, d), the e_i: the input of the last layer, as given.
    """

    errors: np.ndarray
    features: np.ndarray

    @classmethod
    def of(cls, evidence: Evidence) -> LastLayerGradients:
        """Gradients from an evidence's logits, labels and features; labels must be columns of the logits."""
        logits = require_field(evidence.logits)
        require_label_columns(require_field(evidence.labels), logits.shape[1])
        errors = softmax(logits)
        errors[np.arange(len(errors)), require_field(evidence.labels)] -= 1
        return cls(errors, require_field(evidence.features))

    def __len__(self) -> int:
        return len(self.errors)

    def take(self, rows: np.ndarray | Sequence[int]) -> LastLayerGradients:
        """The gradients of some samples."""
        return LastLayerGradients(take(self.errors, rows), take(self.features, rows))

    def divide_by_batch(self, batch_size: int) -> LastLayerGradients:
        """Each gradient divided by the size of its batch of consecutive samples: what DeepCore computes."""
        return LastLayerGradients(self.errors / batch_sizes(len(self), batch_size)[:, None], self.features)

    def squared_norms(self) -> np.ndarray:
        """(n,): ||G_i||^2 = ||g_i||^2 (1 + ||e_i||^2)."""
        def of_rows(errors: np.ndarray, features: np.ndarray) -> np.ndarray:
            features = np.asarray(features, np.float64)
            return np.einsum("ij,ij->i", errors, errors) * (1 + np.einsum("ij,ij->i", features, features))

        return row_wise(of_rows, self.errors, self.features)


def batch_sizes(n: int, batch_size: int) -> np.ndarray:
    """(n,): the size of each sample's batch if n samples are cut into consecutive batches, the last one smaller."""
    return np.minimum(batch_size, n - np.arange(n) // batch_size * batch_size)


def whole_batches(batches: np.ndarray, values: np.ndarray, n: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of all samples of some batches of n, in the order of these, and the value of each one's batch."""
    parts = [np.arange(batch * batch_size, min((batch + 1) * batch_size, n)) for batch in batches]
    return np.concatenate([np.empty(0, np.int64), *parts]), np.repeat(values, list(map(len, parts)))


class BatchGradients:
    """Mean gradients of batches of consecutive samples, each (C, d + 1) and written out; as ``ResidentGradients``.

    Args:
        rows: (m, C (d + 1)) float64.
        shape: (C, d + 1).
    """

    def __init__(self, rows: np.ndarray, shape: tuple[int, int]) -> None:
        self._rows, self._shape = rows, shape

    @classmethod
    def of(cls, gradients: LastLayerGradients, batch_size: int) -> BatchGradients:
        """Those of batches of ``batch_size`` samples, of which the last may have fewer."""
        parts = [slice(start, start + batch_size) for start in range(0, len(gradients), batch_size)]
        shape = gradients.errors.shape[1], gradients.features.shape[1] + 1
        rows = np.empty((len(parts), shape[0] * shape[1]))
        for row, part in zip(rows, parts, strict=True):
            errors, features = gradients.errors[part], np.asarray(gradients.features[part], np.float64)
            row[:] = np.hstack([errors.sum(axis=0)[:, None], errors.T @ features]).ravel() / len(errors)
        return cls(rows, shape)

    def __len__(self) -> int:
        return len(self._rows)

    def squared_norms(self) -> np.ndarray:
        """(m,): ||G_i||^2."""
        return np.einsum("ij,ij->i", self._rows, self._rows)

    def column(self, place: int) -> np.ndarray:
        """<G_j, G_i> of one j, (m,)."""
        return self._rows @ self._rows[place]

    def gram(self) -> np.ndarray:
        """<G_j, G_i> of all, (m, m)."""
        return multiply(self._rows, self._rows.T)

    def mean(self) -> np.ndarray:
        """(C, d + 1)."""
        return self._rows.mean(axis=0).reshape(self._shape)

    def projections(self, direction: np.ndarray) -> np.ndarray:
        """<G_i, M> for a direction M (C, d + 1): (m,)."""
        return self._rows @ direction.ravel()


class ResidentGradients:
    """``LastLayerGradients`` of n samples on the device that computes; a gradient is (C, d + 1), bias first.

    Args:
        gradients: the gradients on the host.
    """

    def __init__(self, gradients: LastLayerGradients) -> None:
        self.gradients = gradients
        self._errors, self._features = resident_rows(gradients.errors), resident_rows(gradients.features)

    def __len__(self) -> int:
        return len(self.gradients)

    def gram(self, others: LastLayerGradients, columns: slice = slice(None)) -> np.ndarray:
        """<H_j, G_i> for b other gradients H: (b, n), <h_j, g_i> (1 + <e_j, e_i>)."""
        gram = self._features.products(others.features, columns)
        gram += 1
        gram *= self._errors.products(others.errors, columns)
        return gram

    def column(self, place: int) -> np.ndarray:
        """<G_j, G_i> of one j, (n,)."""
        return self.gram(self.gradients.take([place]))[0]

    def mean(self, errors: np.ndarray | None = None) -> np.ndarray:
        """Mean gradient (C, d + 1), P^T [1, E] / n; errors (n, C) replace the samples' own P."""
        errors = self.gradients.errors if errors is None else errors
        return np.hstack([errors.mean(axis=0)[:, None], self._features.weighted_sums(errors.T) / len(self)])

    def projections(self, direction: np.ndarray) -> np.ndarray:
        """<G_i, M> for a direction M (C, d + 1): (n,), sum_c g_ic (M_c0 + <M_c1:, e_i>)."""
        along = self._features.products(direction[:, 1:])
        along += direction[:, :1]
        return np.einsum("ic,ci->i", self.gradients.errors, along)

    def squared_norms(self) -> np.ndarray:
        """(n,): ||G_i||^2."""
        return self.gradients.squared_norms()

    def projections_of(self, places: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """<G_i, M> of a few samples, on the host."""
        return np.concatenate([self._projections_of(places[part], direction)
                               for part in blocks(len(places), 16 * direction.shape[1], row_blocks.BLOCK_BYTES // 8)])

    def _projections_of(self, places: np.ndarray, direction: np.ndarray) -> np.ndarray:
        along = self.gradients.features[places] @ direction[:, 1:].T + direction[:, 0]
        return np.einsum("ic,ic->i", self.gradients.errors[places], along)

    def logit_shift(self, others: LastLayerGradients) -> np.ndarray:
        """Change of these samples' logits by a step along the summed gradients of ``others``: (n, C).

        It is sum_j h_j (1 + <e_j, e_i>); gradient descent with rate eta subtracts eta times it.
        """
        return (1 + self._features.products(others.features)).T @ others.errors
