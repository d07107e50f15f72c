"""What is exported can be called safely: at most three arguments go by position, the rest by name."""

import importlib
import inspect
import pkgutil

import pytest

import ms_coreset

MOST = 3


def packages():
    """The library and its packages, but for the commands and the studies."""
    yield ms_coreset
    for module in pkgutil.walk_packages(ms_coreset.__path__, "ms_coreset."):
        if module.ispkg and module.name.split(".")[1] not in ("cli", "experiment"):
            yield importlib.import_module(module.name)


def callables(package):
    """What a package exports to be called, by name: functions, classes that are no errors, and their methods."""
    for name in getattr(package, "__all__", ()):
        value = getattr(package, name)
        if not callable(value) or (inspect.isclass(value) and issubclass(value, Exception)):
            continue
        yield f"{package.__name__}.{name}", value
        for attribute, member in vars(value).items() if inspect.isclass(value) else ():
            method = isinstance(member, classmethod | staticmethod) or inspect.isfunction(member)
            if method and not attribute.startswith("_"):
                yield f"{package.__name__}.{name}.{attribute}", member


def by_position(function):
    """The parameters that a call may fill by position."""
    function = getattr(function, "__func__", function)
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.name not in ("self", "cls")
            and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)]


# What a batch is, in the order in which every loop has it.
MORE = {"ms_coreset.Recorder.record": 4}
EXPORTED = {name: value for package in packages() for name, value in callables(package)}


def test_what_is_looked_at_is_what_users_call():
    assert {f"ms_coreset.{name}" for name in ms_coreset.__all__} - EXPORTED.keys() == {
        "ms_coreset.MsCoresetError", "ms_coreset.MsCoresetWarning"}
    assert {"ms_coreset.Coreset.within", "ms_coreset.Evidence.hold_out", "ms_coreset.Reselection.by",
            "ms_coreset.selectors.select", "ms_coreset.datasets.apply_label_noise"} <= EXPORTED.keys()


@pytest.mark.parametrize("name", EXPORTED)
def test_few_arguments_go_by_position(name):
    assert len(by_position(EXPORTED[name])) <= (MORE.get(name) or MOST)


def test_the_twin_in_torch_is_called_alike():
    pytest.importorskip("torch")
    torch_ref = importlib.import_module("torch_ref")
    found = dict(callables(torch_ref))
    assert "torch_ref.select" in found
    assert [name for name, value in found.items() if len(by_position(value)) > MOST] == []


def test_parameters_of_functions_methods_and_classes_are_counted():
    class Kind:
        def __init__(self, first, second, *rest, third, **others):
            pass

        @classmethod
        def of(cls, first, /, second, *, third):
            pass

        @staticmethod
        def plain(first, second=2):
            pass

    assert by_position(Kind) == ["first", "second"]
    assert by_position(vars(Kind)["of"]) == ["first", "second"]
    assert by_position(vars(Kind)["plain"]) == ["first", "second"]
    assert by_position(test_few_arguments_go_by_position) == ["name"]
