"""Out-of-fold evidence: the answers for a sample come from a network that was not trained on it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ms_coreset.errors import MsCoresetError, require_whole
from ms_coreset.evidence import Evidence
from ms_coreset.jobs.sources import PATCHES, Sources
from ms_coreset.randomness import stream
from ms_coreset.selectors import METHODS, SCORES
from ms_coreset.selectors.choice import Choice

_ASKED = {"features", "logits", "boundary"}  # of a network that was not trained on the samples
Ask = Callable[[int, np.ndarray, np.ndarray], Evidence]  # (number of the fold, places of the others, of the fold)


def require_foldable(sources: Sources, scores: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Raise ``MsCoresetError`` if folds are requested and not possible, or unsuitable for a score.

    Args:
        sources: whose evidence has ``folds``, or 0 for none
        scores: (name, options) of what is to be computed; each must use one sample by itself, because the features of
            several networks have no common axes
    """
    folds = sources.evidence.folds
    if folds is None:
        return
    require_whole("--out-of-fold", folds, 2)
    if sources.evidence.kind == PATCHES:
        raise MsCoresetError(f"--out-of-fold {folds} is about networks; evidence of {PATCHES} is out of fold by itself")
    if sources.network.checkpoint:
        raise MsCoresetError(f"--out-of-fold {folds} trains {folds} networks: --ckpt {sources.network.checkpoint} has "
                             "no part in it")
    for name, options in scores:
        reason = _misfit(name, options)
        if reason is not None:
            raise MsCoresetError(f"--out-of-fold: {name} {reason}; what goes: {', '.join(foldable_scores())}")


def _misfit(name: str, options: Mapping[str, Any]) -> str | None:
    """Why a score, or a method that is no score, can't use several networks that each answer for a part."""
    if name not in SCORES and not METHODS[name].needs:
        return "asks no network"
    if name not in SCORES:
        return "looks at several samples at once, and each network's features have axes of their own"
    entry = SCORES[name]
    if "dynamics" in entry.needs_for(dict(options)):
        return "is of a training's own samples"
    if not _ASKED.issuperset(entry.needs_for(dict(options))) or entry.parallel_for(dict(options)) != "samples":
        return "looks at several samples at once, and each network's features have axes of their own"
    return None


def foldable_scores() -> list[str]:
    """The scores that can use folds, with their default options."""
    return [name for name in SCORES.names() if _misfit(name, {}) is None]


def scores_in(choice: Choice) -> list[tuple[str, dict[str, Any]]]:
    """(name, options) of the scores that a choice uses; of a method that is no score, its own name."""
    options = choice.options
    if choice.name in METHODS:
        name = str({**METHODS[choice.name].options, **options}.get("score", choice.name))
        known = METHODS[choice.name].options
    else:
        name, _, _ = choice.name.rpartition("-")
        known = SCORES[name].options
    of_score = {option: value for option, value in options.items() if name in SCORES and option in SCORES[name].options}
    cut_off = options.get("mis_ratio", 0) and {**METHODS["ccs"].options, **known, **options}["cutoff_score"]
    return [(name, of_score), *([(str(cut_off), {})] if cut_off else [])]


def folds_of(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """(n,): the fold of each sample, 0 to ``folds`` - 1; each class is divided evenly, at random by the seed.

    Raises:
        MsCoresetError: for fewer samples than folds.
    """
    if len(labels) < folds:
        raise MsCoresetError(f"--out-of-fold {folds}: there are but {len(labels)} samples")
    shuffled = stream(seed, "folds").permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    found = np.empty(len(labels), np.int64)
    found[by_class] = np.arange(len(labels)) % folds
    return found


def join_folds(labels: np.ndarray, folds: int, seed: int, ask: Ask) -> Evidence:
    """The ``Evidence`` of all samples; ``ask`` returns that of each fold."""
    fold = folds_of(labels, folds, seed)
    joined: dict[str, Any] = {}
    for number in range(folds):
        rows = np.flatnonzero(fold == number)
        answers = ask(number, np.flatnonzero(fold != number), rows)
        for name in _ASKED:
            part = getattr(answers, name)
            if part is not None:
                joined.setdefault(name, np.empty((len(labels), *part.shape[1:]), part.dtype))[rows] = part
    return Evidence(labels, **joined)
