"""From options to a method, or to any score with any rule."""

import argparse
from typing import Any

from ms_coreset.cli.common.common_options import add
from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs.default_selection import IMPORTED, PUBLISHED
from ms_coreset.selectors import METHODS, RULES, SCORES, list_rules
from ms_coreset.selectors.catalogue import QUOTAS
from ms_coreset.selectors.choice import Choice, options_of, split_text, title_of, value_of

_NOT_FOR_USERS = ("already_selected", "seed")  # places, which nobody types; --seed is every command's
# --batch-size, which DeepCore has both names for, and --epochs are training's.
_FLAGS = {"batch_size": "--selection-batch", "epochs": "--score-epochs"}


def add_method_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each option of a method, a score or a rule."""
    group = parser.add_argument_group("options of the methods", "each only for the methods named")
    for name, owners in _owners().items():
        add(group, flag_of(name), dest=f"option_{name}", type=_value, metavar="X", help=", ".join(owners))


def _value(text: str) -> Any:
    try:
        return value_of(text, text)
    except MsCoresetError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no value, such as 0.5, true or median") from error


def choice_of(arguments: argparse.Namespace) -> Choice | None:
    """The ``Choice`` that the options describe, or None if they do not mention a method.

    --method also takes a text with options in it. The samples that --held-out holds out follow from the seed.

    Raises:
        MsCoresetError: for options that it does not have.
    """
    typed = {name: value for name in _owners() if (value := getattr(arguments, f"option_{name}")) is not None}
    if not (arguments.method or arguments.rule or typed):
        return None
    if arguments.rule:
        if getattr(arguments, "scores_from", None) is not None:
            typed.setdefault("score", IMPORTED)
        if "score" not in typed:
            raise MsCoresetError(f"--rule {arguments.rule} needs a --score: one of {', '.join(SCORES.names())}")
        options: dict[str, Any] = {}
        name = f"{SCORES.canonical(typed.pop('score'))}-{arguments.rule}"
    else:
        name, options = split_text(arguments.method or (
            PUBLISHED if getattr(arguments, "scores_from", None) is None else IMPORTED))
    known = options_of(name, typed.get("quota", options.get("quota")))
    if "score" in typed and "score" not in known:
        raise MsCoresetError(f"--score {typed['score']} needs a --rule: one of {', '.join(list_rules())}")
    unknown = sorted(typed.keys() - set(known))
    if unknown:
        typeable = [flag_of(option) for option in known if option not in _NOT_FOR_USERS]
        raise MsCoresetError(f"{title_of(name)} has no option {flag_of(unknown[0])}; its options: "
                             f"{', '.join(typeable) or 'none'}")
    return Choice(name, {**options, **typed}, arguments.seed)


def flag_of(name: str) -> str:
    """How a method's option is spelt on the command line."""
    return _FLAGS.get(name, f"--{name.replace('_', '-')}")


def _owners() -> dict[str, list[str]]:
    """Option name -> the methods (or scores, or rules) that have it, with its default."""
    owners = {"score": ["--rule", "ccs"]}
    for entry in (*(METHODS[name] for name in METHODS.names()), *(SCORES[name] for name in SCORES.names())):
        for option, default in entry.options.items():
            if option not in _NOT_FOR_USERS and f"{entry.name} ({default})" not in owners.get(option, []):
                owners.setdefault(option, []).append(f"{entry.name} ({default})")
    aimed = [name for name in METHODS.names() if "validation" in METHODS[name].takes_for({})]
    owners["normalize"] = ["any --rule (none); class: the scores of each class are brought to [0, 1] first"]
    owners["quota"] = ["all methods but full, how many of each class: "
                       f"{', '.join(QUOTAS.names())} (default: as --balance says)"]
    for quota in QUOTAS.names():
        for option, default in QUOTAS[quota].options.items():
            owners.setdefault(option, []).append(f"--quota {quota} ({default})")
    aimed += [f"--quota {name}" for name in QUOTAS.names() if "validation" in QUOTAS[name].takes_for({})]
    owners["held_out"] = [f"{', '.join(aimed)}: the share of the samples to hold out as the validation set aimed at"]
    for rule in RULES.names():
        for option, default in RULES[rule].options.items():
            owners.setdefault(option, []).append(f"--rule {rule} ({default})")
    return owners
