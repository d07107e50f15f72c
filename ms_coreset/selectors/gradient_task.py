"""What GradMatch and GLISTER choose from, and their target, as gradients."""

from typing import NamedTuple

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import EXTRACTED, Evidence, require_field
from ms_coreset.selectors.last_layer_gradients import LastLayerGradients, ResidentGradients
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.rules import first_best


class GradientTask(NamedTuple):
    """The pool to pick from, and the samples whose mean gradient is the target; both as gradients and as evidence."""

    pool: ResidentGradients
    aim: ResidentGradients
    held_out: Evidence


def pose_task(evidence: Evidence, rows: np.ndarray, request: Request, variant: str, batch_size: int) -> "GradientTask":
    """The ``GradientTask`` of the pool ``rows``, with the validation set (balanced: its class) as target."""
    samples = evidence.part(rows, EXTRACTED)
    pool = _resident(samples, variant, batch_size)
    validation = evidence.validation
    if validation is None:
        return GradientTask(pool, pool, samples)
    label = require_field(evidence.labels)[rows[0]] if request.balance else None
    held_out = validation.part(_rows_of(label, require_field(validation.labels)), EXTRACTED)
    return GradientTask(pool, _resident(held_out, variant, batch_size), held_out)


def _rows_of(label: int | None, labels: np.ndarray) -> np.ndarray:
    """The validation samples of a class, or all of them."""
    if label is None:
        return np.arange(len(labels))
    same = np.flatnonzero(labels == label)
    if not len(same):
        raise MsCoresetError(f"validation has no sample of class {label}: add some, or select with balance=False")
    return same


def _resident(samples: Evidence, variant: str, batch_size: int) -> ResidentGradients:
    gradients = LastLayerGradients.of(samples)
    return ResidentGradients(gradients.divide_by_batch(batch_size) if variant == "deepcore" else gradients)


def largest_first(values: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` places of the largest values, largest first; ties as in ``first_best``."""
    values, places = values.copy(), np.empty(count, np.int64)
    for i in range(count):
        places[i] = first_best(values)
        values[places[i]] = -np.inf
    return places


def require_fitting_validation(evidence: Evidence) -> None:
    """Raise ``MsCoresetError`` if features or logits of the validation set have another number of columns."""
    if evidence.validation is None:
        return
    for field in EXTRACTED:
        expected, found = (getattr(side, field).shape[1] for side in (evidence, evidence.validation))
        if expected != found:
            raise MsCoresetError(f"validation {field} have {found} columns, must have {expected} like the pool's")
