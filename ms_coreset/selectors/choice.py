"""A choice of method, or of score and rule, with options; and the text by which it is typed.

The text is a name and its options: "ccs:mis_ratio=0.3,strata=20", or a score and a rule, "el2n-strata".
"""

from __future__ import annotations

import contextlib
import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ms_coreset.coreset import Coreset
from ms_coreset.distributed import current
from ms_coreset.errors import MsCoresetError, require_kind
from ms_coreset.evidence import Evidence
from ms_coreset.selectors import METHODS, RULES, SCORES, select, select_by
from ms_coreset.selectors.catalogue import QUOTAS
from ms_coreset.selectors.class_quotas import NONE, bounding_request, require_agreement
from ms_coreset.selectors.estimate import Estimate, size_of, with_rule
from ms_coreset.selectors.normalization import NORMALIZATION
from ms_coreset.selectors.on_ranks import estimate_on_ranks
from ms_coreset.selectors.quota import Request
from ms_coreset.yaml_files import parse_yaml

if TYPE_CHECKING:
    from ms_coreset.selectors.catalogue import Entry

# DeepCore's families of methods, and the default of each.
FAMILIES = {"submodular": "GraphCut", "uncertainty": "Entropy"}
_WHOLE = "full"  # the method that keeps every sample, whatever a quota says
_QUOTA = "quota"  # a name of ``QUOTAS``
_HELD_OUT = "held_out"  # share of the samples to hold out for methods that use a validation set
_POWER_OF_TEN = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


