"""The registered methods, scores, rules and quotas, by name, with what they need, their cost and their source."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ms_coreset.distributed import current
from ms_coreset.evidence import EXTRACTED, Evidence
from ms_coreset.registry import Registry
from ms_coreset.selectors import option_values

METHODS: "Registry[Entry]" = Registry("method")
SCORES: "Registry[Entry]" = Registry("score")
RULES: "Registry[Entry]" = Registry("rule")
QUOTAS: "Registry[Entry]" = Registry("quota")

PRECOMPUTED = "precomputed"  # the kernel of similarities that are given
SEED = "seed"  # the option of a score that draws at random; methods and rules give it the request's
Needs = tuple | Callable
Flag = bool | Callable


@dataclass(frozen=True)
class Entry:
    """A registered method, score, rule or quota.

    Attributes:
        name: the name that it is registered under.
        function: for a score ``(evidence, **options) -> (n,) float64``; for a method ``(evidence, request, **options)
            -> Selection``; for a rule ``(values, evidence, request, **options) -> Selection``, values (n,) float64 of
            any score; for a quota ``(evidence, request, **options) -> Shares | None``, see ``class_quotas``.
        requirements: fields of ``Evidence`` that it needs beside labels, or a function of the options that returns
            them.
        cost: order of the work beyond extraction, as a text in n samples, d dimensions, C classes, k picks.
        source: authors, title and place of publication.
        nested: whether the picks of a method or rule at a rate are the first picks at any higher rate (of each class,
            if balanced), or a function of the options that returns this.
        takes: fields of ``Evidence`` that it uses if they are given, but does not need, or a function of the options
            that returns them: "validation", "like" and "unlike", which are of other samples; "cost", which then
            replaces the number of samples as the budget; "runs", whose arrays replace the evidence's own.
        parallel: how several ranks share it, or a function of the options that returns this. For a score: "samples", if
            the value of a sample depends on that sample alone; "classes", if on its class. For a method: "scores", if
            all its work is scores; "classes", if balanced it chooses within each class by itself; "rounds", if it also
            runs ``on_ranks.two_rounds`` over all samples. "": of a method, rank 0 works alone; a score is called with
            all samples on all ranks, and may share them itself.
        labels: whether it looks at labels, or a function of the options that returns this. False: it takes evidence
            without labels, with ``evidence.groups`` in their place; balance and quotas still need labels.
        label_columns: whether it compares labels with logits, so that labels must be 0 .. C-1, or a function of the
            options that returns this.
        work: its memory and operations for ``estimate``: a function of an ``estimate.Size`` and of all options that
            returns an ``estimate.Work`` or a tuple of the same. None: ``estimate`` says that they are unknown.
    """

    name: str
    function: Callable
    requirements: Needs
    cost: str
    source: str
    nested: Flag = False
    takes: Needs = ()
    parallel: str | Callable = ""
    labels: Flag = True
    label_columns: Flag = False
    work: Callable | None = None

    def needs_labels(self, options: dict[str, Any]) -> bool:
        """Whether it looks at labels with these options over the defaults."""
        return bool(self._with(options, self.labels))

    def needs_for(self, options: dict[str, Any]) -> tuple[str, ...]:
        """Fields of ``Evidence``, beside labels, that it needs with these options over the defaults."""
        return tuple(self._with(options, self.requirements))

    def takes_for(self, options: dict[str, Any]) -> tuple[str, ...]:
        """Fields of ``Evidence`` that it uses if they are given, with these options over the defaults."""
        return tuple(self._with(options, self.takes))

    def nested_for(self, options: dict[str, Any]) -> bool:
        """Whether it is nested with these options over the defaults."""
        return self._with(options, self.nested)

    def parallel_for(self, options: dict[str, Any]) -> str:
        """How several ranks share it with these options over the defaults."""
        return self._with(options, self.parallel)

    def require(self, evidence: Evidence, options: dict[str, Any]) -> None:
        """Check that ``evidence`` has what it needs with these options, in a form that it can use.

        With several ranks, each checks a part of the samples.

        Args:
            evidence: of the samples.
            options: over the defaults.

        Raises:
            MsCoresetError: for evidence that is missing or cannot be used.
        """
        needs, takes = self.needs_for(options), self.takes_for(options)
        labels = ("labels",) if self.needs_labels(options) else ()
        costs = ("cost",) if "cost" in takes and evidence.cost is not None else ()
        checked: list[tuple[Evidence, Iterable[str], str]] = [(evidence, (*labels, *needs, *costs), self.name)]
        if "runs" in takes and evidence.runs:  # features and logits come from the runs, all else from the evidence
            asked, others = ([need for need in needs if (need in EXTRACTED) == theirs] for theirs in (True, False))
            checked = [(evidence, (*labels, *others), self.name), *((run, asked, f"every run of {self.name}")
                                                        for run in evidence.runs)]
        if "validation" in takes and evidence.validation is not None:
            checked.append((evidence.validation, (*labels, *needs), f"the validation set of {self.name}"))
        sides = {name: getattr(evidence, name) for name in ("like", "unlike") if name in takes}
        checked += [(samples, (*labels, *needs), f"{self.name}, of the samples to be {name},")
                    for name, samples in sides.items() if samples is not None]
        for samples, fields, whose in checked:
            samples.require(fields, whose, current().part(len(samples)))
            if "logits" in fields and self._with(options, self.label_columns):
                samples.require_label_columns(whose)

    def _with(self, options: dict[str, Any], fact: Any) -> Any:
        """A fact, or its value for these options (over the defaults) if it is a function of the options."""
        return fact({**self.options, **options}) if callable(fact) else fact

    @property
    def needs(self) -> tuple[str, ...]:
        """Fields of ``Evidence``, beside labels, that it needs with its default options."""
        return self.needs_for({})

    @property
    def all_needs(self) -> list[str]:
        """The same, labels among them where it looks at these."""
        return ["labels"] * self.needs_labels({}) + list(self.needs)

    @property
    def summary(self) -> str:
        """The first line of the docstring; empty where there is none."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def options(self) -> dict[str, Any]:
        """Keyword options with their defaults."""
        return {name: parameter.default for name, parameter in option_values.keywords(self.function).items()}

    def canonical_value(self, option: str, value: Any) -> Any:
        """The value of one of its options in the canonical spelling of all that mean the same."""
        return option_values.canonical_value(option_values.keywords(self.function)[option], value)

    def suited_to(self, evidence: Evidence, options: dict[str, Any]) -> dict[str, Any]:
        """The options, with the similarities that the evidence has as the kernel, where none is named."""
        if "kernel" in self.options and "kernel" not in options and evidence.similarity is not None:
            return {**options, "kernel": PRECOMPUTED}
        return options

    def check_options(self, given: dict[str, Any]) -> None:
        """Raise ``MsCoresetError`` for options that this entry does not have, and for values they may not have."""
        option_values.check(self.name, self.function, given)


