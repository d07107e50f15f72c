"""Accuracy of evidence, and estimated wrong labels: how far a selection can rely on them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ms_coreset.coreset import Coreset
from ms_coreset.datasets.split import Split
from ms_coreset.evidence import Evidence, require_field
from ms_coreset.jobs.base_network import first_network, training_notes
from ms_coreset.jobs.patch_evidence import is_of_patches
from ms_coreset.jobs.sources import PATCHES, Sources
from ms_coreset.kinds import Network
from ms_coreset.randomness import stream
from ms_coreset.selectors.label_quality import estimate_label_noise
from ms_coreset.terminal import note
from ms_coreset.training.loop import evaluate

POOR = 0.15  # of the way from guessing to a perfect answer
TESTED = 2000  # samples of the test split on which a user's network is evaluated
_PATCHES = "random patches"


@dataclass(frozen=True)
class Trust:
    """How many labels the evidence predicts, as shares in [0, 1].

    Attributes:
        source: what gave the evidence, in words
        labels: which labels ``given`` is about, in words
        given: share of the given labels that are predicted, or None if unknown
        tested: share of the test split's labels that are predicted, or None
        guessed: share of the largest class, which is what a constant answer gets right
    """

    source: str
    labels: str
    given: float | None
    tested: float | None
    guessed: float

    def __str__(self) -> str:
        known = [(self.given, f"{self.labels} right"), (self.tested, "the test split")]
        return f"{self.source}: " + ", ".join(f"{share:.1%} of {what}" for share, what in known if share is not None)

    @property
    def poor(self) -> bool:
        """Whether the evidence is too inaccurate to select by; False without a test split."""
        return self.tested is not None and self.tested < self.guessed + POOR * (1 - self.guessed)


def trust_in(sources: Sources, split: Split, evidence: Evidence, checkpoint: Path | None, device: str) -> Trust | None:
    """The ``Trust`` in the evidence of ``split``, or None if neither network nor patches gave it.

    Args:
        sources: of the data, the network and the evidence
        split: the training split
        evidence: of its samples
        checkpoint: of the network, or None. Of one that was trained here the accuracy is recorded; a user's own is
            evaluated on at most 2,000 samples of the test split.
        device: its name

    Returns:
        The ``Trust``, or None.
    """
    guessed = float(np.bincount(split.labels).max() / len(split))
    if is_of_patches(evidence):
        return Trust(_PATCHES, "left-out labels", evidence.accuracy, evidence.test_accuracy, guessed)
    if sources.evidence.folds and evidence.logits is not None:
        right = float((np.argmax(evidence.logits, axis=1) == split.labels).mean())
        return Trust(f"{sources.evidence.folds} networks, out of fold", "left-out labels", right, None, guessed)
    if checkpoint is None:
        return None
    if sources.network.checkpoint:
        given, tested = None, _test(first_network(sources, split, device), split, sources)
    else:
        given, tested = _accuracies_of(checkpoint)
    if evidence.logits is not None:
        given = float((np.argmax(evidence.logits, axis=1) == split.labels).mean())
    if given is None and tested is None:
        return None
    return Trust(str(checkpoint), "training labels", given, tested, guessed)


def _accuracies_of(checkpoint: Path) -> tuple[float | None, ...]:
    """Accuracy on the given labels and on the test split in the last epoch of a training; None if not recorded."""
    history = training_notes(checkpoint).get("history")
    last = history[-1] if isinstance(history, list) and history and isinstance(history[-1], dict) else {}
    known = (last.get(name) for name in ("accuracy", "test_accuracy"))
    return tuple(share if isinstance(share, float) else None for share in known)


def _test(network: Network, split: Split, sources: Sources) -> float | None:
    """Accuracy of a network on the test split; None without one, or with other classes."""
    test = sources.data.load(train=False)
    if test is None or test.images is None or network.head.out_channels != split.num_classes:
        return None
    drawn = np.sort(stream(sources.seed, "network tested").permutation(len(test))[:TESTED])
    return evaluate(network, test.subset(drawn))["accuracy"]


def tell_if_poor(trusted: Trust | None) -> None:
    """Tell the user what to do about evidence that is too inaccurate to select by."""
    if trusted is None or not trusted.poor:
        return
    better = "a network (--evidence network --arch NAME)" if trusted.source == _PATCHES else (
        f"a longer training, another --arch or --recipe, a network of yours with --ckpt, or --evidence {PATCHES}")
    note(f"{trusted}, where guessing gets {trusted.guessed:.1%}: what is kept by that will be about random; try "
         f"{better}")


@dataclass(frozen=True)
class WrongLabels:
    """The estimated shares of wrong labels in the data and in a coreset of them."""

    data: float
    coreset: float

    def __str__(self) -> str:
        return f"about {self.data:.1%} of the data, {self.coreset:.1%} of the coreset (estimated)"


def wrong_labels(evidence: Evidence, coreset: Coreset) -> WrongLabels | None:
    """``WrongLabels`` of the data and of a coreset.

    None for evidence from a network, which has learned wrong labels, too.
    """
    if not is_of_patches(evidence) or require_field(evidence.logits).shape[1] < 2:
        return None
    found = estimate_label_noise(evidence, coreset.seed)
    return WrongLabels(float(found.share), float(found.chances[coreset.indices].mean()))
