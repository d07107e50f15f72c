"""What coresets are worth, from runs of studies that are kept as tables and grow from sitting to sitting.

    python -m benchmarks.worth docs/studies/worth-cifar10.csv [--add results/worth-cifar10]

--add takes the runs of a study's folder into the table, in place of earlier ones of the same kind and seed. Then, for
every data set and rate, it prints the accuracy of each row, mean and standard deviation over seeds, and how far it is
ahead of random's, the mean of the differences of equal seeds with its 95 % interval by Student's t, which needs two
seeds. Minutes are of the processor that ran them, which other work may have shared.
"""

import argparse
import csv
import json
import statistics
from collections import defaultdict
from pathlib import Path

# "by" is the framework of the networks; the samplers' rows begin with "sampler".
KEYS = ("dataset", "rate", "row", "balanced", "evidence", "arch", "protocol", "by", "seed")
VALUES = ("accuracy", "wrong", "wrong_kept", "updates", "minutes_to_choose", "minutes_to_train")
BASELINE = "random"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="a CSV file, made by --add")
    parser.add_argument("--add", type=Path, metavar="DIR", help="folder of a study's results")
    arguments = parser.parse_args()
    runs = read(arguments.table) if arguments.table.exists() else {}
    if arguments.add:
        runs |= dict(map(_run, _done(arguments.add)))
        write(arguments.table, runs)
    for line in compare(runs):
        print(line)


def read(path):
    """{values of KEYS: values of VALUES} of a table, as text."""
    with path.open(newline="", encoding="utf-8") as stream:
        return {tuple(row[key] for key in KEYS): tuple(row[value] for value in VALUES)
                for row in csv.DictReader(stream)}


def write(path, runs):
    """Write a table, in the order of KEYS."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([(*KEYS, *VALUES), *sorted((*key, *values) for key, values in runs.items())])


def _done(folder):
    records = map(json.loads, (folder / "runs.jsonl").read_text(encoding="utf-8").splitlines())
    return [record for record in records if record["status"] == "done"]


def _run(record):
    """(key, values) of a record of ``experiment``."""
    options = ",".join(f"{name}={value}" for name, value in sorted(record["options"].items()))
    recipe, bad, seconds = record["recipe"], record["bad"], record["seconds"]
    by = ("torch" if "torch" in record["versions"] else "mindspore") + (" mixed" if recipe.get("amp") else "")
    row = ("sampler " if record.get("sampler") else "") + record["method"] + (f":{options}" if options else "")
    key = (record["dataset"], f"{record['rate']:g}", row,
           "yes" if record["balance"] else "no", record["select_arch"], record["train_arch"], record["protocol"], by,
           str(record["seed"]))
    choosing = sum(seconds.get(step) or 0 for step in ("base", "extract", "select"))
    values = (f"{100 * record['accuracy']['last']:.2f}", "" if bad is None else f"{100 * bad['available']:.2f}",
              "" if bad is None else f"{100 * bad['kept']:.2f}", str(record["updates"]), f"{choosing / 60:.1f}",
              f"{seconds['train'] / 60:.1f}")
    return key, values


def compare(runs):
    """Lines of Markdown tables, one table for each data set and rate."""
    cells = defaultdict(lambda: defaultdict(dict))
    whole = defaultdict(lambda: defaultdict(dict))
    for key, values in runs.items():
        named = dict(zip(KEYS, key, strict=True))
        place = whole if named["row"] == "full" else cells
        place[named["dataset"], "" if place is whole else named["rate"]][named["row"]][named["seed"]] = dict(
            zip(VALUES, values, strict=True))
    for (dataset, rate), rows in sorted(cells.items()):
        yield from ("", f"{dataset}, {100 * float(rate):g} % kept", "",
                    "| trained on | seeds | accuracy, % | ahead of random | wrong kept, % | minutes to choose |",
                    "|---|---|---|---|---|---|")
        rows |= whole[dataset, ""]
        for row in sorted(rows, key=lambda row: -statistics.mean(_numbers(rows[row], "accuracy").values())):
            yield _line(row, rows[row], rows.get(BASELINE, {}))


def _line(row, runs, baseline):
    found, kept = _numbers(runs, "accuracy"), _numbers(runs, "wrong_kept")
    differences = [found[seed] - random for seed, random in _numbers(baseline, "accuracy").items() if seed in found]
    minutes = statistics.mean(_numbers(runs, "minutes_to_choose").values())
    ahead = "" if row == BASELINE or not differences else _with_interval(differences)
    wrong = f"{statistics.mean(kept.values()):.1f}" if kept else ""
    return f"| {row} | {len(found)} | {_with_deviation(list(found.values()))} | {ahead} | {wrong} | {minutes:.1f} |"


def _numbers(runs, name):
    return {seed: float(values[name]) for seed, values in runs.items() if values[name]}


def _with_deviation(values):
    return f"{statistics.mean(values):.1f}" + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")


def _with_interval(differences):
    from scipy.stats import t

    mean, n = statistics.mean(differences), len(differences)
    if n < 2:
        return f"{mean:+.1f}"
    return f"{mean:+.1f} ± {t.ppf(0.975, n - 1) * statistics.stdev(differences) / n**0.5:.1f}"


if __name__ == "__main__":
    main()
