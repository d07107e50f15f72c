"""Scores and selections on several ranks: how the work is shared, with the result of one process if possible.

Each rank computes a score of single samples for a share of the samples, and a score that uses a sample's class for a
share of the classes; ``cld`` and ``ram_apl``, which need a little of all samples, too, share the rest themselves. A
method that consists of a score and a rule gives the same result as one process. So do balanced methods that choose
within each class by itself: each rank takes a share of the classes. Rank 0 does all other work alone, except set
functions and k-center over all samples: these are maximized in two rounds (``two_rounds``), with another result, which
the manifest notes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.distributed import alone, current
from ms_coreset.errors import MsCoresetError
from ms_coreset.randomness import stream
from ms_coreset.selectors.catalogue import METHODS
from ms_coreset.selectors.estimate import Estimate, estimate
from ms_coreset.selectors.quota import budget, classes
from ms_coreset.selectors.scores.record import require_finished
from ms_coreset.selectors.selection import Selection

if TYPE_CHECKING:
    from ms_coreset.distributed import Alone
    from ms_coreset.evidence import Evidence
    from ms_coreset.selectors.catalogue import Entry
    from ms_coreset.selectors.quota import Request

Places = np.ndarray | list[int]
SCORES, CLASSES, ROUNDS, FIRST = "scores", "classes", "rounds", ""
_IN_WORDS = {SCORES: "a share of the scores each; one process chooses the same",
             CLASSES: "a share of the classes each; one process chooses the same",
             FIRST: "rank 0 chose alone, for this can't be shared; one process chooses the same",
             ROUNDS: "two rounds, from each rank's part and from all these picks: not what one process chooses"}


def values(entry: Entry, evidence: Evidence, options: dict[str, Any]) -> np.ndarray:
    """The score ``entry`` of all samples, (n,) float64, on all ranks."""
    ranks, how = current(), entry.parallel_for(options)
    if "dynamics" in entry.needs_for(options):  # of all samples: a share may well have none that an epoch showed
        streamed = getattr(evidence.dynamics, "streamed", None)
        if streamed is not None:
            return _from_stream(entry, evidence.dynamics, len(evidence), options)
        require_finished(evidence.dynamics, entry.name, options.get("epochs"))
    if ranks.size == 1 or not how:
        return np.asarray(entry.function(evidence, **options), np.float64)
    if how == "samples":
        return ranks.join(_values_of(entry, evidence, options, np.arange(len(evidence))[ranks.part(len(evidence))]))
    parts, whole = deal(classes(evidence.groups), ranks.size), np.empty(len(evidence))
    whole[np.concatenate(parts)] = ranks.join(_values_of(entry, evidence, options, parts[ranks.rank]))
    return whole


def _from_stream(entry: Entry, dynamics: Any, n: int, options: dict[str, Any]) -> np.ndarray:
    """The score of n samples that was accumulated during training, with its default options."""
    found: Mapping[str, np.ndarray] = dynamics.streamed
    if entry.name not in found:
        share = ", and with a validation share (--validation 0.1)" if entry.name == "cld" else ""
        raise MsCoresetError(f"{entry.name}: training with --record stream kept {', '.join(found)}: train "
                             + (f"for more epochs{share}" if hasattr(dynamics, entry.name)
                                else "without it for a record of every epoch"))
    for name, value in options.items():
        if value != entry.options[name]:
            raise MsCoresetError(f"{entry.name}: {name} {value}: training with --record stream kept the score with its "
                                 "default options alone: train without it for others")
    values = np.asarray(found[entry.name], np.float64)
    if len(values) != n:
        raise MsCoresetError(f"{entry.name}: streamed scores of {len(values)} samples, but {n} labels")
    return values


def _values_of(entry: Entry, evidence: Evidence, options: dict[str, Any], rows: np.ndarray) -> np.ndarray:
    """The score of the samples ``rows``, from the evidence of these alone."""
    if not len(rows):
        return np.empty(0)
    with alone():
        return np.asarray(entry.function(evidence.part(rows), **options), np.float64)


def choose(entry: Entry, evidence: Evidence, request: Request, options: dict[str, Any]) -> Selection:
    """What the method ``entry`` chooses, a ``Selection``, on all ranks."""
    ranks, how = current(), sharing(entry, request, options)
    if ranks.size == 1 or how in (SCORES, ROUNDS):
        return entry.function(evidence, request, **options)
    if how == CLASSES:
        return _by_class(entry, evidence, request, options, ranks)
    found = ranks.from_first(lambda: _pack(entry.function(evidence, request, **options)))
    return Selection(found["indices"], found.get("weights"), found.get("scores"), gains=found.get("gains"))


def sharing(entry: Entry, request: Request, options: dict[str, Any]) -> str:
    """How the ranks share the method ``entry``: ``SCORES``, ``CLASSES``, ``ROUNDS``, or ``FIRST``: not at all."""
    how = entry.parallel_for(options)
    if request.balance:
        return CLASSES if how == ROUNDS else how
    return FIRST if how == CLASSES else how


def notes(how: str) -> dict[str, Any]:
    """What a coreset's manifest says about the ranks that shared the work; nothing for one process."""
    if current().size == 1:
        return {}
    return {"ranks": current().size, "shared": _IN_WORDS[how], "exact": how != ROUNDS}


def _pack(selection: Selection) -> dict[str, np.ndarray]:
    return {name: value for name, value in selection._asdict().items() if value is not None and name != "notes"}


