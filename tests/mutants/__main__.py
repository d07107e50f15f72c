"""A sample: ``python -m tests.mutants --mutants 300 --seed 0``."""

import argparse
import collections
import sys
import time
from pathlib import Path

import numpy as np

from . import operators, trial

SELECTORS = trial.ROOT / "ms_coreset" / "selectors"


def parsed():
    options = argparse.ArgumentParser(prog="python -m tests.mutants", description=sys.modules[__package__].__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--mutants", type=int, default=300, help="how many, drawn from all (default: 300)")
    options.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    options.add_argument("--modules", nargs="+", metavar="FILE", help="only of these, such as scores/error.py")
    options.add_argument("--only", nargs="+", type=int, metavar="N", help="only these of the sample, by number")
    options.add_argument("--limit", type=int, default=120, help="seconds of a processor for one, before it counts as "
                         "noticed, since it hangs (default: 120)")
    options.add_argument("--workers", type=int, default=1, help="how many at a time (default: 1)")
    arguments = options.parse_args()
    if arguments.workers < 1:
        options.error(f"--workers {arguments.workers}: must be at least 1")
    return arguments


def main():
    arguments = parsed()
    modules = [Path(name) for name in arguments.modules or sorted(
        str(path.relative_to(SELECTORS)) for path in SELECTORS.rglob("*.py"))]
    everything = [(module, *mutant) for module in modules
                  for mutant in operators.mutants((SELECTORS / module).read_text(encoding="utf-8"))]
    chosen = np.random.RandomState(arguments.seed).permutation(len(everything))[:arguments.mutants]
    mutants = [(int(place), *everything[place]) for place in chosen
               if arguments.only is None or place in arguments.only]
    if not mutants:
        raise SystemExit("error: none of these is in the sample: give other --only, --modules or --mutants")
    trial.prepare()
    _require_passing(modules, arguments)
    counts, began = collections.defaultdict(collections.Counter), time.monotonic()
    trials = (((number, module, line, what), module, make(), trial.tests_for(module))
              for number, module, line, what, make in mutants)
    for (number, module, line, what), outcome, seconds in _judged(trials, arguments):
        counts[str(module)][outcome] += 1
        print(f"{number:5} {outcome:9}{module}:{line}: {what} ({seconds:.1f} s)", flush=True)
    _print_table(counts, len(everything), time.monotonic() - began)


def _judged(trials, arguments):
    """Yields (label, outcome, seconds) of the trials (label, module, tree, files), ``arguments.workers`` at a time."""
    running = {}
    for label, *mutant in trials:
        if len(running) == arguments.workers:
            yield _next_ended(running)
        running[trial.begin(*mutant, arguments.limit)] = label
    while running:
        yield _next_ended(running)


def _next_ended(running):
    pid, outcome, seconds = trial.ended()
    return running.pop(pid), outcome, seconds


def _require_passing(modules, arguments):
    files = dict.fromkeys(file for module in modules for file in trial.tests_for(module))
    for file, outcome, seconds in _judged(((file, None, None, [file]) for file in files), arguments):
        print(f"      {outcome} unchanged: {file} ({seconds:.0f} s)", flush=True)
        if outcome != trial.SURVIVED:
            raise SystemExit(f"{file} fails without any change")


def _print_table(counts, everything, seconds):
    total = sum(counts.values(), collections.Counter())
    for module, found in [*sorted(counts.items()), ("all", total)]:
        tried = sum(found.values())
        noticed = tried - found[trial.SURVIVED]
        print(f"{module:<32}{noticed:>5} of {tried:>4} noticed ({noticed / tried:.0%}), {found[trial.HUNG]} hung")
    print(f"{sum(total.values())} of {everything:,} mutants in {seconds:.0f} s")


if __name__ == "__main__":
    main()
