"""The runs in a study's folder, finished or failed, and which of them may stand in one table."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from ms_coreset.coreset import Coreset
from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.data_map import DataMap
from ms_coreset.experiment.runs import CURVE, require_few
from ms_coreset.experiment.store import RUNS
from ms_coreset.files import read_file
from ms_coreset.kinds import FilePath
from ms_coreset.selectors.choice import FAMILIES, Choice, canonical, split_text
from ms_coreset.yaml_files import parse_yaml

T = TypeVar("T")
CONFIGURATION = "study.yaml"
BASELINE, WHOLE = "random", "full"
_SAMPLER = "sampler "  # before a sampler's name, to tell "sampler full" from the method "full"


@dataclass(frozen=True)
class Run:
    """One line of ``runs.jsonl``: a selection and the training on it. Shares are in [0, 1], times in seconds.

    Or a training by a sampler, where ``sampler`` is true and ``method`` is its name.
    """

    key: str
    status: str
    dataset: str
    method: str
    rate: float
    seed: int
    variant: str | None = None
    label: str | None = None
    data: str | None = None
    pool: int | None = None
    n: int | None = None
    options: dict = field(default_factory=dict)
    balance: bool = False
    k: int | None = None
    select_arch: str | None = None
    train_arch: str | None = None
    protocol: str | None = None
    recipe: dict = field(default_factory=dict)
    indices: str | None = None
    sampler: bool = False
    updates: int | None = None
    presented: int | None = None
    accuracy: dict = field(default_factory=dict)
    learning: dict | None = None
    bad: dict | None = None
    per_class: list | None = None
    seconds: dict = field(default_factory=dict)
    peak_mb: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)
    revision: str | None = None
    device: str | None = None
    command: list | str | None = None
    finished: str | None = None
    error: str | None = None
    base_accuracy: float | None = None

    @property
    def done(self) -> bool:
        return self.status == "done"

    @property
    def row(self) -> str:
        """The method, or the sampler, by its name."""
        return f"{_SAMPLER}{self.method}" if self.sampler else self.method

    @property
    def shown_name(self) -> str:
        """What the data is to be called."""
        return self.label or self.dataset

    @property
    def data_name(self) -> str:
        """The data set as it is typed, its variant included."""
        return self.dataset if "@" in self.dataset or not self.variant else f"{self.dataset}@{self.variant}"

    def accuracy_at(self, which: str) -> float:
        """Test accuracy of the "last" or the "best" epoch."""
        return float(self.accuracy[which])


_FIELDS = {entry.name for entry in dataclasses.fields(Run)}
_REQUIRED: dict[str, type | tuple[type, ...]] = {
    "key": str, "status": str, "dataset": str, "method": str, "rate": (int, float), "seed": int}
_DICTS = ("options", "recipe", "accuracy", "seconds", "peak_mb", "versions")


def _is_dict(value: Any) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _holds_numbers(value: Any) -> bool:
    return _is_dict(value) and all(entry is None or _is_number(entry) for entry in value.values())


def _are_shares(value: Any) -> bool:
    kinds = value.get("kinds") or {} if _is_dict(value) else None
    return _is_dict(kinds) and all(_is_dict(one) and _is_number(one.get("available")) and _is_number(one.get("kept"))
                                   for one in (value, *kinds.values()))


def _is_curve(value: Any) -> bool:
    """Whether it tells test accuracies, in [0, 1], after ascending numbers of updates."""
    updates, accuracy = (value.get(name) for name in ("updates", "accuracy")) if _is_dict(value) else (None, None)
    if not (isinstance(updates, list) and isinstance(accuracy, list) and 0 < len(updates) == len(accuracy) <= CURVE):
        return False
    return all(_is_number(entry) for entry in updates + accuracy) and (
        updates[0] > 0 and all(one < other for one, other in itertools.pairwise(updates))
        and all(0 <= entry <= 1 for entry in accuracy))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_TEXTS = ("variant", "label", "data", "select_arch", "train_arch", "protocol", "indices", "revision", "device",
          "finished", "error")
# What a field has to be where it is there.
_CHECKS = {
    **dict.fromkeys(_TEXTS, _is_text), **dict.fromkeys(_DICTS, _is_dict),
    **dict.fromkeys(("seconds", "peak_mb"), _holds_numbers),
    **dict.fromkeys(("n", "k", "pool", "updates", "presented", "base_accuracy"), _is_number), "bad": _are_shares,
    "learning": _is_curve,
    "sampler": lambda value: isinstance(value, bool),
    "command": lambda value: isinstance(value, list | str),
    "per_class": lambda value: isinstance(value, list) and value and all(map(_is_number, value)),
}


def parse_run(line: str, which: str) -> Run:
    """The ``Run`` of a line; raises ``MsCoresetError`` with what is wrong, such as no ``which`` accuracy."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MsCoresetError("not whole JSON") from error
    if not isinstance(record, dict):
        raise MsCoresetError("not a JSON object")
    for name, kind in _REQUIRED.items():
        if not isinstance(record.get(name), kind) or isinstance(record[name], bool):
            raise MsCoresetError(f"{name} is {record.get(name)!r}")
    for name, fits in _CHECKS.items():
        if record.get(name) is not None and not fits(record[name]):
            raise MsCoresetError(f"{name} is {record[name]!r}")
    known = {name: value for name, value in record.items() if name in _FIELDS}
    dicts = {name: known.get(name) or {} for name in _DICTS}
    options = dicts["options"] if known.get("sampler") else canonical(known["method"], dicts["options"])
    run = Run(**known | dicts | {"options": options})
    if run.status not in ("done", "failed"):
        raise MsCoresetError(f"status is {run.status!r}, not done or failed")
    if not 0 < run.rate <= 1:
        raise MsCoresetError(f"rate is {run.rate!r}, not in (0, 1]")
    reached = run.accuracy.get(which)
    if run.done and not (isinstance(reached, int | float) and math.isfinite(reached) and 0 <= reached <= 1):
        raise MsCoresetError(f"the {which} accuracy is {reached!r}, not in [0, 1]")
    return run


