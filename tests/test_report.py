"""The report of a study, from folders that are made here."""

import dataclasses
import html
import json
import math
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ms_coreset as mc
from benchmarks import published
from ms_coreset.cli import main
from ms_coreset.experiment.data_map import DataMap
from ms_coreset.experiment.report import charts, write_report
from ms_coreset.experiment.report.difficulty import difficulty
from ms_coreset.experiment.report.drawing import Figure
from ms_coreset.experiment.report.markup import (
    MISSING,
    Markup,
    escape,
    join,
    seconds_name,
    tag,
    time_name,
    with_sign,
    with_spread,
)
from ms_coreset.experiment.report.palette import DARK, GRAY_LOOK, LIGHT, looks
from ms_coreset.experiment.report.section_report import leaders
from ms_coreset.experiment.report.sheets import wanted_order
from ms_coreset.experiment.report.statistics import (
    jaccard,
    mean_and_deviation,
    mean_overlap,
    paired_difference,
    places,
)
from ms_coreset.experiment.report.study import Study, read_plan
from ms_coreset.terminal import one_line

ROOT = Path(__file__).resolve().parents[1]
N, CLASSES = 200, 4
SCORED = ("moderate", "el2n", "ccs", "entropy", "margin", "forgetting", "aum", "grand", "loss")


def coreset_of(method, rate, seed, n=N):
    """A coreset as the methods make them: by score from the top, from the middle, or drawn."""
    rng = np.random.RandomState(seed)
    k, scores = round(rate * n), None
    if method in SCORED:
        scores = np.random.RandomState(len(method)).rand(n) + 0.05 * rng.rand(n)
        order = np.argsort(-scores, kind="stable")
        start = (n - k) // 2 if method == "moderate" else 0
        indices = order[start:start + k]
    else:
        indices = rng.permutation(n)[:k]
    return mc.Coreset(indices, n, rate, method=method, seed=seed, scores=scores)


def record_of(method, rate, seed, accuracy, **changes):
    """A line of ``runs.jsonl`` as the schema has it."""
    k = N if method == "full" else round(rate * N)
    indices = f"indices/{method}-{rate:g}-{seed}.npz"
    rng = np.random.RandomState(seed)
    kept = np.bincount(rng.randint(0, CLASSES, k), minlength=CLASSES).tolist()
    record = {
        "status": "done", "dataset": "digitsN", "variant": None, "label": None, "pool": None, "n": N, "method": method,
        "options": {}, "balance": False, "rate": rate, "seed": seed, "k": k, "select_arch": "mlp", "train_arch": "mlp",
        "protocol": "epochs", "recipe": {"epochs": 40, "lr": 0.05}, "indices": indices,
        "accuracy": {"last": accuracy, "best": accuracy, "best_epoch": 3, "chosen_by": "validation", "per_class": {}},
        "bad": {"available": 0.2, "kept": 0.01 * len(method), "kinds": {}}, "per_class": kept,
        "seconds": {"base": 3.0, "extract": 0.5, "select": 0.01 * len(method), "train": 2.0},
        "peak_mb": {"extract": 300, "select": 310, "train": 320}, "revision": "abc1234",
        "versions": {"ms_coreset": "0.2.0", "numpy": "1.26.4"}, "device": "CPU",
        "command": ["python", "scripts/experiment.py", "--name", "a study"],
        "finished": f"2026-01-0{seed + 1}T10:00:00Z", "error": None, "base_accuracy": 0.9, **changes}
    if record["status"] == "failed":
        record |= {"accuracy": None, "indices": None, "bad": None, "per_class": None}
    record["key"] = changes.get("key") or mc.coreset.__name__ + json.dumps(
        [record[name] for name in ("dataset", "method", "options", "balance", "rate", "seed", "train_arch", "protocol",
                                   "recipe", "pool")])
    return record


def write_study(folder, records, tail=""):
    """A study's folder with these runs, and the coreset files that the finished ones name."""
    folder.mkdir(parents=True, exist_ok=True)
    for record in records:
        if record["status"] == "done" and record["indices"]:
            rate = 1.0 if record["method"] == "full" else record["rate"]
            coreset_of(record["method"], rate, record["seed"]).save(folder / record["indices"])
    text = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "runs.jsonl").write_text(text + tail, encoding="utf-8")
    (folder / "study.yaml").write_text("name: a study\nrates: [0.1, 0.2]\n", encoding="utf-8")
    return folder


# accuracy in per cent, by method, rate and seed: what the tests count by hand
ACCURACIES = {
    "random": {0.1: (70.0, 72.0, 74.0), 0.2: (80.0, 81.0, 82.0)},
    "moderate": {0.1: (75.0, 78.0, 78.0), 0.2: (85.0, 86.5, 87.0)},
    "herding": {0.1: (60.0, 61.0, 65.0), 0.2: (79.0, 81.5, 81.0)},
}


def small_records():
    records = [record_of(method, rate, seed, value / 100) for method, rates in ACCURACIES.items()
               for rate, values in rates.items() for seed, value in enumerate(values)]
    return [*records, *(record_of("full", 1.0, seed, 0.9 + 0.01 * seed) for seed in range(3))]


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path / "study", small_records())


def report_of(folder, **options):
    """The page of a study, as text."""
    output = folder / "report.html"
    write_report(folder, output=output, data=folder / "no-data", **options)
    return output.read_text(encoding="utf-8")


class Tables(HTMLParser):
    """(caption, rows of cells' text) of each table, and every element with its attributes."""

    def __init__(self, page):
        super().__init__()
        self.tables, self.elements, self._cell, self._caption, self._open = [], [], None, None, []
        self.feed(page)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in ("img", "meta"):
            self._open.append(name)
        if name == "caption":
            self._caption = ""
        elif name == "tr":
            self._row = []
        elif name in ("td", "th"):
            self._cell = ""

    def handle_endtag(self, name):
        assert self._open.pop() == name
        if name == "caption":
            self.tables.append((self._caption, []))
            self._caption = None
        elif name in ("td", "th"):
            self._row.append(" ".join(self._cell.split()))
            self._cell = None
        elif name == "tr":
            self.tables[-1][1].append(self._row)

    def handle_data(self, data):
        if self._caption is not None:
            self._caption += data
        elif self._cell is not None:
            self._cell += f" {data}"

    def starting(self, start):
        """The rows of the first table whose caption starts so, as {first cell: other cells}."""
        rows = next(rows for caption, rows in self.tables if caption.startswith(start))
        return {row[0]: row[1:] for row in rows}


