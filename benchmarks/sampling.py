"""What a sampler costs in a loop of PyTorch: the CPU seconds within its calls, as a share of the rest of the epoch.

    OMP_NUM_THREADS=1 python -m benchmarks.sampling [--quick]

Of generated images, on one thread where it is called so. The calls are those of docs/samplers.md: the epoch's samples
and weights, and the losses of each batch. Told are the median of the epochs' shares and the quartiles; the first epoch
does not count. For ImageNet's number of samples the sampler alone is timed, an epoch by batches of 256.
"""

import argparse
import itertools
import time

import numpy as np
import torch

import ms_coreset as mc
import torch_ref

# name -> network, options of it, channels, side, samples
NETWORKS = {"lenet": ("lenet", {}, 1, 28, 10_000), "resnet18, width 16": ("resnet18", {"width": 16}, 3, 32, 640)}
SAMPLERS = {"full": {}, "rs2": {"rate": 0.3}, "infobatch": {}, "rcap": {"rate": 0.3}}
BATCH, IMAGENET = 128, (1_281_167, 1000, 256)  # samples, classes, batch size


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=7, help="that count (default: 7)")
    parser.add_argument("--quick", action="store_true", help="one small case: that it runs at all")
    arguments = parser.parse_args()
    print("| network, samples | sampler | an epoch's CPU seconds | in the sampler, of the rest (quartiles) |")
    print("|---|---|---|---|")
    for (title, network), (name, options) in itertools.product(NETWORKS.items(), SAMPLERS.items()):
        found = _epochs(name, options, network, 1 if arguments.quick else arguments.epochs)
        rests, shares = np.array(found).T
        low, share, high = np.percentile(shares, (25, 50, 75))
        print(f"| {title}, {network[-1]:,} | {name} | {np.median(rests):.2f} | {share:.2%} ({low:.2%} to {high:.2%}) |",
              flush=True)
        if arguments.quick:
            return
    for name, options in SAMPLERS.items():
        print(f"| none, {IMAGENET[0]:,} | {name} | {_alone(name, options):.2f} | all |", flush=True)


class Stopwatch:
    """CPU seconds within its blocks."""

    def __init__(self):
        self.spent = 0.0

    def __enter__(self):
        self._began = time.process_time()

    def __exit__(self, *_):
        self.spent += time.process_time() - self._began


def _epochs(name, options, network, epochs):
    """(CPU seconds of the epoch without the sampler, the sampler's as a share of them) of each epoch but the first."""
    arch, of_network, channels, side, samples = network
    torch.manual_seed(0)
    x, labels = torch.randn(samples, channels, side, side), np.arange(samples) % 10
    y, network = torch.from_numpy(labels), torch_ref.create_network(arch, 10, channels, image_size=side, **of_network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    sampler = mc.create_sampler(name, labels, epochs + 1, **options)
    found = []
    for epoch in range(epochs + 1):
        watch, began = Stopwatch(), time.process_time()
        with watch:
            batches = sampler.begin_epoch(epoch).batches(BATCH)
        for indices, weights in batches:
            rows = torch.from_numpy(indices)
            losses = torch.nn.functional.cross_entropy(network(x[rows]), y[rows], reduction="none")
            optimizer.zero_grad()
            (losses * losses.new_tensor(weights)).mean().backward()
            optimizer.step()
            with watch:
                sampler.report(indices, losses)
        rest = time.process_time() - began - watch.spent
        found.append((rest, watch.spent / rest))
    return found[1:]


def _alone(name, options):
    """CPU seconds of a sampler in an epoch of ImageNet's size: the third, of losses that are known."""
    n, classes, size = IMAGENET
    sampler = mc.create_sampler(name, np.arange(n) % classes, 4, **options)
    losses = np.random.RandomState(0).exponential(size=n)
    for epoch in range(3):
        watch = Stopwatch()
        with watch:
            for indices, _ in sampler.begin_epoch(epoch).batches(size):
                sampler.report(indices, losses[indices])
    return watch.spent


if __name__ == "__main__":
    main()