@dataclass(frozen=True)
class Study:
    """A study's folder.

    Attributes:
        runs: the latest of each key, in the order they were written
        unreadable: (line number, what is wrong) of the lines that are not runs
        configuration: the text of ``study.yaml``, or None
    """

    folder: Path
    runs: list
    unreadable: list
    configuration: str | None
    which: str = "last"

    @classmethod
    def read(cls, folder: FilePath, which: str = "last") -> Study:
        """Read a study's folder; which: the accuracy to report, "last" or "best".

        Raises:
            MsCoresetError: when there is no ``runs.jsonl``, or no run in it.
        """
        folder = Path(folder)
        lines = _lines(folder)
        runs: dict[str, Run] = {}
        unreadable = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                run = parse_run(line, which)
            except MsCoresetError as error:
                unreadable.append((number, str(error)))
                continue
            runs.pop(run.key, None)
            runs[run.key] = run
        if not runs:
            raise MsCoresetError(f"{folder / RUNS} holds no run yet: ms-coreset experiment writes them")
        return cls(folder, list(runs.values()), unreadable, _configuration(folder), which)

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def done(self) -> list[Run]:
        return [run for run in self.runs if run.done]

    def coreset(self, run: Run) -> Coreset:
        """The ``Coreset`` that a run wrote; raises ``MsCoresetError`` naming the file when it can't be had."""
        if run.indices is None:
            raise MsCoresetError(f"the run of {run.method}, seed {run.seed}, names no coreset file")
        coreset = Coreset.load(self._inside(run.indices, "a run's coreset file"))
        if run.k is not None and len(coreset) != run.k:
            raise MsCoresetError(f"{run.indices} holds {len(coreset)} samples, the run says {run.k}")
        return coreset

    def data_map(self, coreset: Coreset) -> DataMap | None:
        """The map of the data that a coreset was chosen from; None where it names none.

        Raises:
            MsCoresetError: naming the file, when it can't be had.
        """
        name = coreset.manifest.get("map")
        return DataMap.load(self._inside(name, "the map of the data"), coreset.n) if isinstance(name, str) else None

    def _inside(self, name: str, what: str) -> Path:
        """The path of a file that the study's own files name."""
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise MsCoresetError(f"{name}: {what} lies in the study's folder")
        return self.folder / name

    def sections(self) -> list[Section]:
        """``Section`` objects, in the order their first runs were written."""
        plan = read_plan(self.configuration)
        grouped = defaultdict(list)
        for run in self.runs:
            grouped[_circumstances(run)].append(run)
        return [Section(runs, self.which, plan) for group in grouped.values() for runs in _alike(group)]


