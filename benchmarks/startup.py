"""Seconds until ``select.py --help`` and ``--list`` are there, and a tenth of 1,000 samples given as arrays.

    python -m benchmarks.startup
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "select.py"
TURNS = 7


def main():
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/a.npz", labels=np.arange(1000) % 10, features=np.random.RandomState(0).rand(1000, 64))
        for options in ("--help", "--list", "--dataset arrays --data a.npz --rate 0.1"):
            times = [_seconds(options.split(), folder) for _ in range(TURNS)]
            print(f"select.py {options}: median {statistics.median(times):.2f} s, {min(times):.2f} to {max(times):.2f}")


def _seconds(options, folder):
    began = time.perf_counter()
    subprocess.run([sys.executable, SCRIPT, *options], check=True, cwd=folder, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