def method(name: str, needs: Needs = (), cost: str = "", *, source: str = "", aliases: Iterable[str] = (),
           nested: Flag = False, takes: Needs = (), parallel: str | Callable = "",
           labels: Flag = True, label_columns: Flag = False, work: Callable | None = None) -> Callable:
    """Return a decorator that registers a function as a selection method; see ``Entry``.

    Args:
        name: the name that it is registered under.
        needs: fields of ``Evidence`` that it needs beside labels, or a function of the options that returns them.
        cost: order of the work beyond extraction, as a text in n samples, d dimensions, C classes, k picks.
        source: authors, title and place of publication.
        aliases: other names for it.
        nested: whether its picks at a rate are the first picks at any higher rate, see ``Entry``.
        takes: fields of ``Evidence`` that it uses if they are given, see ``Entry``.
        parallel: how several ranks share it, see ``Entry``.
        labels: whether it looks at labels, see ``Entry``.
        label_columns: whether it compares labels with logits, see ``Entry``.
        work: what it takes, for ``estimate``, see ``Entry``.

    Returns:
        The decorator; it returns the function unchanged.
    """
    return _register(METHODS, aliases, name=name, requirements=needs, cost=cost, source=source, nested=nested,
                     takes=takes, parallel=parallel, labels=labels, label_columns=label_columns, work=work)


