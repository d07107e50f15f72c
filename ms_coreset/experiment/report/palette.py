"""Colours by role, on a light and on a dark ground, and the looks that tell methods apart without colour, too.

The seven colours of methods are Okabe and Ito's for colour-blind readers, darkened on light and lightened on dark
ground until each has a contrast of 3 to its ground.
"""

from collections.abc import Iterable
from dataclasses import dataclass

LIGHT = {"paper": "#ffffff", "panel": "#f6f6f3", "ink": "#1f2328", "muted": "#5d646d", "grid": "#e1e2de",
         "faint": "#b4b8bd", "accent": "#0b6cb0", "alarm": "#b3261e",
         "c1": "#0b6cb0", "c2": "#c65102", "c3": "#00805e", "c4": "#b0558a", "c5": "#a87400", "c6": "#2a8fc4",
         "c7": "#6b4fa3"}
DARK = {"paper": "#15181c", "panel": "#1d2126", "ink": "#e7e9ec", "muted": "#a3abb5", "grid": "#30363d",
        "faint": "#5b636d", "accent": "#63b3f0", "alarm": "#ff8a80",
        "c1": "#63b3f0", "c2": "#ff9552", "c3": "#3cc79c", "c4": "#eb93c4", "c5": "#ecb73c", "c6": "#9bdcff",
        "c7": "#b7a1ee"}
MARKERS = ("o", "s", "^", "D", "x", "p", "+", "v")
DASHES = ((), (6, 2), (2, 2), (8, 2, 2, 2))
COLORS = 7


@dataclass(frozen=True)
class Look:
    """How a method is drawn: roles of ``LIGHT``, one of ``MARKERS``, lengths of dash and gap, all as in matplotlib."""

    color: str
    marker: str
    dash: tuple = ()


BASELINE_LOOK = Look("ink", "x", (3, 3))
WHOLE_LOOK = Look("muted", "+", (1, 3))
GRAY_LOOK = Look("faint", "o")


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A ``Look`` for each name; no two of the first 56 share both colour and marker (7 and 8 have no common factor)."""
    return {name: Look(f"c{i % COLORS + 1}", MARKERS[i % len(MARKERS)], DASHES[i % len(DASHES)])
            for i, name in enumerate(names)}
