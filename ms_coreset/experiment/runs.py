"""The runs of a study as plain values, the checksums that identify them, and their order."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any

from ms_coreset.batches import updates_per_epoch
from ms_coreset.engines.frameworks import MINDSPORE
from ms_coreset.errors import MsCoresetError
from ms_coreset.extraction.random_patches import VERSION
from ms_coreset.selectors.choice import Choice
from ms_coreset.training.recipe import Recipe
from ms_coreset.training.sampling import Sampling

PROTOCOLS = ("epochs", "iterations")
WHOLE = "full"
CURVE = 60  # points of a learning curve that a record holds, at most
MOST_RUNS = 100_000  # of a study: its lists must not multiply to any amount of memory


def checksum(values: Any) -> str:
    """Sixteen hexadecimal digits that are equal for equal plain values."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Cell:
    """What runs with the same evidence share: a data set, and a base network or patches.

    Attributes:
        arch: the network's name with its width
        recipe: recipe of the base network
        runs: number of base networks, with seeds from ``seed`` on
        evidence: "network", or "patches" with the number of filters
        framework: of its networks
    """

    dataset: str
    pool: int | None
    pool_seed: int
    seed: int
    arch: str
    recipe: Recipe
    runs: int = 1
    top_m: int | None = None
    evidence: str = "network"
    filters: int | None = None
    framework: str = MINDSPORE

    @property
    def asked(self) -> str:
        """What gives the evidence: the network's name, or "patches"."""
        return self.arch if self.evidence == "network" else self.evidence

    def computed(self) -> dict[str, Any]:
        """The framework, unless it is MindSpore, as plain values."""
        return {} if self.framework == MINDSPORE else {"framework": self.framework}

    def base(self) -> dict[str, Any]:
        """What determines the evidence, apart from the data and the seed, as plain values."""
        if self.evidence == "network":
            return {"base": self.recipe.as_dict(), "runs": self.runs, **self.computed()}
        return {"base": {"evidence": self.evidence, "filters": self.filters, "version": VERSION}}


