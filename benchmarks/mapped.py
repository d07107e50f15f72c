"""Memory of selection from arrays that lie in files, beside what ``estimate`` says of it.

    python -m benchmarks.mapped --scratch DIR [--n 400000] [--d 64] [--dtype float16] [--cases moderate ...]

A folder of 20 parts of features, logits and labels (100 classes) is made once in --scratch, rectified normal samples
about a center a class. Each case is a process of its own, which selects from it as ``select --dataset arrays`` does. A
row has the seconds, under a tracer; the estimate; the peak of what NumPy and Python allocated (tracemalloc) and that of
private memory (RssAnon, looked at every 10 ms), both beyond what there was before: pages of the mapped files, which the
system may drop at any time, count in neither. All in MB of 2**20 bytes.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np

import ms_coreset as mc

CLASSES, PARTS = 100, 20
CASES = {"random": {}, "moderate": {}, "prototype": {}, "semdedup": {}, "herding": {"rate": 0.001},
         "herding_balanced": {"balance": True}, "k_center": {"rate": 0.001}, "k_center_balanced": {"balance": True},
         "el2n": {}, "loss": {},
         "facility_location": {"rate": 0.001, "options": {"kernel": "features", "neighbors": 10, "probes": 4}}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", metavar="DIR", required=True, help="folder for the arrays; they stay there")
    parser.add_argument("--n", type=int, default=400_000, help="samples (default: 400000)")
    parser.add_argument("--d", type=int, default=64, help="features of each (default: 64)")
    parser.add_argument("--dtype", default="float16", help="of features and logits (default: float16)")
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES), metavar="CASE",
                        help=f"some of {', '.join(CASES)}")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder = Path(arguments.scratch) / f"{arguments.n}x{arguments.d}-{arguments.dtype}"
    if arguments.worker:
        print(json.dumps(_measure(arguments.worker, folder)))
        return
    if not folder.exists():
        _make(folder, arguments.n, arguments.d, arguments.dtype)
    print(f"{'case':<20}{'rate':>7}{'s':>8}{'estimate':>10}{'traced':>8}{'private':>9}")
    for case in arguments.cases:
        command = [sys.executable, "-m", "benchmarks.mapped", "--scratch", arguments.scratch, "--worker", case]
        for option in ("n", "d", "dtype"):
            command += [f"--{option}", str(getattr(arguments, option))]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"error: {case} failed:\n{done.stderr}")
        row = json.loads(done.stdout.splitlines()[-1])
        print(f"{case:<20}{row['rate']:>7g}{row['seconds']:>8.1f}{row['estimate']:>10.0f}{row['traced']:>8.0f}"
              f"{row['private']:>9.0f}", flush=True)


def _make(folder, n, d, dtype):
    """The parts, in a folder that has its name when it is whole."""
    rng, hidden = np.random.default_rng(0), folder.with_suffix(".part")
    hidden.mkdir(parents=True, exist_ok=True)
    centers = rng.standard_normal((CLASSES, d), dtype=np.float32)
    for number, places in enumerate(np.array_split(np.arange(n), PARTS)):
        labels = places % CLASSES
        features = np.maximum(centers[labels] + rng.standard_normal((len(places), d), dtype=np.float32), 0)
        logits = rng.standard_normal((len(places), CLASSES), dtype=np.float32)
        logits[np.arange(len(places)), labels] += 3
        for name, array in (("part", features.astype(dtype)), ("logits", logits.astype(dtype)), ("labels", labels)):
            np.save(hidden / f"{name}-{number:03}.npy", array)
    hidden.rename(folder)


def _measure(case, folder):
    mc.set_device("CPU")
    method, asked = case.removesuffix("_balanced"), {"rate": 0.1, "balance": False, "options": {}} | CASES[case]
    split = mc.load_dataset("arrays", folder)
    evidence = mc.Evidence(split.labels, **split.known)
    features, types = evidence.features, (evidence.features.dtype.name, evidence.logits.dtype.name)
    small = mc.Evidence(split.labels[:4000], features[:4000], evidence.logits[:4000])
    mc.select(method, small, 0.1, balance=asked["balance"], **asked["options"])  # imports
    expected = mc.estimate(method, len(split), features.shape[1], classes=np.bincount(split.labels),
                           rate=asked["rate"], balance=asked["balance"], dtype=types, **asked["options"])
    with _Private() as private:
        tracemalloc.start()
        began = time.perf_counter()
        mc.select(method, evidence, asked["rate"], balance=asked["balance"], **asked["options"])
        seconds, traced = time.perf_counter() - began, tracemalloc.get_traced_memory()[1]
    return {"rate": asked["rate"], "seconds": seconds, "estimate": expected.peak / 2**20, "traced": traced / 2**20,
            "private": private.growth / 2**20}


class _Private:
    """How far private memory grows within the block, in bytes."""

    def __enter__(self):
        self.growth, self._done, self._before = 0, threading.Event(), self._now()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._done.set()
        self._thread.join()

    def _watch(self):
        while not self._done.wait(0.01):
            self.growth = max(self.growth, self._now() - self._before)

    @staticmethod
    def _now():
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("RssAnon:")).split()[1])


if __name__ == "__main__":
    main()
