"""The job of ``score``: compute every score of every sample, and write them to one file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ms_coreset.datasets.split import Split
from ms_coreset.distributed import current
from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import EXTRACTED, Evidence
from ms_coreset.files import atomic_write
from ms_coreset.jobs.base_network import require_writable
from ms_coreset.jobs.gather_evidence import gather, load_pool, require_askable
from ms_coreset.jobs.neighbor_searches import keep_neighbors
from ms_coreset.jobs.out_of_fold import foldable_scores, require_foldable
from ms_coreset.jobs.patch_evidence import is_of_patches, require_evidence
from ms_coreset.jobs.score_files import FIELD
from ms_coreset.jobs.sources import COSTLY, PATCHES, EvidenceSource, Runtime, Sources
from ms_coreset.jobs.steps import Steps
from ms_coreset.jobs.trust import Trust, tell_if_poor, trust_in
from ms_coreset.kinds import FilePath
from ms_coreset.selectors import SCORES, list_scores, score
from ms_coreset.selectors.agreement import Agreement, agreement
from ms_coreset.tables import Column, write_csv
from ms_coreset.terminal import note


@dataclass(frozen=True)
class ScoringResult:
    """Scores by name, (n,) each, high = keep, of the samples at ``rows`` of the training split.

    Attributes:
        trust: accuracy of the evidence, or None
        checkpoint: of the network that gave the evidence, or None
        stem: path of the result files without their suffixes .npz and .csv
        agreement: score -> ``Agreement`` of several runs
    """

    values: Mapping
    rows: np.ndarray
    trust: Trust | None
    checkpoint: Path | None
    steps: Steps
    stem: Path
    agreement: Mapping = field(default_factory=dict)


def score_all(sources: Sources, names: Iterable[str], save: FilePath, runtime: Runtime) -> ScoringResult:
    """Compute scores and write them to a folder.

    Args:
        sources: of the data and the evidence
        names: of the scores; empty: all possible ones except ``COSTLY`` ones. Scores that the evidence does not suffice
            for (one epoch, say) are then left out, which the user is told
        save: folder of the result
        runtime: what to compute on

    Returns:
        The ``ScoringResult``.
    """
    names = [SCORES.canonical(name) for name in names]
    require_evidence(sources, {name: SCORES[name].needs for name in names})
    require_foldable(sources, [(name, {}) for name in names])
    require_writable(save)
    steps = Steps()
    device, whole, pool, split = load_pool(sources, runtime, steps)
    wanted = names or _possible(sources.evidence, split)
    for name in names:
        if SCORES[name].needs_labels({}):
            split.require_labels(name, "leave it out")
    require_askable(split, {name: SCORES[name].needs for name in names})
    needs = dict.fromkeys(need for name in wanted for need in SCORES[name].needs)
    evidence, checkpoint = gather(sources, split, device, steps, tuple(needs))
    with steps("score"), keep_neighbors(sources.evidence.cache):
        values = {name: score(name, evidence) for name in names} or _all_that_go(wanted, evidence)
    _tell_unseen(values)
    rows = np.arange(len(whole)) if pool is None else pool
    folds = sources.evidence.folds
    asked = (checkpoint.parent.name if checkpoint else PATCHES if is_of_patches(evidence) else
             f"{folds}folds" if folds else None)
    dataset = sources.data.name_in_files
    stem = Path(save) / (f"{dataset}-{asked}" if asked else dataset)
    if current().first:
        _save(stem, rows, split, values)
    trusted = trust_in(sources, split, evidence, checkpoint, device)
    tell_if_poor(trusted)
    agreed = _agreement(evidence.runs or (), values)
    return ScoringResult(values, rows, trusted, checkpoint, steps, stem, agreed)


def _agreement(runs: Sequence[Evidence], names: Iterable[str]) -> dict[str, Agreement]:
    """Score -> ``Agreement`` of several runs; empty for one run."""
    return {name: agreement([score(name, run) for run in runs]) for name in names} if len(runs) > 1 else {}


def _all_that_go(names: Sequence[str], evidence: Evidence) -> dict[str, np.ndarray]:
    """Scores by name; raises the last score's ``MsCoresetError`` if none is possible."""
    values: dict[str, np.ndarray] = {}
    failed: dict[str, MsCoresetError] = {}
    for name in names:
        try:
            values[name] = score(name, evidence)
        except MsCoresetError as error:
            failed[name] = error
    if not values:
        raise failed[names[-1]]
    for name, reason in failed.items():
        note(f"left out, {reason}" if str(reason).startswith(name) else f"left out, {name}: {reason}")
    return values


def _tell_unseen(values: Mapping[str, np.ndarray]) -> None:
    """Tell the user how many samples have no value of a score."""
    unseen = {name: int(np.isnan(found).sum()) for name, found in values.items()}
    told = [name for name, count in unseen.items() if count]
    if told:
        note(f"{max(unseen.values()):,} of {len(values[told[0]]):,} samples are NaN in {', '.join(told)}: training did "
             "not show them (such as those held out for validation)")


def _possible(source: EvidenceSource, split: Split) -> list[str]:
    """The scores that are computed by default: all but costly ones; without images, those of known fields.

    With evidence of patches, those that need no training dynamics; out of fold, those of single samples.
    """
    names = [name for name in list_scores() if name not in COSTLY and FIELD not in SCORES[name].needs]
    if source.folds:
        names = [name for name in names if name in foldable_scores()]
    if source.kind == PATCHES:
        names = [name for name in names if set(SCORES[name].needs) <= {*EXTRACTED}]
    if split.images is not None:
        return names
    possible = [name for name in names if set(SCORES[name].needs) <= split.known.keys()
                and (split.num_classes or not SCORES[name].needs_labels({}))]
    lacking = "no images" if split.num_classes else "no images or labels"
    if not possible:
        brought = ", ".join(split.known) or "labels"
        raise MsCoresetError(f"{split.name} brings {brought} and {lacking}: there is nothing to score by")
    note(f"{split.name} brings {', '.join(split.known)} and {lacking}: {len(possible)} of {len(names)} scores")
    return possible


def _save(stem: Path, rows: np.ndarray, split: Split, values: Mapping[str, np.ndarray]) -> None:
    """The same table twice: arrays by name, and text with a line a sample, which has its file, too."""
    known = {"index": rows} if split.known_labels is None else {"index": rows, "label": split.known_labels}
    if split.clean_labels is not None:
        known["clean_label"] = split.clean_labels
    if split.bad is not None:
        known["bad"] = split.bad.astype(int)
    columns: dict[str, Column] = {name: (int, column.tolist()) for name, column in known.items()}
    columns = {"index": columns.pop("index"), "path": (str, split.file_names() or [None] * len(split)), **columns,
               **{name: (float, column.tolist()) for name, column in values.items()}}
    with atomic_write(f"{stem}.npz") as arrays, atomic_write(
            f"{stem}.csv", "w", encoding="utf-8", errors="surrogateescape", newline="") as text:
        np.savez_compressed(arrays, **known, **values)
        write_csv(text, columns)
