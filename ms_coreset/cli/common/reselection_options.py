"""Options of training on coresets that are chosen anew every few epochs."""

import argparse

from ms_coreset.cli.common.common_options import add
from ms_coreset.cli.common.flags import flag_of
from ms_coreset.cli.common.method_options import add_method_options, choice_of
from ms_coreset.cli.common.parsing import OneLineParser
from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs.sources import ReselectionSource
from ms_coreset.selectors import list_methods, list_rules
from ms_coreset.selectors.quota import Request
from ms_coreset.training.sampling import Sampling

_OPTIONS = ("warm_epochs", "method", "rate", "balance", "memory", "rule", "top_m")


def add_reselection_options(parser: OneLineParser) -> None:
    """Add --reselect-every, and options of ``select`` for the coresets."""
    group = parser.add_argument_group("adaptive selection", "train on a coreset of the samples, which the network "
                                      "itself, as it is by then, chooses anew every so many epochs: --reselect-every 5 "
                                      "--method NAME is --sampler reselect:every=5,method=NAME")
    add(group, "--reselect-every", type=int, metavar="R", help="epochs between two selections; without --warm-epochs, "
        "the first is made by the network's first weights")
    add(group, "--warm-epochs", type=int, metavar="N", help="epochs on all samples before the first selection "
        "(default: 0)")
    add(group, "--method", metavar="NAME", help=f"one of {', '.join(list_methods())}, but for those that need the "
        "training dynamics of a whole run; weights that it gives weigh the loss")
    add(group, "--rate", type=float, metavar="X", help="share to keep, above 0 and at most 1")
    add(group, "--balance", action="store_true", default=None, help="the same share of every class")
    add(group, "--memory", metavar="SIZE", help="what a selection may use beside the data, such as 2G or 500M "
        "(default: half of what is free)")
    add(group, "--rule", choices=list_rules(), help="with --score: any score by any rule, instead of a method")
    add(group, "--top-m", type=int, metavar="M", help="deepfool: only the M likeliest classes (default: all)")
    add_method_options(parser)


def reselection_of(arguments: argparse.Namespace) -> ReselectionSource | None:
    """The ``ReselectionSource`` that the options describe, as --reselect-every or as the sampler, or None.

    Raises:
        MsCoresetError: for options that do not fit together.
    """
    if arguments.reselect_every is None:
        _require_none_given(arguments)
        sampling = _sampling_of(arguments)
        sampler = sampling and sampling.reselect(arguments.seed)
        return ReselectionSource.of_sampler(sampler) if sampler else None
    if arguments.sampler is not None:
        raise MsCoresetError("--reselect-every and --sampler both choose what is presented: leave one of them out")
    chosen = "coreset" if arguments.coreset else "prune" if arguments.prune else None
    if chosen:
        raise MsCoresetError(f"--reselect-every chooses the samples itself: leave --{chosen} out")
    for name in ("rate",) if arguments.rule else ("method", "rate"):
        if getattr(arguments, name) in (None, ""):
            raise MsCoresetError(f"--reselect-every needs a --{name}, as in: --reselect-every 5 --method gradmatch "
                                 "--rate 0.1")
    request = Request(arguments.rate, bool(arguments.balance), arguments.seed, arguments.memory)
    choice = choice_of(arguments)
    assert choice is not None  # a method or a rule is named
    return ReselectionSource(choice, request, arguments.reselect_every, arguments.warm_epochs or 0,
                             arguments.top_m)


def sampling_of(arguments: argparse.Namespace) -> Sampling | None:
    """The ``Sampling`` that the options describe, unless it is a reselection, or None.

    Raises:
        MsCoresetError: for a coreset beside it, and as ``Sampling``.
    """
    sampling = _sampling_of(arguments)
    return None if sampling and sampling.reselect(arguments.seed) else sampling


def _sampling_of(arguments: argparse.Namespace) -> Sampling | None:
    if arguments.sampler is None:
        return None
    chosen = "coreset" if arguments.coreset else "prune" if arguments.prune else None
    if chosen:
        raise MsCoresetError(f"--sampler chooses the samples itself: leave --{chosen} out")
    return Sampling.parse(arguments.sampler, 1.0 if arguments.rate is None else arguments.rate)


def _require_none_given(arguments: argparse.Namespace) -> None:
    given = [name for name, value in vars(arguments).items()
             if value is not None and (name in _OPTIONS or name.startswith("option_"))
             and not (name == "rate" and arguments.sampler is not None)]
    if given:
        name = given[0]
        flag = flag_of(name.removeprefix("option_")) if name.startswith("option_") else f"--{name.replace('_', '-')}"
        raise MsCoresetError(f"{flag} is about choosing: it goes with --reselect-every R, or with select, whose result "
                             "is trained on with --coreset")
