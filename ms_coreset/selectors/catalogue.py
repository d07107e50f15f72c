"""What selectors there are: methods and scores by name, with what they need, cost and stand on."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ms_coreset.registry import Registry
from ms_coreset.selectors import options

METHODS = Registry("method")
SCORES = Registry("score")

Needs = tuple | Callable


@dataclass(frozen=True)
class Entry:
    """A registered method or score.

    function: for a score ``(evidence, **options) -> (n,) float64``; for a method
        ``(evidence, request, **options) -> Selection``
    requirements: fields of ``Evidence`` beside labels, or a function of the options that gives them
    cost: work beyond extraction, in n samples, d dimensions, C classes, k picks
    source: where it is published
    nested: whether a method's picks at a rate begin those at any higher one (of each class, if balanced), or a function
        of the options that tells
    takes: fields of ``Evidence`` that it goes by where there are any, and does without else
    parallel: how several ranks share it (``shared``), or a function of the options that tells. A score: "samples", if a
        sample's value depends on nothing but itself; "classes", if on its class only. A method: "scores", if all its
        work is scores; "classes", if balanced it chooses within each class by itself; "rounds", if besides it does
        ``shared.two_rounds`` over all samples itself. "": rank 0 alone
    """

    name: str
    function: Callable
    requirements: tuple | Callable
    cost: str
    source: str
    nested: bool | Callable = False
    takes: tuple = ()
    parallel: str | Callable = ""

    def needs_for(self, options):
        """Fields of ``Evidence``, beside labels, that it needs with these options over the defaults."""
        if callable(self.requirements):
            return tuple(self.requirements({**self.options, **options}))
        return tuple(self.requirements)

    def nested_for(self, options):
        """Whether it is nested with these options over the defaults."""
        return self.nested({**self.options, **options}) if callable(self.nested) else self.nested

    def parallel_for(self, options):
        """How several ranks share it with these options over the defaults."""
        return self.parallel({**self.options, **options}) if callable(self.parallel) else self.parallel

    @property
    def needs(self):
        """Fields of ``Evidence``, beside labels, that it needs with its default options."""
        return self.needs_for({})

    @property
    def summary(self):
        """The first line of the docstring; empty where there is none."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def options(self):
        """Keyword options with their defaults."""
        return {name: parameter.default for name, parameter in options.keywords(self.function).items()}

    def canonical_value(self, option, value):
        """The value of one of its options in one spelling of all that mean the same."""
        return options.canonical_value(options.keywords(self.function)[option], value)

    def check_options(self, given):
        """Raise ``MsCoresetError`` for options that this entry does not have, and for values they may not have."""
        options.check(self.name, self.function, given)


def method(name: str, needs: Needs = (), cost: str = "", source: str = "", aliases: Iterable[str] = (),
           nested: bool | Callable = False, takes: tuple = (), parallel: str | Callable = "") -> Callable:
    """Decorator: register a function as a selection method; see ``Entry``."""
    return _register(METHODS, name, needs, cost, source, aliases, nested, takes, parallel)


def score(name: str, needs: Needs = (), cost: str = "", source: str = "", aliases: Iterable[str] = (),
          parallel: str | Callable = "") -> Callable:
    """Decorator: register a function as a score; see ``Entry``."""
    return _register(SCORES, name, needs, cost, source, aliases, parallel=parallel)


def _register(registry, name, needs, cost, source, aliases, nested=False, takes=(), parallel=""):
    def decorate(function):
        registry.add(name, Entry(name, function, needs, cost, source, nested, takes, parallel), aliases)
        return function
    return decorate
