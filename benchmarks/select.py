"""Selection against the peers' own code: seconds, memory and the value of what was selected.

    python -m benchmarks.select [--against submodlib,apricot,torch_ref,deepcore] [--methods ...] [--quick]
    python -m benchmarks.select --growth
    python -m benchmarks.select --against none --scratch DIR --turns 1 --methods moderate_1280k ...

Every side selects from the same arrays (``pool``), its kernel or distances included, data and imports not. Each
measured run is a process of its own, and the sides take turns. A row has the seconds (least, median, most), the CPU
seconds, the median of the ratios to ours in the same turn, the peak of resident memory above the inputs, the value of
the objective where the method has one, and the share of the floor: what the best exact algorithm known needs at the
speed of matrix products and of reading that was measured in the same run, over the median. It can exceed 1 where
fewer operations do.

The arrays of 1,280,000 samples, 7.7 GB, are made once in --scratch, and memory-mapped: what of them is resident counts.

apricot and submodlib come with ``pip install -e ".[bench]"``; of DeepCore, which is no package, --deepcore names the
folder, and its set functions and maximiser are run with the gradients written out, as its ``Submodular`` does.
"""

import argparse
import importlib.util
import itertools
import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

OURS = "ms_coreset"
PEERS = ("submodlib", "apricot", "torch_ref", "deepcore")
GROWTH_SIZES = (5_000, 10_000, 20_000, 40_000)
N_BY_N = ("facility_location", "craig")  # grow over half of these sizes: 40,000 squared is 13 GB


@dataclass(frozen=True)
class Case:
    """A selection: of n samples of d features in C classes, a rate of each class or of all."""

    method: str
    n: int = 5_000
    d: int = 512
    classes: int = 1
    rate: float = 0.1
    balance: bool = False
    options: dict = field(default_factory=dict)
    logits: int = 10
    mapped: bool = False  # the arrays lie on disk

    @property
    def logit_width(self):
        """Columns of the logits."""
        return max(self.classes, self.logits)

    @property
    def name(self):
        """As it stands in the table."""
        options = "".join(f" {key}={value}" for key, value in self.options.items())
        shape = f"{self.n:,} x {self.d}" + (f", {self.classes} classes" if self.balance else "")
        return f"{self.method}{options}, {shape}, {self.rate:g}"


ONE_CLASS = ("facility_location", "craig", "graph_cut", "log_determinant", "gradmatch", "glister", "cal", "k_center",
             "herding", "contextual_diversity")
OF_FEATURES = ("log_determinant", "disparity_sum", "disparity_min", "saturated_coverage", "sum_redundancy",
               "feature_based", "max_coverage")
SCORES = ("least_confidence", "entropy", "margin", "grand", "el2n", "loss")
_WITHOUT_KERNEL = ("feature_based", "max_coverage")
CASES = {
    **{name: Case(name) for name in ONE_CLASS},
    **{f"{name}_of_features{suffix}": Case(name, n=n, options={} if name in _WITHOUT_KERNEL else {"kernel": "features"})
       for name in OF_FEATURES for n, suffix in ((5_000, ""), (10_000, "_10k"))},
    "facility_location_10k": Case("facility_location", n=10_000),
    "facility_location_near_20k": Case("facility_location", n=20_000, options={"neighbors": 50}),
    "facility_location_near_50k": Case("facility_location", n=50_000, options={"neighbors": 50}),
    "facility_location_20k": Case("facility_location", n=20_000),
    "k_center_50k": Case("k_center", n=50_000),
    "herding_50k": Case("herding", n=50_000),
    "moderate_50k": Case("moderate", n=50_000, d=2048, classes=10),
    **{f"{name}_balanced": Case(name, n=50_000, classes=10, balance=True)
       for name in (*ONE_CLASS, "moderate", *SCORES)},
}
CASES |= {f"{name}_1280k": Case(name, n=1_280_000, classes=1_000, balance=True, mapped=True)
          for name in ("moderate", *SCORES, "facility_location", "k_center", "gradmatch", "cal")}
