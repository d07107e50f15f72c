"""A campaign: ``python -m tests.faults --kills 200 --seed 0``, or ``--every-operation``."""

import argparse
import os
import sys
import tempfile
import time

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # before NumPy starts threads, see ``prepare``

from .campaign import Campaign
from .jobs import JOBS
from .process import prepare

TELL = 60  # seconds between two lines on how far it is
_HEADS = ("operations", "at a moment", "before one", "reruns", "failures", "litter")


def parse():
    options = argparse.ArgumentParser(prog="python -m tests.faults", description=sys.modules[__package__].__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=200, help="at least so many (default: 200)")
    options.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    options.add_argument("--jobs", nargs="+", choices=JOBS, metavar="NAME", help="only these: " + ", ".join(JOBS))
    options.add_argument("--every-operation", action="store_true", help="instead of random kills, one before each file "
                         "operation of each job")
    return options.parse_args()


def main():
    arguments = parse()
    prepare()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        told = began
        campaign = Campaign(arguments.jobs or list(JOBS), folder, arguments.seed)
        for failures in campaign.systematic() if arguments.every_operation else campaign.random(arguments.kills):
            for failure in failures:
                print(failure, flush=True)
            if time.monotonic() > told + TELL:
                told = time.monotonic()
                print(f"{campaign.kills} kills", file=sys.stderr, flush=True)
    tallies = list(campaign.tallies.values())
    print(f"{'':<20}" + "".join(f"{head:>13}" for head in _HEADS))
    for tally in tallies:
        numbers = (tally.operations, tally.by_moment, tally.by_operation, tally.chains, len(tally.failures),
                   tally.litter)
        print(f"{tally.job:<20}" + "".join(f"{number:>13}" for number in numbers))
    failures = sum(len(tally.failures) for tally in tallies)
    print(f"{campaign.kills} kills in {time.monotonic() - began:.0f} s, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
