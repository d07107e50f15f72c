"""``score``: every score of every sample, in one file."""

import argparse

from ms_coreset.cli.common.common_options import (
    add,
    add_data_options,
    add_dynamics_option,
    add_evidence_options,
    add_network_options,
    add_record_option,
    add_run_options,
    new_parser,
)
from ms_coreset.jobs.options import runtime_of, sources_of
from ms_coreset.jobs.scoring import score_all
from ms_coreset.jobs.sources import COSTLY
from ms_coreset.selectors import list_scores
from ms_coreset.terminal import say

_EXAMPLES = """examples:
  score --dataset digitsN
  score --dataset CIFAR10 --evidence patches
  score --dataset CIFAR10 --arch resnet18 --scores el2n forgetting aum
"""


def parser(typed: str) -> argparse.ArgumentParser:
    """The command's options."""
    options = new_parser(typed, "Write the scores of every training sample, high = keep.", _EXAMPLES)
    group = options.add_argument_group("scores")
    add(group, "--scores", nargs="+", metavar="NAME", help=f"of {', '.join(list_scores())} (default: all that can be "
        f"had, but {', '.join(COSTLY)})")
    add(group, "--pool", type=int, metavar="N", help="work on a seeded, class-balanced part of the training split")
    add(group, "--save", default="scores", metavar="DIR", help="folder of the result (default: scores)")
    add_evidence_options(group)
    add_dynamics_option(group)
    add_data_options(options)
    add_record_option(add_network_options(options), "all")
    add_run_options(options)
    return options


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    sources = sources_of(vars(arguments))

    result = score_all(sources, arguments.scores or (), arguments.save, runtime_of(vars(arguments)))
    say(f"{len(result.values)} scores of {len(result.rows):,} samples of {sources.data.name_in_files}, high = keep, by "
        f"{result.trust or result.checkpoint or arguments.data}")
    for score, agreed in result.agreement.items():
        say(f"  agreement  {score} of {arguments.runs} runs: {agreed}")
    for name, line in [*result.steps.lines(), ("wrote", f"{result.stem}.npz, {result.stem}.csv")]:
        say(f"  {name:<10} {line}")
