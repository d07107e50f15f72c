"""Writes docs/methods.md: the docstrings of what is registered, and the comparison with the peers' code.

    python docs/generate_methods.py

Needs PyTorch and the peers' arrays (see parity_tests/peer_cases.py); takes a minute.
"""

import re
import sys
from pathlib import Path

from ms_coreset.selectors import METHODS, RULES, SCORES
from ms_coreset.selectors.catalogue import QUOTAS
from ms_coreset.selectors.docstrings import parts_of

TARGET = Path(__file__).with_name("methods.md")
_HEAD = """# Methods and scores

Made from the docstrings by `python docs/generate_methods.py`. n samples, d dimensions of the features, C classes, k
picks, T epochs, R runs; "needs" are fields of `Evidence`, with the default options; what does not need labels
[goes without](data.md#without-labels). Every score is high = keep; ties go to the lowest index. Any score goes with any
rule: `--score NAME --rule RULE`, or in one word `NAME-RULE`.
What the peers' own code computed, and whether ours agrees, is [at the end](#the-peers-own-code-array-by-array).
"""
_QUOTAS = """How many of each class, for every method and score: `--quota NAME`, or `el2n:quota=NAME`. Without one,
`--balance` keeps `round(rate n_c)` of each class, and without that all samples compete. A quota other than
`proportional` contradicts `--balance`. With `--normalize class` the scores of each class are brought to [0, 1] before a
rule draws from them, (s - min) / (max - min) over the class: DRoP's "Normalize".
"""
_PEERS = """
## The peers' own code, array by array

Each array that the code of DeepCore, CORDS, Moderate-DS, CCS, submodlib and apricot computed on scikit-learn's digits,
compared with `ms_coreset` and with `torch_ref`; `parity_tests/test_peer*.py` do the same as tests.

"""


def main():
    sys.path.insert(0, str(TARGET.parents[1]))
    from parity_tests.peer_cases import table

    TARGET.write_text(page() + _PEERS + "\n".join(table()) + "\n", encoding="utf-8")


def page():
    """The part of the page that is made from docstrings."""
    methods = [_section(METHODS[name]) for name in METHODS.names() if name not in SCORES]
    scores = [_section(SCORES[name]) for name in SCORES.names()]
    rules = [_section(RULES[name], "rule ") for name in RULES.names()]
    quotas = [_section(QUOTAS[name], "quota ") for name in QUOTAS.names()]
    return "\n".join([_HEAD, "## Methods\n", *methods, "## Rules\n",
                      "Each draws a budget from any score; an option that a score has, too, goes to both.\n", *rules,
                      "## Quotas\n", _QUOTAS, *quotas,
                      "## Scores\n",
                      "Each, but for `center_distance`, is also a method of the same name that keeps its top.\n",
                      *scores]).rstrip() + "\n"


def _section(entry, kind=""):
    options = ", ".join(f"`{name}={default!r}`" for name, default in entry.options.items()) or "none"
    needs = ", ".join(entry.all_needs) or "nothing"
    source = f" · *source* {entry.source}" if entry.source else ""
    return (f"### {kind}{entry.name}\n\n{as_markdown(entry.function)}\n\n"
            f"*Needs* {needs} · *options* {options} · *cost* {entry.cost}{source}\n")


def as_markdown(function):
    """A Google docstring as Markdown: ``Args`` is a list, ``Returns`` and each of ``Raises`` a paragraph."""
    return "".join(_SECTIONS.get(name, str)(text) for name, text in parts_of(function)).rstrip()


def _list(text):
    return re.sub(r"^(\*{0,2}\w+): ", r"* `\1`: ", text, flags=re.MULTILINE) + "\n"


def _errors(text):
    return re.sub(r"^(\w+): ", r"Raises `\1` ", text, flags=re.MULTILINE).replace("\nRaises", "\n\nRaises") + "\n"


_SECTIONS = {"Args": _list, "Returns": "Returns: {}\n".format, "Raises": _errors}


if __name__ == "__main__":
    main()
