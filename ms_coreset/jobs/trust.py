"""How far evidence can be trusted: how many labels it tells right, and what it makes of those that may be wrong."""

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

POOR = 0.15  # of the way from guessing to knowing
TESTED = 2000  # samples of the test split that a network of the user's is asked about
_PATCHES = "random patches"


@dataclass(frozen=True)
class Trust:
    """How many labels the evidence tells right, as shares.

    Attributes:
        source: what was asked, in words
        labels: which ones ``given`` is of, in words
        given: of the labels that came with the data, None where it is not known
        tested: of the test split's, or None
        guessed: what one gets right who always says the largest class
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
        """Whether too little is known to choose by; never without a test split."""
        return self.tested is not None and self.tested < self.guessed + POOR * (1 - self.guessed)


def trust_in(sources: Sources, split: Split, evidence: Evidence, checkpoint: Path | None, device: str) -> Trust | None:
    """The ``Trust`` in evidence of ``split``, or None where nothing was asked about its images.

    Args:
        sources: of the data, the network and the evidence
        split: the training split
        evidence: of its samples
        checkpoint: of the network, if one was asked. One that was trained here tells how it did; a user's own is asked
            about at most 2,000 samples of the test split.
        device: its name

    Returns:
        The ``Trust``, or None, also where no labels are known.
    """
    if split.known_labels is None:
        return None
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
    """Accuracy on the labels given and on the test split in the last epoch of a training; None where it is not told."""
    history = training_notes(checkpoint).get("history")
    last = history[-1] if isinstance(history, list) and history and isinstance(history[-1], dict) else {}
    known = (last.get(name) for name in ("accuracy", "test_accuracy"))
    return tuple(share if isinstance(share, float) else None for share in known)


def _test(network: Network, split: Split, sources: Sources) -> float | None:
    """Share of the test split that a network tells right; None where there is none, or it has other classes."""
    test = sources.data.load(train=False)
    if test is None or test.images is None or network.head.out_channels != split.num_classes:
        return None
    drawn = np.sort(stream(sources.seed, "network tested").permutation(len(test))[:TESTED])
    return evaluate(network, test.subset(drawn))["accuracy"]


def tell_if_poor(trusted: Trust | None) -> None:
    """Say what can be done about evidence that knows too little to choose by."""
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

    None for a network's evidence, which has learnt wrong labels, too.
    """
    if not is_of_patches(evidence) or require_field(evidence.logits).shape[1] < 2:
        return None
    found = estimate_label_noise(evidence, coreset.seed)
    return WrongLabels(float(found.share), float(found.chances[coreset.indices].mean()))
