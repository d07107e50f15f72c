"""The whole page: what the study is, its sections, and how to repeat it."""

import platform
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy

from ms_coreset import __version__
from ms_coreset.experiment.report.markup import (
    Markup,
    count,
    details,
    join,
    rate_name,
    table,
    tag,
    time_name,
    with_spread,
)
from ms_coreset.experiment.report.parts import parts
from ms_coreset.experiment.report.section_report import SectionReport
from ms_coreset.experiment.report.statistics import mean_and_deviation, paired_difference
from ms_coreset.experiment.report.study import BASELINE, CONFIGURATION, Run, Section, Study, spell
from ms_coreset.experiment.report.style import STYLE


def page(study: Study, reports: Sequence[SectionReport], command: str) -> str:
    """The HTML page of a study: ``reports`` are its ``SectionReport`` objects, ``command`` is what asked for it."""
    names = titles([report.section for report in reports])
    body = join(_header(study, reports, names),
                *(_section(report, name) for report, name in zip(reports, names, strict=True)),
                _provenance(study, command))
    return document(f"{study.name}: coreset study", body)


def document(title: str, body: Markup) -> str:
    """A whole HTML page that needs no other file."""
    head = join(tag("meta", charset="utf-8"), tag("title", title),
                tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
                Markup(f"<style>{STYLE}</style>"))
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body><main>{body}</main></body></html>\n'


def titles(sections: Sequence[Section]) -> list[str]:
    """A title for each section: its data and network, and what else sets it apart from the others."""
    called = defaultdict(set)
    for section in sections:
        called[section.first.shown_name].add(section.first.data_name)
    facts = [_title_facts(section.first, len(called[section.first.shown_name]) > 1) for section in sections]
    differing = [len(set(column)) > 1 for column in zip(*facts, strict=True)]
    told = [[fact for i, fact in enumerate(one) if i < 2 or differing[i] or fact == "balanced"] for one in facts]
    names = [" · ".join(fact for fact in one if fact) for one in told]
    twice = {name for name, number in Counter(names).items() if number > 1}
    return [f"{name} · recipe {_recipe_number(section, sections)}" if name in twice else name
            for name, section in zip(names, sections, strict=True)]


def _title_facts(run: Run, ambiguous: bool) -> tuple[str | None, ...]:
    return (run.shown_name, run.train_arch, run.data_name if ambiguous else None,
            f"pool of {run.pool:,}" if run.pool else None, f"chosen by {run.select_arch}" if run.select_arch else None,
            f"same {run.protocol}" if run.protocol else None, "balanced" if run.balance else "not balanced")


def _recipe_number(section: Section, sections: Sequence[Section]) -> int:
    known = list(dict.fromkeys(spell(one.first.recipe) for one in sections))
    return known.index(spell(section.first.recipe)) + 1


def facts(pairs: Iterable[tuple[str, object]]) -> Markup:
    """Names and values as a list, those without a value left out."""
    return tag("dl", *(join(tag("dt", name), tag("dd", value)) for name, value in pairs if value not in (None, "")))


def _list(values: Iterable[object]) -> str:
    """Different values, each once, None left out."""
    return ", ".join(dict.fromkeys(str(value) for value in values if value is not None))


def _dates(runs: Sequence[Run]) -> str | None:
    times = sorted(time_name(run.finished) for run in runs if run.finished)
    return " to ".join(dict.fromkeys((times[0], times[-1]))) if times else None


def _header(study: Study, reports: Sequence[SectionReport], names: Sequence[str]) -> Markup:
    sections = [report.section for report in reports]
    failed, missing = sum(len(one.failed) for one in sections), sum(len(one.missing) for one in sections)
    lead = (f"{count(len(study.done), 'finished run')}, {failed} failed, {missing} missing, in "
            f"{count(len(sections), 'section')}. Only runs of one data set, network, protocol and balance are "
            "compared.")
    told = facts([("data", _list(run.shown_name for run in study.runs)),
                    ("methods", len({name for section in sections for name in section.methods})),
                    ("rates", _list(rate_name(rate) for rate in sorted({run.rate for run in study.runs}))),
                    ("seeds", _list(sorted({run.seed for run in study.runs}))),
                    ("finished", _dates(study.runs)), ("device", _list(run.device for run in study.runs)),
                    ("revision", _list(run.revision for run in study.runs))])
    entries = [tag("li", tag("a", name, href=f"#section-{report.number}"), f": {best}" if (best := finding(report))
                   else None) for report, name in zip(reports, names, strict=True)]
    entries.append(tag("li", tag("a", "How to repeat it", href="#repeat")))
    return tag("header", tag("h1", study.name), tag("p", lead, class_="lead"), _unreadable(study), told,
               tag("nav", tag("ul", *entries), aria_label="Sections"))