USUAL = (*ONE_CLASS, "facility_location_10k", "k_center_50k", "herding_50k", "moderate_50k")
QUICK = {name: replace(CASES[name], n=600) for name in ("facility_location", "graph_cut", "k_center", "gradmatch")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=lambda text: [] if text == "none" else text.split(","), metavar="PEER,...",
                        help=f"some of {','.join(PEERS)}, or none (default: those that are installed, but torch_ref)")
    parser.add_argument("--deepcore", metavar="DIR", help="a checkout of DeepCore")
    parser.add_argument("--methods", nargs="*", choices=CASES, default=list(USUAL), metavar="CASE",
                        help=f"some of {', '.join(CASES)}")
    parser.add_argument("--turns", type=int, default=3, help="runs of each side (default: 3)")
    parser.add_argument("--quick", action="store_true", help="small cases, one turn: that it runs at all")
    parser.add_argument("--growth", action="store_true", help=f"our seconds for n = {GROWTH_SIZES} instead, one class; "
                        f"half of it for {' and '.join(N_BY_N)}")
    parser.add_argument("--save", metavar="FILE", help="write the measurements as JSON; with --growth a plot beside "
                        "it, too, if there is matplotlib")
    parser.add_argument("--scratch", metavar="DIR", help="folder for arrays that are memory-mapped; they stay there")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        side, case = arguments.worker
        print(json.dumps(_measure(side, Case(**json.loads(case)), arguments)))
        return
    rows = list(_growth(arguments) if arguments.growth else _compare(arguments))
    if arguments.save:
        Path(arguments.save).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        if arguments.growth:
            _plot(rows, Path(arguments.save).with_suffix(".png"))


def _compare(arguments):
    cases = QUICK if arguments.quick else {name: CASES[name] for name in arguments.methods}
    turns = 1 if arguments.quick else arguments.turns
    chosen = arguments.against if arguments.against is not None else _has(arguments)
    unknown = set(chosen) - set(PEERS)
    if unknown:
        raise SystemExit(f"error: --against {sorted(unknown)[0]}: must be some of {', '.join(PEERS)}")
    if "deepcore" in chosen:
        _require_deepcore(arguments.deepcore)
    floors = _floors()
    print(f"matrix products {floors['flops'] / 1e9:.0f} GFLOP/s in float32, reading {floors['bytes'] / 1e9:.1f} GB/s")
    print(f"{'case':<44}{'side':<12}{'s min':>8}{'median':>8}{'max':>8}{'CPU s':>8}{'/ ours':>8}{'MB':>7}"
          f"{'value':>14}{'of floor':>9}")
    for case in cases.values():
        sides = [OURS, *(peer for peer in chosen if case.method in _SIDES[peer])]
        runs = [{side: _process(side, case, arguments) for side in sides} for _ in range(turns)]
        for side in sides:
            yield _row(case, side, [run[side] for run in runs], [run[OURS] for run in runs], floors)


def _row(case, side, runs, ours, floors):
    seconds = [run["seconds"] for run in runs]
    ratio = statistics.median(run["seconds"] / our["seconds"] for run, our in zip(runs, ours, strict=True))
    row = {"case": case.name, "side": side, "min": min(seconds), "median": statistics.median(seconds),
           "max": max(seconds), "cpu": min(run["cpu"] for run in runs), "ratio": ratio,
           "mb": statistics.median(run["mb"] for run in runs), "value": runs[0]["value"],
           "floor": _floor(case, floors) / statistics.median(seconds) if case.method in _WORK else None}
    value = "" if row["value"] is None else f"{row['value']:.6g}"
    share = "" if row["floor"] is None else f"{row['floor']:.2f}"
    print(f"{row['case']:<44}{side:<12}{row['min']:>8.2f}{row['median']:>8.2f}{row['max']:>8.2f}{row['cpu']:>8.2f}"
          f"{ratio:>8.2f}{row['mb']:>7.0f}{value:>14}{share:>9}", flush=True)
    return row


def _process(side, case, arguments):
    command = [sys.executable, "-m", "benchmarks.select", "--worker", side, json.dumps(asdict(case))]
    for option in ("deepcore", "scratch"):
        command += [f"--{option}", getattr(arguments, option)] if getattr(arguments, option) else []
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: {side} failed at {case.name}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def _has(arguments):
    there = [peer for peer in ("submodlib", "apricot") if importlib.util.find_spec(peer)]
    return [*there, *(["deepcore"] if arguments.deepcore else [])]


# What is selected from.

