"""What the commands tell of themselves: --help, --help-all, methods; lists with commas; completion in a shell."""

import os
import subprocess
import sys

import pytest

from ms_coreset.cli import COMMANDS, main
from ms_coreset.cli.common.flags import NOT_FOR_USERS, flag_of
from ms_coreset.cli.common.manual import page_of
from ms_coreset.cli.experiment import parser as experiment_parser
from ms_coreset.selectors import METHODS, RULES, SCORES
from ms_coreset.selectors.catalogue import QUOTAS
from ms_coreset.selectors.docstrings import arguments_of, body_of
from ms_coreset.selectors.option_values import allowed_words, keywords

ENTRIES = [registry[name] for registry in (METHODS, SCORES, RULES, QUOTAS) for name in registry.names()]


def printed(capsys, words, command):
    """What a command prints that leaves by itself, or ends with 0."""
    try:
        assert main(words.split(), command) == 0
    except SystemExit as end:
        assert end.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(("command", "unusual"), [("select", "--skip-broken"), ("train", "--clip-norm")])
def test_help_is_short_and_help_all_has_the_rest(capsys, command, unusual, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    short, long = (printed(capsys, words, command) for words in ("--help", "--help-all"))
    assert unusual not in short and unusual in long
    assert short.count("\n") < 120 < long.count("\n")
    for flag in ("--rate", "--dataset", "--device", "--help-all"):
        assert flag in short and flag in long
    assert "--skip-broken" not in short.partition("\n\n")[0]  # the usage


def test_a_mistake_shows_the_short_usage(capsys):
    with pytest.raises(SystemExit):
        main(["--rate", "much"], "select")
    assert "--skip-broken" not in capsys.readouterr().err


def test_help_all_tells_what_each_option_means_and_allows(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    text = " ".join(printed(capsys, "--help-all", "select").split())
    assert "--lam X (default 0.5) ridge penalty" in text.replace("weight of the ridge penalty", "ridge penalty")
    for entry in ENTRIES:
        for option, parameter in keywords(entry.function).items():
            if option not in NOT_FOR_USERS:
                assert f"{flag_of(option)} X (default" in text
                assert allowed_words(parameter) in text


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_the_page_of_everything_that_is_registered(entry):
    page = " ".join(page_of(entry).split())
    assert page.startswith(f"{entry.name}: ") and "``" not in page
    assert "needs: " in page and " ".join(entry.source.split()) in page
    meanings = arguments_of(entry.function)
    for option in entry.options:
        assert meanings[option], option
        assert (f"{flag_of(option)} X (default" in page) == (option not in NOT_FOR_USERS)


def test_methods_lists_and_tells(capsys):
    everything = printed(capsys, "", "methods")
    assert all(f"\n{name}: " in f"\n{everything}" for name in (*METHODS.names(), *RULES.names(), *QUOTAS.names()))
    assert everything == printed(capsys, "--list", "select")
    page = printed(capsys, "Craig el2n", "methods")
    assert page.startswith("craig: ") and "\n\nel2n: " in page
    assert main(["prototyp"], "methods") == 2
    assert capsys.readouterr().err.startswith("error: unknown method 'prototyp'")


def test_the_parts_of_a_docstring():
    def function():
        """First line.

        Second, with x: 1.

        Args:
            first: one
                and more.

            second: two: both.

        Returns:
            None.
        """

    assert body_of(function) == "First line.\n\nSecond, with x: 1."
    assert arguments_of(function) == {"first": "one and more.", "second": "two: both."}
    assert (body_of(lambda: None), arguments_of(lambda: None)) == ("", {})


@pytest.mark.parametrize(("typed", "name", "value"), [
    ("--rates 0.05,0.2", "rates", [0.05, 0.2]),
    ("--rates 0.05 0.2,0.3", "rates", [0.05, 0.2, 0.3]),
    ("--seeds 0,1,2", "seeds", [0, 1, 2]),
    ("--methods random,el2n", "methods", ["random", "el2n"]),
    ("--methods gradmatch:lam=0.5,eta=1 random", "methods", ["gradmatch:lam=0.5,eta=1", "random"]),
    ("--evidence network,patches", "evidence", ["network", "patches"]),
    ("--prepare corrupt,attack", "prepare", ["corrupt,attack"])])
def test_several_values_may_be_typed_with_commas(typed, name, value):
    assert getattr(experiment_parser("experiment").parse_args(typed.split()), name) == value


def completions(tmp_path, line):
    """What argcomplete offers for a line that is typed."""
    pytest.importorskip("argcomplete")
    there = os.environ | {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME":
                          str(tmp_path / "out"), "COMP_LINE": line, "COMP_POINT": str(len(line))}
    subprocess.run([sys.executable, "-m", "ms_coreset"], env=there, check=True, timeout=120)
    return [word.strip() for word in (tmp_path / "out").read_text().split("\n")]


@pytest.mark.parametrize(("line", "offered"), [
    ("ms-coreset ", [*COMMANDS]), ("ms-coreset sel", ["select"]), ("ms-coreset select --dev", ["--device"]),
    ("ms-coreset select --framework t", ["torch"]), ("ms-coreset select --rule str", ["strata"])])
def test_completion(tmp_path, line, offered):
    assert set(completions(tmp_path, line)) >= set(offered)
