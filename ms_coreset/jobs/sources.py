"""Where things come from: the data set, the network that is asked about it, and the evidence, as plain values."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, overload

from ms_coreset.datasets import Split, load_dataset
from ms_coreset.datasets.family import canonical_name, find_dataset
from ms_coreset.distributed import first_before_others
from ms_coreset.engines.frameworks import FRAMEWORKS, MINDSPORE
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors.choice import Choice
from ms_coreset.selectors.quota import Request
from ms_coreset.terminal import note
from ms_coreset.training.recipe import Recipe

NETWORK, PATCHES = "network", "patches"  # kinds of evidence
COSTLY = ("deepfool",)  # scores of many backward passes a sample: had only when they are asked for


@dataclass(frozen=True)
class DataSource:
    """A data set by its name, and where it lies; see ``load_dataset``.

    Attributes:
        skip_broken: leave out image files that can't be decoded
        probabilities: the logits that come with it are probabilities

    Raises:
        MsCoresetError: for an unknown name.
    """

    name: str
    root: str = "data"
    image_size: int | None = None
    bits: int | None = None
    skip_broken: bool = False
    download: bool = True
    verify: bool = False
    probabilities: bool = False

    def __post_init__(self) -> None:
        find_dataset(self.name)

    @property
    def canonical_name(self) -> str:
        """The registered spelling of the name."""
        return canonical_name(self.name)

    @property
    def name_in_files(self) -> str:
        """The data set's name in file names: the canonical one, and where the root is the set itself, that one's, too.

        A size or number of bits that was asked for follows it: networks of two sizes are not one another's.
        """
        family, *_ = find_dataset(self.name)
        name = self.canonical_name.replace(family.name, family.title(self.root), 1)
        size = "" if self.image_size is None else f"-{self.image_size}px"
        return name + size + ("" if self.bits is None else f"-{self.bits}bit")

    @overload
    def load(self, train: Literal[True]) -> Split: ...

    @overload
    def load(self, train: bool) -> Split | None: ...

    def load(self, train: bool) -> Split | None:
        """The training or the test split, as it is on disk or can be fetched."""
        with first_before_others():  # which find what it has fetched
            split = load_dataset(self.name, self.root, train, image_size=self.image_size, bits=self.bits,
                                 broken=self._about_broken_images(), download=self.download, verify=self.verify,
                                 log=note)
        return split.with_probabilities() if train and self.probabilities and split else split

    def clean(self, letter: str) -> tuple["DataSource", str, str]:
        """(the data set without perturbation, name of the one that ``letter`` makes of it, its variant).

        Raises:
            MsCoresetError: for a name with another letter.
        """
        family, given, variant = find_dataset(self.name)
        if given not in ("", letter):
            raise MsCoresetError(f"{self.name}: this command makes {family.name}{letter}")
        return self.with_name(family.name), f"{family.name}{letter}" + (f"@{variant}" if variant else ""), variant

    @property
    def home(self) -> Path:
        """The folder that holds the overlays of the data set."""
        return find_dataset(self.name)[0].home(self.root)

    def with_name(self, name: str) -> "DataSource":
        """Another data set in the same place."""
        return dataclasses.replace(self, name=name)

    def _about_broken_images(self) -> str | None:
        """What ``load_dataset`` does about broken images: of a user's own, which nobody published, all are tried."""
        if self.skip_broken:
            return "skip"
        return "refuse" if self.verify or find_dataset(self.name)[0].by_path else None


@dataclass(frozen=True)
class NetworkSource:
    """The network that is asked or trained.

    Attributes:
        recipe: a recipe's name or YAML file, None for the data set's own, or a whole ``Recipe``, over which nothing
            goes
        overrides: the recipe's fields that are given by themselves, such as arch and epochs; None stands for none
        checkpoint: a file of the network itself, in which case none is trained
        folder: of the checkpoints of those that are
        record: what is recorded of the samples while one is trained, see ``train``
        given_framework: "mindspore" or "torch", which trains and asks it, None where nothing is said of that

    Raises:
        MsCoresetError: for another framework.
    """

    recipe: str | Recipe | None = None
    overrides: Mapping = field(default_factory=dict)
    checkpoint: str | None = None
    folder: str = "ckpt"
    record: Sequence[str] | str | None = None
    given_framework: str | None = None

    def __post_init__(self) -> None:
        if self.framework not in FRAMEWORKS:
            raise MsCoresetError(f"framework {self.framework!r}: must be one of {', '.join(FRAMEWORKS)}")

    @property
    def framework(self) -> str:
        """The framework that trains and asks it."""
        return self.given_framework or MINDSPORE

    @property
    def arch(self) -> str | None:
        """The network's name, if it was given by itself."""
        return self.overrides.get("arch")

    @property
    def said(self) -> bool:
        """Whether anything is said of the network."""
        return any(value is not None for value in (self.recipe, self.checkpoint, self.record, self.given_framework,
                                                    *self.overrides.values()))


@dataclass(frozen=True)
class EvidenceSource:
    """Whose opinion of the samples is asked, and where it is kept.

    Attributes:
        kind: ``NETWORK``, ``PATCHES``, or None where nothing is said of it, which ``unsaid`` decides
        filters: random patches, None for as many as the image size asks for
        memory: what asking them may use
        runs: networks of as many seeds
        folds: instead of each, so many that each train without a part of the samples, and answer for that
            (``out_of_fold``)
        top_m: of the distances to the decision boundary, see ``deepfool_distances``
        scores: file of scores that were made elsewhere, which of it, and whether low ones are to be kept, see
            ``score_files.with_scores``
        scores_key: file of scores that were made elsewhere, which of it, and whether low ones are to be kept, see
            ``score_files.with_scores``
        scores_low: file of scores that were made elsewhere, which of it, and whether low ones are to be kept, see
            ``score_files.with_scores``
        cache: folder of extracted evidence
        dynamics: folder of training dynamics that were recorded elsewhere, see ``Recorder``

    Raises:
        MsCoresetError: for another kind.
    """

    kind: str | None = None
    filters: int | None = None
    runs: int = 1
    top_m: int | None = None
    scores: str | None = None
    scores_key: str | None = None
    scores_low: bool = False
    cache: str = "cache"
    memory: int | str | None = None
    folds: int | None = None
    dynamics: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in (None, NETWORK, PATCHES):
            raise MsCoresetError(f"evidence {self.kind!r}: must be one of {NETWORK}, {PATCHES}")

    @property
    def said(self) -> bool:
        """Whether anything is said of how to ask."""
        return self != EvidenceSource(cache=self.cache, memory=self.memory)


@dataclass(frozen=True)
class Sources:
    """All that evidence follows from.

    Attributes:
        pool: so many samples of the data set, a class-balanced part, instead of all
        seed: of everything random
    """

    data: DataSource
    network: NetworkSource = NetworkSource()
    evidence: EvidenceSource = EvidenceSource()
    pool: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Runtime:
    """On what it runs; see ``set_device``."""

    device: str = "auto"
    precision: str = "float32"


@dataclass(frozen=True)
class ReselectionSource:
    """Coresets that the network chooses anew while it learns; see ``training.adaptive.Reselection``.

    Attributes:
        choice: how, and how much
        request: how, and how much
        every: in epochs
        warm: in epochs
        top_m: of the distances to the decision boundary

    Raises:
        MsCoresetError: where the choice's quota is another than the request's balance.
    """

    choice: Choice
    request: Request
    every: int
    warm: int = 0
    top_m: int | None = None

    def __post_init__(self) -> None:
        self.choice.require_agreement(self.request)
