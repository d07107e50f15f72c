"""Training with either framework against a bare PyTorch loop: the same network, images, batches, crops and flips.

    python -m benchmarks.bare_loop [--quick]

The bare loop is what one writes by hand: normalized tensors in memory, batches in random order, shifted and flipped in
PyTorch, and SGD; it records, checks and saves nothing. Each measurement is a process of its own on random images, the
three in turn. Compared is an epoch, the first batch included, imports not: by the clock, and in seconds of CPU time of
all threads, which other work on the machine changes little. Printed as medians, and as ratios to the bare loop: above
1, it is the slower.
"""

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import time

import numpy as np

SIDES = ("torch", "mindspore", "bare")
# name: (network, options, images, batch size)
CASES = {
    "lenet": ("lenet", {}, 2_560, 128),
    "resnet18-w16": ("resnet18", {"width": 16}, 512, 128),
}
QUICK = {"lenet": ("lenet", {}, 500, 128)}
LEARNING_RATE, PADDING = 0.01, 4


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small case, one turn: that it runs at all")
    parser.add_argument("--turns", type=int, default=5, help="runs of each side (default: 5)")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cases = QUICK if arguments.quick else CASES
    if arguments.worker:
        side, case = arguments.worker
        print(json.dumps(_epoch(side, *cases[case])))
        return
    print(f"{'case':<14}{'time':<6}" + "".join(f"{side + ' s':>13}" for side in SIDES)
          + "".join(f"{side + '/bare':>22}" for side in SIDES[:2]))
    for case in cases:
        turns = range(1 if arguments.quick else arguments.turns)
        runs = [{side: _process(side, case, arguments.quick) for side in SIDES} for _ in turns]
        for clock in ("wall", "cpu"):
            _print_row(case, clock, [{side: seconds[clock] for side, seconds in run.items()} for run in runs])


def _print_row(case, clock, runs):
    seconds = "".join(f"{statistics.median(run[side] for run in runs):>13.2f}" for side in SIDES)
    print(f"{case:<14}{clock:<6}{seconds}" + "".join(f"{_ratio(runs, side):>22}" for side in SIDES[:2]), flush=True)


def _ratio(runs, side):
    ratios = [run[side] / run["bare"] for run in runs]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def _process(side, case, quick):
    command = [sys.executable, "-m", "benchmarks.bare_loop", "--worker", side, case, *["--quick"] * quick]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _epoch(side, network, options, n, batch_size):
    """Seconds that a side takes to train for an epoch, by clock."""
    rng = np.random.RandomState(0)
    images, labels = rng.randint(0, 256, (n, 32, 32, 3)).astype(np.uint8), rng.randint(0, 10, n)
    if side != "mindspore":
        importlib.import_module("torch._dynamo")  # seconds, which the first optimizer would take
    if side == "bare":
        return _bare_epoch(network, options, images, labels, batch_size)
    import ms_coreset as mc

    if side == "mindspore":
        mc.set_device("CPU")
    split = mc.Split("random", images, labels, classes=tuple("0123456789"), mean=(0.5,) * 3, std=(0.25,) * 3)
    built = mc.create_network(network, 10, 3, image_size=32, framework=side, **options)
    recipe = mc.Recipe(epochs=1, batch_size=batch_size, lr=LEARNING_RATE, crop_padding=PADDING, flip=True)
    return _time(lambda: mc.train(built, split, recipe))


def _time(work):
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def _bare_epoch(network, options, images, labels, batch_size):
    import torch
    from torch.nn import functional as F

    import torch_ref

    module = torch_ref.create_network(network, 10, 3, image_size=32, **options).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=LEARNING_RATE, momentum=0.9, weight_decay=5e-4)

    def epoch():
        inputs = (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
        padded, targets = F.pad(inputs, (PADDING,) * 4), torch.from_numpy(labels)
        for rows in torch.randperm(len(inputs)).split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(module(_augment(padded[rows])), targets[rows]).backward()
            optimizer.step()

    return _time(epoch)


def _augment(padded):
    """A window of each padded image (B, 3, 40, 40), every second one mirrored."""
    import torch

    shifts = torch.randint(0, 2 * PADDING + 1, (len(padded), 2)).tolist()
    cropped = torch.stack([image[:, top:top + 32, left:left + 32]
                           for image, (top, left) in zip(padded, shifts, strict=True)])
    return torch.where(torch.rand(len(padded), 1, 1, 1) < 0.5, cropped.flip(3), cropped)


if __name__ == "__main__":
    main()
