"""CSV files as spreadsheets export them: `;` or `,`, UTF-8 with or without BOM, English or French headings.

`read_rows` gives each row with its line, so that whoever judges a cell can point at it.
"""

import csv
import io
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.residence.problems import ERROR, WARNING, Findings, Place, Problem, TextError, nearest, unknown

MAX_FILE_BYTES = 64 << 20
MAX_CELL_CHARS = 4096


@dataclass(frozen=True)
class Column:
    """A column: its English name, the other headings it may have, and whether the file must have it."""

    name: str
    others: tuple[str, ...] = ()
    is_required: bool = False


@dataclass
class Row:
    """One row; cells by English column name, stripped. `line`: where it begins. `is_bad`: has an error."""

    file: str
    line: int
    cells: dict[str, str]
    headings: dict[str, tuple[int, str]]  # English name → (column, heading as written)
    problems: list[Problem]
    is_bad: bool = field(default=False)

    def text(self, name: str) -> str:
        """A cell, "" where the file lacks the column."""
        return self.cells.get(name, "")

    def place(self, name: str) -> Place:
        """Where a cell is."""
        column, heading = self.headings.get(name, (1, name))
        return Place(self.file, self.line, column, heading)

    def is_french(self, name: str) -> bool:
        """True if the column's heading is not the English one."""
        return name in self.headings and _plain(self.headings[name][1]) != _plain(name)

    def report(self, name: str, message: str, level: str = ERROR) -> None:
        """Note a problem of a cell."""
        self.is_bad = self.is_bad or level == ERROR
        self.problems.append(self.place(name).problem(message, level))

    def reporter(self, name: str) -> Callable[[str, str], None]:
        """`report` for one cell."""
        return lambda message, level: self.report(name, message, level)

    def warn(self, name: str, message: str) -> None:
        """Note a warning of a cell."""
        self.report(name, message, WARNING)

    def parsed(self, name: str, parse: Callable[[str], Any], default: Any = "") -> Any:
        """A cell through `parse`; the default where it is empty or wrong (then a problem too)."""
        if not self.text(name):
            return default
        try:
            return parse(self.text(name))
        except TextError as error:
            self.report(name, str(error))
            return default

    def choice(self, name: str, words: dict[str, str], default: str | None = None) -> str:
        """The value of a cell's word; without a default it must not be empty. `words`: plain form → value."""
        text = self.text(name)
        if not text:
            if default is None:
                self.report(name, f"must not be empty: write {', '.join(dict.fromkeys(words.values()))}")
            return default or ""
        if _plain(text) not in words:
            self.report(name, unknown(text, dict.fromkeys(words.values())))
        return words.get(_plain(text), default or "")

    def one_of(self, name: str, known: tuple[str, ...] | dict[str, Any]) -> str:
        """A cell that must be empty or one of `known`."""
        text = self.text(name)
        if text and text not in known:
            self.report(name, unknown(text, known))
            return ""
        return text


def words_of(values: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """{English value: other words} → {plain word: English value}, as `Row.choice` takes it."""
    return {_plain(word): value for value, others in values.items() for word in (value, *others)}


def read_rows(path: Path, columns: tuple[Column, ...], findings: Findings) -> list[Row]:
    """The rows of a file that are not empty; none where a required column is missing. What is wrong with the file
    itself goes to `findings.whole`."""
    problems = findings.whole
    text = _read_text(path, problems)
    if text is None:
        return []
    lines = _split(path.name, text, problems)
    first = next(lines, None)
    if first is None:
        problems.append(Problem(path.name, 1, 1, "is empty: the first line must hold the headings"))
        return []
    places = _read_headings(path.name, first[0], first[1], columns, problems)
    if any(column.is_required and column.name not in places for column in columns):
        return []
    names = {column: name for name, (column, _) in places.items()}
    rows = []
    for line, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        named = {names[i]: cell.strip() for i, cell in enumerate(cells, 1) if i in names}
        row = Row(path.name, line, named, places, findings.rows)
        _check_width(row, cells, len(first[1]))
        rows.append(row)
    return rows


def _read_text(path: Path, problems: list[Problem]) -> str | None:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise OSError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
        raw = path.read_bytes()
    except FileNotFoundError:
        problems.append(Problem(path.name, 0, 0, "is missing: a file with the headings alone is enough"))
        return None
    except OSError as error:
        problems.append(Problem(path.name, 0, 0, f"cannot be read: {error.strerror or error}"))
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        message = "is not UTF-8 here: export the sheet again as “CSV UTF-8”"
        problems.append(Problem(path.name, line, column, message))
        return None


def _split(file: str, text: str, problems: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    """(line on which it begins, cells) of each row."""
    heading = text.split("\n", 1)[0]
    delimiter = ";" if ";" in heading else ","
    if not text.strip():
        return
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        problems.append(Problem(file, line, 1, f"this row cannot be read ({error}): look for a lone quote"))


def _read_headings(
    file: str, line: int, headings: list[str], columns: tuple[Column, ...], problems: list[Problem]
) -> dict[str, tuple[int, str]]:
    """{English name: (column, heading as written)}."""
    by_heading = {_plain(one): column.name for column in columns for one in (column.name, *column.others)}
    found: dict[str, tuple[int, str]] = {}
    for i, written in enumerate(headings, 1):
        heading = written.strip()
        name = by_heading.get(_plain(heading))
        place = Place(file, line, i, heading)
        if name is None:
            near = nearest(heading.casefold(), [one for column in columns for one in (column.name, *column.others)])
            message = f"unknown column{near}" if heading else "a heading is missing here"
            problems.append(place.problem(message))
        elif name in found:
            problems.append(place.problem(f"column {found[name][0]} ({found[name][1]}) is the same: keep one"))
        else:
            found[name] = (i, heading)
    for column in columns:
        if column.is_required and column.name not in found:
            problems.append(Place(file, line, 1, column.name).problem("this column is missing"))
    return found


def _check_width(row: Row, cells: list[str], width: int) -> None:
    if len(cells) < width:
        message = f"has {len(cells)} cells where the headings have {width}: values may stand in the wrong column"
        row.is_bad = True
        row.problems.append(Problem(row.file, row.line, len(cells), message))
    for i, cell in enumerate(cells[width:], width + 1):
        if cell.strip():
            row.is_bad = True
            row.problems.append(
                Problem(row.file, row.line, i, "a value beyond the last heading: quote texts that hold the separator")
            )
            break
    for i, cell in enumerate(cells, 1):
        if len(cell) > MAX_CELL_CHARS:
            row.is_bad = True
            row.problems.append(Problem(row.file, row.line, i, f"a value of {len(cell)} characters is too long"))


def _plain(text: str) -> str:
    """A heading or word without case, accents, hyphens and such: "Code d’appel" → "code d appel"."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(char if char.isalnum() else " " for char in decomposed if not unicodedata.combining(char))
    return " ".join(kept.split())