# statistics


def test_mean_and_sample_deviation():
    assert mean_and_deviation([70.0, 72.0, 74.0]) == (72.0, 2.0)
    assert mean_and_deviation([0.5]) == (0.5, None)


def test_paired_difference_by_hand():
    # Differences 5, 6, 4: mean 5, deviation 1, t(0.975, 2) = 4.302653, so 5 -+ 4.302653 / sqrt(3).
    gain = paired_difference({0: 75.0, 1: 78.0, 2: 78.0}, {0: 70.0, 1: 72.0, 2: 74.0, 9: 0.0})
    assert gain.mean == 5.0
    assert gain.pairs == 3
    assert gain.low == pytest.approx(5 - 4.30265273 / math.sqrt(3))
    assert gain.high == pytest.approx(5 + 4.30265273 / math.sqrt(3))
    assert gain.decided == 1


def test_paired_difference_of_one_and_of_no_pair():
    alone = paired_difference({0: 1.0}, {0: 3.0})
    assert (alone.mean, alone.pairs, alone.low, alone.decided) == (-2.0, 1, None, 0)
    assert paired_difference({0: 1.0}, {1: 3.0}) is None


@given(st.dictionaries(st.integers(0, 9), st.floats(0, 1), min_size=2))
def test_the_interval_holds_the_mean_and_turns_with_the_sign(values):
    zero = dict.fromkeys(values, 0.25)
    gain, loss = paired_difference(values, zero), paired_difference(zero, values)
    assert gain.low <= gain.mean <= gain.high
    assert loss.mean == pytest.approx(-gain.mean)
    assert loss.low == pytest.approx(-gain.high, abs=1e-12)


def test_places_share_ties():
    assert places({"a": 3, "b": 1, "c": 3, "d": 2}) == {"a": 1, "c": 1, "d": 2}
    assert places({"a": 1}) == {"a": 1}
    assert places({}) == {}


def test_jaccard():
    assert jaccard(np.array([1, 2, 3]), np.array([2, 3, 4])) == 0.5
    assert jaccard(np.array([], int), np.array([], int)) == 1.0


def test_mean_overlap_pairs_seeds_and_compares_a_method_with_its_other_seeds():
    one = {0: np.array([1, 2]), 1: np.array([3, 4])}
    other = {0: np.array([1, 2]), 1: np.array([5, 6]), 2: np.array([3, 4])}
    assert mean_overlap(one, other) == 0.5
    assert mean_overlap(one, one) == 0.0
    assert mean_overlap({0: one[0]}, {1: one[0]}) is None


# what is drawn and written


def test_only_markup_is_not_escaped():
    assert escape("<b>&\"'") == "&lt;b&gt;&amp;&quot;&#x27;"
    assert tag("p", Markup("<i>x</i>"), "<", None, class_='"') == '<p class="&quot;"><i>x</i>&lt;</p>'
    assert join(0, None, "", "a") == "0a"


def test_numbers_keep_their_shape():
    assert with_spread(0.91444, 0.00629) == "91.44 ± 0.63"
    assert with_spread(0.9, None) == "90.00"
    assert (with_sign(1.5), with_sign(-0.504)) == ("+1.50", "\N{MINUS SIGN}0.50")
    assert time_name("2026-11-21T09:59:20+02:00") == time_name("2026-11-21T07:59:20") == "2026-11-21 07:59 UTC"
    assert (time_name("<soon>"), time_name(None)) == ("<soon>", "\N{EN DASH}")
    assert [seconds_name(value) for value in (0.0123, 1.5, 93.14, 1204.2)] == ["0.012", "1.50", "93.1", "1,204"]


def test_looks_tell_56_methods_apart():
    found = [(look.color, look.marker) for look in looks(map(str, range(56))).values()]
    assert len(set(found)) == 56


def contrast(one, other):
    def luminance(color):
        parts = [int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return np.dot((0.2126, 0.7152, 0.0722), linear)

    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
def test_colors_stand_out_from_their_ground(colors):
    for role in ("c1", "c2", "c3", "c4", "c5", "c6", "c7", "accent"):
        assert contrast(colors[role], colors["paper"]) >= 3, role
    for role in ("ink", "muted", "accent", "alarm"):
        assert contrast(colors[role], colors["paper"]) >= 4.5, role


def drawn(name="a name"):
    """A figure of two lines, one of them gray."""
    look = looks(["one"])["one"]
    series = [charts.Series(name, look, [1, 10, 100], [50.0, 60.0, 75.0], [1.0, None, 2.0]),
              charts.Series("gray", GRAY_LOOK, [1, 10, 100], [40.0, 41.0, 42.0], [None] * 3, front=False)]
    return Figure("1-test", "A <title>", "Two lines.", charts.lines(series, "share", "accuracy", log=True))


def test_a_figure_is_text_in_the_colours_of_the_page():
    name = "$a_1$ <b> \x00\u202e\N{GREEK SMALL LETTER ALPHA}\N{CJK UNIFIED IDEOGRAPH-6570}"
    svg = drawn(name).svg()
    parsed = Tables(svg)
    roles = {f"{letter}-{role}" for letter in "fs" for role in LIGHT}
    for element, attributes in parsed.elements:
        assert not {"style", "fill", "stroke", "font-family", "clip-path", "width"} & attributes.keys()
        assert element not in ("text", "use") or set(attributes["class"].split()) <= roles
    assert 'aria-label="A &lt;title&gt;. Two lines."' in svg
    assert f"<title>{escape(one_line(name))}</title>" in svg  # under the pointer
    assert re.findall(">([^<]+)</text>", svg) == ["1", "10", "100", "share", *map(str, range(40, 80, 10)), "accuracy",
                                                  escape(one_line(name)), "the other methods"]


def test_a_figure_is_the_same_whatever_matplotlib_is_told(tmp_path):
    import matplotlib

    figure = drawn()
    for kind in ("png", "pdf"):
        figure.save(tmp_path / "first", kind)
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30, "lines.linewidth": 9}):
        again = drawn()
        assert again.svg() == figure.svg()
        for kind in ("png", "pdf"):
            again.save(tmp_path / "again", kind)
            first, second = ((tmp_path / folder / f"1-test.{kind}").read_bytes() for folder in ("first", "again"))
            assert first == second
    assert second.startswith(b"%PDF") and b"Two lines" not in second