def _by_class(entry: Entry, evidence: Evidence, request: Request, options: dict[str, Any], ranks: Alone) -> Selection:
    """Each rank chooses from its classes; then the picks are joined, classes by rising label."""
    groups = classes(evidence.groups)
    budgets = [request.budget_of(evidence.groups[rows[0]], len(rows)) for rows in groups]
    empty = [rows for rows, k in zip(groups, budgets, strict=True) if not k]
    shares = deal([rows for rows, k in zip(groups, budgets, strict=True) if k], ranks.size)
    # Classes that the rate keeps nothing of go to rank 0, which has others unless nothing is kept at all.
    shares[0] = np.sort(np.concatenate([shares[0], *empty]))
    mine, own = shares[ranks.rank], Selection(np.empty(0, np.int64))
    if len(mine):
        with alone():
            own = entry.function(evidence.part(mine), request, **options)
    indices = ranks.join(mine[own.indices])
    order = np.argsort(evidence.groups[indices], kind="stable")  # of a class all are one rank's, in pick order
    weights, scores, gains = (_join(getattr(own, name), ranks) for name in ("weights", "scores", "gains"))
    if scores is not None:
        places = np.argsort(np.concatenate(shares))
        scores = scores[places]
    weights, gains = (None if values is None else values[order] for values in (weights, gains))
    return Selection(indices[order], weights, scores, gains=gains)


def _join(values: np.ndarray | None, ranks: Alone) -> np.ndarray | None:
    """The values of all ranks, or None if rank 0 has none; a rank without classes has none, either."""
    if not ranks.agree(values is not None):
        return None
    return ranks.join(np.empty(0) if values is None else np.asarray(values, np.float64))


def two_rounds(n: int, k: int, seed: int, pick: Callable[[np.ndarray, int], Places],
               pick_last: Callable[[np.ndarray, np.ndarray, list[np.ndarray]], np.ndarray]) -> np.ndarray:
    """Pick k of n samples in two rounds, on all ranks.

    The samples are distributed over the ranks at random. In the first round each rank picks k from its own samples; in
    the second, rank 0 picks from the union.

    Source: Mirzasoleiman et al., Distributed Submodular Maximization, NeurIPS 2013, algorithm 2. The random
    distribution, which gives a constant share of the best value in expectation: Barbosa et al., ICML 2015. For
    k-center: Malkomes et al., NeurIPS 2015, algorithm 1, within 4 times the best radius.
    which gives a constant share of the best value in expectation, Barbosa et al., ICML 2015. For k-center, Malkomes et
    al., NeurIPS 2015, algorithm 1: within 4 times the best radius.

    Args:
        n: how many samples.
        k: how many to pick.
        seed: of the random distribution.
        pick: ``pick(rows, k)`` picks on each rank from its own samples (ascending places).
        pick_last: ``pick_last(own, candidates, picks)`` picks on rank 0: ``own`` are its own samples, ``candidates``
            the union of all picks, and ``picks`` each rank's, in pick order.

    Returns:
        (k,) places, on all ranks.
    """
    ranks = current()
    part = stream(seed, "ranks").randint(ranks.size, size=n, dtype=np.uint16)
    own = np.flatnonzero(part == ranks.rank)
    with alone():
        chosen_here = own[pick(own, min(k, len(own)))] if len(own) else own
    picks = ranks.gather(chosen_here)
    candidates = np.sort(np.concatenate(picks))
    return ranks.from_first(lambda: {"indices": pick_last(own, candidates, picks)})["indices"]


def estimate_on_ranks(method: str, n: int, d: int, classes: Any, rate: float, balance: bool = False,
                      memory: int | str | None = None, ranks: int = 1, dtype: Any = "float32",
                      **options: Any) -> Estimate:
    """Estimate of ``select`` for one of several ranks: as ``estimate``; of two rounds, the larger one."""
    entry = METHODS[method]
    if balance or ranks == 1 or entry.parallel_for(options) != "rounds":
        return estimate(method, n, d, classes=classes, rate=rate, balance=balance, memory=memory, dtype=dtype,
                        **options)
    k, own = budget(rate, n), -(-n // ranks)
    ground = min(n, own + (ranks - 1) * min(k, own))
    columns = classes if np.ndim(classes) == 0 else len(classes)  # over all samples, their sizes make no difference
    rounds = [estimate(method, m, d, classes=columns, rate=min(1.0, k / m) or rate, balance=False, memory=memory,
                       dtype=dtype, **options)
              for m in (own, ground)]
    return max(rounds, key=lambda each: each.peak)


def deal(groups: Sequence[np.ndarray], ranks: int) -> list[np.ndarray]:
    """Distribute groups of places so that the ranks have about as many places each.

    The largest group goes first; each goes to the rank with the fewest places, of equal ranks the first.

    Args:
        groups: places, each group in an array.
        ranks: how many ranks.

    Returns:
        For each rank the ascending places of all its groups.
    """
    sizes = np.array([len(rows) for rows in groups])
    load = np.zeros(ranks, np.int64)
    of_rank: list[list[np.ndarray]] = [[] for _ in range(ranks)]
    for group in np.argsort(-sizes, kind="stable"):
        rank = int(np.argmin(load))
        load[rank] += sizes[group]
        of_rank[rank].append(groups[group])
    return [np.sort(np.concatenate(rows)) if rows else np.empty(0, np.int64) for rows in of_rank]
