"""Methods, scores, rules and quotas in plain text: a summary, a page, and a list of their options."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator

from ms_coreset.cli.common.flags import NOT_FOR_USERS, flag_of
from ms_coreset.selectors import METHODS, RULES, SCORES
from ms_coreset.selectors.catalogue import QUOTAS, Entry
from ms_coreset.selectors.docstrings import arguments_of, body_of
from ms_coreset.selectors.option_values import allowed_words, keywords

_LEAST_WIDTH, _WIDTH = 40, 100


def summary_of(entry: Entry) -> list[str]:
    """Two or three lines: what it does, needs and costs, where it is published, its options with their defaults."""
    cost = f"cost {entry.cost}" if entry.cost else ""
    facts = (f"needs {', '.join(entry.all_needs) or 'nothing'}", cost, entry.source)
    lines = [f"{entry.name}: {entry.summary or 'not described'}", "  " + "; ".join(filter(None, facts))]
    options = ", ".join(f"{flag_of(key)} {value}" for key, value in entry.options.items())
    return [*lines, f"  options: {options}"] if options else lines


def page_of(entry: Entry) -> str:
    """What its docstring says, its options with what they allow, what it needs, its cost and source."""
    body = [_filled(paragraph) for paragraph in _plain(body_of(entry.function)).split("\n\n")]
    facts = {"needs": ", ".join(entry.all_needs) or "nothing", "cost": entry.cost, "source": entry.source}
    lines = [_filled(f"{name}: {fact}", after=len(name) + 2) for name, fact in facts.items() if fact]
    options = "\n".join(_options_of(entry, 2))
    return "\n\n".join(filter(None, [f"{entry.name}: {body[0]}", *body[1:], options and f"options:\n{options}",
                                     "\n".join(lines)]))


def options_by_owner() -> str:
    """The options of each method, score, rule and quota: default, meaning and allowed values."""
    owners = {name: METHODS[name] for name in METHODS.names()}
    scores = {name: SCORES[name] for name in SCORES.names()}
    owners |= {name if name not in owners else f"{name}, the score": entry for name, entry in scores.items()
               if name not in owners or entry.options.keys() - owners[name].options.keys()}
    owners |= {f"--rule {name}": RULES[name] for name in RULES.names()}
    owners |= {f"--quota {name}": QUOTAS[name] for name in QUOTAS.names()}
    options = {owner: list(_options_of(entry, 4)) for owner, entry in owners.items()}
    return "\n".join(line for owner, lines in options.items() if lines for line in (f"  {owner}", *lines))


def _options_of(entry: Entry, indent: int) -> Iterator[str]:
    meanings = arguments_of(entry.function)
    for option, parameter in keywords(entry.function).items():
        if option in NOT_FOR_USERS:
            continue
        meaning, allowed = _plain(meanings.get(option, "")), allowed_words(parameter)
        default = "none" if parameter.default is None else str(parameter.default)
        text = "; ".join(filter(None, (meaning.rstrip("."), allowed)))
        yield _filled(f"{flag_of(option)} X  (default {default}) {text}", indent, indent + 4)


def _plain(text: str) -> str:
    """Without the marks of code."""
    return re.sub(r"``([^`]*)``", r"\1", text)


def _filled(text: str, first: int = 0, after: int = 0) -> str:
    """A paragraph in the terminal's width; lists and formulas that are set off stay as they are."""
    if re.search(r"^\s", text, re.MULTILINE):
        return text
    width = max(_LEAST_WIDTH, min(_WIDTH, shutil.get_terminal_size().columns))
    return textwrap.fill(" ".join(text.split()), width, initial_indent=" " * first, subsequent_indent=" " * after,
                         break_long_words=False, break_on_hyphens=False)