# reading a study


def test_a_torn_last_line_and_a_broken_one_are_named(tmp_path):
    folder = write_study(tmp_path / "s", small_records(), '{"key": "x", "status": "do')
    lines = (folder / "runs.jsonl").read_text().splitlines()
    (folder / "runs.jsonl").write_text("\n".join([lines[0], '{"key": "y"}', "[1]", *lines[1:]]))
    study = Study.read(folder)
    assert len(study.runs) == len(small_records())
    assert [number for number, _ in study.unreadable] == [2, 3, len(lines) + 2]
    page = report_of(folder)
    assert "3 lines of runs.jsonl" in page
    assert "line 2: status is None" in page
    assert f"line {len(lines) + 2}: not whole JSON" in page


@pytest.mark.parametrize("changes", [{"accuracy": {"last": float("nan")}}, {"accuracy": {"last": 91.0}},
                                     {"accuracy": None}, {"rate": 0}, {"rate": "0.1"}, {"seed": True},
                                     {"status": "running"}, {"recipe": [1]}, {"seconds": {"select": "1"}},
                                     {"bad": {"kept": 1}}, {"bad": 1}, {"per_class": ["a"]}, {"n": "200"},
                                     {"bad": {"available": 1, "kept": 1, "kinds": [1]}}, {"device": ["CPU"]},
                                     {"learning": {"updates": [1, 2], "accuracy": [0.5]}},
                                     {"learning": {"updates": [2, 1], "accuracy": [0.5, 0.6]}}])
def test_lines_that_make_no_sense_are_no_runs(tmp_path, changes):
    folder = write_study(tmp_path, [record_of("random", 0.1, 0, 0.5)])
    odd = {**record_of("random", 0.1, 1, 0.5), **changes}
    with open(folder / "runs.jsonl", "a", encoding="utf-8") as stream:
        stream.write(json.dumps(odd) + "\n")
    study = Study.read(folder)
    assert len(study.runs) == 1
    assert study.unreadable[0][0] == 2


def published_records(**changes):
    """Runs as good as DeepCore's Table 1, but for the ``changes`` of a method's accuracies, and cal as we have it."""
    table = {(name, "lowest" if name == "cal" else None): values
             for name, values in (published.TABLE_1 | changes).items()}
    table |= {("cal", None): (10, 10, 10, 10, 10)}
    return [record_of(name, rate, 0, value / 100, balance=True, options={"direction": direction} if direction else {})
            for (name, direction), values in table.items() for rate, value in zip(published.RATES, values, strict=True)]


def table_beside(folder, records):
    """{name: cells} of the table that compares a study of these records with the published one."""
    (section,) = Study.read(write_study(folder / "study", records)).sections()
    rows = [line.strip("| ").split(" | ") for line in published.compare(section).splitlines()]
    return {name: cells for name, *cells in rows}


def test_gains_beside_published_ones(tmp_path):
    cells = table_beside(tmp_path, published_records())
    assert cells["graph_cut"][0] == "+6.0 / +6.0"
    assert cells["cal (direction lowest)"][0] == "+1.0 / +1.0"
    assert cells["cal"][0] == "-26.7 / +1.0"  # shown, but not counted below
    assert cells["tau-b"] == ["1.00"] * 5
    agreeing = cells["pairs apart by 2 in both, in the same order"]
    assert all(int(same) == int(pairs) > 0 for same, pairs in (text.split(" of ") for text in agreeing))


def test_orders_that_differ_from_the_published_are_counted(tmp_path):
    records = published_records(graph_cut=(1, 1, 1, 1, 1))
    records = [record for record in records if record["method"] in ("random", "graph_cut", "entropy", "grand")]
    cells = table_beside(tmp_path, records)
    # At 1 %, of the six pairs three hold graph_cut, best there and last here; the others are as published.
    assert cells["tau-b"][0] == "0.00"
    assert cells["pairs apart by 2 in both, in the same order"][0] == "3 of 6"


def test_nothing_is_set_beside_published_figures_without_random(tmp_path):
    records = [record for record in published_records() if record["method"] != "random"]
    assert table_beside(tmp_path, records) == {}


def test_the_latest_line_of_a_key_counts(tmp_path):
    failed = record_of("random", 0.1, 0, 0.5, status="failed", error="out of memory")
    study = Study.read(write_study(tmp_path, [failed, record_of("random", 0.1, 0, 0.6)]))
    assert [run.status for run in study.runs] == ["done"]


@pytest.mark.parametrize("change", [{"dataset": "CIFAR10"}, {"variant": "0.35"}, {"balance": True}, {"pool": 100},
                                    {"train_arch": "lenet"}, {"select_arch": "lenet"}, {"protocol": "iterations"},
                                    {"recipe": {"epochs": 3}}])
def test_what_differs_is_not_in_one_section(tmp_path, change):
    records = [*small_records(), record_of("random", 0.1, 0, 0.1, key="other", **change)]
    sections = Study.read(write_study(tmp_path, records)).sections()
    assert [len(section.done) for section in sections] == [len(small_records()), 1]
    page = report_of(tmp_path)
    headings = re.findall("<h2>(.*?)</h2>", page)
    assert len(headings) == len(set(headings)) == 3
    assert Tables(page).starting("Test accuracy in %")["random"][0].startswith("2nd 72.00 ± 2.00")


def test_a_recipe_that_follows_the_rate_splits_nothing(tmp_path):
    records = [record_of(method, rate, seed, 0.5, recipe={"epochs": int(4 / rate)}) for method in ("random", "herding")
               for rate in (0.1, 0.2) for seed in (0, 1)]
    assert len(Study.read(write_study(tmp_path, records)).sections()) == 1


def test_variants_of_a_method_are_told_by_the_options_that_differ(tmp_path):
    records = [record_of("ccs", 0.1, 0, 0.5, options={"strata": 50, "mis_ratio": share}) for share in (0.0, 0.3)]
    (section,) = Study.read(write_study(tmp_path, records)).sections()
    assert section.methods == ["ccs (mis_ratio 0.0)", "ccs (mis_ratio 0.3)"]


