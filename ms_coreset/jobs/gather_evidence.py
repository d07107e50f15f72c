"""Gathers the evidence that a method needs: what came with the data, and answers of networks."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ms_coreset.coreset import Coreset
from ms_coreset.datasets import class_balanced_indices
from ms_coreset.datasets.split import Split
from ms_coreset.errors import MsCoresetError, require_same_classes
from ms_coreset.evidence import EXTRACTED, Evidence
from ms_coreset.extraction import extract
from ms_coreset.extraction.deepfool import deepfool_distances
from ms_coreset.identity import contents_digest, misfit
from ms_coreset.jobs.attacked import training_split
from ms_coreset.jobs.base_network import base_network, first_network, fold_network, training_notes
from ms_coreset.jobs.computing import set_up
from ms_coreset.jobs.out_of_fold import join_folds
from ms_coreset.jobs.patch_evidence import ask_patches
from ms_coreset.jobs.score_files import with_scores
from ms_coreset.jobs.side_files import with_cost
from ms_coreset.jobs.similarity_files import with_similarity
from ms_coreset.jobs.sources import PATCHES, EvidenceSource, Runtime, Sources
from ms_coreset.jobs.steps import Steps
from ms_coreset.kinds import Network
from ms_coreset.terminal import note
from ms_coreset.training.dynamics import TrainingDynamics
from ms_coreset.training.streams import StreamedDynamics, load_dynamics

# (samples, features of each, samples of each class, types of features and logits)
Sizes = tuple[int, int, tuple[int, ...], tuple[str, ...]]
Find = Callable[[Sources, Split, str, Steps, int], tuple[Network, Path]]  # as ``base_network``


def load_pool(sources: Sources, runtime: Runtime, steps: Steps) -> tuple[str, Split, np.ndarray | None, Split]:
    """Load the data set, and draw its pool.

    Returns:
        (device, training split, places of the pool or None for all, the pool as a split).

    Raises:
        MsCoresetError: if a framework is given and there are no images for a network.
    """
    with steps("load"):
        device = set_up(runtime, sources.network)
        whole = training_split(sources)
        if sources.network.given_framework and whole.images is None:
            raise MsCoresetError(f"--framework {sources.network.framework} is about networks: {whole.name} brings no "
                                 "images to ask one about")
        evidence = sources.evidence
        if evidence.scores is not None:
            whole = with_scores(whole, evidence.scores, evidence.scores_key, evidence.scores_low)
        if evidence.dynamics is not None:
            whole = dataclasses.replace(whole, known={**whole.known, "dynamics": load_dynamics(evidence.dynamics)})
        if evidence.similarity is not None:
            whole = with_similarity(whole, evidence.similarity)
        if evidence.cost is not None:
            whole = with_cost(whole, evidence.cost)
        return device, whole, *_part_of(whole, sources)


def _part_of(whole: Split, sources: Sources) -> tuple[np.ndarray | None, Split]:
    """(places, part) that is chosen from, or (None, split) where that is all."""
    if sources.among is None:
        return draw_pool(whole, sources.pool, sources.seed)
    coreset = Coreset.load(sources.among)
    places = coreset.sort_by_index()[0]
    if (reason := misfit(coreset, whole, whole.name, may_differ=("labels",))) is not None:
        raise MsCoresetError(f"{sources.among} {reason}: --among names a coreset of the data that are chosen from")
    drawn, part = draw_pool(whole.subset(places), sources.pool, sources.seed)
    return places if drawn is None else places[drawn], part


def draw_pool(split: Split, size: int | None, seed: int) -> tuple[np.ndarray | None, Split]:
    """(places, part) of a class-balanced pool of ``size`` samples, or (None, split) without a size."""
    if size is None:
        return None, split
    pool = class_balanced_indices(split.labels, size, seed)
    return pool, split.subset(pool)


def gather(sources: Sources, split: Split, device: str, steps: Steps, needs: Sequence[str],
           find: Find = base_network) -> tuple[Evidence, Path | None]:
    """Gather the fields ``needs`` of the evidence.

    Fields that came with the data are used. A network is trained or loaded only if others are needed, and more networks
    for several runs; ``find`` returns them, as ``base_network`` does. Evidence of patches needs no network.

    Returns:
        (evidence, path of the base network's checkpoint or None).

    Raises:
        MsCoresetError: if a network is needed and there are no images.
    """
    known, wanted = _split_needs(sources.evidence, split, needs)
    if not wanted:
        return Evidence(split.known_labels, **known), None
    if sources.evidence.kind == PATCHES:
        return _with(ask_patches(sources, split, steps), **known), None

    def ask(run: int) -> tuple[Evidence, Path | None]:
        if sources.evidence.folds:
            return _out_of_fold(sources, split, device, steps, wanted, run), None
        return _ask(sources.evidence, split, steps, wanted, *find(sources, split, device, steps, run))

    first, checkpoint = ask(0)
    first = _with(first, **known)
    if sources.evidence.runs == 1:
        return first, checkpoint
    others = [ask(run)[0] for run in range(1, sources.evidence.runs)]
    return _with(first, runs=(first, *(_with(other, **known) for other in others))), checkpoint


def sizes_of(evidence: Evidence) -> Sizes:
    """The sizes of an evidence, for estimates.

    Returns:
        (samples, features of each, samples of each class, types of features and logits).
    """
    features, logits = evidence.features, evidence.logits
    return _sizes(evidence.groups, 0 if logits is None else logits.shape[1], features, logits)


def sizes_to_gather(sources: Sources, split: Split, device: str, needs: Sequence[str]) -> Sizes:
    """``sizes_of`` the evidence that ``gather`` will return, before any network is trained; raises what it does."""
    known, wanted = _split_needs(sources.evidence, split, needs)
    features = known.get("features")
    if "features" in wanted:
        patches = sources.evidence.kind == PATCHES
        width = split.num_classes if patches else first_network(sources, split, device).num_features
        features = np.empty((0, width), np.float32)
    logits = known.get("logits")
    columns = split.num_classes if split.num_classes or logits is None else logits.shape[1]
    return _sizes(split.labels, columns, features, logits)


def _sizes(labels: np.ndarray, columns: int, features: np.ndarray | None, logits: np.ndarray | None) -> Sizes:
    counts = np.unique(labels, return_counts=True)[1].tolist()
    counts += [0] * (columns - len(counts))  # classes without samples have logits, too
    types = tuple("float32" if array is None else array.dtype.name for array in (features, logits))
    return len(labels), 1 if features is None else features.shape[1], tuple(counts), types


def _split_needs(source: EvidenceSource, split: Split,
                 needs: Sequence[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of ``needs`` that came with the data, and the names of those that a network must give."""
    if source.runs < 1:
        raise MsCoresetError(f"runs {source.runs}: must be at least 1")
    known = {name: split.known[name] for name in needs if name in split.known}
    wanted = tuple(name for name in needs if name not in known)
    require_askable(split, {"this": needs})
    _require_used(split, known, wanted, source)
    return known, wanted


def require_askable(split: Split, needs: Mapping[str, Sequence[str]]) -> None:
    """Raise ``MsCoresetError`` where a network is needed, and there are no images to ask it about.

    Args:
        split: the samples.
        needs: what each method or score, by its name, needs of the evidence.
    """
    for name, fields in needs.items():
        wanted = [field for field in fields if field not in split.known]
        if wanted and split.images is None:
            raise MsCoresetError(f"{name} needs {', '.join(wanted)}, but {split.name} brings {_list(split.known)} and "
                                 f"no images to ask a network about: {_remedy(wanted)}'images'")


def _remedy(wanted: Sequence[str]) -> str:
    """How fields come without a network: "add 'logits' to it, or ", or "add " where some can't."""
    keys = [name for name in wanted if name in EXTRACTED]
    recorded = "dynamics" in wanted
    if len(keys) + recorded < len(wanted):
        return "add "
    arrays = [f"add {' and '.join(map(repr, keys))} to it"] * bool(keys)
    return " and ".join([*arrays, *["give --dynamics, a record of mc.Recorder"] * recorded]) + (
        ", or add " if recorded else ", or ")


def _require_used(split: Split, known: Mapping[str, np.ndarray], wanted: Sequence[str],
                  source: EvidenceSource) -> None:
    """Raise ``MsCoresetError`` if networks are given and would not be used; tell what comes from where."""
    unused = f"runs {source.runs}" if source.runs > 1 else f"out of fold {source.folds}" if source.folds else None
    if known and not wanted and unused:
        raise MsCoresetError(f"{unused}: {', '.join(known)} came with {split.name}, no network is asked; leave it out")
    if known and wanted:
        note(f"{', '.join(known)} came with {split.name}; {', '.join(wanted)}: a network is asked")


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


def _ask(source: EvidenceSource, split: Split, steps: Steps, needs: Sequence[str], network: Network,
         checkpoint: Path) -> tuple[Evidence, Path]:
    if set(needs) != {"features"}:
        require_same_classes(network, split, ", ".join(name for name in needs if name != "features"))
    elif network.head.out_channels != split.num_classes:
        note(f"{checkpoint} tells {network.head.out_channels} classes apart, {split.name} has {split.num_classes}: its "
             "features serve")
    with steps("extract"):
        asked = [name for name in EXTRACTED if name in needs]
        evidence = extract(network, split, asked, cache=source.cache) if asked else Evidence(split.known_labels)
        if "dynamics" in needs:
            evidence = _with(evidence, dynamics=_dynamics(checkpoint, split))
        if "boundary" in needs:
            evidence = _with(evidence, boundary=_boundary(network, split, source.top_m))
    return evidence, checkpoint


def _out_of_fold(sources: Sources, split: Split, device: str, steps: Steps, needs: Sequence[str], run: int) -> Evidence:
    """Evidence of all samples, each from the network that was not trained on it."""
    def ask(fold: int, others: np.ndarray, rows: np.ndarray) -> tuple[Evidence, Path]:
        network = fold_network(sources, split.subset(others), device, steps, fold, run)
        return _ask(sources.evidence, split.subset(rows), steps, needs, *network)

    assert sources.evidence.folds is not None  # whoever calls has looked
    return join_folds(split.labels, sources.evidence.folds, sources.seed + run, ask)


def _dynamics(checkpoint: Path, split: Split) -> TrainingDynamics | StreamedDynamics:
    dynamics = load_dynamics(checkpoint.parent / "dynamics")
    trained_on = training_notes(checkpoint).get("run", {}).get("data")
    if dynamics.num_samples != len(split):
        others = f"{dynamics.num_samples} samples, not {len(split)}"
    elif trained_on not in (None, contents_digest(split)):
        others = f"other images or labels than {split.name} has"
    else:
        return dynamics
    raise MsCoresetError(f"the training dynamics in {checkpoint.parent} are of {others}: train the base network on "
                         "this data")


def _boundary(network: Network, split: Split, top_m: int | None) -> np.ndarray:
    classes = f"{top_m} classes" if top_m else f"all {split.num_classes} classes (fewer: --top-m)"
    note(f"distances to the decision boundary of {len(split):,} samples against {classes}")
    return deepfool_distances(network, split, top_m=top_m)


def _with(evidence: Evidence, **fields: Any) -> Evidence:
    return dataclasses.replace(evidence, **fields)
