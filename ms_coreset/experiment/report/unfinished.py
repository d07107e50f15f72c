"""Runs that failed, that are missing, or that a later one repeats."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ms_coreset.experiment.report.markup import (
    Markup,
    rate_name,
    table,
    tag,
    time_name,
)
from ms_coreset.experiment.report.section_report import SectionReport


def unfinished(report: SectionReport) -> Markup | None:
    """Runs that failed, that are missing, and that say the same as a later one."""
    section = report.section
    failed = [[section.name_of(run), rate_name(run.rate), run.seed, run.error or "no reason was written",
               time_name(run.finished)] for run in section.failed]
    lacking = [[rate_name(rate), ", ".join(map(str, seeds)), ", ".join(names)]
               for (rate, seeds), names in _group_by_seeds(section.missing).items()]
    repeated = [[section.name_of(run), rate_name(run.rate), run.seed, run.key] for run in section.repeated]
    blocks = [
        failed and table("Failed runs", ["method", "rate", "seed", "error", "when"], failed),
        lacking and table("Missing runs: planned, or run with other methods, rates or seeds of this section, "
                          "but not there", ["rate", "seeds", "methods"], lacking),
        repeated and table("Left out: finished runs of the same method, rate and seed as a later one",
                           ["method", "rate", "seed", "key"], repeated),
    ]
    shown = [block for block in blocks if block]
    return tag("div", tag("h3", "Not finished, or left out"), *shown, class_="part words") if shown else None


def _group_by_seeds(missing: Iterable[tuple[str, float, int]]) -> dict[tuple[float, tuple[int, ...]], list[str]]:
    """{(rate, seeds): methods} of what is missing, by rate."""
    seeds, methods = defaultdict(list), defaultdict(list)
    for name, rate, seed in missing:
        seeds[rate, name].append(seed)
    for (rate, name), lacking in sorted(seeds.items()):
        methods[rate, tuple(lacking)].append(name)
    return methods