@dataclass(frozen=True)
class Choice:
    """A method, or a score and a rule, with its options bound.

    Attributes:
        name: the method's, or "<score>-<rule>", in any spelling; it becomes the registered one.
        options: values that replace the defaults of the method, or of the score and the rule; "quota", the name of a
            quota, with the quota's options; and, for methods and quotas that use a validation set, "held_out", the
            share of the samples to hold out as one, which are never picked.
        seed: of the draw of the held-out samples; None: the request's.

    Raises:
        MsCoresetError: for an unknown name, an option that it does not have, and a value that the option may not have.
    """

    name: str
    options: dict = field(default_factory=dict)
    seed: int | None = None

    def __post_init__(self) -> None:
        score, rule = _score_and_rule(self.name)
        object.__setattr__(self, "name", f"{score.name}-{rule}" if score else METHODS.canonical(self.name))
        self._check(score, rule)

    @classmethod
    def parse(cls, text: str, families: Mapping[str, str] | None = None) -> Choice:
        """Parse a text such as "ccs:mis_ratio=0.3,strata=20".

        Args:
            text: a name and options, such as "ccs:mis_ratio=0.3,strata=20".
            families: what each name of ``FAMILIES`` means.

        Returns:
            A ``Choice``.
        """
        name, options = split_text(text)
        return cls({**FAMILIES, **(families or {})}.get(name.lower(), name), options)

    @property
    def text(self) -> str:
        """The canonical text: the same for all texts that mean the same."""
        return spell_text(self.name, self.canonical_options)

    @property
    def canonical_options(self) -> dict:
        """The options in their canonical spelling: equal for all that mean the same."""
        return {name: entry.canonical_value(name, value) if name in (entry := self._owner(name)).options
                else QUOTAS.canonical(value) if name == _QUOTA else value for name, value in self.options.items()}

    @property
    def needs(self) -> tuple:
        """Fields of ``Evidence``, beside labels, that it needs."""
        score, rule = _score_and_rule(self.name)
        entries = [METHODS[self.name]] if score is None else [score, RULES[rule]]
        if self.quota is not None:
            entries.append(QUOTAS[self.quota])
        return tuple(dict.fromkeys(need for entry in entries for need in entry.needs_for(self._options_of(entry))))

    @property
    def needing_labels(self) -> str | None:
        """What of it looks at labels, by its name; None where nothing does."""
        score, rule = _score_and_rule(self.name)
        entries = [METHODS[self.name]] if score is None else [score, RULES[rule], NORMALIZATION]
        found = [entry.name for entry in entries if entry.needs_labels(self._options_of(entry))]
        if self.quota is not None and QUOTAS[self.quota].needs_labels({}):
            found.append(f"quota {self.quota}")
        return found[0] if found else None

    @property
    def quota(self) -> str | None:
        """The name of the quota, or None."""
        return self.options.get(_QUOTA)

    @property
    def extrapolation(self) -> dict[str, Any] | None:
        """The neighbors that it extrapolates from, if it chooses by the score ``extrapolated``; else None."""
        score, _ = _score_and_rule(self.name)
        if (self.name if score is None else score.name) != "extrapolated":
            return None
        options = {**SCORES["extrapolated"].options, **self.options}
        return {name: options[name] for name in ("neighbors", "metric", "weighting", "probes")}

    @property
    def nested(self) -> bool:
        """Whether its picks at a rate are the first picks at any higher rate."""
        if self.quota not in (None, NONE):
            return False
        score, rule = _score_and_rule(self.name)
        if score is not None:
            return RULES[rule].nested_for(self._options_of(RULES[rule]))
        return _HELD_OUT not in self.options and METHODS[self.name].nested_for(self._options_of(METHODS[self.name]))

    def require_agreement(self, request: Request) -> None:
        """Raise ``MsCoresetError`` if its quota contradicts the balance of a request."""
        require_agreement(request.balance, self.quota)

    def choose(self, evidence: Evidence, request: Request) -> Coreset:
        """Select the coreset; see ``select`` and ``select_by``."""
        if _HELD_OUT not in self.options:
            return self._choose(evidence, request)
        share, seed = self.options[_HELD_OUT], request.seed if self.seed is None else self.seed
        places, rest = evidence.hold_out(share, seed)
        rest = replace(evidence.part(places), validation=rest.validation)
        coreset = self._choose(rest, request).within(places, len(evidence))
        return replace(coreset, options={**coreset.options, _HELD_OUT: share})

    def estimate(self, n: int, d: int, classes: int | Sequence[int], dtype: Any, request: Request) -> Estimate:
        """Estimate memory and operations on all ranks; see ``selectors.estimate``."""
        score, rule = _score_and_rule(self.name)
        entry = METHODS[self.name if score is None else score.name if score.name in METHODS else "moderate"]
        options = self._options_of(entry) if score is None else {}
        sizes = [math.ceil(n / classes)] if isinstance(classes, int) else classes
        if self.quota is not None:
            request = bounding_request(request, self.quota, n, max(sizes))
        expected = estimate_on_ranks(entry.name, n, d, classes, request.rate, request.balance, request.memory,
                                     current().size, dtype, **options)
        if score is None:
            return expected
        size = size_of(n, d, classes, request=request, dtype=dtype)
        return with_rule(expected, RULES[rule], size, self._options_of(RULES[rule]))

    def _choose(self, evidence: Evidence, request: Request) -> Coreset:
        score, rule = _score_and_rule(self.name)
        how: dict[str, Any] = {"rate": request.rate, "balance": request.balance, "seed": request.seed,
                               "memory": request.memory}
        if score is not None:
            return select_by(score.name, rule, evidence, **how, **self._own_options)
        return select(self.name, evidence, **how, **self._own_options)

    @property
    def _own_options(self) -> dict[str, Any]:
        return {name: value for name, value in self.options.items() if name != _HELD_OUT}

    def _options_of(self, entry: Entry) -> dict[str, Any]:
        """The options that belong to an entry."""
        return {name: value for name, value in self.options.items() if name in entry.options}

    def _owner(self, option: str) -> Entry:
        """The entry that an option belongs to."""
        score, rule = _score_and_rule(self.name)
        entries = [METHODS[self.name]] if score is None else [score, RULES[rule], NORMALIZATION]
        if self.quota is not None:
            entries.append(QUOTAS[self.quota])
        return next((entry for entry in entries if option in entry.options), entries[0])

    def _check(self, score: Entry | None, rule: str) -> None:
        if self.quota is not None:
            require_kind(_QUOTA, self.quota, str)
        known = options_of(self.name, self.quota)
        for name in self.options:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f", did you mean {near[0]!r}?" if near else ";"
                raise MsCoresetError(f"{title_of(self.name)} has no option {name!r}{hint} its options: "
                                     f"{', '.join(known) or 'none'}")
        for name, value in self._own_options.items():
            if name != _QUOTA:
                self._owner(name).check_options({name: value})


