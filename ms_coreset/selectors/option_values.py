"""Allowed values of options: stated in annotations of methods, scores, rules and quotas, and checked before any work.

``def cal(evidence, neighbors: Count = 10, direction: Annotated[str, OneOf(("highest", "lowest"))] = "highest")``:
``catalogue.Entry.check_options`` finds the allowed values there. An option without one has to be of its default's kind.
"""

import inspect
import numbers
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import numpy as np

from ms_coreset.errors import MsCoresetError, require_kind, require_number, require_whole
from ms_coreset.registry import Registry


@dataclass(frozen=True)
class OneOf:
    """One of some names."""

    names: Collection[str]

    @property
    def words(self) -> str:
        return f"one of {', '.join(self.names)}"

    def check(self, option: str, value: Any) -> None:
        if not isinstance(value, str) or value not in self.names:
            raise MsCoresetError(f"{option} {value!r}: must be {self.words}")


@dataclass(frozen=True)
class Whole:
    """A whole number of at least ``least``."""

    least: int

    @property
    def words(self) -> str:
        return f"a whole number of at least {self.least}"

    def check(self, option: str, value: Any) -> None:
        require_whole(option, value, self.least)


@dataclass(frozen=True)
class Number:
    """A finite number for which ``allows`` is true; ``words`` describes these numbers."""

    allows: Callable[[Any], bool]
    words: str

    def check(self, option: str, value: Any) -> None:
        require_number(option, value, allowed=self.words)
        if not self.allows(value):
            raise MsCoresetError(f"{option} {value}: must be {self.words}")


@dataclass(frozen=True)
class Named:
    """A name of a registry, in any of its spellings."""

    registry: Registry

    @property
    def words(self) -> str:
        return f"one of {', '.join(self.registry.names())}"

    def check(self, option: str, value: Any) -> None:
        require_kind(option, value, str)
        self.registry.canonical(value)


@dataclass(frozen=True)
class OrAuto:
    """``AUTO``, for a value that is derived from the evidence, or a value that another rule allows."""

    rule: Number

    @property
    def words(self) -> str:
        return f"{AUTO}, or {self.rule.words}"

    def check(self, option: str, value: Any) -> None:
        if not (isinstance(value, str) and value == AUTO):
            self.rule.check(option, value)


@dataclass(frozen=True)
class OrFunction:
    """A function, or one of some names."""

    rule: OneOf

    @property
    def words(self) -> str:
        return f"{self.rule.words}, or a function"

    def check(self, option: str, value: Any) -> None:
        if not callable(value):
            self.rule.check(option, value)


@dataclass(frozen=True)
class Slice:
    """Epochs of a training: a whole number N for the first N, or "A-B" or a pair (A, B) for A to B - 1, from 0."""

    words = "a number of epochs, at least 1, or a part such as \"10-30\", the epochs 10 to 29, counted from 0"

    def check(self, option: str, value: Any) -> None:
        first, last = self.ends(value)
        if not 0 <= first < last:
            raise MsCoresetError(f"{option} {value!r}: must be {self.words}")

    @staticmethod
    def ends(value: Any) -> tuple[int, int]:
        """The pair (first epoch, epoch after the last) of a value; (0, 0) for a value that is no slice."""
        if isinstance(value, str):
            value = value.split("-") if re.fullmatch(r"\d+-\d+", value) else ()
        elif isinstance(value, numbers.Integral) and not isinstance(value, bool):
            value = (0, value)
        try:
            first, last = map(int, value)
        except (TypeError, ValueError):
            return 0, 0
        return first, last


AUTO = "auto"
Variant = Annotated[str, OneOf(("paper", "deepcore"))]  # as published, or as DeepCore's code computes it
AnyVariant = Annotated[str, OneOf(("paper", "deepcore", "cords"))]  # the same, or as CORDS' code computes it
NotNegative = Annotated[float, Number(lambda value: value >= 0, "at least 0 and finite")]
Metric = Annotated[str, OneOf(("euclidean", "cosine"))]  # of features as given, or each at length 1
Count = Annotated[int, Whole(1)]
Probes = Annotated[int, Whole(0)]  # of ``neighbors.nearest_among``: 0, exact, or in how many cells neighbors are sought
Epochs = Annotated[int | str | tuple, Slice()]
Window = Annotated[int, Whole(2)]  # epochs that are looked at together
Positive = Annotated[float, Number(lambda value: value > 0, "a finite number above 0")]


def check(name: str, function: Callable, options: dict[str, Any]) -> None:
    """Check that a function has these options, and that their values are allowed.

    Args:
        name: the method or score, for messages.
        function: its function.
        options: by name.

    Raises:
        MsCoresetError: for an option that it does not have, or a value that it may not have.
    """
    known = keywords(function)
    for option, value in options.items():
        if option not in known:
            raise MsCoresetError(f"{name} has no option {option!r}; its options: {', '.join(known) or 'none'}")
        _check_value(f"{name}: {option}", known[option], value)


def keywords(function: Callable) -> dict[str, inspect.Parameter]:
    """Option -> its ``inspect.Parameter``, of all parameters that have a default."""
    parameters = inspect.signature(function).parameters
    return {name: parameter for name, parameter in parameters.items() if parameter.default is not parameter.empty}


def canonical_value(parameter: inspect.Parameter, value: Any) -> Any:
    """The canonical spelling of an allowed value: the same for all that mean the same.

    Names become the registered ones, and whole numbers of an option that is a real number become real.

    Args:
        parameter: of the function.
        value: of the option.

    Returns:
        The value.
    """
    for rule in _rules(parameter):
        if isinstance(rule, Named):
            return rule.registry.canonical(value)
    if isinstance(parameter.default, float) and isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    return value


def allowed_words(parameter: inspect.Parameter) -> str:
    """Which values are allowed, in words; empty where nothing is said of them."""
    rules = [rule.words for rule in _rules(parameter) if hasattr(rule, "words")]
    kinds = {bool: "true or false", int: "a whole number", float: "a number"}
    words = " and ".join(rules) or kinds.get(type(parameter.default), "")
    return f"{words}, or none" if words and parameter.default is None else words


def _rules(parameter: inspect.Parameter) -> list:
    """The checks in a parameter's annotation."""
    of_none_too = get_origin(parameter.annotation) in (Union, UnionType)
    kinds = get_args(parameter.annotation) if of_none_too else (parameter.annotation,)
    return [rule for kind in kinds for rule in getattr(kind, "__metadata__", ())]


def _check_value(option: str, parameter: inspect.Parameter, value: Any) -> None:
    if value is None and parameter.default is None:
        return
    allowed = _rules(parameter)
    for rule in allowed:
        rule.check(option, value)
    if not allowed:
        _require_like(parameter.default, option, value)


def _require_like(default: Any, option: str, value: Any) -> None:
    """Raise ``MsCoresetError`` for a value of another kind than an option's default: text, number, true or false."""
    if isinstance(default, bool):
        require_kind(option, value, bool, np.bool_)
    elif isinstance(default, int):
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise MsCoresetError(f"{option} {value}: must be a whole number")
    elif isinstance(default, float):
        require_number(option, value)
    elif isinstance(default, str):
        require_kind(option, value, str)