def pool(case, seed=0):
    """(features (n, d), logits (n, L), labels (n,)): rectified normal samples about 8 centres a class; logits normal, 3
    higher for the label. float32; labels go round the classes."""
    rng, labels = np.random.RandomState(seed), np.arange(case.n) % case.classes
    return (*_samples(case, rng, _centers(case, rng), labels), labels)


def _centers(case, rng):
    return rng.standard_normal((case.classes, 8, case.d)).astype(np.float32)


def _samples(case, rng, centers, labels):
    features = centers[labels, rng.randint(0, 8, len(labels))]
    for row in features:  # one at a time: no float64 copy of the whole
        row += rng.standard_normal(case.d)
    np.maximum(features, 0, out=features)
    logits = rng.standard_normal((len(labels), case.logit_width)).astype(np.float32)
    logits[np.arange(len(labels)), labels] += 3
    return features, logits


def _map_arrays(case, folder):
    """Arrays such as ``pool``'s on disk, made in parts of a sample of each class where they are missing."""
    if folder is None:
        raise SystemExit("error: a case of memory-mapped arrays needs --scratch, a folder for them")
    shapes = {"features": (case.n, case.d), "logits": (case.n, case.logit_width)}
    paths = {name: Path(folder) / f"{name}-{rows}x{columns}.npy" for name, (rows, columns) in shapes.items()}
    if not all(path.exists() for path in paths.values()):
        Path(folder).mkdir(parents=True, exist_ok=True)
        made = {name: np.lib.format.open_memmap(path.with_suffix(".part"), "w+", np.float32, shapes[name])
                for name, path in paths.items()}
        rng = np.random.RandomState(0)
        centers = _centers(case, rng)
        for start in range(0, case.n, case.classes):
            part = slice(start, min(start + case.classes, case.n))
            made["features"][part], made["logits"][part] = _samples(
                case, rng, centers, np.arange(part.start, part.stop) % case.classes)
        for path in paths.values():
            path.with_suffix(".part").rename(path)
    features, logits = (np.load(path, mmap_mode="r") for path in paths.values())
    return features, logits, np.arange(case.n) % case.classes


# One run.

def _measure(side, case, arguments):
    from ms_coreset.jobs.steps import Steps

    arrays = _map_arrays(case, arguments.scratch) if case.mapped else pool(case)
    run = _SIDES[side][case.method] if isinstance(_SIDES[side], dict) else _SIDES[side]
    small = replace(case, n=200, classes=min(case.classes, 10))
    run(small, *pool(small), arguments.deepcore)  # imports, and what is compiled when first called
    steps = Steps()
    before, began, cpu = _resident_mb(), time.perf_counter(), time.process_time()
    with steps("select"):
        picks = run(case, *arrays, arguments.deepcore)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"seconds": seconds, "cpu": cpu, "mb": max(0.0, steps.peak_mb["select"] - before),
            "value": _value(case, *arrays, np.asarray(picks, np.int64))}


def _resident_mb():
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * 4096 / 2**20


_started = []


def _ours(case, features, logits, labels, _):
    import ms_coreset as mc

    if not _started:
        mc.set_device("CPU")
        _started.append("CPU")
    evidence = mc.Evidence(labels=labels, features=features, logits=logits)
    return mc.select(case.method, evidence, case.rate, balance=case.balance, **case.options).indices


def _by_torch_ref(case, features, logits, labels, _):
    import torch_ref

    evidence = torch_ref.Evidence(labels=labels, features=features, logits=logits)
    return torch_ref.select(case.method, evidence, case.rate, balance=case.balance, **case.options).indices


def _kernel(features, logits, labels, columns=slice(None)):
    """0.5 + 0.5 cos of the last-layer gradients, float32, factorised: what both libraries are handed, or columns."""
    errors = _errors(logits, labels)
    inputs = np.hstack([np.ones((len(features), 1), np.float32), features])
    errors /= np.linalg.norm(errors, axis=1, keepdims=True)
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    kernel = inputs @ inputs[columns].T
    kernel *= errors @ errors[columns].T
    kernel *= 0.5
    kernel += 0.5
    return kernel


def _errors(logits, labels):
    errors = np.exp(logits - logits.max(axis=1, keepdims=True))
    errors /= errors.sum(axis=1, keepdims=True)
    errors[np.arange(len(errors)), labels] -= 1
    return errors


