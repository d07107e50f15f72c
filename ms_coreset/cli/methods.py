"""``methods``: which methods, scores, rules and quotas there are, and all of one."""

from __future__ import annotations

import argparse

from ms_coreset.cli.common.common_options import new_parser
from ms_coreset.cli.common.manual import page_of, summary_of
from ms_coreset.selectors import METHODS, RULES, list_methods, list_rules
from ms_coreset.selectors.catalogue import QUOTAS, find_entry
from ms_coreset.terminal import say

_EXAMPLES = """examples:
  methods
  methods facility_location el2n strata
"""


def parser(typed: str) -> argparse.ArgumentParser:
    """The command's options."""
    options = new_parser(typed, "List the methods, rules and quotas, or tell all of some: what they compute, their "
                         "options, what they need.", _EXAMPLES)
    options.add_argument("names", nargs="*", metavar="NAME", help="a method, score, rule or quota (default: a list)")
    return options


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    if not arguments.names:
        print_list()
    entries = [find_entry(name) for name in arguments.names]
    for number, entry in enumerate(entries):
        say(*([""] if number else []), *page_of(entry).split("\n"))


def print_list() -> None:
    """Print a summary of each method, rule and quota."""
    for name in list_methods():
        say(*summary_of(METHODS[name]))
    say("rules, each with any score (--score NAME --rule RULE):")
    for name in list_rules():
        say(*summary_of(RULES[name]))
    say("quotas, each with any method (--quota QUOTA):")
    for name in QUOTAS.names():
        say(*summary_of(QUOTAS[name]))
