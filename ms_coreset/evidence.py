"""What is known of each sample: the arrays that selectors see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, InitVar, dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from ms_coreset.arrays import as_array, logits_of
from ms_coreset.errors import MsCoresetError, require_kind
from ms_coreset.evidence_checks import (
    as_labels,
    as_numbers,
    as_similarity,
    require_finite,
    require_label_columns,
    require_measurable,
    require_positive,
    require_symmetric,
    warn_of_probabilities,
)
from ms_coreset.randomness import hold_out
from ms_coreset.rows import as_slice, take

SIMILARITY = "similarity"  # the field that tells of each pair of samples
# That tell of each sample, as labels do.
FIELDS = ("features", "logits", "dynamics", "boundary", "imported", "runs", SIMILARITY, "cost")
EXTRACTED = ("features", "logits")  # that a network tells in one pass
WITHOUT_LABELS = "k_center, herding, or facility_location with kernel=features"  # to name to users
_HOW = {
    "labels": f"Evidence(labels=...), or choose by what needs none, such as {WITHOUT_LABELS}",
    "features": "mc.extract(network, split, need=('features',)), or pass your own (n, d) array",
    "logits": "mc.extract(network, split, need=('logits',)), or pass your own (n, C) array (logits or probabilities)",
    "dynamics": "mc.train(..., record=...).dynamics, or TrainingDynamics.load(folder)",
    "boundary": "mc.deepfool_distances(network, split)",
    "imported": "mc.Evidence(labels, imported=...), in a command by select --scores-from FILE",
    "runs": "one Evidence per network: Evidence(labels, runs=(first, second, ...))",
    "validation": "Evidence of held-out samples from the same network",
    "like": "Evidence(like=...), in a command by select --like FILE",
    "unlike": "Evidence(unlike=...), in a command by select --unlike FILE",
    "cost": "Evidence(cost=...), (n,), in a command by select --cost FILE",
    "similarity": "Evidence(similarity=K), K (n, n), in a command by select --similarity K.npy",
}


@dataclass(frozen=True)
class Evidence:
    """Arrays about n samples, from which methods and scores choose: labels, or one of the others, or several.

    Without labels it serves what does not look at them (``catalogue.Entry.labels``); all else refuses it by name.

    Arrays may be of any library: NumPy (in memory or memory-mapped), torch or MindSpore (bfloat16 and tensors with a
    gradient included), pandas, or lists. They are copied only if needed. Of h5py and zarr arrays only the rows in use
    are read, at the time of use (``arrays.StoredRows``).

    Whether numbers are finite is checked later, by ``require``, for the fields that a method needs.

    Attributes:
        labels: (n,) integers of any value, or None; booleans count as 0 and 1, and floats are accepted if they are
            whole numbers (as pandas has them). Methods that compare labels with logits need 0 .. C-1; others take them
            as names of groups.
        features: (n, d), a vector for each sample: usually the input of a network's last dense layer.
        logits: (n, C), the network's outputs before the softmax.
        dynamics: what happened to each sample during training: ``TrainingDynamics``, or ``StreamedDynamics``.
        boundary: (n,), squared distance to the decision boundary, as ``deepfool_distances`` computes it.
        imported: (n,), scores computed elsewhere, high = keep; NaN for a sample without one.
        runs: sequence of ``Evidence`` of the same samples, one for each network, for scores that average over networks.
        validation: ``Evidence`` of other samples (a validation set) from the same network.
        like: ``Evidence`` of other samples from the same network that the chosen ones are to be like (a query set), or
            their features (q, d) alone; see ``targeted_facility_location``.
        unlike: the same of samples that the chosen ones are to be unlike (a private set).
        similarity: (n, n), how similar the samples are to one another, high = alike: an array, memory-mapped or not, or
            a sparse matrix of SciPy, whose missing entries are 0. It is symmetric, to 1e-6 of its largest number. Set
            functions take it in place of a kernel of their own (``facility_location``).
        cost: (n,), above 0, what each sample costs, such as its file's size or the price of its label. Set functions
            then keep samples for the share ``rate`` of all costs, not that share of the samples
            (``submodular.knapsack``).
        probabilities: (n, C), in place of logits, which become log p. Rows lie in [0, 1] and sum to 1, to within 0.01;
            for p = 0 see ``arrays.logits_of``.

    Raises:
        MsCoresetError: if shapes do not fit together, and for values that are not numbers, masked arrays, and sparse
            ones of anything but similarities.
    """

    labels: np.ndarray | None = None
    features: np.ndarray | None = None
    logits: np.ndarray | None = None
    _: KW_ONLY
    dynamics: object | None = None
    boundary: np.ndarray | None = None
    imported: np.ndarray | None = None
    runs: tuple[Evidence, ...] | None = None
    validation: Evidence | None = None
    like: Evidence | None = None
    unlike: Evidence | None = None
    similarity: Any = None
    cost: np.ndarray | None = None
    probabilities: InitVar[Any] = None

    def __post_init__(self, probabilities: Any) -> None:
        given: dict[str, Any] = {"labels": None if self.labels is None else as_labels(self.labels),
                                 "runs": _as_runs(self.runs), "like": _as_samples(self.like),
                                 "unlike": _as_samples(self.unlike)}
        first, n = self._size(given["labels"], probabilities)
        if probabilities is not None:
            if self.logits is not None:
                raise MsCoresetError("logits and probabilities: give one of them, the other follows")
            given["logits"] = logits_of(as_numbers("probabilities", probabilities, (n, None), first))
        for name, shape in (("features", (n, None)), ("logits", (n, None)), ("boundary", (n,)),
                            ("imported", (n,)), ("cost", (n,))):
            if getattr(self, name) is not None:
                given[name] = as_numbers(name, getattr(self, name), shape, first)
        if self.similarity is not None:
            given["similarity"] = as_similarity(self.similarity, n)
        for name, value in given.items():
            object.__setattr__(self, name, value)
        require_kind("validation", self.validation, Evidence, type(None))
        for run in self.runs or ():
            require_kind("runs", run, Evidence)
            if len(run) != n or not _same(run.labels, self.labels):
                raise MsCoresetError("every run must be of the same samples: their labels differ")

    def _size(self, labels: np.ndarray | None, probabilities: Any) -> tuple[str, int]:
        """(name of the first array that is there, how many samples it is of)."""
        arrays = {"labels": labels, "features": self.features, "logits": self.logits, "probabilities": probabilities,
                  "boundary": self.boundary, "imported": self.imported, "similarity": self.similarity}
        for name, given in arrays.items():
            if given is not None:
                shape = np.shape(given) if name == "similarity" else as_array(name, given).shape
                if not shape or not shape[0]:
                    raise MsCoresetError(f"{name} must be of at least one sample, got shape {shape}")
                return name, shape[0]
        if self.dynamics is not None:
            return "dynamics", int(self.dynamics.num_samples)  # type: ignore[attr-defined]
        if self.runs:
            return "runs", len(self.runs[0])
        raise MsCoresetError(f"evidence of nothing: give labels, or one of {', '.join(FIELDS)}")

    def __len__(self) -> int:
        return self._size(self.labels, None)[1]

    @property
    def groups(self) -> np.ndarray:
        """(n,) the class of each sample: its label, or 0 of all samples where there are no labels."""
        return np.zeros(len(self), np.int64) if self.labels is None else self.labels

    def hold_out(self, share: float, seed: int = 0) -> tuple[np.ndarray, Evidence]:
        """Hold a share of the samples out as a validation set.

        ``round(share * n)`` samples are drawn. Training that holds out a validation share of this size, with this seed,
        holds out the same samples. Of the fields, only labels, features and logits are kept.

        Args:
            share: of the samples, in [0, 1).
            seed: seed of the draw, 0 to 2**32 - 1.

        Returns:
            (places, evidence): the ascending places (m,) of the samples that are not held out, and their ``Evidence``,
            whose ``validation`` has the samples that are.

        Raises:
            MsCoresetError: for a share out of range, and one that holds out no sample or all.
        """
        rest, held_out = hold_out(len(self), share, seed)
        if not len(held_out):
            raise MsCoresetError(f"held-out share {share}: none of {len(self)} samples; give a larger share")
        return rest, replace(self.part(rest, EXTRACTED), validation=self.part(held_out, EXTRACTED))

    def part(self, rows: np.ndarray, fields: Iterable[str] = FIELDS) -> Evidence:
        """``Evidence`` of some of the samples; the validation set, and what to be like and unlike, stay whole.

        If the samples are consecutive and in order, arrays are views, not copies.

        Args:
            rows: (m,) places.
            fields: the fields that are kept beside the labels.

        Returns:
            ``Evidence`` of m samples.
        """
        found = {name: part_of(getattr(self, name), rows, name) for name in fields}
        labels = None if self.labels is None else take(self.labels, rows)
        return Evidence(labels, validation=self.validation, like=self.like, unlike=self.unlike, **found)

    def require(self, needs: Iterable[str], method: str, rows: slice = slice(None)) -> None:
        """Check that every field in ``needs`` is given, and finite for the samples ``rows``.

        Features must also be neither so large nor so small that squared distances overflow or vanish in float32.
        Similarities must be symmetric. Logits that look like probabilities give a warning.

        Args:
            needs: names of fields, "labels" among them.
            method: what needs them, for messages.
            rows: the samples that are checked.

        Raises:
            MsCoresetError: for a field that is missing, not finite, or too large or small.
        """
        for name in needs:
            value = getattr(self, name)
            if value is None:
                raise MsCoresetError(f"{method} needs {name}, which this evidence lacks; get it with {_HOW[name]}")
            if name in ("features", "logits", "boundary", "cost"):
                require_finite(value, name, range(len(self))[rows])
            if name == "cost":
                require_positive(value, name)
            if name == "features":
                require_measurable(value, range(len(self))[rows])
            if name == "similarity":
                require_symmetric(value)
            if name == "logits":
                warn_of_probabilities(value, range(len(self))[rows])

    def require_label_columns(self, method: str) -> None:
        """Check that labels are columns of the logits, 0 .. C-1, as methods need that compare the two.

        Args:
            method: what compares them, for messages.

        Raises:
            MsCoresetError: if a label is not.
        """
        if self.logits is not None:
            labels = require_field(self.labels)
            require_label_columns(labels, self.logits.shape[1], f" that {method} compares them with")


def _as_runs(given: Any) -> tuple[Evidence, ...] | None:
    require_kind("runs", given, list, tuple, type(None))
    if given is not None and not given:
        raise MsCoresetError("runs must hold at least one Evidence; without runs, leave it out")
    return None if given is None else tuple(given)


def _as_samples(given: Any) -> Evidence | None:
    """The samples to be like or unlike, of which the features may be given alone."""
    return given if given is None or isinstance(given, Evidence) else Evidence(features=given)


def _same(labels: np.ndarray | None, others: np.ndarray | None) -> bool:
    """Whether labels are the same, or there are none of either."""
    return labels is others if labels is None or others is None else np.array_equal(labels, others)


def part_of(field: Any, rows: np.ndarray, name: str = "") -> Any:
    """The part of a field of ``Evidence``, with its name, that belongs to the samples ``rows``."""
    if name == SIMILARITY and field is not None:
        return among(field, rows)
    if isinstance(field, tuple):
        return tuple(run.part(rows) for run in field)
    if is_dataclass(field) and not isinstance(field, type):  # dynamics: an epoch, a row; or (n,)
        recorded = {kind.name: getattr(field, kind.name) for kind in fields(field)}
        places = as_slice(rows)
        return replace(field, **{name: values if values is None else values[:, places] if values.ndim > 1
                                 else values[places] for name, values in recorded.items()})
    return take(field, rows) if hasattr(field, "shape") else field


def among(similarity: Any, rows: np.ndarray) -> Any:
    """The similarities (m, m) of some places with one another: a view if these are consecutive and ascending."""
    places = as_slice(rows)
    if isinstance(places, slice) or not isinstance(similarity, np.ndarray):
        return similarity[places][:, places]
    return similarity[np.ix_(rows, rows)]


def require_field(array: np.ndarray | None) -> np.ndarray:
    """A field of ``Evidence`` that ``require`` has found to be there."""
    assert array is not None
    return array
