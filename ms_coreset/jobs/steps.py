"""Seconds and peak memory of each step of a command."""

import contextlib
import sys
import time
from collections.abc import Iterator


class Steps:
    """Measures named steps: ``with steps("train"): ...``; ``seconds`` and ``peak_mb`` map names to values.

    The peak is that of resident memory, in MB. Outside Linux, where it can't be reset, it is the highest since the
    start.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.peak_mb: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        _reset_peak()
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0) + time.perf_counter() - began
            self.peak_mb[name] = max(self.peak_mb.get(name, 0), _peak_mb())

    def lines(self) -> list[tuple[str, str]]:
        """Two lines for a summary."""
        return [("seconds", ", ".join(f"{name} {value:.1f}" for name, value in self.seconds.items())),
                ("peak MB", ", ".join(f"{name} {value:.0f}" for name, value in self.peak_mb.items()))]


def _reset_peak() -> None:
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as stream:
        stream.write("5")


def _peak_mb() -> float:
    # Not getrusage's, where there is another: it tells of the process which started this one, too.
    with contextlib.suppress(OSError, ValueError), open("/proc/self/status") as stream:
        peak = next(line for line in stream if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 1024
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
