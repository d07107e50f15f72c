"""MindSpore against PyTorch: extracting features, and training for an epoch, with the same network and batches.

    python -m benchmarks.frameworks [--quick]

Each measurement is a process of its own (the two in one process fight over threads), ms_coreset and torch_ref in turn,
on the same random images. Two times are compared: that of the work, the first batch included, and that of the whole
process, from its start with all imports to its end. Printed as medians and ratios; above 1, MindSpore is the slower.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np

SIDES = ("ms_coreset", "torch_ref")
# name: (network, width, images, batch size)
CASES = {
    "lenet": ("lenet", None, 10_000, 128),
    "resnet18-w16": ("resnet18", 16, 2_000, 128),
    "resnet18-w64": ("resnet18", 64, 256, 64),
}
QUICK = {"lenet": ("lenet", None, 1_000, 128)}
TASKS = ("extract", "train")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small case, one turn: that it runs at all")
    parser.add_argument("--turns", type=int, default=5, help="runs of each side (default: 5)")
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cases = QUICK if arguments.quick else {name: CASES[name] for name in arguments.cases}
    if arguments.worker:
        side, task, case = arguments.worker
        print(json.dumps(_work(side, task, *cases[case])))
        return
    _compare(cases, 1 if arguments.quick else arguments.turns, arguments.quick)


def _compare(cases, turns, quick):
    print(f"{'case':<14}{'task':<9}{'ms_coreset s':>13}{'torch_ref s':>13}{'ratio':>7}{'range':>14}"
          f"{'whole process':>15}")
    for case in cases:
        for task in TASKS:
            runs = [{side: _process(side, task, case, quick) for side in SIDES} for _ in range(turns)]
            _print_row(case, task, runs)


def _print_row(case, task, runs):
    ours, theirs = (statistics.median(run[side][0] for run in runs) for side in SIDES)
    ratios = [run[SIDES[0]][0] / run[SIDES[1]][0] for run in runs]
    whole = statistics.median(run[SIDES[0]][1] / run[SIDES[1]][1] for run in runs)
    spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
    print(f"{case:<14}{task:<9}{ours:>13.2f}{theirs:>13.2f}{statistics.median(ratios):>7.2f}{spread:>14}{whole:>15.2f}",
          flush=True)


def _process(side, task, case, quick):
    """(seconds of the work, seconds of the whole process)."""
    command = [sys.executable, "-m", "benchmarks.frameworks", "--worker", side, task, case]
    began = time.perf_counter()
    done = subprocess.run(command + ["--quick"] * quick, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1]), time.perf_counter() - began


def _work(side, task, network, width, n, batch_size):
    """Seconds that one side takes for one task."""
    rng = np.random.RandomState(0)
    images, labels = rng.randint(0, 256, (n, 32, 32, 3)).astype(np.uint8), rng.randint(0, 10, n)
    if side == "ms_coreset":
        import ms_coreset as package

        package.set_device("auto")
        split = package.Split("random", images, labels, classes=tuple("0123456789"), mean=(0.5,) * 3, std=(0.25,) * 3)
    else:
        import torch_ref as package

        split = SimpleNamespace(images=images, labels=labels, mean=(0.5,) * 3, std=(0.25,) * 3)
    built = package.create_network(network, 10, 3, image_size=32, width=width)
    began = time.perf_counter()
    if task == "extract":
        package.extract(built, split, need=("features",), batch_size=batch_size)
    else:
        package.train(built, split, _recipe(batch_size))
    return time.perf_counter() - began


def _recipe(batch_size):
    from ms_coreset.training.recipe import Recipe

    return Recipe(epochs=1, batch_size=batch_size, lr=0.01, schedule="cosine", crop_padding=4, flip=True)


if __name__ == "__main__":
    main()