def test_missing_runs_are_what_the_others_let_expect(tmp_path):
    records = [record for record in small_records()
               if (record["method"], record["rate"], record["seed"]) not in (("herding", 0.2, 1), ("full", 1.0, 2))]
    (section,) = Study.read(write_study(tmp_path, records)).sections()
    assert section.missing == [("full", 1.0, 2), ("herding", 0.2, 1)]


def test_what_was_planned_and_never_began_is_missing(tmp_path):
    records = [record_of("random", 0.1, 0, 0.5), record_of("ccs", 0.1, 0, 0.5, options={"mis_ratio": 0.3})]
    write_study(tmp_path, records)
    plan = "methods: [Uniform, 'ccs:mis-ratio=0.3', 'ccs:mis_ratio=0.5', full]\nrates: [0.1, 0.2]\nseeds: [0]\n"
    (tmp_path / "study.yaml").write_text(plan)
    (section,) = Study.read(tmp_path).sections()
    assert section.missing == [("ccs", 0.2, 0), ("ccs:mis_ratio=0.5", 0.1, 0), ("ccs:mis_ratio=0.5", 0.2, 0),
                               ("full", 1.0, 0), ("random", 0.2, 0)]


@pytest.mark.parametrize("text", [None, "", "[1, 2", "- a", "rates: 0.1\nseeds: {a: b}\nmethods: null"])
def test_a_plan_that_can_not_be_read_plans_nothing(text):
    assert read_plan(text) == {"methods": [], "rates": [], "seeds": []}


def test_failed_runs_stand_with_the_others_though_no_recipe_is_known_of_them(tmp_path):
    failed = record_of("random", 0.1, 9, 0.5, status="failed", label=None, recipe=None, n=None)
    records = [*(record | {"label": "digits, noisy"} for record in small_records()), failed]
    (section,) = Study.read(write_study(tmp_path, records)).sections()
    assert [run.seed for run in section.failed] == [9]
    again = [record_of("random", 0.1, seed, 0.5, recipe={"epochs": 2}) for seed in range(3)]
    first, last = Study.read(write_study(tmp_path, [*records, *again])).sections()
    assert (len(first.failed), len(last.failed)) == (0, 1)


def test_other_data_under_the_same_name_is_another_section(tmp_path):
    records = [record_of("random", 0.1, seed, 0.5, data=data, key=f"{seed}{data}") for seed in range(2)
               for data in ("one", "other")]
    assert len(Study.read(write_study(tmp_path, records)).sections()) == 2


def test_a_second_run_of_the_same_cell_is_no_other_seed(tmp_path):
    records = [*small_records(), record_of("random", 0.1, 0, 0.76, key="again")]
    (section,) = Study.read(write_study(tmp_path, records)).sections()
    assert section.accuracies("random", 0.1) == {0: 0.76, 1: 0.72, 2: 0.74}
    assert len(section.repeated) == 1
    assert "same method, rate and seed as a later one" in report_of(tmp_path)


# the page


def test_numbers_are_those_computed_by_hand(study):
    tables = Tables(report_of(study))
    accuracy = tables.starting("Test accuracy in %")
    assert accuracy["random"] == ["2nd 72.00 ± 2.00 n=3", "2nd 81.00 ± 1.00 n=3"]
    assert accuracy["moderate"] == ["1st 77.00 ± 1.73 n=3", "1st 86.17 ± 1.04 n=3"]
    assert accuracy["herding"] == ["62.00 ± 2.65 n=3", "80.50 ± 1.32 n=3"]
    # moderate - random at 0.1: 5, 6, 4; at 0.2: 5, 5.5, 5 (mean 5.1667, deviation 0.2887, t / sqrt(3) = 2.48414).
    gains = tables.starting("Accuracy less that of random")
    assert gains["moderate"] == ["+5.00 ▲ n=3 [+2.52, +7.48]", "+5.17 ▲ n=3 [+4.45, +5.88]"]
    # herding - random at 0.2: -1, 0.5, -1: mean -0.5, deviation 0.8660.
    assert gains["herding"][1] == "\N{MINUS SIGN}0.50 n=3 [\N{MINUS SIGN}2.65, +1.65]"
    assert tables.starting("Mean seconds")["moderate"] == [
        "0.080", "2.00", "3.00", "0.500", "310", MISSING, MISSING]
    assert tables.starting("Share of bad samples")["herding"][0] == "7.00 ± 0.00"
    assert "Trained on all samples: 91.00 ± 1.00 % (n = 3)." in report_of(study)


def test_overlap_is_that_of_the_files(study):
    loaded = {method: [set(coreset_of(method, 0.1, seed).indices) for seed in range(3)]
              for method in ("random", "moderate")}
    expected = np.mean([len(a & b) / len(a | b) for a, b in zip(*loaded.values(), strict=True)])
    row = Tables(report_of(study)).starting("Jaccard")["2 moderate"]
    assert row[0] == f"{expected:.3f}"


def test_class_balance_is_that_of_the_runs(study):
    kept = np.mean([record["per_class"] for record in small_records()
                    if (record["method"], record["rate"]) == ("moderate", 0.1)], axis=0)
    row = Tables(report_of(study)).starting("Samples kept of a class")["moderate"]
    assert row == [f"{kept.min():.1f}", f"{np.median(kept):.1f}", f"{kept.max():.1f}", f"{N / 10 / CLASSES:.1f}",
                   "0 of 4"]


def test_the_value_of_the_first_picks(study):
    """Of ten picks by hand; of a method without gains, and one whose gains sum to nothing, there is none."""
    assert "What picks add" not in report_of(study)
    chosen = coreset_of("herding", 0.1, 0)
    gains = np.full(len(chosen), 0.5)
    gains[1] = 10
    for record in small_records():
        if (record["method"], record["rate"]) == ("herding", 0.1):
            dataclasses.replace(chosen, seed=record["seed"], gains=gains).save(study / record["indices"])
        elif (record["method"], record["rate"]) == ("moderate", 0.1):
            coreset = coreset_of("moderate", 0.1, record["seed"])
            dataclasses.replace(coreset, gains=np.zeros(len(coreset))).save(study / record["indices"])
    rows = Tables(report_of(study)).starting("Value of the first picks")
    sums = np.cumsum(np.sort(gains)[::-1])
    half = sums[round(len(gains) / 2) - 1] / sums[-1]
    assert {name: cells[0] for name, cells in rows.items()} == {"method": "seed", "herding": "0"}
    assert rows["herding"][5] == f"{100 * half:.1f}" and rows["herding"][10] == "100.0"


