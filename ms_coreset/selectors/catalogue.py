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
        requirements: fields of ``Evidence`` that it needs beside labels, or a function of the options that gives them.
        cost: work beyond extraction, in n samples, d dimensions, C classes, k picks.
        source: where it is published.
        nested: whether a method's or a rule's picks at a rate are the first picks at any higher rate (of each class, if
            balanced), or a function of the options that tells.
        takes: fields of ``Evidence`` that it uses if they are there, but does not need, or a function of the options
            that gives them: "validation", the samples that it aims at; "runs", whose arrays replace the evidence's own.
        parallel: how several ranks share it (``shared``), or a function of the options that tells. A score: "samples",
            if a sample's value depends on nothing but itself; "classes", if on its class only. A method: "scores", if
            all its work is scores; "classes", if balanced it chooses within each class by itself; "rounds", if it also
            runs ``on_ranks.two_rounds`` over all samples itself. "": rank 0 works alone.
        labels: whether it looks at labels, or a function of the options that tells. False: evidence without any will
            do, and ``evidence.groups`` stands for the classes; balance, quotas and the like still ask for labels.
        label_columns: whether it compares labels with logits, so that labels must be their columns, or a function of
            the options that tells.
        work: what it takes, for ``estimate``: a function of an ``estimate.Size`` and of all options, given or default,
            that gives an ``estimate.Work``, or a tuple of the same. None: ``estimate`` says that it is not known.
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
        """Fields of ``Evidence`` that it uses if they are there, with these options over the defaults."""
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
        checked: list[tuple[Evidence, Iterable[str], str]] = [(evidence, (*labels, *needs), self.name)]
        if "runs" in takes and evidence.runs:  # their networks' answers are used, all else is the evidence's
            asked, others = ([need for need in needs if (need in EXTRACTED) == theirs] for theirs in (True, False))
            checked = [(evidence, (*labels, *others), self.name), *((run, asked, f"every run of {self.name}")
                                                        for run in evidence.runs)]
        if "validation" in takes and evidence.validation is not None:
            checked.append((evidence.validation, (*labels, *needs), f"the validation set of {self.name}"))
        for samples, fields, whose in checked:
            samples.require(fields, whose, current().part(len(samples)))
            if "logits" in fields and self._with(options, self.label_columns):
                samples.require_label_columns(whose)

    def _with(self, options: dict[str, Any], fact: Any) -> Any:
        """A fact, which may be a function of the options, with these over the defaults."""
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
        """The value of one of its options in one spelling of all that mean the same."""
        return option_values.canonical_value(option_values.keywords(self.function)[option], value)

    def check_options(self, given: dict[str, Any]) -> None:
        """Raise ``MsCoresetError`` for options that this entry does not have, and for values they may not have."""
        option_values.check(self.name, self.function, given)


def method(name: str, needs: Needs = (), cost: str = "", *, source: str = "", aliases: Iterable[str] = (),
           nested: Flag = False, takes: Needs = (), parallel: str | Callable = "",
           labels: Flag = True, label_columns: Flag = False, work: Callable | None = None) -> Callable:
    """Decorator that registers a function as a selection method; see ``Entry``.

    Args:
        name: the name to register it under.
        needs: fields of ``Evidence`` that it needs beside labels, or a function of the options that gives them.
        cost: work beyond extraction, in n samples, d dimensions, C classes, k picks.
        source: where it is published.
        aliases: other names for it.
        nested: whether its picks at a rate are the first picks at any higher rate, see ``Entry``.
        takes: fields of ``Evidence`` that it uses if they are there, see ``Entry``.
        parallel: how several ranks share it, see ``Entry``.
        labels: whether it looks at labels, see ``Entry``.
        label_columns: whether it compares labels with logits, see ``Entry``.
        work: what it takes, for ``estimate``, see ``Entry``.

    Returns:
        The decorator, which gives the function back.
    """
    return _register(METHODS, aliases, name=name, requirements=needs, cost=cost, source=source, nested=nested,
                     takes=takes, parallel=parallel, labels=labels, label_columns=label_columns, work=work)


def score(name: str, needs: Needs = (), cost: str = "", source: str = "", aliases: Iterable[str] = (),
          takes: Needs = (), parallel: str | Callable = "", label_columns: Flag = False,
          work: Callable | None = None, *, labels: Flag = True) -> Callable:
    """Decorator that registers a function as a score; see ``Entry``.

    Args:
        name: the name to register it under.
        needs: fields of ``Evidence`` that it needs beside labels, or a function of the options that gives them.
        cost: work beyond extraction, in n samples, d dimensions, C classes, k picks.
        source: where it is published.
        aliases: other names for it.
        takes: fields of ``Evidence`` that it uses if they are there, see ``Entry``.
        parallel: how several ranks share it, see ``Entry``.
        labels: whether it looks at labels, see ``Entry``.
        label_columns: whether it compares labels with logits, see ``Entry``.
        work: what it takes, for ``estimate``, see ``Entry``.

    Returns:
        The decorator, which gives the function back.
    """
    return _register(SCORES, aliases, name=name, requirements=needs, cost=cost, source=source, takes=takes,
                     parallel=parallel, labels=labels, label_columns=label_columns, work=work)


def rule(name: str, needs: Needs = (), cost: str = "n log n", *, source: str = "", aliases: Iterable[str] = (),
         nested: Flag = False, labels: Flag = True, work: Callable | None = None) -> Callable:
    """Decorator that registers a function as a rule, which draws from any score; see ``Entry``.

    Args:
        name: the name to register it under.
        needs: fields of ``Evidence`` that it needs beside labels, or a function of the options that gives them.
        cost: work beyond extraction, in n samples, d dimensions, C classes, k picks.
        source: where it is published.
        aliases: other names for it.
        nested: whether its picks at a rate are the first picks at any higher rate, see ``Entry``.
        labels: whether it looks at labels, see ``Entry``.
        work: what it takes beside its score, for ``estimate``, see ``Entry``; None: next to nothing.

    Returns:
        The decorator, which gives the function back.
    """
    return _register(RULES, aliases, name=name, requirements=needs, cost=cost, source=source, nested=nested,
                     labels=labels, work=work)


def quota(name: str, needs: Needs = (), cost: str = "", *, source: str = "", takes: Needs = (),
          labels: Flag = True, label_columns: Flag = False) -> Callable:
    """Decorator that registers a function as a quota, which shares a budget out over the classes; see ``Entry``.

    Args:
        name: the name to register it under.
        needs: fields of ``Evidence`` that it needs beside labels, or a function of the options that gives them.
        cost: work beyond extraction, in n samples, d dimensions, C classes, k picks.
        source: where it is published.
        takes: fields of ``Evidence`` that it uses if they are there, see ``Entry``.
        labels: whether it looks at labels, see ``Entry``.
        label_columns: whether it compares labels with logits, see ``Entry``.

    Returns:
        The decorator, which gives the function back.
    """
    return _register(QUOTAS, (), name=name, requirements=needs, cost=cost, source=source, takes=takes,
                     labels=labels, label_columns=label_columns)


def _register(registry: Registry[Entry], aliases: Iterable[str], **facts: Any) -> Callable:
    def decorate(function: Callable) -> Callable:
        registry.add(facts["name"], Entry(function=function, **facts), aliases)
        return function
    return decorate
