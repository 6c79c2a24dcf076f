"""What is wrong in a residence's files: where it stands, what was seen, what to do."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

ERROR = "error"
WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """One finding. `line` and `column` count from 1 (0: the whole file): the column of a spreadsheet, the character
    of a key in site.toml. `field`: the heading or key as written. Messages never hold a code's digits."""

    file: str
    line: int
    column: int
    message: str
    field: str = ""
    level: str = ERROR

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        parts = [place, self.field, "warning" if self.level == WARNING else "", self.message]
        return ": ".join(part for part in parts if part)


@dataclass(frozen=True)
class Place:
    """Where a value was written, to point at it later."""

    file: str
    line: int
    column: int
    field: str

    def problem(self, message: str, level: str = ERROR) -> Problem:
        """A problem at this place."""
        return Problem(self.file, self.line, self.column, message, self.field, level)

    def __str__(self) -> str:
        return f"{self.file} line {self.line}, {self.field}"


class TextError(ValueError):
    """A text that is not what its field asks for. The message says what was seen and what to write instead."""


@dataclass
class Findings:
    """The problems of one reading: `rows` are of single rows, which may be left out; `whole` spoil a file."""

    whole: list[Problem] = field(default_factory=list)
    rows: list[Problem] = field(default_factory=list)

    def all(self) -> list[Problem]:
        """Every problem found."""
        return self.whole + self.rows


def has_errors(problems: Iterable[Problem]) -> bool:
    """True if any problem is an error, not just a warning."""
    return any(problem.level == ERROR for problem in problems)


def first_error(folder: Path, problems: Iterable[Problem]) -> str:
    """The first error in a line, with its file's folder, and how many more there are."""
    errors = [problem for problem in problems if problem.level == ERROR]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{folder}/{errors[0]}{more}"


def unknown(word: str, known: Iterable[str]) -> str:
    """The message for a word that is none of `known`."""
    known = tuple(dict.fromkeys(known))
    if not known:
        return f"{word!r} is unknown: there is none here"
    listed = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return f"{word!r} is unknown{nearest(word, known)}; there is: {listed}"


def nearest(word: str, known: Iterable[str]) -> str:
    """ ", perhaps …" where one of `known` is much like the word, else ""."""
    near = difflib.get_close_matches(word, sorted(known), 1)
    return f", perhaps {near[0]}" if near else ""
