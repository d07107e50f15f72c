"""Names, aliases and suggestions."""

import pytest

from ms_coreset.errors import MsCoresetError
from ms_coreset.registry import Registry


@pytest.fixture
def fruit():
    registry = Registry("fruit")
    registry.add("apple_pie", 1, aliases=("tart",))
    registry.add("pear", 2)
    return registry


def test_names_are_found_in_any_case_with_either_dash(fruit):
    assert fruit["Apple-Pie"] == fruit["apple_pie"] == fruit["TART"] == 1
    assert fruit.canonical("TART") == "apple_pie"
    assert "PEAR" in fruit
    assert "plum" not in fruit


def test_pattern_lists_in_order_of_registration(fruit):
    assert fruit.names() == ["apple_pie", "pear"]
    assert fruit.names("P*") == ["pear"]


def test_unknown_name_suggests_the_nearest(fruit):
    with pytest.raises(MsCoresetError, match=r"unknown fruit 'paer': did you mean 'pear'\? there are: apple_pie, pear"):
        fruit["paer"]


def test_taken_spelling_is_refused(fruit):
    with pytest.raises(KeyError):
        fruit.add("Tart", 3)


def test_an_alias_that_is_only_another_case_is_no_clash(fruit):
    fruit.add("plum", 4, aliases=("Plum", "PLUM", "prune"))
    assert fruit["prune"] == 4
    assert fruit.aliases("plum") == ["prune"]


def test_names_with_a_suffix_are_summed_up():
    registry = Registry("fruit")
    for name in ("apple", "pear"):
        registry.add(name, 1)
        registry.add(f"{name}S", 2, suffix="S")
    assert registry.summary() == "apple, pear; each also with S after it"
    assert registry.names() == ["apple", "appleS", "pear", "pearS"]


def test_what_is_removed_is_gone_with_its_aliases_and_can_come_back(fruit):
    fruit.remove("Tart")
    assert fruit.names() == ["pear"]
    assert "tart" not in fruit
    with pytest.raises(MsCoresetError, match="unknown fruit 'apple-pie'"):
        fruit.remove("apple-pie")
    fruit.add("apple_pie", 5, aliases=("tart",))
    assert fruit["tart"] == 5
