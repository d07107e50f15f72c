"""Seconds until ``select.py --help`` and ``--list`` are there.

    python -m benchmarks.startup
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "select.py"
TURNS = 7


def main():
    for option in ("--help", "--list"):
        times = [_seconds(option) for _ in range(TURNS)]
        print(f"select.py {option}: median {statistics.median(times):.2f} s, {min(times):.2f} to {max(times):.2f}")


def _seconds(option):
    began = time.perf_counter()
    subprocess.run([sys.executable, SCRIPT, option], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
