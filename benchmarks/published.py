"""A study's accuracy beside DeepCore's Table 1, as gains over random: which orders of the methods agree.

    python -m benchmarks.published results/table1-cifar10

Table 1 (Guo, Zhao and Bai, DeepCore, DEXA 2022) is ResNet-18 on CIFAR-10, 200 epochs, balanced, five seeds. A Markdown
table for every section of the study: rows are its methods that Table 1 has, cells the points of test accuracy (%) that
a method gains over random, here and there. Below, for each rate, Kendall's tau-b of the two orders of the methods,
random among them (1: the same, 0: unrelated), and how many of the pairs of methods that differ by at least two points
in both are in the same order. A method that the study has with several options counts once there: as DeepCore has it.
"""

import argparse
import itertools
import statistics

from scipy.stats import kendalltau

from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.report.markup import rate_name
from ms_coreset.experiment.report.study import BASELINE, Study
from ms_coreset.experiment.report.tables import pipe_table

# Mean test accuracy, %, at these shares of CIFAR-10.
RATES = (0.01, 0.05, 0.1, 0.3, 0.5)
TABLE_1 = {
    "random": (36.74, 64.50, 75.72, 90.23, 93.28),
    "herding": (34.75, 50.99, 63.53, 80.11, 87.99),
    "k_center": (31.11, 51.37, 75.83, 90.86, 93.91),
    "contextual_diversity": (23.60, 38.07, 58.80, 90.82, 94.29),
    "cal": (37.79, 59.95, 71.76, 86.01, 89.37),
    "least_confidence": (19.78, 36.21, 57.60, 90.33, 94.46),
    "entropy": (21.09, 35.32, 57.58, 89.83, 94.44),
    "margin": (28.22, 43.37, 59.88, 90.87, 94.34),
    "deepfool": (27.57, 42.63, 60.84, 90.01, 94.15),
    "grand": (26.69, 39.80, 52.73, 91.19, 94.60),
    "forgetting": (37.76, 62.52, 75.96, 90.40, 93.45),
    "craig": (31.75, 45.18, 60.15, 88.42, 93.28),
    "gradmatch": (30.77, 47.16, 61.52, 87.41, 92.90),
    "glister": (32.93, 50.68, 66.26, 90.86, 94.04),
    "facility_location": (38.87, 60.79, 74.74, 91.39, 93.93),
    "graph_cut": (42.78, 65.70, 76.65, 87.75, 93.21),
}
# Options that make a method DeepCore's, where the study has it with them.
DEEPCORES = {"cal": {"direction": "lowest"}, "forgetting": {"never_learned": "zero"}}
CLEAR = 2  # points of accuracy


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", help="folder of a study, as scripts/experiment.py makes it")
    arguments = parser.parse_args()
    try:
        sections = Study.read(arguments.study).sections()
    except MsCoresetError as error:
        parser.error(str(error))
    print("\n\n".join(filter(None, map(compare, sections))) or "no section has random and a method of Table 1")


def compare(section):
    """The table of a section, or "" where it lacks random, or all methods of Table 1 but that."""
    runs = {name: next(run for run in section.done if section.name_of(run) == name) for name in section.compared}
    runs = {name: run for name, run in runs.items() if run.method in TABLE_1}
    rates = [rate for rate in RATES if section.cell(BASELINE, rate)]
    if not rates or len(runs) < 2:
        return ""
    ours = [_means(section, runs, rate) for rate in rates]
    published = [{name: TABLE_1[run.method][RATES.index(rate)] for name, run in runs.items()} for rate in rates]
    columns = list(zip(ours, published, strict=True))
    names = _as_deepcore(runs)
    head = ["gain over random, here / Table 1", *map(rate_name, rates)]
    rows = [[name, *(_gains(name, *column) for column in columns)] for name in runs if name != BASELINE]
    rows += [["tau-b", *(_tau(names, *column) for column in columns)],
             [f"pairs apart by {CLEAR} in both, in the same order",
              *(_count_agreements(names, *column) for column in columns)]]
    return pipe_table(head, rows)


def _as_deepcore(runs):
    """A name for each method: the one with DeepCore's options, or the first."""
    names = {}
    for name, run in runs.items():
        deepcores = DEEPCORES.get(run.method, {}).items() <= run.options.items()
        if run.method not in names or deepcores:
            names[run.method] = name
    return list(names.values())


def _means(section, names, rate):
    """{name: mean accuracy, %} of those that were run at the rate."""
    accuracies = {name: section.accuracies(name, rate).values() for name in names}
    return {name: 100 * statistics.mean(values) for name, values in accuracies.items() if values}


def _gains(name, ours, published):
    if name not in ours:
        return ""
    return " / ".join(f"{means[name] - means[BASELINE]:+.1f}" for means in (ours, published))


def _tau(names, ours, published):
    names = [name for name in names if name in ours]
    return f"{kendalltau([ours[name] for name in names], [published[name] for name in names]).statistic:.2f}"


def _count_agreements(names, ours, published):
    """How many pairs of methods are in the same order, of those that are clearly apart in both."""
    pairs = itertools.combinations([name for name in names if name in ours], 2)
    apart = [(ours[one] - ours[other], published[one] - published[other]) for one, other in pairs]
    clear = [(here, there) for here, there in apart if min(abs(here), abs(there)) >= CLEAR]
    return f"{sum(here * there > 0 for here, there in clear)} of {len(clear)}"


if __name__ == "__main__":
    main()
