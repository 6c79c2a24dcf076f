"""Events as a picture: when people come, as a calendar heat map, and a bar for each door. Pure: events in, SVG out.

Up to nine weeks are days by hours, where a person looks for a habit or for one night; more are weeks by days, where one
looks for a season. Colours are told apart by their lightness alone, and each number is written, too.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape

Say = Callable[[str], str]

HOURS_DAYS = 63  # at most so many days are drawn hour by hour
MOST_DAYS = 4 * 53 * 7  # the newest; a wild clock must not draw a century
RESULTS = ("open", "denied", "alarm")

_WIDTH, _EDGE, _LABELS = 1000, 28, 46
_INK, _SOFT, _PAPER, _EMPTY, _RULE = "#1a1a1a", "#5c5c5c", "#ffffff", "#f1f1ee", "#d8d8d4"
_SCALE = ("#cfe8c9", "#8fd0b8", "#4aafc0", "#1f78b4", "#20307a")
_OF_RESULT = {"open": "#4a9cc9", "denied": "#e69f00", "alarm": "#5b0f5b"}
_WEEK_COLUMNS = 53
_NO_XML = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Tally:
    """Counts what a plot shows, event by event, and keeps no event. local: utc ms → that moment where the door is."""

    def __init__(self, local: Callable[[int], datetime]) -> None:
        self._local = local
        self.passages: Counter[tuple[date, int]] = Counter()  # (day, hour)
        self.alarms: Counter[tuple[date, int]] = Counter()
        self.doors: dict[str, Counter[str]] = {}
        self.zones: dict[str, None] = {}  # in the order of their first event
        self.untrusted = 0

    def add(self, event: Mapping[str, Any]) -> None:
        """Count an event as the local API gives it; what is neither passage nor alarm is left out."""
        result = event["result"]
        if result not in RESULTS:
            return
        at = self._local(event["at_ms"])
        (self.alarms if result == "alarm" else self.passages)[at.date(), at.hour] += 1
        self.doors.setdefault(event["door"], Counter())[result] += 1
        self.zones.setdefault(_zone(at))
        self.untrusted += not event["clock_trusted"]

    def total(self, result: str) -> int:
        return sum(counts[result] for counts in self.doors.values())

    def days(self) -> tuple[date, date] | None:
        """The first day and the last; None without events."""
        seen = {day for day, _ in (*self.passages, *self.alarms)}
        return (max(min(seen), max(seen) - timedelta(days=MOST_DAYS - 1)), max(seen)) if seen else None


def _zone(at: datetime) -> str:
    offset = at.strftime("%z")
    return f"{at.tzname()} (UTC{offset[:3]}:{offset[3:5]})" if offset else "UTC"


def draw(tally: Tally, heading: str, names: Mapping[str, str], say: Say) -> str:
    """The SVG. heading: whose events. names: a door's id → its name. say: English → the reader's language."""
    return _Drawing(tally, names, say).svg(heading)


class _Drawing:
    def __init__(self, tally: Tally, names: Mapping[str, str], say: Say) -> None:
        self._tally, self._names, self._say = tally, names, say
        self._months = say("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec").split()
        self._weekdays = say("Mon Tue Wed Thu Fri Sat Sun").split()
        self._parts: list[str] = []
        self._y = 0.0

    def svg(self, heading: str) -> str:
        days = self._tally.days()
        said = f"{self._say('Passages')} · {heading}"
        self._head(said, days)
        if days is not None:
            if (days[1] - days[0]).days < HOURS_DAYS:
                self._days_by_hours(*days)
            else:
                self._weeks_by_days(*days)
            self._bars()
        height = self._y + _EDGE
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}" '
            f'height="{height:.0f}" role="img" font-family="\'DejaVu Sans\', Verdana, sans-serif" font-size="12" '
            f'fill="{_INK}">\n<title>{_safe(said)}</title>\n<desc>{_safe(self._summary())}</desc>\n'
            f'<rect width="100%" height="100%" fill="{_PAPER}"/>\n' + "\n".join(self._parts) + "\n</svg>\n"
        )

    def _head(self, said: str, days: tuple[date, date] | None) -> None:
        self._y = _EDGE + 14
        self._text(_EDGE, said, size=20, weight="bold")
        self._y += 24
        if days is None:
            self._text(_EDGE, self._say("No passages and no alarms were found."), color=_SOFT)
            return
        span = f"{self._day(days[0])} – {self._day(days[1])}"
        self._text(_EDGE, f"{span} · {self._say('times in')} {', '.join(self._tally.zones)}", color=_SOFT)
        self._y += 18
        self._text(_EDGE, self._summary(), color=_SOFT)
        if self._tally.untrusted:
            self._y += 18
            doubt = f"{self._number(self._tally.untrusted)} {self._say('of them were stamped by a clock not trusted')}"
            self._text(_EDGE, doubt, color=_SOFT)
        self._y += 16

    def _summary(self) -> str:
        words = {"open": self._say("granted"), "denied": self._say("denied"), "alarm": self._say("alarms")}
        return " · ".join(f"{words[result]} {self._number(self._tally.total(result))}" for result in RESULTS)

    # --- the calendar -----------------------------------------------------------------------------------------

    def _days_by_hours(self, first: date, last: date) -> None:
        count = (last - first).days + 1
        size = min(40.0, (_WIDTH - 2 * _EDGE - _LABELS) / count)
        high, left = 13.0, float(_EDGE + _LABELS)
        levels = _levels(self._tally.passages.values())
        self._section(self._say("Passages by day and hour"), levels, max(self._tally.passages.values(), default=1))
        days = [first + timedelta(days=at) for at in range(count)]
        self._label_days(days, left, size)
        for hour in range(24):
            if hour % 3 == 0:
                self._text(
                    left - 8, f"{hour:02d}:00", at=self._y + hour * high + 10, anchor="end", color=_SOFT, size=11
                )
        for at, day in enumerate(days):
            for hour in range(24):
                where = f"{self._weekdays[day.weekday()]} {self._day(day)}, {hour:02d}:00–{hour + 1:02d}:00"
                key = (day, hour)
                box = (left + at * size, self._y + hour * high, size - 1.5, high - 1.5)
                self._cell(box, self._tally.passages[key], self._tally.alarms[key], levels, where)
        self._y += 24 * high

    def _label_days(self, days: Sequence[date], left: float, size: float) -> None:
        """Months, then the days' numbers; weekends stand out, so that weeks can be seen."""
        self._y += 12
        for at, day in enumerate(days):
            if at == 0 or day.day == 1:
                self._text(left + at * size, f"{self._months[day.month - 1]} {day.year}", weight="bold", size=11)
        self._y += 15
        for at, day in enumerate(days):
            is_weekend = day.weekday() >= 5
            if size >= 15 or day.weekday() == 0 or at == 0:
                middle = left + at * size + (size - 1.5) / 2
                self._text(
                    middle, str(day.day), anchor="middle", size=10, color=_INK if is_weekend else _SOFT,
                    weight="bold" if is_weekend else "normal",
                )  # fmt: skip
        self._y += 6

    def _weeks_by_days(self, first: date, last: date) -> None:
        passages: Counter[date] = Counter()
        alarms: Counter[date] = Counter()
        for counted, by_hour in ((passages, self._tally.passages), (alarms, self._tally.alarms)):
            for (day, _), number in by_hour.items():
                counted[day] += number
        levels = _levels(passages.values())
        self._section(self._say("Passages by day"), levels, max(passages.values(), default=1))
        monday = first - timedelta(days=first.weekday())
        weeks = (last - monday).days // 7 + 1
        rows = -(-weeks // _WEEK_COLUMNS)
        # Rows end with the newest week, so that the last one is full.
        monday -= timedelta(weeks=rows * _WEEK_COLUMNS - weeks) if rows > 1 else timedelta()
        for row in range(rows):
            self._week_row(monday + timedelta(weeks=row * _WEEK_COLUMNS), first, last, passages, alarms, levels)

    def _week_row(
        self, monday: date, first: date, last: date, passages: Counter[date], alarms: Counter[date], levels: list[int]
    ) -> None:
        size = min(17.0, (_WIDTH - 2 * _EDGE - _LABELS) / _WEEK_COLUMNS)
        left = float(_EDGE + _LABELS)
        self._y += 14
        shown = -1  # the week of the last label
        for week in range(_WEEK_COLUMNS):
            day = monday + timedelta(weeks=week)
            is_first = shown < 0 and day + timedelta(days=6) >= first
            is_next = shown >= 0 and day.month != (day - timedelta(weeks=1)).month and week - shown >= 3
            if day <= last and (is_first or is_next):
                with_year = is_first or day.month == 1
                named = max(day, first)
                name = self._months[named.month - 1] + (f" {named.year}" if with_year else "")
                self._text(left + week * size, name, weight="bold", size=11)
                shown = week + (2 if with_year else 0)
        self._y += 6
        for at in range(7):
            label_y = self._y + at * size + size - 5
            self._text(left - 8, self._weekdays[at], at=label_y, anchor="end", color=_SOFT, size=11)
        for week in range(_WEEK_COLUMNS):
            for at in range(7):
                day = monday + timedelta(weeks=week, days=at)
                if first <= day <= last:
                    box = (left + week * size, self._y + at * size, size - 2, size - 2)
                    where = f"{self._weekdays[at]} {self._day(day)}"
                    self._cell(box, passages[day], alarms[day], levels, where)
        self._y += 7 * size

    def _cell(
        self, box: tuple[float, float, float, float], passages: int, alarms: int, levels: list[int], where: str
    ) -> None:
        x, y, width, height = box
        color = _SCALE[bisect_right(levels, passages) - 1] if passages else _EMPTY
        words = f"{where}: {self._number(passages)}"
        mark = ""
        if alarms:
            words += f", {self._say('alarms')} {self._number(alarms)}"
            mark = (
                f'<circle cx="{x + width / 2:.1f}" cy="{y + height / 2:.1f}" r="3.6" fill="{_OF_RESULT["alarm"]}" '
                f'stroke="{_PAPER}" stroke-width="1.4"/>'
            )
        self._parts.append(
            f'<g><title>{_safe(words)}</title><rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
            f'height="{height:.1f}" rx="2" fill="{color}"/>{mark}</g>'
        )

    def _section(self, title: str, levels: list[int] | None = None, most: int = 0) -> None:
        self._y += 26
        self._text(_EDGE, title, size=15, weight="bold")
        if levels is not None:
            self._legend(levels, most)
        self._y += 10

    def _legend(self, levels: list[int], most: int) -> None:
        """From right to left: the alarm's mark, then the steps of the scale with the numbers that they stand for."""
        x = float(_WIDTH - _EDGE)
        entries = [(_EMPTY, "0")]
        for at, low in enumerate(levels):
            high = levels[at + 1] - 1 if at + 1 < len(levels) else most
            entries.append((_SCALE[at], self._number(low) + ("" if high == low else f"–{self._number(high)}")))
        if self._tally.alarms:
            x = self._right_to_left(x, self._say("alarm"))
            self._parts.append(
                f'<circle cx="{x - 8:.1f}" cy="{self._y - 4:.1f}" r="4.2" fill="{_OF_RESULT["alarm"]}"/>'
            )
            x -= 28
        for color, text in reversed(entries):
            x = self._right_to_left(x, text)
            self._swatch(x - 18, color)
            x -= 28

    def _right_to_left(self, x: float, text: str) -> float:
        self._text(x, text, anchor="end", color=_SOFT, size=11)
        return x - 7.2 * len(text) - 2

    def _swatch(self, x: float, color: str) -> None:
        self._parts.append(
            f'<rect x="{x:.1f}" y="{self._y - 10:.1f}" width="13" height="12" rx="2" fill="{color}" stroke="{_RULE}"/>'
        )

    # --- the doors --------------------------------------------------------------------------------------------

    def _bars(self) -> None:
        self._y += 8
        self._section(self._say("By door"))
        self._y += 12
        columns = {"open": 800.0, "denied": 888.0, "alarm": float(_WIDTH - _EDGE)}
        words = {"open": self._say("granted"), "denied": self._say("denied"), "alarm": self._say("alarms")}
        for result, x in columns.items():
            self._text(x, words[result], anchor="end", color=_SOFT, size=11)
            self._swatch(x - 7.2 * len(words[result]) - 20, _OF_RESULT[result])
        self._y += 8
        doors = sorted(self._tally.doors, key=lambda door: (door == "", self._names.get(door, door)))
        most = max(sum(self._tally.doors[door].values()) for door in doors)
        for door in doors:
            self._bar(door, most, columns)

    def _bar(self, door: str, most: int, columns: Mapping[str, float]) -> None:
        counts = self._tally.doors[door]
        name = self._names.get(door, door) or self._say("no door")
        self._parts.append(
            f'<line x1="{_EDGE}" y1="{self._y:.1f}" x2="{_WIDTH - _EDGE}" y2="{self._y:.1f}" stroke="{_RULE}"/>'
        )
        self._text(_EDGE, name if len(name) <= 26 else name[:25] + "…", at=self._y + 18)
        x, room = 220.0, 500.0
        for result in RESULTS:
            if counts[result]:
                width = max(2.0, room * counts[result] / most)
                self._parts.append(
                    f'<rect x="{x:.1f}" y="{self._y + 6:.1f}" width="{width:.1f}" height="15" '
                    f'fill="{_OF_RESULT[result]}"><title>{_safe(f"{name}: {counts[result]}")}</title></rect>'
                )
                x += width + 1
            self._text(columns[result], self._number(counts[result]), at=self._y + 18, anchor="end")
        self._y += 27

    # --- words and marks --------------------------------------------------------------------------------------

    def _day(self, day: date) -> str:
        return f"{day.day} {self._months[day.month - 1]} {day.year}"

    def _number(self, number: int) -> str:
        return f"{number:,}".replace(",", self._say("1,000")[1])

    def _text(
        self, x: float, text: str, *, at: float | None = None, anchor: str = "start", color: str = _INK,
        size: int = 12, weight: str = "normal",
    ) -> None:  # fmt: skip
        y = self._y if at is None else at
        style = f'font-size="{size}" font-weight="{weight}" fill="{color}" text-anchor="{anchor}"'
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}" {style}>{_safe(text)}</text>')


def _levels(counts: Iterable[int]) -> list[int]:
    """The lowest count of each step of the scale: as many cells in each as the counts allow."""
    ordered = sorted(count for count in counts if count)
    if not ordered:
        return [1]
    cuts = {ordered[len(ordered) * step // len(_SCALE)] for step in range(1, len(_SCALE))}
    return [1, *sorted(cuts - {1})]


def _safe(text: str) -> str:
    """Text for XML, which knows no control characters (XML 1.0, 2.2)."""
    return escape(_NO_XML.sub(" ", text))