@dataclass(frozen=True)
class Run:
    """One run: a coreset and a training on it, or a training by a sampler for as many updates.

    Attributes:
        method: a ``selectors.choice.Choice``; or a sampler, a ``Sampling`` that leaves the rate to the run
        recipe: recipe for all the data, from which ``recipe_for`` derives the coreset's
        typed: the method's options as records of versions before 0.2 have them, as they were typed; None: as now
    """

    cell: Cell
    method: Choice | Sampling
    balance: bool
    rate: float
    train_arch: str
    protocol: str
    recipe: Recipe
    typed: dict | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The method's options, which distinguish it from other runs."""
        if isinstance(self.method, Sampling):
            return self.method.options
        return self.method.canonical_options if self.typed is None else self.typed

    @property
    def choice(self) -> Choice | None:
        """How it chooses a coreset; None where it trains by a sampler."""
        return None if isinstance(self.method, Sampling) else self.method

    @property
    def sampling(self) -> Sampling | None:
        """The sampler that it trains by, at the run's rate if the sampler can present any share; else None."""
        if not isinstance(self.method, Sampling):
            return None
        return replace(self.method, rate=self.rate) if self.method.takes_rate else self.method

    @property
    def whole(self) -> bool:
        """Whether it trains on all samples, whatever the rate."""
        return is_whole(self.method)

    def selection(self) -> dict[str, Any]:
        """All that determines which samples are kept, as plain values."""
        cell = self.cell
        values: dict[str, Any] = {"dataset": cell.dataset, "pool": cell.pool, "pool_seed": cell.pool_seed}
        if self.choice is None:
            return {**values, "sampler": self.method.name, "options": self.options, "rate": self.rate,
                    "seed": cell.seed}
        values["method"] = self.method.name
        if self.whole:
            return values
        values |= {"options": self.options, "balance": self.balance, "rate": self.rate, "seed": cell.seed}
        if self.choice.needs:
            values |= cell.base()
        if "boundary" in self.choice.needs:
            values["top_m"] = cell.top_m
        return values

    def work(self) -> str:
        """Checksum of all that determines the result: runs with equal checksums are computed once."""
        training = {"recipe": self.recipe.as_dict(), "seed": self.cell.seed, **self.cell.computed()}
        if not self.whole:
            training["protocol"] = self.protocol
        return checksum([self.selection(), training])

    def place(self) -> dict[str, Any]:
        """What identifies it in lists, as plain values."""
        values = {"dataset": self.cell.dataset, "pool": self.cell.pool, "method": self.method.name,
                  "options": self.options, "balance": self.balance, "rate": self.rate, "seed": self.cell.seed,
                  "select_arch": self.cell.asked, "train_arch": self.train_arch, "protocol": self.protocol}
        return values if self.choice else {**values, "sampler": True}

    def key(self) -> str:
        """Checksum of ``work`` and ``place``."""
        return checksum([self.work(), self.place()])

    def epochs(self, n: int, kept: int) -> int:
        """Passes over ``kept`` of n samples."""
        return self.recipe_for(n, kept).num_epochs(_updates(self.recipe, kept))

    def recipe_for(self, n: int, kept: int) -> Recipe:
        """The recipe for a coreset of ``kept`` of n samples: as many epochs, or updates, as on all of them.

        With the same number of updates there are more epochs, and the schedule and the tests are spread in proportion.
        """
        recipe = self.recipe
        epochs = recipe.num_epochs(_updates(recipe, n))
        if self.protocol == "epochs" or kept == n:
            return recipe if recipe.epochs else recipe.override(epochs=epochs)
        more = math.ceil(self.updates(n) / _updates(recipe, kept))
        return recipe.override(epochs=more, eval_every=max(1, round(recipe.eval_every * more / epochs)),
                               milestones=tuple(round(epoch * more / epochs) for epoch in recipe.milestones))

    def recipe_for_sampler(self, n: int) -> Recipe:
        """The recipe of a training by a sampler of n samples, of as many updates as on a coreset of this rate.

        Milestones and tests are in epochs of as many samples as the sampler presents in one, before it leaves any out.
        """
        kept = max(1, round(self.rate * n))
        recipe = self.recipe_for(n, kept)
        assert recipe.epochs is not None  # ``recipe_for`` has made them of iterations
        once, sampling = _updates(recipe, kept), self.sampling
        longer = 1.0 if sampling is None or sampling.takes_rate else once / _updates(recipe, n)
        return recipe.override(iterations=recipe.epochs * once, eval_every=max(1, round(recipe.eval_every * longer)),
                               milestones=tuple(epoch * longer for epoch in recipe.milestones))

    def updates(self, n: int) -> int:
        """Updates that the recipe makes on all n samples."""
        once = _updates(self.recipe, n)
        return self.recipe.iterations or self.recipe.num_epochs(once) * once

    def recipe_notes(self, n: int) -> dict[str, Any]:
        """The recipe as results state it, with its length in the unit that the protocol keeps equal."""
        values = self.recipe.as_dict()
        if self.protocol == "iterations":
            return {**values, "epochs": None, "iterations": self.updates(n)}
        return {**values, "epochs": self.recipe.num_epochs(_updates(self.recipe, n)), "iterations": None}


def is_whole(method: Choice | Sampling) -> bool:
    """Whether it is the method that keeps all samples."""
    return isinstance(method, Choice) and method.name == WHOLE


def _updates(recipe: Recipe, n: int) -> int:
    """Updates in a pass over n samples, without the validation share."""
    return updates_per_epoch(n - round(recipe.validation * n), recipe.batch_size)


def require_few(*lists: Sized) -> None:
    """Raise ``MsCoresetError`` if lists of methods, rates, seeds and so on multiply to more than ``MOST_RUNS``."""
    count = math.prod(max(1, len(one)) for one in lists)
    if count > MOST_RUNS:
        raise MsCoresetError(f"a study of {count:,} runs, of all its methods, rates, seeds: at most {MOST_RUNS:,}")


def order(cells: Sequence[Cell], methods: Sequence[Choice | Sampling], rates: Sequence[float], balances: Sequence[bool],
          train_archs: Callable[[Cell], Iterable[str]], protocols: Sequence[str],
          recipe_of: Callable[[str, str], Recipe]) -> list[Run]:
    """All runs, seed by seed, so that an unfinished study can be compared already.

    Args:
        cells: in the order of the runs
        methods: and samplers; the method ``full`` is run at rate 1
        rates: shares to keep, of all others
        balances: whether the same share of every class is kept; each value is run
        train_archs: ``cell -> names``
        protocols: each is run
        recipe_of: ``(dataset, train_arch) -> Recipe`` for all the data

    Returns:
        The runs in their order.
    """
    return [Run(cell, method, balance, rate, arch, protocol, recipe_of(cell.dataset, arch))
            for cell in cells for method in methods
            for rate in ((1.0,) if is_whole(method) else rates)
            for balance in balances for arch in train_archs(cell) for protocol in protocols]
