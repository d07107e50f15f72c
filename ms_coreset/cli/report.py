"""``report``: a study's results as one HTML page."""

import argparse
import shlex

from ms_coreset.cli.common.common_options import add, new_parser
from ms_coreset.experiment.report import write_report
from ms_coreset.terminal import say

_EXAMPLES = """examples:
  report results/digits
  report results/cifar --data data --rate 0.1 --png
"""


def parser(typed: str) -> argparse.ArgumentParser:
    """The command's options."""
    options = new_parser(typed, "Write a study's report: one HTML page that needs no other file.", _EXAMPLES)
    options.add_argument("study", metavar="FOLDER", help="folder of the study, with its runs.jsonl")
    add(options, "--output", metavar="FILE", help="the page (default: report.html in the study's folder)")
    add(options, "--png", action="store_true", help="also write each figure as PNG, to <page>-figures/")
    add(options, "--pdf", action="store_true", help="also write each figure as PDF there, without its title")
    add(options, "--markdown", metavar="FILE", help="also write the tables of accuracy, of bad samples kept and "
        "of their difficulty, as Markdown")
    add(options, "--data", default="data", metavar="DIR", help="folder that holds the data sets, for the images shown "
        "(default: data)")
    add(options, "--rate", type=float, metavar="X", help="rate of the figures that show one (default: the one with "
        "most finished runs)")
    add(options, "--accuracy", choices=("last", "best"), default="last", help="of the last epoch, or of the one that "
        "was chosen as best (default: last)")
    add(options, "--sheets", nargs="*", metavar="METHOD", help="methods to show images of (default: six of each "
        "section)")
    options.set_defaults(called=typed)
    return options


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    made = write_report(arguments.study, output=arguments.output, data=arguments.data, rate=arguments.rate,
                        accuracy=arguments.accuracy, sheets=arguments.sheets, png=arguments.png,
                        pdf=arguments.pdf, markdown=arguments.markdown, command=_repetition(arguments))
    say(f"{made.path}: {made.sections} section{'s' * (made.sections != 1)}, {made.figures} figures, "
        f"{made.path.stat().st_size:,} bytes")
    if arguments.markdown:
        say(f"{arguments.markdown}: the tables")
    for kind in [kind for kind in ("png", "pdf") if getattr(arguments, kind)]:
        say(f"{made.path.with_name(f'{made.path.stem}-figures')}: {made.figures} {kind.upper()} files")


def _repetition(arguments: argparse.Namespace) -> str:
    """The command that writes the same page again."""
    said = [arguments.study]
    said += ["--output", arguments.output] if arguments.output else []
    said += ["--rate", f"{arguments.rate:g}"] if arguments.rate is not None else []
    said += ["--accuracy", arguments.accuracy] if arguments.accuracy != "last" else []
    said += ["--markdown", arguments.markdown] if arguments.markdown else []
    said += ["--data", arguments.data] if arguments.data != "data" else []
    said += ["--sheets", *arguments.sheets] if arguments.sheets is not None else []
    return f"{arguments.called} {shlex.join(said + ['--png'] * arguments.png + ['--pdf'] * arguments.pdf)}"