def options_of(name: str, quota: str | None = None) -> list[str]:
    """The options of a method, or of a score and a rule, with a quota or without one."""
    score, rule = _score_and_rule(name)
    if score is None and METHODS.canonical(name) == _WHOLE:
        return list(METHODS[name].options)
    of_quota = [] if quota is None else [QUOTAS[quota]]
    entries = [METHODS[name]] if score is None else [score, RULES[rule], NORMALIZATION]
    takes = [entry.takes_for({}) for entry in (*(entries if score is None else ()), *of_quota)]
    aimed = [_HELD_OUT] if any("validation" in fields for fields in takes) else []
    options = dict.fromkeys(option for entry in entries for option in entry.options)
    return [*options, *aimed, _QUOTA, *(option for entry in of_quota for option in entry.options)]


def title_of(name: str) -> str:
    """The name of a method, or of a score and a rule, in messages."""
    score, rule = _score_and_rule(name)
    return METHODS.canonical(name) if score is None else f"{score.name} by {rule}"


def spell_text(name: str, options: Mapping[str, Any]) -> str:
    """The text of a name and its options, which ``split_text`` takes apart; options in the order of their names."""
    spelled = ",".join(f"{option}={_spell(value)}" for option, value in sorted(options.items()))
    return f"{name}:{spelled}" if spelled else name


def split_text(text: str) -> tuple[str, dict]:
    """The name and the options of a text, as they are typed.

    Raises:
        MsCoresetError: for a text of another form.
    """
    name, _, typed = text.partition(":")
    options = {}
    for pair in filter(None, typed.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise MsCoresetError(f"method {text!r}: {pair!r} is no option: write NAME:OPTION=VALUE,...")
        options[key.strip().replace("-", "_")] = value_of(value, f"{text}: {key}")
    return name.strip(), options


def value_of(text: str, what: str) -> Any:
    """Parse an option's value as YAML, except that 1e-6 is a number.

    Args:
        text: the value as it is typed.
        what: what the value is for, for the message.

    Returns:
        The value.

    Raises:
        MsCoresetError: naming ``what``, for a text that is no value.
    """
    return float(text) if _POWER_OF_TEN.fullmatch(text.strip()) else parse_yaml(text, what)


def canonical(name: str, options: dict) -> dict:
    """The canonical spelling of recorded options, so that values that mean the same are equal.

    Options whose meaning is not known, such as those of a plugin's method, stay as they are.

    Args:
        name: of the method, or of the score and the rule.
        options: by name.

    Returns:
        The options by name.
    """
    try:
        return Choice(name, options).canonical_options
    except MsCoresetError:
        return options


def _spell(value: Any) -> str:
    """A value as a text from which ``value_of`` reads it."""
    with contextlib.suppress(MsCoresetError):
        if isinstance(value, str) and value_of(value, value) == value:
            return value
    return json.dumps(value, default=str)


def _score_and_rule(name: str) -> tuple[Entry | None, str]:
    """(entry of the score, rule) of a name such as "el2n-strata", or (None, "") of a method, or an unknown one."""
    folded = str(name).lower().replace("-", "_")
    if folded not in METHODS:
        for rule in sorted(RULES.names(), key=len, reverse=True):  # "weighted_random" before "random"
            score = folded.removesuffix(f"_{rule}")
            if score != folded and score in SCORES:
                return SCORES[score], rule
    return None, ""