def _lines(folder: Path) -> list[str]:
    try:
        return read_file(folder / RUNS).decode("utf-8", errors="replace").split("\n")
    except OSError as error:
        raise MsCoresetError(f"can't read {folder / RUNS}: {error.strerror}; give the folder of a study, as "
                             "ms-coreset experiment makes it") from error


def _configuration(folder: Path) -> str | None:
    try:
        return read_file(folder / CONFIGURATION).decode("utf-8", errors="replace")
    except OSError:
        return None


def _circumstances(run: Run) -> tuple[object, ...]:
    """What must be equal for two runs to stand in one table, and is known of failed ones, too."""
    return (run.dataset, run.variant, run.pool, run.select_arch, run.train_arch, run.protocol, bool(run.balance))


def spell(options: object) -> str:
    """A dict of plain values as text that is equal for equal dicts."""
    return json.dumps(options, sort_keys=True, default=str)


def _alike(runs: list[Run]) -> list[list[Run]]:
    """``runs`` apart by recipe and by the data's checksum where runs of one rate differ in them.

    A recipe that depends on the rate alone splits nothing. Failed runs, of which neither is known, go with the last
    ones.
    """
    of_rate, groups = defaultdict(set), defaultdict(list)
    for run in (run for run in runs if run.done):
        of_rate[run.rate].add(spell([run.recipe, run.data]))
        groups[spell([run.recipe, run.data])].append(run)
    if all(len(kinds) == 1 for kinds in of_rate.values()):
        return [runs]
    *others, last = groups.values()
    return [*others, last + [run for run in runs if not run.done]]


def read_plan(configuration: str | None) -> dict[str, list]:
    """What a ``study.yaml`` plans, as ``{"methods": [(text, name, options)], "rates": [], "seeds": []}``.

    What is not there, or can't be read, is an empty list.
    """
    try:
        settings = parse_yaml(configuration or "", CONFIGURATION)
    except MsCoresetError:
        settings = None
    settings = settings if isinstance(settings, dict) else {}
    plan = {name: value if isinstance(value := settings.get(name), list) else []
            for name in ("methods", "samplers", "rates", "seeds")}
    numbers = {name: [value for value in plan[name] if isinstance(value, int | float)] for name in ("rates", "seeds")}
    families = {name: settings[name] for name in FAMILIES if isinstance(settings.get(name), str)}
    samplers = [(f"{_SAMPLER}{text}", *_named(f"{_SAMPLER}{text}")) for text in plan["samplers"]]
    return {"methods": [_planned_method(str(text), families) for text in plan["methods"]] + samplers, **numbers}


def _planned_method(text: str, families: dict[str, str]) -> tuple[str, str, dict[str, Any]]:
    """(text, name, options) of a method as ``experiment`` takes it, its name and options as records have them.

    Of a method that a plugin registers, which a report does not load, both stay as they are typed.
    """
    try:
        choice = Choice.parse(text, families)
        return text, choice.name, choice.canonical_options
    except MsCoresetError:
        return text, *_named(text)


def _named(text: str) -> tuple[str, dict[str, Any]]:
    try:
        return split_text(text)
    except MsCoresetError:
        return text.partition(":")[0], {}


