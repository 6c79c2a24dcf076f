"""The sides of `decide` that need nothing but Python: ours, a plain dict, one indexed SQLite query, an HMAC.

Each loop is written out, so that none pays for another's calls; they take turns, and the quietest pass counts.
"""

import hmac
import sqlite3
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from decide_residence import CODE_KEY, Ask, Residence, ask, build, code_number
from decide_timing import Side, Timing, take_turns, time_loops
from report import Row, ahead, as_much, rate

from edge.decision import model
from edge.decision.authorize import authorize
from edge.decision.index import Index
from edge.decision.policy import compile_image

GOAL_SQLITE, GOAL_DICT, GOAL_P99, GOAL_CODE = 1.2, 30.0, 5 / 3, 1.1
_NOBODY = (None, 0, 0, 0, 0, "")
_QUERY = "SELECT grp, from_s, to_s, state, flags, output FROM credential WHERE medium = ? AND number = ?"
_TABLE = (
    "CREATE TABLE credential (medium INTEGER, number INTEGER, grp INTEGER, from_s INTEGER, to_s INTEGER,"
    " state INTEGER, flags INTEGER, output TEXT, PRIMARY KEY (medium, number)) WITHOUT ROWID"
)

Credentials = dict[tuple[int, int], tuple[int, int, int, int, int, str]]


class Place(NamedTuple):
    """One size, ready to be measured."""

    residence: Residence
    image: bytes
    asks: list[Ask]

    def credentials(self) -> Credentials:
        """The list as a dict; what many credentials share is one tuple, the kindest to its caches."""
        shared: dict[tuple, tuple] = {}
        return {(row[0], row[1]): shared.setdefault(row[2:8], tuple(row[2:8])) for row in self.residence.credentials}


def furnish(credentials: int, asks: int) -> Place:
    """Build and compile a residence, and let people come."""
    residence = build(credentials)
    image = compile_image(residence.packed(), (1, 1), bytes(32), zlib.crc32)
    return Place(residence, image, ask(residence, asks))


def answers(place: Place, asks: Sequence[Ask]) -> str:
    """Ours: "1" where it opens."""
    index = Index(place.image)
    return "".join("01"[authorize(index, one.presented, one.situation, one.moment).granted] for one in asks)


def _ours(place: Place) -> Side:
    index = Index(place.image)

    def run(asks: Sequence[Ask]) -> None:
        for presented, situation, moment, _ in asks:
            authorize(index, presented, situation, moment)

    return Side(run, lambda one: authorize(index, one[0], one[1], one[2]), place.asks)


def _plain_dict(place: Place) -> Side:
    table = place.credentials()

    def run(asks: Sequence[Ask]) -> None:
        for presented, _, _, _ in asks:
            _group, _from_s, _to_s, _state, _flags, _output = table.get((presented[2], presented[3]), _NOBODY)

    return Side(run, lambda one: table.get((one[0][2], one[0][3]), _NOBODY), place.asks)


def _signed(number: int) -> int:
    """Return the number as SQLite's integers hold 64 bits."""
    return number - (1 << 64) if number >> 63 else number


def open_table(place: Place, path: str) -> sqlite3.Connection:
    """Fill an indexed table with the list; `path` as sqlite3's. A file is in WAL mode, as an application's would be."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(_TABLE)
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO credential VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        ((row.medium, _signed(row.number), *row[2:8]) for row in place.residence.credentials),
    )
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return connection


def _sqlite(place: Place, connection: sqlite3.Connection) -> Side:
    execute = connection.execute  # sqlite3 keeps the prepared statement
    asks = [(one.presented, _signed(one.presented.number or 0)) for one in place.asks]

    def run(asks: Sequence[tuple[model.Presented, int]]) -> None:
        for presented, number in asks:
            row = execute(_QUERY, (presented[2], number)).fetchone()
            _group, _from_s, _to_s, _state, _flags, _output = row or _NOBODY

    return Side(run, lambda one: execute(_QUERY, (one[0][2], one[1])).fetchone(), asks)


def rows_of_size(place: Place, passes: int) -> tuple[Timing, list[Row]]:
    """Measure ours beside a dict and SQLite at one size."""
    with tempfile.TemporaryDirectory() as folder:
        memory, file = open_table(place, ":memory:"), open_table(place, str(Path(folder) / "list.db"))
        sides = {
            "ours": _ours(place),
            "plain dict get": _plain_dict(place),
            "SQLite query, in memory": _sqlite(place, memory),
            "SQLite query, file": _sqlite(place, file),
        }
        taken = take_turns(sides, passes)
        memory.close()
        file.close()
    ours, count = taken.pop("ours"), f"{len(place.residence.credentials):,} credentials"
    rows = []
    for name, timing in taken.items():
        if name == "plain dict get":
            case = f"{count}, mean in a loop"
            rows.append(as_much("P1", case, ours.loop_us, timing.loop_us, name, "us", GOAL_DICT))
        rows += rows_of_side(count, name, timing, ours, GOAL_SQLITE if "SQLite" in name else None)
    median = taken["SQLite query, in memory"].p50_us
    rows.append(
        as_much("P1", f"{count}, p99 beside a median", ours.p99_us, median, "SQLite query's p50", "us", GOAL_P99)
    )
    return ours, rows


def rows_of_side(count: str, name: str, other: Timing, ours: Timing, goal: float | None) -> list[Row]:
    """Decisions a second, which have the goal, p50 and p99."""
    return [
        rate("P1", f"{count}, decisions a second", 1e6 / ours.loop_us, 1e6 / other.loop_us, name, "1/s", goal),
        ahead("P1", f"{count}, p50", ours.p50_us, other.p50_us, name, "us", None),
        ahead("P1", f"{count}, p99", ours.p99_us, other.p99_us, name, "us", None),
    ]


def code_row(place: Place, passes: int) -> Row:
    """A code beside the badge of somebody with the same rights and, in the same loop, one HMAC-SHA256."""
    index = Index(place.image)
    badges: dict[tuple, list[int]] = {}
    for row in place.residence.credentials:
        if row.medium == model.BADGE:
            badges.setdefault(row[2:7], []).append(row.number)
    rights = place.credentials()
    codes, twins = [], []
    for one in place.asks:
        known = rights.get((one.presented.medium, one.presented.number))
        if known and one.presented.medium == model.CODE and badges.get(known[:5]):
            twin = badges[known[:5]]
            number = twin[len(codes) % len(twin)]
            codes.append(one)
            twins.append(one._replace(presented=one.presented._replace(medium=model.BADGE, number=number)))

    def run_codes(asks: Sequence[Ask]) -> None:
        for (reader, door, medium, _, button, secure), situation, moment, digits in asks:
            presented = model.Presented(reader, door, medium, code_number(digits), button, secure)
            authorize(index, presented, situation, moment)

    def run_badges(asks: Sequence[Ask]) -> None:
        for (reader, door, medium, number, button, secure), situation, moment, digits in asks:
            hmac.digest(CODE_KEY, digits, "sha256")
            presented = model.Presented(reader, door, medium, number, button, secure)
            authorize(index, presented, situation, moment)

    sides = {"code": Side(run_codes, repr, codes), "badge": Side(run_badges, repr, twins)}
    best = time_loops(sides, passes * 3)
    case = f"{len(place.residence.credentials):,} credentials, a code keyed in"
    return as_much("P1", case, best["code"], best["badge"], "a badge and one HMAC-SHA256", "us", GOAL_CODE)
