"""The sources of a job as plain values: data set, network and evidence."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, overload

from ms_coreset.datasets import Split, load_dataset
from ms_coreset.datasets.family import canonical_name, find_dataset
from ms_coreset.distributed import first_before_others
from ms_coreset.engines.frameworks import FRAMEWORKS, MINDSPORE
from ms_coreset.errors import MsCoresetError
from ms_coreset.samplers.reselect import Reselect
from ms_coreset.selectors.choice import Choice
from ms_coreset.selectors.quota import Request
from ms_coreset.terminal import note
from ms_coreset.training.recipe import Recipe

NETWORK, PATCHES = "network", "patches"  # kinds of evidence
# Scores that are computed only on request: of many backward passes per sample, and of half a million draws.
COSTLY = ("deepfool", "zcore")


@dataclass(frozen=True)
class DataSource:
    """A data set by its name and its folder; see ``load_dataset``.

    Attributes:
        image_column: of data in tables, the column of the images; None: found by its type
        label_column: likewise, of the labels
        skip_broken: whether image files that can't be decoded are left out
        probabilities: whether the logits that come with it are probabilities

    Raises:
        MsCoresetError: for an unknown name.
    """

    name: str
    root: str = "data"
    image_size: int | None = None
    bits: int | None = None
    image_column: str | None = None
    label_column: str | None = None
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
        """The data set's name in file names: the canonical name, and for a user's own set also its file's or folder's.

        A requested image size, number of bits or column is appended, because it makes other data.
        """
        family, *_ = find_dataset(self.name)
        name = self.canonical_name.replace(family.name, family.title(self.root), 1)
        size = "" if self.image_size is None else f"-{self.image_size}px"
        columns = "".join(f"-{column}" for column in (self.image_column, self.label_column) if column)
        return name + size + ("" if self.bits is None else f"-{self.bits}bit") + re.sub(r"[^\w.-]", "_", columns)

    @overload
    def load(self, train: Literal[True]) -> Split: ...

    @overload
    def load(self, train: bool) -> Split | None: ...

    def load(self, train: bool) -> Split | None:
        """The training or the test split, as it is on disk or can be fetched."""
        with first_before_others():  # which find what it has fetched
            split = load_dataset(self.name, self.root, train, image_size=self.image_size, bits=self.bits,
                                 image_column=self.image_column, label_column=self.label_column,
                                 broken=self._about_broken_images(), download=self.download, verify=self.verify,
                                 log=note)
        return split.with_probabilities() if train and self.probabilities and split else split

    def clean(self, letter: str) -> tuple[DataSource, str, str]:
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

    def with_name(self, name: str) -> DataSource:
        """Another data set in the same place."""
        return dataclasses.replace(self, name=name)

    def _about_broken_images(self) -> str | None:
        """The option ``broken`` of ``load_dataset``: all images of a user's own set are checked."""
        if self.skip_broken:
            return "skip"
        return "refuse" if self.verify or find_dataset(self.name)[0].by_path else None


@dataclass(frozen=True)
class NetworkSource:
    """The network that is trained or gives the evidence.

    Attributes:
        recipe: a recipe's name or YAML file; None: the data set's own; or a whole ``Recipe``, which excludes
            ``overrides``
        overrides: fields that replace the recipe's, such as arch and epochs; None: not given
        checkpoint: file of the network; then none is trained
        folder: of the checkpoints of trained networks
        record: what training records of the samples, see ``train``
        given_framework: framework that computes the network, "mindspore" or "torch"; None: not given

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
        """The framework that computes the network."""
        return self.given_framework or MINDSPORE

    @property
    def arch(self) -> str | None:
        """The network's name, if it was given by itself, not in a recipe."""
        return self.overrides.get("arch")

    @property
    def said(self) -> bool:
        """Whether any option of the network is given."""
        return any(value is not None for value in (self.recipe, self.checkpoint, self.record, self.given_framework,
                                                    *self.overrides.values()))


@dataclass(frozen=True)
class EvidenceSource:
    """The kind of evidence, its options, and where it is kept.

    Attributes:
        kind: ``NETWORK``, ``PATCHES``, or None if it is not given
        filters: number of random patches; None: by the image size
        memory: memory that making the evidence may use
        runs: number of networks, each with its own seed
        folds: number of networks in place of each run, each trained without a part of the samples, for which it gives
            the evidence (``out_of_fold``); 0: none
        top_m: of the distances to the decision boundary, see ``deepfool_distances``
        scores: file of scores that were computed elsewhere, see ``score_files.with_scores``
        scores_key: name of the scores in the file, if it holds several
        scores_low: whether low scores are to be kept
        cache: folder of extracted evidence
        dynamics: folder of training dynamics that were recorded elsewhere, see ``Recorder``
        similarity: file of similarities that were computed elsewhere, see ``similarity_files.with_similarity``
        cost: file of what each sample costs, see ``side_files.with_cost``
        like: file of samples that the chosen ones are to be like, see ``side_files.read_side``
        unlike: file of samples that the chosen ones are to be unlike

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
    similarity: str | None = None
    cost: str | None = None
    like: str | None = None
    unlike: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in (None, NETWORK, PATCHES):
            raise MsCoresetError(f"evidence {self.kind!r}: must be one of {NETWORK}, {PATCHES}")

    @property
    def said(self) -> bool:
        """Whether any option of the evidence is given."""
        return self != EvidenceSource(cache=self.cache, memory=self.memory)


@dataclass(frozen=True)
class Sources:
    """All that determines the evidence.

    Attributes:
        pool: number of samples, a class-balanced part of the data set; None: all
        among: file of a coreset, only whose samples are chosen from; None: all
        seed: of all random numbers
    """

    data: DataSource
    network: NetworkSource = NetworkSource()
    evidence: EvidenceSource = EvidenceSource()
    pool: int | None = None
    seed: int = 0
    among: str | None = None


@dataclass(frozen=True)
class Runtime:
    """The device to compute on; see ``set_device``."""

    device: str = "auto"
    precision: str = "float32"
    compile: str = "auto"


@dataclass(frozen=True)
class ReselectionSource:
    """Coresets that the network chooses anew while it learns; see ``training.adaptive.Reselection``.

    Attributes:
        choice: the method, or the score and rule
        request: rate, balance, seed and memory
        every: epochs between two selections
        warm: epochs on all samples before the first selection
        top_m: of the distances to the decision boundary

    Raises:
        MsCoresetError: if the choice's quota contradicts the request's balance.
    """

    choice: Choice
    request: Request
    every: int
    warm: int = 0
    top_m: int | None = None

    def __post_init__(self) -> None:
        self.choice.require_agreement(self.request)

    @classmethod
    def of_sampler(cls, sampler: Reselect) -> ReselectionSource:
        """The source of what the sampler ``reselect`` of a method does."""
        assert sampler.choice is not None  # commands name a method
        return cls(sampler.choice, sampler.request, sampler.every, sampler.warm)