def finding(report: SectionReport) -> str | None:
    """The best mean of a section's detail rate in a sentence, or None.

    It is called the highest only where its interval tells it from random; see ``statistics.paired_difference``.
    """
    if report.rate is None or not report.methods_here:
        return None
    section, rate = report.section, report.rate
    accuracies = {name: section.accuracies(name, rate) for name in report.methods_here}
    found = {name: with_spread(*mean_and_deviation(list(values.values()))) for name, values in accuracies.items()}
    best = max(accuracies, key=lambda name: mean_and_deviation(list(accuracies[name].values()))[0])
    told = f"{found[best]} % over {count(len(accuracies[best]), 'seed')}"
    kept = f"with {rate_name(rate)} kept"
    if BASELINE not in found:
        return f"{kept}, the best mean is {best}'s, {told}; there is no random to tell it from"
    if best == BASELINE:
        return f"{kept}, no mean is above random's, {told}"
    gain = paired_difference(accuracies[best], accuracies[BASELINE])
    if gain is not None and gain.decided == 1:
        return f"{kept}, {best} is highest, {told} (random {found[BASELINE]} %)"
    return (f"{kept}, the best mean is {best}'s, {told}, which these seeds do not tell from random's, "
            f"{found[BASELINE]} %")


def _unreadable(study: Study) -> Markup | None:
    if not study.unreadable:
        return None
    said = f"Left out, {count(len(study.unreadable), 'line')} of runs.jsonl that can't be read:"
    return tag("div", tag("p", said), tag("ul", *(tag("li", f"line {number}: {what}")
                                                  for number, what in study.unreadable)), class_="alarm")


def _section(report: SectionReport, name: str) -> Markup:
    section, first = report.section, report.section.first
    base = {run.seed: run.base_accuracy for run in section.done if run.base_accuracy is not None}
    told = facts([
        ("data", first.data_name),
        ("samples", _samples(first)),
        ("chosen by", first.select_arch and first.select_arch + (
            f", {with_spread(*mean_and_deviation(list(base.values())))} % on the test split" if base else "")),
        ("trained", first.train_arch), ("protocol", first.protocol and f"same {first.protocol} for every coreset"),
        ("budget", "the same share of every class" if first.balance else "over all classes together"),
        ("best epoch by", _list(run.accuracy.get("chosen_by") for run in section.done)
         if section.which == "best" else None),
        ("seeds", _list(section.seeds)), ("finished", _dates(section.done)),
    ])
    recipes = details("Training recipe", *(tag("p", ", ".join(
        f"{name} {value}" for name, value in recipe.items() if value is not None)) for recipe in section.recipes))
    return tag("section", tag("h2", name), told, recipes if section.recipes else None, parts(report),
               id=f"section-{report.number}")


def _samples(run: Run) -> str | None:
    if run.pool:
        return f"{run.pool:,}, a class-balanced pool"
    return f"{run.n:,}" if run.n else None


def _settings(values: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in values.items())


def _provenance(study: Study, command: str) -> Markup:
    commands = Counter(_command(run.command) for run in study.runs if run.command)
    versions = Counter(_settings(run.versions) for run in study.runs if run.versions)
    ran = [tag("pre", "\n".join(commands))] if commands else [tag("p", "The runs name no command.", class_="note")]
    if len(commands) > 5:
        ran = [tag("p", f"The {len(commands)} commands that repeat each run alone; the first:"),
               tag("pre", next(iter(commands))), details("All of them", *ran, printed=False)]
    if study.configuration:
        whole = shlex.join(["experiment", "--config", str(study.folder / CONFIGURATION), "--save", str(study.folder)])
        ran = [tag("p", "The whole study, in its folder again or, with another --save, in another; --data and other "
                   "places are typed again:"), tag("pre", whole), *ran]
    installed = [join(tag("p", f"{count(number, 'run')} with") if len(versions) > 1 else None, tag("pre", text))
                 for text, number in versions.items()]
    configured = study.configuration and details("The study's configuration", tag("pre", study.configuration))
    reporter = f"{command}\nms_coreset {__version__}, Python {platform.python_version()}, numpy {numpy.__version__}"
    device = table("Runs by device and revision", ["device", "revision", "runs"],
                   [[str(run_device), str(revision), number] for (run_device, revision), number in
                    Counter((run.device, run.revision) for run in study.runs).items()])
    return tag("section", tag("h2", "How to repeat it"), tag("h3", "Commands"), *ran, tag("h3", "Versions"),
               *installed, device, configured, tag("h3", "This page"), tag("pre", reporter), id="repeat")


def _command(command: list | str) -> str:
    """A command of a run's record in the shell's quotes, so that nothing in it is more than a word."""
    try:
        return shlex.join(map(str, command) if isinstance(command, list) else shlex.split(command))
    except ValueError:  # a quote without its end
        return shlex.quote(str(command))
