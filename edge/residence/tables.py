"""Tables of site.toml, read key by key: a wrong or unknown key becomes a Problem with its line, none stops the rest."""

from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Any

from edge.residence.places import Path
from edge.residence.problems import WARNING, Place, Problem, TextError, nearest, unknown

FILE = "site.toml"


class Document:
    """What all tables of one file share: positions and the problems found."""

    def __init__(self, places: dict[Path, tuple[int, int]], problems: list[Problem]) -> None:
        self.places = places
        self.problems = problems

    def place(self, path: Path) -> Place:
        """Where `path` is written, or else the nearest table around it."""
        field = next((part for part in reversed(path) if isinstance(part, str)), "")
        while path and path not in self.places:
            path = path[:-1]
        line, column = self.places.get(path, (1, 1))
        return Place(FILE, line, column, field)


class Table:
    """One TOML table. A getter gives the default where the key is missing or wrong; `close()` reports the keys that
    nobody asked for."""

    def __init__(self, document: Document, data: dict[str, Any], path: Path) -> None:
        self.document = document
        self.data = data
        self.path = path
        self.asked: set[str] = set()

    def place(self, *keys: str | int) -> Place:
        """Where a key of this table is written."""
        return self.document.place((*self.path, *keys))

    def fail(self, message: str, *keys: str | int) -> None:
        """Report an error at a key (without one: at the table)."""
        self.document.problems.append(self.place(*keys).problem(message))

    def warn(self, message: str, *keys: str | int) -> None:
        """Report a warning at a key."""
        self.document.problems.append(self.place(*keys).problem(message, WARNING))

    def text(self, key: str, parse: Callable[[str], str], default: str | None = None) -> str:
        """A text through `parse`. Without a default it must be there and not empty."""
        value = self._get(key, str, "a text in quotes")
        if value is None:
            if default is None and key not in self.data:
                self.fail(f"the key {key} is missing here", key)
            return default or ""
        value = value.strip()
        if not value:
            if default is None:
                self.fail("must not be empty", key)
            return default or ""
        return self.parsed(lambda: parse(value), default or "", key)

    def parsed(self, parse: Callable[[], Any], default: Any, *keys: str | int) -> Any:
        """What `parse()` gives, or the default and a problem at the key."""
        try:
            return parse()
        except TextError as error:
            self.fail(str(error), *keys)
            return default

    def moment(self, key: str) -> str:
        """A day or time, written as a text or as TOML's own; "" where missing."""
        value = self._get(key, (str, date), 'a day in quotes, as in "2026-01-01"')
        if isinstance(value, datetime):
            return value.isoformat()
        return value.isoformat() if isinstance(value, date) else (value or "").strip()

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number from low to high."""
        value = self._get(key, int, "a whole number")
        if value is None or isinstance(value, bool):
            return default
        if not low <= value <= high:
            self.fail(f"{value} is outside {low} to {high}", key)
            return default
        return int(value)

    def flag(self, key: str, default: bool = False) -> bool:
        """true or false."""
        value = self._get(key, bool, "true or false, without quotes")
        return default if value is None else bool(value)

    def choice(self, key: str, words: Iterable[str], default: str | None = None) -> str:
        """One of `words`; without a default it must be there."""
        words = tuple(words)

        def parse(text: str) -> str:
            if text not in words:
                raise TextError(unknown(text, words))
            return text

        return self.text(key, parse, default)

    def list_of(self, key: str, kind: type, what: str, default: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        """A list of plain values of one type."""
        values = self._get(key, list, "a list in [ ]")
        if values is None:
            return default
        found = []
        for i, value in enumerate(values):
            if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
                found.append(value)
            else:
                self.fail(f"{value!r} must be {what}", key, i)
        return tuple(found)

    def names(self, key: str, known: Iterable[str], default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """A list of different texts, each one of `known`."""
        known = tuple(known)
        found: list[str] = []
        for i, name in enumerate(self.list_of(key, str, "a text in quotes", default)):
            if name not in known:
                self.fail(unknown(name, known), key, i)
            elif name in found:
                self.fail(f"{name!r} is written twice here", key, i)
            else:
                found.append(name)
        return tuple(found)

    def tables(self, key: str) -> "list[Table]":
        """The tables of a list such as [[controller]]."""
        values = self._get(key, list, "a list of tables")
        found = []
        for i, value in enumerate(values or ()):
            if isinstance(value, dict):
                found.append(Table(self.document, value, (*self.path, key, i)))
            else:
                self.fail("must be a table: { key = value, … }", key, i)
        return found

    def unique(self, seen: dict[str, Place], key: str, name: str) -> None:
        """Report a name that `seen` has already, else note it there. An empty one was reported before."""
        if name and seen.setdefault(name, self.place(key)) != self.place(key):
            self.fail(f"{name!r} is already at {seen[name]}: each must be different", key)

    def close(self) -> None:
        """Report every key that nobody asked for."""
        for key in self.data:
            if key not in self.asked:
                self.fail(f"unknown key{nearest(key, self.asked)}", key)

    def _get(self, key: str, kind: Any, what: str) -> Any:
        self.asked.add(key)
        value = self.data.get(key)
        if value is None:
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.fail(f"must be {what}", key)  # never shows the value: it could be a code
            return None
        return value
