"""From options to a method, or to any score with any rule."""

import argparse
from typing import Any

from ms_coreset.cli.common.common_options import add
from ms_coreset.cli.common.flags import NOT_FOR_USERS, flag_of
from ms_coreset.cli.common.manual import options_by_owner
from ms_coreset.cli.common.parsing import OneLineParser
from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs.default_selection import IMPORTED, PUBLISHED
from ms_coreset.selectors import METHODS, RULES, SCORES, list_rules
from ms_coreset.selectors.catalogue import QUOTAS
from ms_coreset.selectors.choice import Choice, options_of, split_text, title_of, value_of


def add_method_options(parser: OneLineParser) -> None:
    """Add an option for each option of a method, a score, a rule or a quota; --help-all tells what each is."""
    group = parser.add_argument_group("options of the methods")
    for name, words in _options().items():
        add(group, flag_of(name), dest=f"option_{name}", type=_value, metavar="X", help=words)
    parser.append(options_by_owner)


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
    typed = {name: value for name in _options() if (value := getattr(arguments, f"option_{name}")) is not None}
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
        typeable = [flag_of(option) for option in known if option not in NOT_FOR_USERS]
        raise MsCoresetError(f"{title_of(name)} has no option {flag_of(unknown[0])}; its options: "
                             f"{', '.join(typeable) or 'none'}")
    return Choice(name, {**options, **typed}, arguments.seed)


def _options() -> dict[str, str]:
    """Option name -> its help, which is left to ``options_by_owner`` where methods differ in what they mean by it."""
    options = {option: argparse.SUPPRESS for registry in (METHODS, SCORES, QUOTAS, RULES)
               for name in registry.names() for option in registry[name].options if option not in NOT_FOR_USERS}
    aimed = [name for name in METHODS.names() if "validation" in METHODS[name].takes_for({})]
    aimed += [f"--quota {name}" for name in QUOTAS.names() if "validation" in QUOTAS[name].takes_for({})]
    return options | {
        "score": "with --rule, any score; which one ccs and d2 go by",
        "mis_ratio": "share that is left out first as too hard or wrongly labelled: of moderate, ccs, d2 and several "
                     "rules; auto: as many labels as look wrong",
        "normalize": "with --rule; class: the scores of each class are brought to [0, 1] first (default: none)",
        "quota": f"of any method but full, how many of each class: {', '.join(QUOTAS.names())} (default: as --balance "
                 "says)",
        "held_out": f"of {', '.join(aimed)}: the share of the samples to hold out as the validation set aimed at"}
