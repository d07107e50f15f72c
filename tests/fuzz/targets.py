"""All that cases are made for, by name."""

import os
from dataclasses import dataclass

from .commands import COMMANDS, CommandCases
from .forged import FORGERS, ForgedCases
from .functions import FUNCTIONS, FunctionCases
from .readers import READERS
from .worker import FileCases

_ROOM = 16  # MindSpore reserves memory by the gigabyte


@dataclass(frozen=True)
class Target:
    """``cases(folder, limits)`` makes what runs the cases; share: of a campaign's cases, against 1 for most readers;
    room: see ``worker.Limits``."""

    name: str
    kind: str
    imports: tuple
    cases: object
    share: float = 1.0
    room: int = 1


def _readers():
    if os.environ.get("FUZZ_SELF_TEST"):
        from . import self_test

        return self_test.READERS
    return READERS


def _targets():
    for reader in _readers():
        yield Target(reader.name, "file", reader.imports,
                     lambda folder, limits, reader=reader: FileCases(reader, folder, limits))
    for function in FUNCTIONS:
        yield Target(f"{function.name}()", "function", FunctionCases.imports,
                     lambda folder, limits, function=function: FunctionCases(function, folder, limits),
                     0.3 * function.share, _ROOM)
    for name in dict.fromkeys(command.name for command in COMMANDS):
        share = sum(command.share for command in COMMANDS if command.name == name)
        yield Target(f"ms-coreset {name}", "command", CommandCases.imports,
                     lambda folder, limits, name=name: CommandCases(name, folder, limits), 0.15 * share,
                     _ROOM)
    for name in FORGERS:
        yield Target(f"forged {name}", "forged", CommandCases.imports,
                     lambda folder, limits, name=name: ForgedCases(name, folder, limits), 0.4, _ROOM)


TARGETS = {target.name: target for target in _targets()}