def _budget(case):
    return round(case.rate * case.n)


def _similarities(case, features, logits, labels):
    """The kernel of the case: of features, or of gradients."""
    if case.options.get("kernel") != "features":
        return _kernel(features, logits, labels)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    kernel = unit @ unit.T
    kernel *= 0.5
    kernel += 0.5
    return kernel


def _by_submodlib(make):
    def run(case, features, logits, labels, _):
        import submodlib

        function = make(submodlib, case.n, _similarities(case, features, logits, labels))
        return [place for place, _ in function.maximize(
            budget=_budget(case), optimizer="LazyGreedy", stopIfZeroGain=False, stopIfNegativeGain=False,
            verbose=False, show_progress=False)]

    return run


def _by_apricot(name, **options):
    def run(case, features, logits, labels, _):
        import apricot

        of_features = case.method in _WITHOUT_KERNEL
        how = {} if of_features else {"metric": "precomputed"}
        selector = getattr(apricot, f"{name}Selection")(_budget(case), optimizer="lazy", **how, **options)
        given = features if of_features else _similarities(case, features, logits, labels)
        return selector.fit(given.astype(np.float64)).ranking

    return run


_OF_DEEPCORE = Path("deepcore", "methods", "methods_utils")


def _require_deepcore(folder):
    """End, better before minutes of measuring than after, where there is no checkout of DeepCore."""
    if not folder:
        raise SystemExit("error: --against deepcore needs --deepcore, the folder of a checkout")
    if not (Path(folder) / _OF_DEEPCORE).is_dir():
        raise SystemExit(f"error: --deepcore {folder}: no checkout of DeepCore, it has no {_OF_DEEPCORE}")


def _by_deepcore(function_name):
    def run(case, features, logits, labels, folder):
        utilities = Path(folder) / _OF_DEEPCORE
        functions, optimizers = (_module(utilities / f"submodular_{name}.py") for name in ("function", "optimizer"))
        errors = _errors(logits, labels)
        gradients = np.hstack([errors, (errors[:, :, None] * features[:, None]).reshape(case.n, -1)])

        def cosines(left, right):
            one, other = gradients[left], gradients[right]
            return 0.5 + 0.5 * one @ other.T / (
                np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(other, axis=1))

        places = np.arange(case.n)
        function = getattr(functions, function_name)(index=places, similarity_kernel=cosines)
        optimizer = optimizers.LazyGreedy(SimpleNamespace(print_freq=10**9), places, _budget(case))
        return optimizer.select(gain_function=function.calc_gain, update_state=function.update_state)

    return run


def _module(path):
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


_SIDES = {
    OURS: _ours,
    "torch_ref": dict.fromkeys(("facility_location", "graph_cut", "k_center", "herding", "gradmatch"), _by_torch_ref),
    "submodlib": {
        "facility_location": _by_submodlib(lambda library, n, kernel: library.FacilityLocationFunction(
            n=n, mode="dense", sijs=kernel, separate_rep=False)),
        "graph_cut": _by_submodlib(lambda library, n, kernel: library.GraphCutFunction(
            n=n, mode="dense", lambdaVal=0.5, ggsijs=kernel, separate_rep=False)),
        "disparity_sum": _by_submodlib(lambda library, n, kernel: library.DisparitySumFunction(
            n=n, mode="dense", sijs=kernel)),
        "disparity_min": _by_submodlib(lambda library, n, kernel: library.DisparityMinFunction(
            n=n, mode="dense", sijs=kernel))},
    "apricot": {"facility_location": _by_apricot("FacilityLocation"),
                "graph_cut": _by_apricot("GraphCut", alpha=1),
                "saturated_coverage": _by_apricot("SaturatedCoverage", alpha=0.1),
                "sum_redundancy": _by_apricot("SumRedundancy"),
                "feature_based": _by_apricot("FeatureBased", concave_func="sqrt"),
                "max_coverage": _by_apricot("MaxCoverage", threshold=1.0)},
    "deepcore": {"facility_location": _by_deepcore("FacilityLocation"), "graph_cut": _by_deepcore("GraphCut")},
}


# What the selected samples are worth.

