"""Markup that can't be broken by what is written into it, and the numbers in it, always in the same shape."""

import datetime
import html
from collections.abc import Iterable

from ms_coreset.terminal import printable

MINUS, MISSING = "\N{MINUS SIGN}", "\N{EN DASH}"
_VOID = ("img", "meta")


class Markup(str):
    """Text that is markup already; any other text is escaped where it becomes part of a ``tag``."""

    __slots__ = ()


def escape(value: object) -> Markup:
    """``value`` as markup: itself if it is that, else its ``printable`` text with <, >, & and quotes escaped."""
    return value if isinstance(value, Markup) else Markup(html.escape(printable(value)))


def join(*parts: object, between: str = "") -> Markup:
    """Parts one after the other, those that are None or empty left out."""
    return Markup(between.join(escape(part) for part in parts if part is not None and part != ""))


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """The element ``name`` with children and attributes.

    Args:
        name: of the element
        children: what is in it; None: left out
        attributes: None: left out; ``class_`` is class, and ``_`` stands for ``-``

    Returns:
        Its markup.
    """
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
                      for key, value in attributes.items() if value is not None)
    return Markup(f"<{name}{written}>" + ("" if name in _VOID else f"{join(*children)}</{name}>"))


def table(caption: str, header: Iterable[object], rows: Iterable[Iterable[object]]) -> Markup:
    """A table in a box of its own that scrolls sideways; the first cell of each row names the row."""
    head = tag("tr", *(tag("th", cell, scope="col") for cell in header))
    body = [tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in cells)) for first, *cells in rows]
    # The block inside the caption stays in sight while the table scrolls below it.
    whole = tag("table", tag("caption", tag("span", caption)), tag("thead", head), tag("tbody", *body))
    return tag("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def details(summary: str, *children: object, printed: bool = True) -> Markup:
    """Children that are shown when the summary is opened, and in print if ``printed``."""
    return tag("details", tag("summary", summary), *children, class_=None if printed else "unprinted")


def with_sign(value: float, digits: int = 2) -> str:
    """A number with its sign, as in "+1.25", and a true minus sign."""
    return f"{value:+.{digits}f}".replace("-", MINUS)


def percent(share: float, digits: int = 2) -> str:
    """A share of 1 as a number in per cent, without the sign."""
    return f"{100 * share:.{digits}f}".replace("-", MINUS)


def with_spread(mean: float, deviation: float | None, digits: int = 2) -> str:
    """Mean and standard deviation, shares of 1, as per cent: "91.44 ± 0.63", or the mean alone without a deviation."""
    spread = "" if deviation is None else f" ± {percent(deviation, digits)}"
    return percent(mean, digits) + spread


def rate_name(rate: float) -> str:
    """A share of the data as a user says it: "20 %"."""
    return f"{100 * rate:g} %"


def seconds_name(seconds: float) -> str:
    """Seconds with three figures, as in "0.012", "1.50", "93.1" and "1,204"."""
    if seconds >= 100:
        return f"{seconds:,.0f}"
    return f"{seconds:.{3 if seconds < 1 else 2 if seconds < 10 else 1}f}"


def time_name(text: str | None) -> str:
    """An ISO time as "2026-01-31 10:20 UTC"; other text as it is, without text a dash."""
    try:
        time = datetime.datetime.fromisoformat(text or "")
    except ValueError:
        return text or MISSING
    aware = time if time.tzinfo else time.replace(tzinfo=datetime.UTC)
    return aware.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def count(number: int, noun: str) -> str:
    """"1 run", "2 runs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
