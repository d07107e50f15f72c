"""A campaign: ``python -m tests.fuzz --cases 20000 --seed 0``."""

import argparse
import collections
import json
import sys
import tempfile
import time
from pathlib import Path

from . import campaign, outcomes
from .targets import TARGETS


def parse():
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=sys.modules[__package__].__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cases", type=int, default=20_000, help="in all (default: 20000)")
    options.add_argument("--seed", type=int, default=0, help="of the cases (default: 0)")
    options.add_argument("--targets", nargs="+", choices=TARGETS, metavar="NAME", help="only these: " +
                         ", ".join(TARGETS))
    options.add_argument("--kinds", nargs="+", choices=sorted({target.kind for target in TARGETS.values()}),
                         help="only targets of these kinds")
    options.add_argument("--case", type=int, help="only this one of --targets, and what it held")
    options.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    options.add_argument("--megabytes", type=int, default=1024, help="that a case may take (default: 1024)")
    options.add_argument("--seconds", type=int, default=20, help="that a case may take (default: 20)")
    options.add_argument("--failures", type=Path, help="write the cases that failed to this file, a JSON object each")
    return options.parse_args()


def main():
    arguments = parse()
    targets = [TARGETS[name] for name in arguments.targets or TARGETS
               if arguments.kinds is None or TARGETS[name].kind in arguments.kinds]
    if arguments.case is not None:
        cases = [(target.name, arguments.case) for target in targets]
    else:
        cases = [(name, case) for name, count in campaign.shares(targets, arguments.cases).items()
                 for case in range(count)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        answers = list(_summary(campaign.run_in_parallel(
            cases, folder, arguments.workers, seed=arguments.seed, megabytes=arguments.megabytes,
            seconds=arguments.seconds)))
    failures = [told for told in answers if told["outcome"] in outcomes.BAD]
    if arguments.failures:
        arguments.failures.write_text("".join(json.dumps(told) + "\n" for told in failures))
    _print_table(targets, answers)
    seconds = time.monotonic() - began
    print(f"{len(answers):,} cases of seed {arguments.seed} in {seconds:.0f} s, {len(failures)} failed")
    return 1 if failures else 0


def _summary(answers):
    for told in answers:
        if told["outcome"] in outcomes.BAD:
            print(f"{told['outcome']}: {told['target']}, case {told['case']}: {' '.join(told['words'].split())[:300]}",
                  flush=True)
        yield told


def _print_table(targets, answers):
    counted = collections.defaultdict(collections.Counter)
    peak = collections.Counter()
    for told in answers:
        counted[told["target"]][told["outcome"]] += 1
        peak[told["target"]] = max(peak[told["target"]], told["megabytes"])
    shown = [*outcomes.GOOD, *(name for name in outcomes.BAD if any(counts[name] for counts in counted.values()))]
    print("| " + " | ".join(["target", "cases", *shown, "peak MB"]) + " |\n|" + "---|" * (len(shown) + 3))
    for target in targets:
        counts = counted[target.name]
        print("| " + " | ".join([target.name, f"{counts.total():,}", *(f"{counts[name]:,}" for name in shown),
                                 str(peak[target.name])]) + " |")


if __name__ == "__main__":
    sys.exit(main())