def test_scores_and_the_kept_range(study):
    coreset = coreset_of("moderate", 0.1, 0)
    row = Tables(report_of(study)).starting("Scores (high = keep)")["moderate"]
    kept = coreset.scores[coreset.indices]
    assert row == ["0", *(f"{value:.4g}" for value in (
        coreset.scores.min(), np.median(coreset.scores), coreset.scores.max(), kept.min(), np.median(kept),
        kept.max()))]


def judged_study(folder, accuracies):
    """A study of ten samples, of which el2n knows eight: the hardest two, the easiest two, and two drawn."""
    folder.mkdir(parents=True)
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.4, 0.6, 0.7, 0.8, np.nan, np.nan])
    kept = {"el2n": [7, 6], "herding": [0, 1], "random": [8, 3]}
    records = [record_of(method, 0.2, 0, accuracy, n=10, k=2) for method, accuracy in accuracies.items()]
    for record in records:
        own = scores if record["method"] == "el2n" else None
        mc.Coreset(kept[record["method"]], 10, 0.2, method=record["method"],
                   scores=own).save(folder / record["indices"])
    (folder / "runs.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return folder


def test_difficulty_by_hand(tmp_path):
    """Eight places, (i - 1/2) / 8; the fourth and the fifth share theirs, and what has no score has none."""
    study = Study.read(judged_study(tmp_path / "study", {"el2n": 0.3, "random": 0.5, "herding": 0.7}))
    (section,) = study.sections()
    found = difficulty(study, section)
    assert found.judge == "el2n"
    assert {run.method: found.of(run) for run in section.done} == {
        "el2n": (6.5 + 7.5) / 16, "random": 4 / 8, "herding": (0.5 + 1.5) / 16}
    assert found.agreement(section, 0.2) == -1


@pytest.mark.parametrize("accuracies, tau", [
    ({"el2n": 0.9, "random": 0.5, "herding": 0.4}, 1),
    ({"el2n": 0.5, "random": 0.4, "herding": 0.6}, -1 / 3),
    ({"el2n": 0.5, "random": 0.5, "herding": 0.5}, None),
    ({"el2n": 0.9, "random": 0.5}, None),
])
def test_whether_accuracy_follows_difficulty(tmp_path, accuracies, tau):
    study = Study.read(judged_study(tmp_path / "study", accuracies))
    (section,) = study.sections()
    assert difficulty(study, section).agreement(section, 0.2) == (tau if tau is None else pytest.approx(tau))


def test_difficulty_on_the_page_and_as_markdown(tmp_path):
    folder = judged_study(tmp_path / "study", {"el2n": 0.3, "random": 0.5, "herding": 0.7})
    rows = Tables(report_of(folder, markdown=folder / "tables.md")).starting("Mean place of the kept samples")
    assert rows == {"method": ["20 %"], "el2n": ["87.5"], "random": ["50.0"], "herding": ["12.5"],
                    "tau-b with accuracy": ["\N{MINUS SIGN}1.00"]}
    text = (folder / "tables.md").read_text(encoding="utf-8")
    assert "to the hardest, 100, by el2n:\n\n| method | 20 % |\n" in text
    assert text.endswith("| herding | 12.5 |\n| tau-b with accuracy | \N{MINUS SIGN}1.00 |\n")


def test_without_a_judge_nothing_is_said_of_difficulty(study, tmp_path):
    assert "Difficulty" not in report_of(study)
    lost = judged_study(tmp_path / "lost", {"el2n": 0.3, "random": 0.5, "herding": 0.7})
    next((lost / "indices").glob("el2n*")).unlink()
    assert "Difficulty" not in report_of(lost)


def test_one_seed_has_no_spread_and_no_interval(tmp_path):
    records = [record_of(method, 0.1, 0, value) for method, value in (("random", 0.5), ("moderate", 0.75))]
    page = report_of(write_study(tmp_path, records))
    tables = Tables(page)
    assert tables.starting("Test accuracy in %")["moderate"] == ["1st 75.00 n=1"]
    assert tables.starting("Accuracy less that of random")["moderate"] == [
        "+25.00 n=1, no interval"]


def test_failed_and_missing_runs_are_said(tmp_path):
    records = [record for record in small_records() if (record["method"], record["seed"]) != ("herding", 2)]
    records.append(record_of("herding", 0.1, 2, 0.5, status="failed", error="killed <9>"))
    page = report_of(write_study(tmp_path, records))
    tables = Tables(page)
    assert tables.starting("Test accuracy in %")["herding"] == ["60.50 ± 0.71 n=2 1 failed",
                                                               "80.25 ± 1.77 n=2 1 missing"]
    assert tables.starting("Failed runs")["herding"][:3] == ["10 %", "2", "killed <9>"]
    assert tables.starting("Missing runs")["20 %"] == ["2", "herding"]
    assert "19 finished runs, 1 failed, 1 missing, in 1 section." in page


def test_a_study_of_failures_alone_has_a_page(tmp_path):
    failed = record_of("random", 0.1, 0, 0.5, status="failed", error="no luck")
    assert "no luck" in report_of(write_study(tmp_path, [failed]))


def test_without_random_there_is_no_difference(tmp_path):
    page = report_of(write_study(tmp_path, [record_of("moderate", 0.1, 0, 0.5)]))
    assert "no finished run of random" in page


@pytest.mark.parametrize("method", ["random", "full", "moderate"])
def test_a_method_alone_has_a_page(tmp_path, method):
    rates = (1.0,) if method == "full" else (0.1, 0.2)
    page = report_of(write_study(tmp_path, [record_of(method, rate, seed, 0.5) for rate in rates for seed in (0, 1)]))
    assert "50.00 ± 0.00" in page


def test_what_files_say_is_escaped(tmp_path):
    evil = "<script>alert(1)</script>\"'&"
    changes = dict.fromkeys(("label", "variant", "select_arch", "train_arch", "protocol", "revision", "device",
                             "finished"), evil)
    changes |= {"command": ["python", evil], "versions": {evil: evil}, "recipe": {evil: evil}}
    records = [record_of("random", 0.1, 0, 0.5, **changes), record_of("moderate", 0.1, 0, 0.6, **changes),
               record_of("moderate", 0.2, 0, 0.6, status="failed", error=evil, **changes)]
    records[1] |= {"method": evil, "key": "evil", "bad": {"available": 0.1, "kept": 0.1, "kinds": {
        evil: {"available": 0.05, "kept": 0.05}, "other": {"available": 0.05, "kept": 0.05}}}}
    folder = tmp_path / "<b>study"
    write_study(folder, [records[0], records[2]])
    with open(folder / "runs.jsonl", "a", encoding="utf-8") as stream:
        stream.write(json.dumps(records[1]) + "\n{" + evil)
    (folder / "study.yaml").write_text(evil)
    page = report_of(folder)
    assert "<script" not in page
    assert "<b>" not in page
    assert page.count(html.escape(evil)) > 15
    Tables(page)  # and every element is closed


def test_the_page_needs_nothing_else(study):
    page = report_of(study)
    for name, attributes in Tables(page).elements:
        assert name not in ("script", "link", "iframe", "object", "embed", "base")
        for key in ("src", "href", "xlink:href", "data", "srcset", "action"):
            value = attributes.get(key) or "#"
            assert value.startswith(("#", "data:image/png;base64,")), (name, key, value)
    style = re.search("<style>(.*?)</style>", page, re.S).group(1)
    assert "url(" not in style
    assert "@import" not in style


def test_every_figure_and_table_has_words(study):
    page = report_of(study)
    parsed = Tables(page)
    figures = [attributes for name, attributes in parsed.elements if name == "svg"]
    assert len(figures) >= 6
    assert all(attributes["role"] == "img" and len(attributes["aria-label"]) > 40 for attributes in figures)
    assert page.count("<figcaption>") == page.count("<figure>") == len(figures)
    assert all(caption for caption, _ in parsed.tables)
    assert page.count("<caption>") == page.count("<table>")
    names = re.findall(' id="(.*?)"', page)
    assert len(names) == len(set(names))
    assert {f"#{name}" for name in names} >= set(re.findall('<use[^>]* href="(.*?)"', page)) != set()


def test_the_page_says_how_to_repeat_it(study):
    page = report_of(study, command="python scripts/report.py here")
    for said in ("python scripts/experiment.py --name &#x27;a study&#x27;", "ms_coreset: 0.2.0", "abc1234", "CPU",
                 "2026-01-01 10:00 UTC to 2026-01-03 10:00 UTC", "rates: [0.1, 0.2]", "python scripts/report.py here",
                 "21 finished runs", "digitsN"):
        assert said in page, said


def test_lost_coreset_files_are_said_and_the_rest_is_there(study):
    (study / "indices/moderate-0.1-0.npz").unlink()
    (study / "indices/herding-0.1-1.npz").write_bytes(b"torn")
    page = report_of(study)
    assert "2 coreset files could not be read" in page
    assert "is not a whole coreset file" in page
    shutil.rmtree(study / "indices")
    assert "No coreset file could be read." in report_of(study)


def test_another_rate_and_the_best_epoch(study):
    lines = [json.loads(line) for line in (study / "runs.jsonl").read_text().splitlines()]
    for record in lines:
        record["accuracy"]["best"] = min(1, record["accuracy"]["last"] + 0.01)
    (study / "runs.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))
    page = report_of(study, rate=0.2, accuracy="best")
    assert "Difference to random, 20 % kept" in page
    assert Tables(page).starting("Test accuracy in % after the best")["random"][0].startswith("2nd 73.00 ± 2.00")
    with pytest.raises(mc.MsCoresetError, match=r"rate 0.3.*0.1, 0.2"):
        report_of(study, rate=0.3)


def many_records(methods=("random", "full", "moderate", "ccs", "el2n", "entropy", "margin", "forgetting", "aum",
                          "grand", "herding", "k_center", "craig"), rates=(0.05, 0.1, 0.3, 0.5), seeds=5):
    """A study that looks like a real one."""
    rng = np.random.RandomState(0)
    records = []
    for place, method in enumerate(methods):
        for rate in (1.0,) if method == "full" else rates:
            for seed in range(seeds):
                level = 0.92 if method == "full" else 0.91 - 0.3 * (1 - rate) ** 3 - 0.012 * place * (1 - rate)
                records.append(record_of(method, rate, seed, level + 0.01 * rng.randn()))
    return records


@pytest.mark.parametrize("accuracies, said", [
    ((0.77, 0.78, 0.79), "moderate is highest, 78.00 ± 1.00 % over 3 seeds (random 70.00 ± 1.00 %)"),
    ((0.60, 0.78, 0.99), "the best mean is moderate&#x27;s, 79.00 ± 19.52 % over 3 seeds, which these seeds do not "
                         "tell from random&#x27;s, 70.00 ± 1.00 %"),
    ((0.77,), "the best mean is moderate&#x27;s, 77.00 % over 1 seed, which these seeds do not tell from"),
    ((0.50, 0.51, 0.52), "no mean is above random&#x27;s, 70.00 ± 1.00 % over 3 seeds"),
])
def test_the_headline_calls_highest_only_what_its_interval_tells_from_random(tmp_path, accuracies, said):
    records = [record_of("random", 0.1, seed, value) for seed, value in enumerate((0.69, 0.70, 0.71))]
    records += [record_of("moderate", 0.1, seed, value) for seed, value in enumerate(accuracies)]
    page = report_of(write_study(tmp_path, records))
    assert f"with 10 % kept, {said}" in page
    assert ("is highest" in page) == ("is highest" in said)


def test_learning_curves_are_means_over_the_seeds(tmp_path):
    def learned(last):
        return {"updates": [10, 20, 40], "accuracy": [0.2, 0.7, last]}

    records = [record_of("random", 0.1, seed, last, learning=learned(last)) for seed, last in enumerate((0.7, 0.8))]
    records.append(record_of("full", 1.0, 0, 0.9, learning={"updates": [100, 400], "accuracy": [0.5, 0.9]}))
    rows = Tables(report_of(write_study(tmp_path, records))).starting("Mean learning curves")
    assert rows["random"] == ["40", "75.00", "40", "75.00"]
    assert rows["all samples"] == ["400", "90.00", "400", "90.00"]


def test_the_time_that_is_saved_by_hand(tmp_path):
    """Choosing takes 3.58 s, a training 2 s and one on all 10 s: (3.58 + 20) / 100 for ten."""
    records = [record_of("moderate", 0.1, seed, 0.5) for seed in (0, 1)]
    assert "Time saved" not in report_of(write_study(tmp_path / "coresets alone", records))
    records.append(record_of("full", 1.0, 0, 0.9, seconds={"train": 10.0}))
    records.append(record_of("herding", 0.1, 0, 0.9, seconds={"base": 30.0, "extract": None, "train": 10.0}))
    rows = Tables(report_of(write_study(tmp_path / "all", records))).starting("Forecast")
    assert rows["moderate"] == ["3.58", "2.00", "10.0", "56", "24", "1"]
    assert rows["herding"] == ["30.0", "10.0", "10.0", "400", "130", MISSING]


def test_a_map_shows_what_was_kept_and_what_is_bad(study):
    features, bad = np.random.RandomState(0).randn(N, 5), np.arange(N) < 20
    found = DataMap.of(features, bad)
    centered = features - features.mean(0)
    lengths = np.linalg.svd(centered, compute_uv=False)
    assert found.shares == pytest.approx(lengths[:2] ** 2 / (lengths ** 2).sum())
    assert np.abs(found.places).sum(0) == pytest.approx(np.abs(centered @ np.linalg.svd(centered)[2][:2].T).sum(0),
                                                        rel=1e-5)
    found.save(study / "maps/one.npz")
    chosen = coreset_of("moderate", 0.1, 0)
    chosen.manifest["map"] = "maps/one.npz"
    chosen.save(study / "indices/moderate-0.1-0.npz")
    page = report_of(study)
    assert f"20 of 200 samples shown are kept; {bad[chosen.indices].sum()} of 20 bad ones; seed 0." in page
    (svg,) = re.findall(r'<svg[^>]*aria-label="moderate. 20 of 200 .*?</svg>', page)
    assert [path.count("h0") for path in re.findall(' d="(M[^"]*h0)"', svg)] == [20, 20, 180, 20]


@pytest.mark.parametrize("name, said", [("../one.npz", "lies in the study"), ("maps/no.npz", "no.npz"),
                                        ("maps/short.npz", "is not a whole map")])
def test_a_map_that_is_none_is_said(study, name, said):
    DataMap(np.array([1, N]), np.zeros((2, 2), np.float32), np.ones(2)).save(study / "maps/short.npz")
    chosen = coreset_of("moderate", 0.1, 0)
    chosen.manifest["map"] = name
    chosen.save(study / "indices/moderate-0.1-0.npz")
    assert re.search(f"moderate: [^<]*{re.escape(said)}", report_of(study))


def test_of_many_methods_five_lead_and_all_are_there(tmp_path):
    folder = write_study(tmp_path, many_records())
    (section,) = Study.read(folder).sections()
    assert len(leaders(section)) == 5
    page = report_of(folder)
    assert "the best 5 by mean rank in colour" in page
    assert set(Tables(page).starting("Test accuracy in %")) == {"method", *section.compared}
    assert len(page.encode()) < 1_000_000


# contact sheets


def test_the_order_in_which_samples_are_wanted():
    scores = np.array([0.1, 0.9, 0.5, 0.7, 0.3])
    top = mc.Coreset(np.array([1, 3]), 5, 0.4, method="el2n", scores=scores)
    assert wanted_order(top)[0].tolist() == [1, 3, 2, 4, 0]
    low = mc.Coreset(np.array([0, 4]), 5, 0.4, method="entropy", scores=scores)
    assert wanted_order(low)[0].tolist() == [0, 4, 2, 3, 1]
    middle = mc.Coreset(np.array([2]), 5, 0.2, method="moderate", scores=scores)
    assert wanted_order(middle)[0][:3].tolist() in ([2, 4, 3], [2, 3, 4])
    picked, dropped_too = wanted_order(mc.Coreset(np.array([3, 0]), 5, 0.4, method="herding"))
    assert (picked.tolist(), dropped_too) == ([3, 0], False)
    assert wanted_order(mc.Coreset(np.array([3, 0]), 5, 0.4, method="random")) is None


def digits_study(folder, labels=None):
    """A study on scikit-learn's digits, whose images come with it."""
    split = mc.load_dataset("digits", folder, train=True)
    evidence = mc.Evidence(labels=split.labels if labels is None else labels(split.labels),
                           features=split.images.reshape(len(split), -1).astype(float))
    records = []
    for name in ("random", "moderate"):
        coreset = mc.select(name, evidence, rate=0.1)
        record = record_of(name, 0.1, 0, 0.8, dataset="digits", n=len(split), k=len(coreset), bad=None)
        coreset.save(folder / record["indices"])
        records.append(record)
    (folder / "runs.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def test_images_are_shown_where_the_data_is(tmp_path):
    page = report_of(digits_study(tmp_path))
    pictures = [attributes for name, attributes in Tables(page).elements if name == "img"]
    assert len(pictures) == 20  # ten classes, most and least wanted
    assert all(attributes["alt"] for attributes in pictures)


def test_images_of_other_data_are_not_shown(tmp_path):
    page = report_of(digits_study(tmp_path, labels=lambda labels: np.roll(labels, 1)))
    assert "other labels than the data here" in page
    assert "<img" not in page


def test_without_the_data_the_page_says_what_is_missing(study):
    page = report_of(study)
    assert "No contact sheets:" in page
    assert not list(study.glob("no-data/**/*"))  # a report makes no data


# the command


def test_the_command_writes_the_page_and_the_pictures(study):
    command = [sys.executable, str(ROOT / "scripts/report.py"), str(study), "--png", "--pdf", "--output",
               str(study / "page.html")]
    done = subprocess.run(command, cwd=study, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    page = (study / "page.html").read_text(encoding="utf-8")
    for kind, start in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        pictures = sorted((study / "page-figures").glob(f"*.{kind}"))
        assert len(pictures) == page.count("<svg")
        assert all(picture.read_bytes().startswith(start) for picture in pictures)
        assert f"{len(pictures)} {kind.upper()} files" in done.stdout
    assert "report.py" in page


def test_without_matplotlib_a_line_says_what_to_install(study, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main([str(study)], "report") == 2
    assert capsys.readouterr().err == 'error: a report is drawn by matplotlib: pip install "ms-coreset[report]"\n'
    assert not (study / "report.html").exists()


def test_sheets_show_what_is_named(tmp_path):
    folder = digits_study(tmp_path)
    assert "<caption>moderate, seed 0</caption>" in report_of(folder)
    page = report_of(folder, sheets=["random"])
    assert "<img" not in page  # chance wants nothing
    assert "without an order to show: random." in page
    page = report_of(folder, sheets=["moderate", "unheard_of"])
    assert "<img" in page
    assert "Not in this section, or without an order to show: unheard_of." in page


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: (folder / "runs.jsonl").write_text("\n")],
                         ids=["no file", "no run"])
def test_a_folder_that_is_no_study_is_refused_in_a_line(tmp_path, capsys, make):
    make(tmp_path)
    assert main([str(tmp_path)], "report") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert "runs.jsonl" in lines[0]


@pytest.mark.slow
def test_the_report_of_a_study_that_was_really_run(tmp_path):
    """Runner and report agree on the files between them."""
    def script(name, *arguments):
        done = subprocess.run([sys.executable, str(ROOT / "scripts" / name), *arguments], cwd=tmp_path, text=True,
                              capture_output=True, timeout=600)
        assert done.returncode == 0, done.stderr

    script("experiment.py", "--dataset", "digitsN", "--methods", "random", "moderate", "full", "--rates", "0.1", "0.2",
           "--seeds", "0", "1", "--epoch", "2", "--save", "study", "--label", "digitsN=digits, noisy labels")
    script("report.py", "study")
    page = (tmp_path / "study/report.html").read_text(encoding="utf-8")
    runs = [json.loads(line) for line in (tmp_path / "study/runs.jsonl").read_text().splitlines()]
    reached = [run["accuracy"]["last"] for run in runs if (run["method"], run["rate"]) == ("moderate", 0.2)]
    assert with_spread(*mean_and_deviation(reached)) in Tables(page).starting("Test accuracy in %")["moderate"][1]
    assert "14 finished runs, 0 failed, 0 missing, in 1 section." in page  # with those of RS2
    assert "digits, noisy labels" in page
    assert page.count("<img") >= 20


def test_help_does_not_start_mindspore():
    code = ("import sys; from ms_coreset.cli import main\n"
            "try: main(['--help'], 'report')\nexcept SystemExit: pass\nassert 'mindspore' not in sys.modules")
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--png" in done.stdout


def test_markdown_of_one_section_has_a_column_a_rate(study):
    report_of(study, markdown=study / "tables.md")
    text = (study / "tables.md").read_text(encoding="utf-8")
    assert "Test accuracy, %:\n\n| method | 10 % | 20 % |\n| --- | --- | --- |\n" in text
    assert "| moderate | 77.0 ± 1.7 | 86.2 ± 1.0 |" in text
    assert "| base network | 90.0 ± 0.0 | 90.0 ± 0.0 |" in text
    assert "| trained on all | 91.0 ± 1.0 | 91.0 ± 1.0 |" in text
    assert "Bad samples in the coreset, %:" in text
    assert "| herding | 7.0 ± 0.0 | 7.0 ± 0.0 |" in text
    assert text.endswith("| in the data | 20.0 | 20.0 |\n")


def test_markdown_of_several_sections_has_a_column_a_section(tmp_path):
    clean = [record_of("random", 0.1, 0, 0.5, dataset="digits", bad=None), record_of("random", 0.2, 0, 0.6)]
    output = write_study(tmp_path / "two", clean) / "tables.md"
    report_of(output.parent, markdown=output)
    text = output.read_text(encoding="utf-8")
    assert "Test accuracy, %, 10 % kept:\n\n| method | digits | digitsN |\n| --- | --- | --- |\n" in text
    assert f"| random | 50.0 | {MISSING} |" in text
    assert f"| random | {MISSING} | 60.0 |" in text
    assert "Bad samples in the coreset, %, 20 % kept:\n\n| method | digitsN |\n" in text


def test_samplers_are_rows_that_have_no_coreset(tmp_path):
    records = [record_of(method, rate, 0, accuracy, **changes) for rate in (0.1, 0.2) for method, accuracy, changes in (
        ("random", 0.5, {"updates": 40}),
        *((name, 0.6, {"sampler": True, "indices": None, "k": None, "bad": None, "per_class": None, "updates": 40,
                       "presented": 800, "seconds": {"train": 2.5}, "peak_mb": {}, "key": f"{name}-{rate}"})
          for name in ("rs2", "full")))]
    records.append(record_of("full", 1.0, 0, 0.9, updates=400, presented=9000))
    folder = write_study(tmp_path, records)
    (folder / "study.yaml").write_text("rates: [0.1, 0.2]\nsamplers: [rs2, 'infobatch:ratio=0.3', full]\n")
    (section,) = Study.read(folder).sections()
    assert section.compared == ["random", "sampler rs2", "sampler full"]
    assert section.whole_accuracies() == {0: 0.9}
    assert section.missing == [("sampler infobatch:ratio=0.3", rate, 0) for rate in (0.1, 0.2)]
    assert section.method_named("sampler rs2") == "sampler rs2"
    page = report_of(folder, markdown=folder / "tables.md")
    assert "names no coreset file" not in page
    costs = Tables(page).starting("Mean seconds")
    assert costs["sampler rs2"] == [MISSING, "2.50", MISSING, MISSING, MISSING, "40", "800"]
    assert costs["full"][-2:] == ["400", "9,000"]
    text = (folder / "tables.md").read_text(encoding="utf-8")
    assert "Updates, and seconds to choose and to train:\n\n| method | 10 % | 20 % |\n" in text
    assert "| sampler full | 40; 2.5 s | 40; 2.5 s |" in text
    assert re.search(r"\| trained on all \| 400; .* s \|", text)