def score(name: str, needs: Needs = (), cost: str = "", source: str = "", aliases: Iterable[str] = (),
          takes: Needs = (), parallel: str | Callable = "", label_columns: Flag = False,
          work: Callable | None = None, *, labels: Flag = True) -> Callable:
    """Return a decorator that registers a function as a score; see ``Entry``.

    Args:
        name: the name that it is registered under.
        needs: fields of ``Evidence`` that it needs beside labels, or a function of the options that returns them.
        cost: order of the work beyond extraction, as a text in n samples, d dimensions, C classes, k picks.
        source: authors, title and place of publication.
        aliases: other names for it.
        takes: fields of ``Evidence`` that it uses if they are given, see ``Entry``.
        parallel: how several ranks share it, see ``Entry``.
        labels: whether it looks at labels, see ``Entry``.
        label_columns: whether it compares labels with logits, see ``Entry``.
        work: what it takes, for ``estimate``, see ``Entry``.

    Returns:
        The decorator; it returns the function unchanged.
    """
    return _register(SCORES, aliases, name=name, requirements=needs, cost=cost, source=source, takes=takes,
                     parallel=parallel, labels=labels, label_columns=label_columns, work=work)


def rule(name: str, needs: Needs = (), cost: str = "n log n", *, source: str = "", aliases: Iterable[str] = (),
         nested: Flag = False, labels: Flag = True, work: Callable | None = None) -> Callable:
    """Return a decorator that registers a function as a rule, which draws from any score; see ``Entry``.

    Args:
        name: the name that it is registered under.
        needs: fields of ``Evidence`` that it needs beside labels, or a function of the options that returns them.
        cost: order of the work beyond extraction, as a text in n samples, d dimensions, C classes, k picks.
        source: authors, title and place of publication.
        aliases: other names for it.
        nested: whether its picks at a rate are the first picks at any higher rate, see ``Entry``.
        labels: whether it looks at labels, see ``Entry``.
        work: what it takes beside its score, for ``estimate``, see ``Entry``; None: next to nothing.

    Returns:
        The decorator; it returns the function unchanged.
    """
    return _register(RULES, aliases, name=name, requirements=needs, cost=cost, source=source, nested=nested,
                     labels=labels, work=work)


def quota(name: str, needs: Needs = (), cost: str = "", *, source: str = "", takes: Needs = (),
          labels: Flag = True, label_columns: Flag = False) -> Callable:
    """Return a decorator that registers a function as a quota, which splits a budget over classes; see ``Entry``.

    Args:
        name: the name that it is registered under.
        needs: fields of ``Evidence`` that it needs beside labels, or a function of the options that returns them.
        cost: order of the work beyond extraction, as a text in n samples, d dimensions, C classes, k picks.
        source: authors, title and place of publication.
        takes: fields of ``Evidence`` that it uses if they are given, see ``Entry``.
        labels: whether it looks at labels, see ``Entry``.
        label_columns: whether it compares labels with logits, see ``Entry``.

    Returns:
        The decorator; it returns the function unchanged.
    """
    return _register(QUOTAS, (), name=name, requirements=needs, cost=cost, source=source, takes=takes,
                     labels=labels, label_columns=label_columns)


def _register(registry: Registry[Entry], aliases: Iterable[str], **facts: Any) -> Callable:
    def decorate(function: Callable) -> Callable:
        registry.add(facts["name"], Entry(function=function, **facts), aliases)
        return function
    return decorate


def find_entry(name: str) -> Entry:
    """What is registered under a name or alias, in any case: as a method, else as a score, a rule or a quota.

    Raises:
        MsCoresetError: for a name that is in none of the registries.
    """
    registry = next((registry for registry in (METHODS, SCORES, RULES, QUOTAS) if name in registry), METHODS)
    return registry[name]
