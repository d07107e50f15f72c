"""Evidence of random patches, if no network is trained; and checks of options against evidence."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeGuard

from ms_coreset.datasets.split import Split
from ms_coreset.errors import MsCoresetError, require_whole
from ms_coreset.evidence import EXTRACTED, SIMILARITY, Evidence
from ms_coreset.extraction.random_patches import LARGEST, PatchEvidence, patch_evidence
from ms_coreset.jobs.score_files import FIELD
from ms_coreset.jobs.sources import PATCHES, EvidenceSource, Sources
from ms_coreset.jobs.steps import Steps
from ms_coreset.terminal import note


def require_evidence(sources: Sources, wanted: Mapping[str, Sequence[str]],
                     kinds: Collection[str | None] | None = None) -> None:
    """Check that the options fit the kind of evidence, and the evidence the methods.

    Args:
        sources: with the requested evidence
        wanted: name -> needs, of each method or score
        kinds: kinds of evidence, if there are several

    Raises:
        MsCoresetError: for options of another kind of evidence, and for evidence without what a method needs.
    """
    evidence = sources.evidence
    _require_scores(evidence, wanted)
    if evidence.dynamics is not None and wanted and not any("dynamics" in needs for needs in wanted.values()):
        raise MsCoresetError(f"--dynamics {evidence.dynamics} is of no use to {', '.join(wanted)}: it goes with ccs, "
                             "dual, forgetting and other methods and scores of training dynamics")
    if PATCHES not in (kinds or [evidence.kind]):
        if evidence.filters is not None:
            raise MsCoresetError(f"--filters {evidence.filters} is about random patches: it goes with --evidence "
                                 f"{PATCHES}")
        return
    if evidence.filters is not None:
        require_whole("--filters", evidence.filters)
    given = [flag for flag, is_given in (("--ckpt", sources.network.checkpoint is not None),
                                         ("--framework", sources.network.given_framework is not None),
                                         ("--runs", evidence.runs != 1), ("--top-m", evidence.top_m is not None))
             if is_given]
    if given:
        raise MsCoresetError(f"{given[0]} is about networks: --evidence {PATCHES} asks none")
    for name, needs in wanted.items():
        lacking = [need for need in needs if need not in (*EXTRACTED, FIELD, SIMILARITY)]
        if lacking:
            remedy = ", or --score loss --cutoff-score loss" if name == "ccs" else ""
            raise MsCoresetError(f"{name} needs {', '.join(lacking)}, which only a network has: take --evidence network"
                                 f"{remedy}")


def _require_scores(evidence: EvidenceSource, wanted: Mapping[str, Sequence[str]]) -> None:
    """Raise ``MsCoresetError`` if imported scores are needed and not given, or given and not needed."""
    needing = [name for name, needs in wanted.items() if FIELD in needs]
    if needing and evidence.scores is None:
        raise MsCoresetError(f"{needing[0]} needs scores that were made elsewhere: select --scores-from FILE")
    if evidence.scores is not None and not needing:
        raise MsCoresetError(f"--scores-from {evidence.scores} is of no use to {', '.join(wanted) or 'this'}: it goes "
                             "with --score imported, or --score extrapolated, and a --rule")
    if evidence.scores is None and (evidence.scores_key is not None or evidence.scores_low):
        given = "--scores-low" if evidence.scores_key is None else f"--scores-key {evidence.scores_key}"
        raise MsCoresetError(f"{given} goes with --scores-from FILE")


def ask_patches(sources: Sources, split: Split, steps: Steps) -> PatchEvidence:
    """The ``PatchEvidence`` of a split, with its accuracy on the test split, made or taken from the cache."""
    test, evidence = sources.data.load(train=False), sources.evidence
    size = split.image_size
    if size > LARGEST:
        note(f"images of {size} x {size} pixels are reduced to {LARGEST} x {LARGEST} for random patches")
    with steps("patches"):
        return patch_evidence(split, evidence.filters, sources.seed, test=test, memory=evidence.memory,
                              cache=evidence.cache)


def is_of_patches(evidence: Evidence) -> TypeGuard[PatchEvidence]:
    """Whether evidence is a ``PatchEvidence``; the module that makes one is not imported."""
    return hasattr(evidence, "test_accuracy")


def base_of_patches(evidence: Evidence) -> dict[str, Any]:
    """Notes on evidence from patches, in place of those on a base network; empty for a network's evidence."""
    if not is_of_patches(evidence):
        return {}
    return {"base": {"evidence": PATCHES, **evidence.settings, "accuracy": evidence.accuracy}}
