"""What a coreset is worth: wrong labels kept, and the test accuracy of networks trained on it, beside a random one.

    python -m benchmarks.outcome --dataset CIFAR10N --data data --seeds 0 1 2
    python -m benchmarks.outcome --dataset CIFAR10N --ways "" "--method moderate --evidence patches"

A way is what is typed after ``scripts/select.py --dataset NAME --rate X``; an empty one is the bare command. Each is
run as a user types it, a process of its own, once a seed, and a network is then trained on what it kept, always the
same one by the same recipe for as many updates, and tested on the clean test split. Training is torch_ref's, by the
recipe, steps and random numbers of ms_coreset's (parity_tests/ compares them), since that takes less than half the time
on a CPU. What was measured is kept in results/outcome/ as lines of JSON, and not measured again.
"""

import argparse
import json
import resource
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RECORDS = Path("results/outcome")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--data", default="data")
    parser.add_argument("--rate", type=float, default=0.2)
    parser.add_argument("--ways", nargs="+", default=["--method random --balance", ""])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--recipe", default="laptop", help="of the training on what was kept (default: laptop)")
    parser.add_argument("--epochs", type=int, default=25, help="(default: 25, for a fifth as many "
                        "updates as the recipe's 5 on all)")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.25)
    parser.add_argument("--width", type=int, help="of its network (default: the recipe's)")
    parser.add_argument("--choose-only", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    path = RECORDS / f"{arguments.dataset}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for seed in arguments.seeds:
        for way in arguments.ways:
            if _key(arguments, way, seed) not in [record["key"] for record in known]:
                known.append(_measure(arguments, way, seed))
                with path.open("a") as stream:
                    stream.write(json.dumps(known[-1]) + "\n")
    _print_table(arguments, known)


def _key(arguments, way, seed):
    training = None if arguments.choose_only else {name: getattr(arguments, name) for name in
                                                   ("recipe", "epochs", "batch_size", "lr", "width")}
    return {"way": way, "seed": seed, "rate": arguments.rate, "training": training}


def _measure(arguments, way, seed):
    """One record: the choice, and the training on it."""
    import ms_coreset as mc

    folder = RECORDS / arguments.dataset / f"{'-'.join(way.split()) or 'bare'}-{arguments.rate:g}-seed{seed}"
    command = [sys.executable, str(ROOT / "scripts" / "select.py"), "--dataset", arguments.dataset, "--data",
               arguments.data, "--rate", str(arguments.rate), "--seed", str(seed), "--save", str(folder),
               *shlex.split(way)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    split = mc.load_dataset(arguments.dataset, arguments.data, True)
    coreset = mc.Coreset.load(next(folder.glob("*.npz")))
    record = {"key": _key(arguments, way, seed), "wall": time.perf_counter() - began, "kept": len(coreset),
              "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
              "bad": coreset.summary(split)["bad_kept"], "in_data": coreset.summary(split)["bad_available"]}
    if not arguments.choose_only:
        record["accuracy"] = _train(arguments, split.subset(coreset.sort_by_index()[0]), seed)
    print(f"{way or '(bare)'} seed {seed}: {json.dumps({**record, 'key': None})}", flush=True)
    return record


def _train(arguments, part, seed):
    """Share of the test split that a network trained on ``part`` tells right."""
    import torch

    import ms_coreset as mc
    from ms_coreset.training.recipe import load_recipe
    from torch_ref.networks import create_network
    from torch_ref.training import evaluate, train

    torch.set_num_threads(1)  # two of these side by side are quicker than one on two cores
    test = mc.load_dataset(arguments.dataset, arguments.data, False)
    recipe = load_recipe(arguments.recipe, epochs=arguments.epochs, batch_size=arguments.batch_size, lr=arguments.lr,
                         width=arguments.width)
    network = create_network(recipe.arch, part.num_classes, part.in_channels, image_size=part.image_size,
                             width=recipe.width, seed=seed)
    return evaluate(train(network, part, recipe, seed=seed).network, test)


def _print_table(arguments, records):
    print(f"{arguments.dataset}, {arguments.rate:.0%} kept, seeds {arguments.seeds}")
    print("| way | kept | wrong kept, % | test accuracy, % | CPU minutes to choose |\n|---|---|---|---|---|")
    for way in arguments.ways:
        keys = [_key(arguments, way, seed) for seed in arguments.seeds]
        rows = [record for record in records if record["key"] in keys]
        bad, accuracy = ([100 * row[name] for row in rows if row.get(name) is not None] for name in ("bad", "accuracy"))
        print(f"| {way or '(bare)'} | {int(np.median([row['kept'] for row in rows])):,} | {_mean(bad)} "
              f"| {_mean(accuracy)} | {max(row['cpu'] for row in rows) / 60:.1f} |")


def _mean(values):
    if not values:
        return "-"
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


if __name__ == "__main__":
    main()
