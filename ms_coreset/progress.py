"""Progress of long work on stderr: a bar on a terminal, elsewhere a line every ``LINE_INTERVAL`` seconds."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

from ms_coreset.terminal import complain, one_line

LINE_INTERVAL = 30  # seconds between two lines where stderr is no terminal


class Progress:
    """Counts ``total`` items of work and shows their rate and the time left; a context manager.

    Args:
        total: number of items, or None where nobody knows
        what: name of the work
        unit: what is counted
        start: number of items that are already done
    """

    def __init__(self, total: int | None, what: str, unit: str = "images", start: int = 0) -> None:
        self._what, self._unit = one_line(what), unit
        self._bar = tqdm(total=total, desc=self._what, unit=f" {unit}", initial=start, dynamic_ncols=True, leave=False,
                         disable=not sys.stderr.isatty())
        self._total, self._done, self._start = total, start, start
        self._began = self._said = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, items: int, **values: float) -> None:
        """Count ``items`` more as done; ``values`` are shown beside the count, by name."""
        self._done += items
        self._bar.set_postfix({name: f"{value:.3g}" for name, value in values.items()}, refresh=False)
        self._bar.update(items)
        if self._bar.disable and time.monotonic() - self._said >= LINE_INTERVAL:
            self._say(values)

    def _say(self, values: dict[str, float]) -> None:
        self._said = time.monotonic()
        rate = (self._done - self._start) / (self._said - self._began)
        shown = "".join(f", {name} {value:.3g}" for name, value in values.items())
        of, left = "", ""
        if self._total is not None:
            of, left = f" of {self._total}", f", {(self._total - self._done) / rate / 60:.1f} minutes left"
        complain(f"{self._what}: {self._done}{of} {self._unit}{shown}, {rate:.3g} a second{left}")
