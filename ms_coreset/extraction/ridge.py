"""Ridge regression with left-out answers: the answer to each sample is that of a fit to all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.selectors import processors, row_blocks
from ms_coreset.selectors.products import gram, product, resident_rows

if TYPE_CHECKING:
    from mindspore import Tensor

LAMBDAS = (1e-4, 1e-3, 1e-2, 1e-1)
BLOCK_BYTES = 8 << 20  # of a block of rows in float64
FLOOR = 1e-10  # of 1 - leverage: of less, rounding leaves no digit
_STEADY = 1e-3  # of the overall deviation, added to each feature's
# Eigenvalues; what makes rows of a slice; a product; what makes weights of such a product.
Rotated = tuple[np.ndarray, Callable[[slice], np.ndarray], np.ndarray, Callable[[np.ndarray], np.ndarray]]


@dataclass(frozen=True)
class LeftOut:
    """Answers of ridge regression to each of n samples, from a fit to all other samples.

    Attributes:
        accuracy: share of the samples whose label has the largest left-out answer.
        lam: the penalty, a share of n.
        weights: (d, C), of the fit to all samples.
        leverage: (n,), each sample's share in the fitted answer to itself.
        rows: features and labels of the samples.
    """

    accuracy: float
    lam: float
    weights: np.ndarray
    leverage: np.ndarray
    rows: _Rows

    @processors.one_blas_thread
    def answers(self, part: slice = slice(None)) -> np.ndarray:
        """Left-out answers (m, C) float64 to the samples of a slice; the targets' mean over all samples is 0."""
        begin, end, _ = part.indices(len(self.leverage))
        answers = np.empty((end - begin, self.weights.shape[1]))

        def fill(block: slice) -> None:
            at = slice(begin + block.start, begin + block.stop)
            fitted = product(self.rows.features(at), self.weights.T)
            answers[block] = _without_own(self.rows.targets(at), fitted, self.leverage[at])

        processors.side_by_side(fill, [(block,) for block in self.rows.parts(end - begin)])
        return answers

    @processors.one_blas_thread
    def answer(self, features: np.ndarray) -> np.ndarray:
        """Answers (m, C) of the fit to all samples, to other samples with features (m, d)."""
        return product(self.rows.standard(features), self.weights.T)


@processors.one_blas_thread
def ridge_left_out(features: np.ndarray, labels: np.ndarray, classes: int,
                   *, lambdas: Sequence[float] = LAMBDAS) -> LeftOut:
    """Answers to each sample by ridge regression on all others, computed without n fits.

    With X the features less their mean and divided by their deviation (plus a thousandth of the overall one), T the
    one-hot labels less their mean, and M = (X^T X + n lam I)^-1:

        F = X M X^T T,   h_i = x_i^T M x_i + 1 / n,   left-out answer l_i = t_i - (t_i - f_i) / (1 - h_i).

    l_i is the answer to sample i of a fit to the other samples, with an unpenalised intercept, the same n lam, and the
    mean and deviation of all samples. The answer to the only sample of a set is 0.

    It is computed in float64, a block of rows at a time. X^T X (d, d), or X X^T (n, n) if there are no more samples
    than features, takes most of the memory.

    Source: the identity is PRESS's (Allen, Technometrics 1974); M for all lambdas follows from one eigendecomposition
    (Golub, Heath and Wahba, Technometrics 1979).

    Args:
        features: (n, d), of any float type, in memory or mapped.
        labels: (n,), in 0 .. classes - 1.
        classes: number of classes C.
        lambdas: penalties; the one with the best left-out accuracy on the given labels is used, the first of equal
            ones.

    Returns:
        ``LeftOut``.
    """
    rows = _Rows(features, np.asarray(labels), classes)
    values, rotated, products, weights_of = _of_samples(rows) if len(rows) <= rows.width else _of_features(rows)
    shrinkages = 1 / (len(rows) * (np.maximum(values, 0) + np.array(lambdas)[:, None]))
    best, leverage, accuracy = _best(rows, rotated, products, shrinkages)
    weights = weights_of(products * shrinkages[best][:, None])
    return LeftOut(accuracy, float(lambdas[best]), weights, leverage, rows)