def _value(case, features, logits, labels, picks):
    if case.balance or case.method not in _VALUES:
        return None
    return float(_VALUES[case.method](case, features, logits, labels, picks))


def _coverage(case, features, logits, labels, picks):
    return _kernel(features, logits, labels, picks).max(axis=1).astype(np.float64).sum()


def _shorten(case, features, logits, labels, picks):
    similar = _kernel(features, logits, labels, picks).astype(np.float64)
    return similar.sum() - similar[picks].sum()


def _radius(case, features, logits, labels, picks):
    nearest = np.full(len(features), np.inf)
    for start in range(0, len(picks), 64):
        some = features[picks[start:start + 64]].astype(np.float64)
        squares = (some**2).sum(axis=1) - 2 * features @ some.T
        np.minimum(nearest, squares.min(axis=1), out=nearest)
    return np.sqrt(max(0.0, (nearest + (features.astype(np.float64)**2).sum(axis=1)).max()))


def _distance_of_means(case, features, logits, labels, picks):
    return np.linalg.norm(features[picks].mean(axis=0, dtype=np.float64) - features.mean(axis=0, dtype=np.float64))


_VALUES = {"facility_location": _coverage, "graph_cut": _shorten, "k_center": _radius, "herding": _distance_of_means}


# The floor: (multiplications and additions, bytes read) of the best exact algorithm known, in float32.

def _kernel_and_passes(case, n, k):
    return 2 * n**2 * (case.d + case.logit_width), 12 * n**2


def _rows_of_kernel(case, n, k):
    return 2 * n * k * (case.d + case.logit_width), 4 * n * k * (case.d + case.logit_width)


def _pursuit(case, n, k):
    return 2 * n * k * (case.d + case.logit_width) + k**3 / 3, 4 * n * k * (case.d + case.logit_width) + 2 * n * k**2


def _read_once_a_pick(case, n, k):
    return 2 * n * k * case.d, 4 * n * k * case.d


_WORK = {"facility_location": _kernel_and_passes, "craig": _kernel_and_passes, "cal": _kernel_and_passes,
         "graph_cut": _rows_of_kernel, "gradmatch": _pursuit, "k_center": _read_once_a_pick,
         "herding": _read_once_a_pick, "moderate": lambda case, n, k: (0, 12 * n * case.d)}


def _floor(case, floors):
    pools = case.classes if case.balance else 1
    flops, size = _WORK[case.method](case, case.n // pools, round(case.rate * case.n / pools))
    return pools * max(flops / floors["flops"], size / floors["bytes"])


def _floors():
    matrix, long = np.ones((2048, 2048), np.float32), np.ones(50_000_000, np.float32)
    return {"flops": 2 * 2048**3 / _least(lambda: matrix @ matrix), "bytes": long.nbytes / _least(lambda: long @ long)}


def _least(work, times=5):
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


# How seconds grow with n.

def _growth(arguments):
    methods = [name for name in arguments.methods if name in ONE_CLASS]
    turns = 1 if arguments.quick else arguments.turns
    print("CPU seconds of one class, rate 0.01, and the power of n that they grow by")
    for method in methods:
        sizes = (300, 600) if arguments.quick else [n // 2 if method in N_BY_N else n for n in GROWTH_SIZES]
        cases = [Case(method, n=n, rate=0.01) for n in sizes]
        seconds = [min(_process(OURS, case, arguments)["cpu"] for _ in range(turns)) for case in cases]
        power = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
        told = "".join(f"{n:>10,}: {value:6.2f}" for n, value in zip(sizes, seconds, strict=True))
        print(f"{method:<22}{told}{power:>8.2f}", flush=True)
        yield {"method": method, "sizes": list(sizes), "cpu": seconds, "power": float(power)}


def _plot(rows, path):
    try:
        import matplotlib
    except ImportError:
        print("no plot: matplotlib is not installed", file=sys.stderr)
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for row, marker in zip(rows, itertools.cycle("os^vD"), strict=False):
        axes.loglog(row["sizes"], row["cpu"], marker=marker, label=f"{row['method']}: n^{row['power']:.1f}")
    axes.set_xticks(sorted({n for row in rows for n in row["sizes"]}))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_xlabel("samples")
    axes.set_ylabel("CPU seconds")
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(path, dpi=100)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