class Section:
    """Runs that may be compared: same data, networks, protocol, recipe and balance.

    methods: names, with the options that tell them apart; in the order they were run
    rates, seeds: ascending
    cells: {(method, rate): {seed: finished run}}
    failed: runs; missing: (method, rate, seed) that the plan or the others let expect; repeated: finished runs that
        say the same as a later one, which is the one that counts
    """

    def __init__(self, runs: Sequence[Run], which: str = "last", plan: Mapping[str, list] | None = None) -> None:
        self.which = which
        self.first = next((run for run in runs if run.done), runs[0])
        self._names = _method_names(runs)
        self.methods = list(dict.fromkeys(self.name_of(run) for run in runs))
        self.seeds = sorted({run.seed for run in runs})
        self.rates = sorted({run.rate for run in runs})
        self.recipes = list({spell(run.recipe): run.recipe for run in runs if run.recipe}.values())
        self.failed = [run for run in runs if not run.done]
        self.cells: dict[tuple[str, float], dict[int, Run]] = defaultdict(dict)
        self.repeated: list[Run] = []
        for run in (run for run in runs if run.done):
            cell = self.cells[self.name_of(run), run.rate]
            if run.seed in cell:
                self.repeated.append(cell[run.seed])
            cell[run.seed] = run
        self.missing = self._missing_runs(plan or read_plan(None))

    def name_of(self, run: Run) -> str:
        """The method's name in this section."""
        return self._names[run.row, spell(run.options)]

    def method_named(self, text: str) -> str | None:
        """The name in this section of the method that a text means, as it is shown or as it is typed; None without."""
        name, options = _named(text) if text.startswith(_SAMPLER) else _planned_method(text, {})[1:]
        return text if text in self.methods else self._names.get((name, spell(options)))

    @property
    def done(self) -> list[Run]:
        return [run for cell in self.cells.values() for run in cell.values()]

    @property
    def compared(self) -> list[str]:
        """Methods that choose: all but ``full``, those with a finished run."""
        return [name for name in self.methods if name != WHOLE and any(self.cell(name, rate) for rate in self.rates)]

    @property
    def compared_rates(self) -> list[float]:
        """Rates at which something chose."""
        return [rate for rate in self.rates if any(self.cell(name, rate) for name in self.compared)]

    def cell(self, method: str, rate: float) -> dict[int, Run]:
        """{seed: finished run}, in the order of the seeds."""
        runs = self.cells.get((method, rate), {})
        return {seed: runs[seed] for seed in sorted(runs)}

    def accuracies(self, method: str, rate: float) -> dict[int, float]:
        """{seed: test accuracy in [0, 1]}."""
        return {seed: run.accuracy_at(self.which) for seed, run in self.cell(method, rate).items()}

    def values(self, method: str, rate: float, value: Callable[[Run], T | None]) -> list[T]:
        """``value(run)`` of the finished runs of a cell, in the order of the seeds, without None."""
        return [found for run in self.cell(method, rate).values() if (found := value(run)) is not None]

    def whole_accuracies(self) -> dict[int, float]:
        """{seed: test accuracy} after training on all samples; empty if none was."""
        found: dict[int, float] = {}
        for rate in self.rates:
            found |= self.accuracies(WHOLE, rate)
        return found

    def detail_rate(self, wanted: float | None = None) -> float | None:
        """The rate of the figures that show one.

        It is ``wanted``, or, of the rates with most methods, the middle one (the lower of two). It is None if there is
        none, or ``wanted`` is not among them.
        """
        rates = self.compared_rates
        if wanted is not None:
            return next((rate for rate in rates if math.isclose(rate, wanted)), None)
        methods = {rate: sum(bool(self.cell(name, rate)) for name in self.compared) for rate in rates}
        fullest = [rate for rate in rates if methods[rate] == max(methods.values())]
        return fullest[(len(fullest) - 1) // 2] if fullest else None

    def _missing_runs(self, plan: Mapping[str, list]) -> list[tuple[str, float, int]]:
        tried = self.done + self.failed
        known = {(self.name_of(run), run.rate, run.seed) for run in tried}
        methods = {name for name, _, _ in known}
        methods |= {self._names.get((name, spell(options)), spec) for spec, name, options in plan["methods"]}
        rates = {rate for name, rate, _ in known if name != WHOLE} | set(plan["rates"])
        seeds = {run.seed for run in tried} | set(plan["seeds"])
        require_few(methods, rates, seeds)
        wanted = {(name, rate, seed) for name in methods for rate in ((1.0,) if name == WHOLE else rates)
                  for seed in seeds}
        return sorted(wanted - known)


def _method_names(runs: Sequence[Run]) -> dict[tuple[str, str], str]:
    """{(method, options as text): name}: the method's own, and the options in which its variants differ."""
    variants: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for run in runs:
        variants[run.row][spell(run.options)] = run.options
    names = {}
    for method, several in variants.items():
        differing = sorted({key for options in several.values() for key in options
                            if len({spell({key: other.get(key)}) for other in several.values()}) > 1})
        for text, options in several.items():
            said = ", ".join(f"{key} {options[key]}" for key in differing if key in options)
            names[method, text] = f"{method} ({said})" if said else method
    return names
