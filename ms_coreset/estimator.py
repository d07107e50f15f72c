"""Selection as an estimator of scikit-learn, and a sampler of imbalanced-learn."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import cross_val_predict
from sklearn.utils import _safe_indexing
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d, validate_data

from ms_coreset.coreset import Coreset
from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence
from ms_coreset.selectors import select
from ms_coreset.selectors.catalogue import find_entry

_FOLDS = 5


class CoresetSelector(BaseEstimator):
    """Chooses the rows of X that are worth keeping; see ``select``.

    ``fit`` chooses, ``get_support`` and ``sample_indices_`` tell which, ``fit_resample`` gives the rows themselves, as
    imbalanced-learn's samplers do, in whose ``Pipeline`` it works. X are the features. For methods that look at logits,
    such as "el2n", ``estimator`` is asked of rows that it was not trained on (``cross_val_predict``, 5 folds).

    Args:
        method: its name.
        rate: share to keep, above 0 and at most 1.
        balance: whether the rate holds for each class by itself.
        estimator: a classifier with ``predict_proba``, for methods that look at logits; it is cloned. None: none.
        options: of the method, by name, or None.
        random_state: seed, a whole number.

    Attributes:
        coreset_: the ``Coreset``.
        sample_indices_: (k,) int64 places of the kept rows, in pick order.
        sample_weight_: (k,) float64 their weights; 1 where the method gives none.
        n_features_in_: columns of X.
        feature_names_in_: their names, of a DataFrame.
        classes_: (C,) the labels that there are; only with y.
    """

    def __init__(self, method: str = "moderate", rate: float = 0.2, *, balance: bool = False, estimator: Any = None,
                 options: dict[str, Any] | None = None, random_state: int = 0) -> None:
        self.method = method
        self.rate = rate
        self.balance = balance
        self.estimator = estimator
        self.options = options
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        with contextlib.suppress(MsCoresetError):  # of an unknown method, which fit refuses
            tags.target_tags.required = find_entry(self.method).needs_labels(self.options or {})
        return tags

    def fit(self, X: Any, y: Any = None) -> CoresetSelector:
        """Choose rows.

        Args:
            X: (n, d) numbers.
            y: (n,) labels of any kind, or None for methods that look at none.

        Returns:
            The estimator itself.

        Raises:
            MsCoresetError: for an unknown method or option, and where y or ``estimator`` is missing.
            ValueError: for X or y that are no finite numbers or of other shapes.
        """
        rows = validate_data(self, X, ensure_min_samples=1)
        if y is None and self.__sklearn_tags__().target_tags.required:
            raise MsCoresetError(f"{self.method} requires y to be passed, but the target y is None: it looks at labels")
        labels = None if y is None else self._labels(y)
        evidence = Evidence(labels, rows, probabilities=self._answers(rows, labels))
        self.coreset_: Coreset = select(self.method, evidence, self.rate, balance=self.balance,
                                        seed=self.random_state, **(self.options or {}))
        self.sample_indices_ = self.coreset_.indices
        weights = self.coreset_.weights
        self.sample_weight_ = np.ones(len(self.coreset_)) if weights is None else weights
        return self

    def get_support(self, indices: bool = False) -> np.ndarray:
        """Which rows are kept: (n,) bool; with ``indices`` (k,) their places, ascending."""
        check_is_fitted(self, "coreset_")
        mask = self.coreset_.keep_mask
        return np.flatnonzero(mask) if indices else mask

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Choose rows, and give them.

        Args:
            X: see ``fit``; of any kind that scikit-learn can index.
            y: see ``fit``.

        Returns:
            (X, y) of the kept rows, in pick order, of the kinds that were given.

        Raises:
            MsCoresetError: see ``fit``.
            ValueError: see ``fit``.
        """
        self.fit(X, y)
        return _safe_indexing(X, self.sample_indices_), _safe_indexing(y, self.sample_indices_)

    def _labels(self, y: Any) -> np.ndarray:
        """(n,) y as numbers 0 to C - 1."""
        given = column_or_1d(check_array(y, ensure_2d=False, dtype=None), warn=True)
        check_classification_targets(given)
        self.classes_, labels = np.unique(given, return_inverse=True)
        return labels

    def _answers(self, rows: np.ndarray, labels: np.ndarray | None) -> np.ndarray | None:
        """(n, C) probabilities that left-out rows are answered with, where the method looks at logits."""
        if "logits" not in find_entry(self.method).needs_for(self.options or {}):
            return None
        if self.estimator is None or labels is None:
            raise MsCoresetError(f"{self.method} looks at logits: give y, and estimator, a classifier with "
                                 "predict_proba, such as LogisticRegression()")
        least = int(np.bincount(labels).min())
        if least < 2:
            raise MsCoresetError(f"{self.method} looks at answers of left-out rows: a class of 1 sample has none")
        return cross_val_predict(clone(self.estimator), rows, labels, cv=min(_FOLDS, least), method="predict_proba")
