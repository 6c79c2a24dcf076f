"""What the policy engines are given: the same residence and asks as ours, and what an application around them does.

An engine knows groups, grants and conditions. It keeps no list of a million credentials that it finds by number, so
the application finds the credential in a dict and hands it over. Run inside a peer's environment.
"""

import json
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from decide_residence import Ask
from decide_timing import measure

from edge.decision import model, rows
from edge.decision.schedule import BUILT_IN, LocalTime, WeekType

Known = tuple[int, int, int, int, int, str]  # group, from_s, to_s, state, flags, output
NOBODY: Known = (0, 0, 0, 0, 0, "")


class Grant(NamedTuple):
    """`where`: door/output, or door/button for a remote."""

    group: int
    where: str
    medium: str
    week: int


class Scene:
    """A residence as the application around an engine holds it."""

    def __init__(self, small: list[Any], credentials: dict[tuple[int, int], Known]) -> None:
        self.credentials = credentials
        self.doors = {row.id: row for row in small if isinstance(row, rows.Door)}
        self.readers = {row.id: row for row in small if isinstance(row, rows.Reader)}
        self.groups = [row for row in small if isinstance(row, rows.Group)]
        self.intervals = {row.id: row.intervals for row in small if isinstance(row, rows.Schedule)}
        self.local_time = LocalTime(
            [(row.from_s, row.offset_s) for row in small if isinstance(row, rows.Offset)],
            [row.day for row in small if isinstance(row, rows.Holiday)],
        )
        self.week_types = {number: WeekType(intervals) for number, intervals in self.intervals.items()} | BUILT_IN

    def grants(self) -> Iterator[Grant]:
        """Give every grant, one for each medium and each button."""
        for group in self.groups:
            for door, output, media, buttons, week in group.grants:
                for medium, word in model.MEDIUM_WORDS.items():
                    if not media & 1 << medium:
                        continue
                    places = [output or self.doors[door].outputs[0]]
                    if medium == model.REMOTE:
                        places = [str(n + 1) for n in range(4) if buttons & 1 << n]
                    yield from (Grant(group.id, f"{door}/{place}", word, week) for place in places)

    def known(self, presented: model.Presented) -> Known | None:
        return self.credentials.get((presented.medium, presented.number))

    def where(self, presented: model.Presented, known: Known) -> str:
        """Name what is asked for."""
        reader = self.readers.get(presented.reader)
        door = self.doors[reader.door if reader else presented.door]
        if presented.medium == model.REMOTE:
            return f"{door.id}/{presented.button}"
        output = known[5] if presented.medium == model.CODE else reader.output if reader else ""
        return f"{door.id}/{output or door.outputs[0]}"

    def may_pass(self, ask: Ask, known: Known) -> bool:
        """Check all that does not depend on the grant."""
        presented, situation, moment, _ = ask
        _, from_s, to_s, state, flags, _ = known
        if not presented.secure or situation.learning or situation.interlocked or state:
            return False
        if situation.locked_out and presented.medium == model.CODE:
            return False
        if situation.lockdown and not flags & rows.EMERGENCY:
            return False
        if moment.trusted and moment.utc_ms < from_s * 1000:
            return False
        if to_s and to_s * 1000 <= (moment.utc_ms if moment.trusted else moment.floor_ms):
            return False
        if situation.paired or presented.medium not in (model.BADGE, model.CODE):
            return True
        return not self.asks_for_both(presented.door, moment)

    def asks_for_both(self, door: str, moment: model.Moment) -> bool:
        """Check whether a door asks for badge and code together now."""
        week = self.doors[door].badge_and_code
        return week != rows.NEVER and (not moment.trusted or self.is_open(week, moment))

    def is_within(self, week: int, known: Known, moment: model.Moment) -> bool:
        """Check the grant's week type."""
        if not moment.trusted:
            return week == rows.ALWAYS and not known[1] and not known[2]
        return self.is_open(week, moment)

    def is_open(self, week: int, moment: model.Moment) -> bool:
        return self.week_types[week].is_open(self.local_time, moment.utc_ms // 1000)


def write(path: Path, small: list[Any], credentials: dict[tuple[int, int], Known], asks: list[Ask]) -> None:
    """Write the scene for the peers' processes."""
    path.write_bytes(pickle.dumps((small, credentials, asks), pickle.HIGHEST_PROTOCOL))


def serve(prepare: Callable[[Scene], dict[str, Callable[[Ask], bool]]]) -> None:
    """Measure a peer: arguments are the scene's file, how many asks, how many passes. Prints one JSON object:
    {side: {"answers": "01…", "loop_us", "p50_us", "p99_us"}}."""
    path, count, passes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    small, credentials, asks = pickle.loads(Path(path).read_bytes())
    asks = asks[:: max(1, len(asks) // count)][:count]
    measured = {}
    for side, decide in prepare(Scene(small, credentials)).items():
        answers = "".join("01"[decide(ask)] for ask in asks)
        measured[side] = {"answers": answers} | measure(decide, asks, passes)._asdict()
    print(json.dumps(measured))