class _Rows:
    """Features and labels of n samples, of which a slice at a time is given in float64."""

    def __init__(self, features: np.ndarray, labels: np.ndarray, classes: int) -> None:
        self._features, self.labels = features, labels
        self.width = features.shape[1]
        self._shares = np.bincount(labels, minlength=classes) / len(labels)
        self._center = np.mean(features, axis=0, dtype=np.float64)
        variance = sum(((features[part] - self._center) ** 2).sum(axis=0) for part in self.parts()) / len(labels)
        scale = np.sqrt(variance) + _STEADY * np.sqrt(variance.mean() + self._center.var())
        self._scale = np.where(scale > 0, scale, 1)  # where nothing varies at all

    def __len__(self) -> int:
        return len(self.labels)

    def parts(self, n: int | None = None) -> list[slice]:
        """Slices that cover all samples, or the first ``n``."""
        return row_blocks.blocks(len(self) if n is None else n, 8 * self.width, BLOCK_BYTES)

    def features(self, part: slice) -> Tensor:
        return self.standard(self._features[part])

    def standard(self, features: np.ndarray) -> np.ndarray:
        """Features (m, d) less the samples' mean, divided by their deviation."""
        rows = np.subtract(features, self._center, dtype=np.float64)
        rows /= self._scale
        return rows

    def targets(self, part: slice) -> np.ndarray:
        labels = self.labels[part]
        targets = np.tile(-self._shares, (len(labels), 1))
        targets[np.arange(len(labels)), labels] += 1
        return targets


def _of_features(rows: _Rows) -> Rotated:
    """Eigenvalues of X^T X / n = V E V^T; ``part -> X V`` of some rows; V^T X^T T; from such a product to weights."""
    total: Any = 0
    for part in rows.parts():
        total = total + gram(np.hstack([rows.features(part), rows.targets(part)]))
    d = rows.width
    values, vectors = np.linalg.eigh(total[:d, :d] / len(rows))
    resident = resident_rows(vectors.T)
    return (values, lambda part: resident.products(rows.features(part)), vectors.T @ total[:d, d:],
            lambda product: vectors @ product)


def _of_samples(rows: _Rows) -> Rotated:
    """The same from X X^T / n = U E U^T, where X V = U sqrt(n E)."""
    features = rows.features(slice(None))
    values, vectors = np.linalg.eigh(gram(features.T) / len(rows))
    lengths = np.sqrt(len(rows) * np.maximum(values, 0))
    # Where a length is 0, so is the product with the targets: no weight comes of it.
    inverse = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    rotated = vectors * lengths
    return (values, lambda part: rotated[part], rotated.T @ rows.targets(slice(None)),
            lambda product: features.T @ (vectors @ (inverse[:, None] * product)))


def _best(rows: _Rows, rotated: Callable[[slice], np.ndarray], products: np.ndarray,
          shrinkages: np.ndarray) -> tuple[int, np.ndarray, float]:
    """(place of the penalty with the best left-out accuracy, leverages (n,) at it, that accuracy)."""
    parts = rows.parts()
    right = np.zeros((len(parts), len(shrinkages)), np.int64)
    leverages = np.empty((len(shrinkages), len(rows)))

    def measure(place: int, part: slice) -> None:
        along, targets = rotated(part), rows.targets(part)
        fits = [product(along, (products * shrinkage[:, None]).T) for shrinkage in shrinkages]
        leverages[:, part] = product(shrinkages, along * along) + 1 / len(rows)
        answers = [_without_own(targets, fitted, leverage)
                   for fitted, leverage in zip(fits, leverages[:, part], strict=True)]
        right[place] = [(answer.argmax(axis=1) == rows.labels[part]).sum() for answer in answers]

    processors.side_by_side(measure, list(enumerate(parts)))
    right = right.sum(axis=0)
    best = int(right.argmax())
    return best, leverages[best], float(right[best] / len(rows))


def _without_own(targets: np.ndarray, fitted: np.ndarray, leverage: np.ndarray) -> np.ndarray:
    """Left-out answers from targets and fitted values (m, C) and leverages (m,)."""
    return targets - (targets - fitted) / np.maximum(1 - leverage, FLOOR)[:, None]
