"""From options to a method, or to any score with any rule."""

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import yaml

from ms_coreset.cli.common.options import add
from ms_coreset.distributed import current
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors import METHODS, SCORES, select, select_by
from ms_coreset.selectors.presets import RULE_NAMES, STRATA_OPTIONS, strata_needs
from ms_coreset.selectors.shared import estimate_on_ranks

_NOT_FOR_USERS = ("already_selected",)  # places, which no one types
_POWER_OF_TEN = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
_FLAGS = {"batch_size": "--selection-batch"}  # --batch-size is training's; DeepCore has both names, too


@dataclass(frozen=True)
class Plan:
    """What will be chosen by: its name in file names, the evidence it needs, ``choose(evidence, request)``, whether
    its picks at a rate begin those at any higher one, what it will take, ``estimate(n, d, classes, request)``, and the
    options that were given."""

    name: str
    needs: tuple
    choose: Callable
    nested: bool = False
    estimate: Callable | None = None
    options: dict = field(default_factory=dict)


def add_method_options(parser):
    """An option for each that a method, a score or a rule has."""
    group = parser.add_argument_group("options of the methods", "each only for the methods named")
    for name, owners in _owners().items():
        add(group, flag_of(name), dest=f"option_{name}", type=_value, metavar="X", help=", ".join(owners))


def _value(text):
    """An option's value as YAML has it, and 1e-6 for the number that it is in all other languages."""
    try:
        return float(text) if _POWER_OF_TEN.fullmatch(text) else yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no value, such as 0.5, true or median") from error


def plan_of(arguments):
    """The plan that the options describe; raises ``MsCoresetError`` for options that it does not have.

    The samples that --held-out holds out follow from the seed in ``arguments`` or, without one, in the request.
    """
    given = {name: value for name in _owners() if (value := getattr(arguments, f"option_{name}")) is not None}
    if arguments.rule:
        return _composed(arguments.rule, given)
    entry = METHODS[arguments.method]
    if "score" in given and "score" not in entry.options:
        raise MsCoresetError(f"--score {given['score']} needs a --rule: one of {', '.join(RULE_NAMES)}")
    _refuse_unknown(given, entry.options | ({"held_out": None} if "validation" in entry.takes else {}), entry.name)
    held_out = given.pop("held_out", None)
    entry.check_options(given)
    plan = Plan(entry.name, entry.needs_for(given), lambda evidence, request: select(
        entry.name, evidence, request.rate, request.balance, request.seed, request.memory, **given),
        entry.nested_for(given), _estimate(entry.name, given), given)
    return plan if held_out is None else _holding_out(plan, held_out, getattr(arguments, "seed", None))


def _holding_out(plan, share, seed):
    """``plan`` for the samples but a share that is held out; these are what it aims at, and are never chosen."""
    def choose(evidence, request):
        places, rest = evidence.hold_out(share, request.seed if seed is None else seed)
        coreset = plan.choose(rest, request).within(places, len(evidence))
        return replace(coreset, options={**coreset.options, "held_out": share})

    return replace(plan, choose=choose, nested=False, options={**plan.options, "held_out": share})


def _composed(rule, given):
    if "score" not in given:
        raise MsCoresetError(f"--rule {rule} needs a --score: one of {', '.join(SCORES.names())}")
    entry = SCORES[given.pop("score")]
    of_rule = STRATA_OPTIONS if rule == "strata" else {}
    _refuse_unknown(given, {**entry.options, **of_rule}, f"{entry.name} by {rule}")
    for owner, names in ((entry, entry.options), (METHODS["ccs"], of_rule)):
        owner.check_options({name: value for name, value in given.items() if name in names})
    needs = entry.needs_for({name: value for name, value in given.items() if name in entry.options})
    if rule == "strata":
        needs = dict.fromkeys((*needs, *strata_needs({**of_rule, **given, "score": entry.name})))
    return Plan(f"{entry.name}-{rule}", tuple(needs), lambda evidence, request: select_by(
        entry.name, rule, evidence, request.rate, request.balance, request.seed, request.memory, **given),
        rule in ("top", "bottom"), _estimate(entry.name if entry.name in METHODS else "moderate", {}), given)


def _estimate(method, options):
    return lambda n, d, classes, request: estimate_on_ranks(
        method, n, d, classes, request.rate, request.balance, request.memory, current().size, **options)


def _refuse_unknown(given, known, what):
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        options = ", ".join(map(flag_of, known)) or "none"
        raise MsCoresetError(f"{what} has no option {flag_of(unknown[0])}; its options: {options}")


def option_names():
    """The options that methods, scores and rules have."""
    return list(_owners())


def flag_of(name):
    """How a method's option is spelt on the command line."""
    return _FLAGS.get(name, f"--{name.replace('_', '-')}")


def _owners():
    """Option name -> the methods (or scores, or rules) that have it, with its default."""
    owners = {"score": ["--rule", "ccs"]}
    for entry in (*(METHODS[name] for name in METHODS.names()), *(SCORES[name] for name in SCORES.names())):
        for option, default in entry.options.items():
            if option not in _NOT_FOR_USERS and f"{entry.name} ({default})" not in owners.get(option, []):
                owners.setdefault(option, []).append(f"{entry.name} ({default})")
    aimed = [name for name in METHODS.names() if "validation" in METHODS[name].takes]
    owners["held_out"] = [f"{', '.join(aimed)}: the share of the samples to hold out as the validation set aimed at"]
    for option, default in STRATA_OPTIONS.items():
        owners[option].append(f"--rule strata ({default})")
    return owners
