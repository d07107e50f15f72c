"""A sample: ``python -m tests.mutants --mutants 300 --seed 0``."""

import argparse
import collections
import math
import sys
import time

import numpy as np

from . import operators, trial


def parse():
    options = argparse.ArgumentParser(prog="python -m tests.mutants", description=sys.modules[__package__].__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--mutants", type=int, default=300, help="how many, drawn from all (default: 300)")
    options.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    options.add_argument("--package", nargs="+", default=["selectors"], metavar="NAME", help="what is changed: "
                         "packages or modules, such as training cli/select.py (default: selectors)")
    options.add_argument("--only", nargs="+", type=int, metavar="N", help="only these of the sample, by number")
    options.add_argument("--limit", type=int, default=120, help="seconds of a processor beyond what its tests take "
                         "unchanged, after which one counts as noticed, since it hangs (default: 120)")
    options.add_argument("--workers", type=int, default=1, help="how many at a time (default: 1)")
    arguments = options.parse_args()
    if arguments.workers < 1:
        options.error(f"--workers {arguments.workers}: must be at least 1")
    for name in arguments.package:
        if not (trial.LIBRARY / name).exists() or name.split("/")[0] not in trial.TESTS:
            options.error(f"--package {name}: no package or module below ms_coreset that has tests in trial.TESTS")
    return arguments


def main():
    arguments = parse()
    modules = trial.modules_of(arguments.package)
    everything = [(module, *mutant) for module in modules
                  for mutant in operators.mutants((trial.LIBRARY / module).read_text(encoding="utf-8"))]
    chosen = np.random.RandomState(arguments.seed).permutation(len(everything))[:arguments.mutants]
    mutants = [(int(place), *everything[place]) for place in chosen
               if arguments.only is None or place in arguments.only]
    if not mutants:
        raise SystemExit("error: none of these is in the sample: give other --only, --package or --mutants")
    trial.prepare()
    unchanged = _seconds_unchanged(dict.fromkeys(module for _, module, *_ in mutants), arguments)
    counts, began = collections.defaultdict(collections.Counter), time.monotonic()
    trials = (((number, module, line, what), module, make(), files, arguments.limit + sum(map(unchanged.get, files)))
              for number, module, line, what, make in mutants for files in [trial.tests_for(module)])
    for (number, module, line, what), outcome, seconds in _judge(trials, arguments.workers):
        counts[str(module)][outcome] += 1
        print(f"{number:5} {outcome:9}{module}:{line}: {what} ({seconds:.1f} s)", flush=True)
    _print_table(counts, len(everything), time.monotonic() - began)


def _judge(trials, workers):
    """Yields (label, outcome, seconds) of the trials (label, and what ``trial.begin`` takes), some at a time."""
    running = {}
    for label, *mutant in trials:
        if len(running) == workers:
            yield _await_next(running)
        running[trial.begin(*mutant)] = label
    while running:
        yield _await_next(running)


def _await_next(running):
    pid, outcome, seconds = trial.ended()
    return running.pop(pid), outcome, seconds


def _seconds_unchanged(modules, arguments):
    """File of tests -> seconds of a processor, of all for these modules, which must pass."""
    files, taken = dict.fromkeys(file for module in modules for file in trial.tests_for(module)), {}
    trials = ((file, None, None, [file], 20 * arguments.limit) for file in files)
    for file, outcome, seconds in _judge(trials, arguments.workers):
        print(f"      {outcome} unchanged: {file} ({seconds:.0f} s)", flush=True)
        if outcome != trial.SURVIVED:
            raise SystemExit(f"{file} fails without any change")
        taken[file] = math.ceil(seconds)
    return taken


def _print_table(counts, everything, seconds):
    total = sum(counts.values(), collections.Counter())
    for module, found in [*sorted(counts.items()), ("all", total)]:
        tried = sum(found.values())
        noticed = tried - found[trial.SURVIVED]
        print(f"{module:<32}{noticed:>5} of {tried:>4} noticed ({noticed / tried:.0%}), {found[trial.HUNG]} hung")
    print(f"{sum(total.values())} of {everything:,} mutants in {seconds:.0f} s")


if __name__ == "__main__":
    main()
