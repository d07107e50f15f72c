"""How well a network learns from a coreset: base training, selection, training again, over several seeds.

    python -m benchmarks.retrain --dataset digitsN --rate 0.2 --seeds 5

For each seed a base network is trained and asked for its features; then the network is trained anew by the same recipe
on each coreset and on all the data (the same number of epochs). Prints the test accuracy of the last epoch, and the
share of bad samples in each coreset, as mean and standard deviation over the seeds.
"""

import argparse
import statistics
import time

import ms_coreset as mc
from ms_coreset.cli.common.base_network import build_network
from ms_coreset.cli.common.options import (
    add_data_options,
    add_network_options,
    add_run_options,
    draw_pool,
    load_split,
    resolve_recipe,
)

METHODS = {"moderate": {"method": "moderate"}, "moderate, balanced": {"method": "moderate", "balance": True},
           "random": {"method": "random"}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=0.2)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--pool", type=int, help="work on a class-balanced part of the training split")
    add_data_options(parser)
    add_network_options(parser)
    add_run_options(parser)
    arguments = parser.parse_args()
    device = mc.set_device(arguments.device)
    recipe = resolve_recipe(arguments, device)
    whole, test = load_split(arguments, train=True), load_split(arguments, train=False)
    _, split = draw_pool(whole, arguments.pool, arguments.seed)
    rows = {name: [] for name in [*METHODS, "full"]}
    for seed in range(arguments.seeds):
        began = time.perf_counter()
        for name, row in _one_seed(split, test, recipe, arguments.rate, seed).items():
            rows[name].append(row)
        print(f"seed {seed}: {time.perf_counter() - began:.0f} s", flush=True)
    _print_table(rows, split)


def _one_seed(split, test, recipe, rate, seed):
    base = mc.train(build_network(recipe, split, seed), split, recipe, seed, record=())
    evidence = mc.extract(base.network, split, need=("features",))
    rows = {"full": (mc.evaluate(base.network, test)["accuracy"], _bad(split), len(split))}
    for name, options in METHODS.items():
        coreset = mc.select(evidence=evidence, rate=rate, seed=seed, **options)
        part = split.subset(coreset.indices)
        again = mc.train(build_network(recipe, split, seed), part, recipe, seed, record=())
        rows[name] = (mc.evaluate(again.network, test)["accuracy"], _bad(part), len(part))
    return rows


def _bad(split):
    return 0.0 if split.bad is None else float(split.bad.mean())


def _print_table(rows, split):
    print(f"{split.name}, {len(split)} training samples")
    print("| trained on | samples | test accuracy, % | bad samples, % |\n|---|---|---|---|")
    for name, values in rows.items():
        accuracy, bad, size = zip(*values, strict=True)
        print(f"| {name} | {size[0]} | {_spread(accuracy)} | {_spread(bad)} |")


def _spread(values):
    deviation = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.2f}{deviation}"


if __name__ == "__main__":
    main()
