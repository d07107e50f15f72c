"""Registries of names that users type: aliases, patterns, and suggestions for misspelt names."""

import difflib
import fnmatch
from collections.abc import Iterable
from typing import Generic, TypeVar

from ms_coreset.errors import MsCoresetError, require_kind

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps names to entries, case-insensitively and ignoring ``-`` against ``_``.

    ``kind`` is the word for an entry in messages, such as "method" or "data set".
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}
        self._spellings: dict[str, str] = {}
        self._derived: dict[str, str] = {}

    def add(self, name: str, entry: T, aliases: Iterable[str] = (), suffix: str = "") -> T:
        """Register ``entry`` as ``name`` and under every alias.

        Args:
            name: of the entry
            entry: what is registered
            aliases: other spellings of the name
            suffix: the end of ``name``, if it is another entry's name with this suffix; ``summary`` lists suffixes once
                for all

        Returns:
            ``entry``.

        Raises:
            KeyError: for a name or alias that is registered already.
        """
        for spelling in dict.fromkeys(map(self._fold, (name, *aliases))):
            if spelling in self._spellings:
                raise KeyError(f"{self.kind} {spelling!r} is registered already")
            self._spellings[spelling] = name
        self._entries[name] = entry
        if suffix:
            self._derived[name] = suffix
        return entry

    def remove(self, name: str) -> None:
        """Remove an entry and its aliases; raises like ``canonical`` for an unknown name."""
        name = self.canonical(name)
        self._spellings = {spelling: entry for spelling, entry in self._spellings.items() if entry != name}
        self._derived.pop(name, None)
        del self._entries[name]

    def canonical(self, name: str) -> str:
        """The registered spelling of ``name``; raises ``MsCoresetError`` with the nearest names for an unknown one."""
        folded = self._fold(str(name))
        if folded in self._spellings:
            return self._spellings[folded]
        near = difflib.get_close_matches(folded, self._spellings, n=1)
        hint = f"did you mean {self._spellings[near[0]]!r}? " if near else ""
        raise MsCoresetError(f"unknown {self.kind} {name!r}: {hint}there are: {self.summary()}")

    def aliases(self, name: str) -> list[str]:
        """The other spellings of a registered name, folded to lower case."""
        return [spelling for spelling in self._spellings
                if self._spellings[spelling] == name and spelling != self._fold(name)]

    def __getitem__(self, name: str) -> T:
        return self._entries[self.canonical(name)]

    def __contains__(self, name: object) -> bool:
        return self._fold(str(name)) in self._spellings

    def names(self, pattern: str = "*") -> list[str]:
        """Registered names that match a shell ``pattern``, in order of registration."""
        require_kind("pattern", pattern, str)
        folded = self._fold(pattern)
        return [name for name in self._entries if fnmatch.fnmatchcase(self._fold(name), folded)]

    def summary(self) -> str:
        """All names in a line of text; names with a suffix are shown by their suffixes only."""
        names = ", ".join(name for name in self._entries if name not in self._derived)
        suffixes = dict.fromkeys(self._derived.values())
        return names + (f"; each also with {', '.join(suffixes)} after it" if suffixes else "")

    @staticmethod
    def _fold(name: str) -> str:
        return name.lower().replace("-", "_")
