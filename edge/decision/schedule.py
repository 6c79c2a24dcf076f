"""Week types: is a schedule open now, and when does that change.

Portable: runs on CPython and MicroPython. Source: examples/README.md, "Week types": [start, end) belongs to the
day on which it starts; an end before the start runs over midnight into the next day, whatever that day is. Times
are local wall time, so an hour that the clock repeats counts twice and one that it skips does not occur.
"""

from edge.decision.rows import ALWAYS, HOLIDAY_ROW, NEVER

DAY_S = 86400
_FAR_S = 1 << 62
_HORIZON_DAYS = 370  # a holiday-only week type may be closed for a year


class LocalTime:
    """The site's wall time: UTC offsets as a table, and its holidays. `offsets`: [(from_utc_s, offset_s)] rising;
    before the first its offset holds, after the last the last one."""

    def __init__(self, offsets, holidays):
        table = sorted(offsets) or [(0, 0)]
        starts = [-_FAR_S] + [from_s for from_s, _ in table[1:]]
        ends = starts[1:] + [_FAR_S]
        self._spans = tuple([(starts[i], ends[i], table[i][1]) for i in range(len(table))])
        self._holidays = set(holidays)
        self._today = (0, 0, 0, 0, 0)  # from, to (utc), utc of its midnight, row, row of the day before: one local day

    def at(self, utc_s):
        """(second of the local day, its row, the row of the day before) at an instant. A row is 0-6, or
        HOLIDAY_ROW."""
        today = self._today
        if not today[0] <= utc_s < today[1]:
            today = self._today = self._look_up(utc_s)
        return utc_s - today[2], today[3], today[4]

    def row_of(self, day):
        """The row of a week type that a local day (since 1970-01-01, a Thursday) uses."""
        return HOLIDAY_ROW if day in self._holidays else (day + 3) % 7

    def day_of(self, utc_s):
        """The local day of an instant."""
        return (utc_s + self._span_of(utc_s)[2]) // DAY_S

    def instants_of(self, local_s):
        """The UTC instants at which the wall shows `local_s`: none, one or two."""
        return [local_s - offset for start, end, offset in self._spans if start <= local_s - offset < end]

    def steps_of(self, day):
        """The instants at which the offset changes within, into or out of a local day."""
        found = []
        for i in range(1, len(self._spans)):
            at_s, _, offset_s = self._spans[i]
            if day in ((at_s + offset_s) // DAY_S, (at_s - 1 + self._spans[i - 1][2]) // DAY_S):
                found.append(at_s)
        return found

    def _span_of(self, utc_s):
        for span in self._spans:
            if utc_s < span[1]:
                return span
        return self._spans[-1]

    def _look_up(self, utc_s):
        start, end, offset_s = self._span_of(utc_s)
        day = (utc_s + offset_s) // DAY_S
        midnight_s = day * DAY_S - offset_s
        rows = (self.row_of(day), self.row_of(day - 1))
        return (max(start, midnight_s), min(end, midnight_s + DAY_S), midnight_s) + rows


class WeekType:
    """One schedule, ready to be asked. `intervals`: (row 0-7, start_min, end_min), see rows.Schedule."""

    def __init__(self, intervals):
        spans = [[] for _ in range(8)]
        tails = [[] for _ in range(8)]
        for row, start_min, end_min in intervals:
            if end_min > start_min:
                spans[row].append((start_min * 60, end_min * 60))
            else:
                spans[row].append((start_min * 60, DAY_S))
                tails[row].append(end_min * 60)
        self._spans = tuple(tuple(row) for row in spans)
        self._tails = tuple(tuple(row) for row in tails)
        self._has_tails = any(self._tails)

    def is_open(self, local_time, utc_s):
        """Whether the schedule is open at an instant."""
        second, row, before = local_time.at(utc_s)
        for start, end in self._spans[row]:
            if start <= second < end:
                return True
        if self._has_tails:
            for end in self._tails[before]:
                if second < end:
                    return True
        return False

    def next_change(self, local_time, utc_s):
        """The first instant after `utc_s` at which is_open differs from now, or None within a year."""
        if not any(self._spans):
            return None  # never open
        now_open = self.is_open(local_time, utc_s)
        first_day = local_time.day_of(utc_s) - 1
        for day in range(first_day, first_day + _HORIZON_DAYS):
            for instant in self._boundaries(local_time, day):
                if instant > utc_s and self.is_open(local_time, instant) != now_open:
                    return instant
        return None

    def _boundaries(self, local_time, day):
        """The instants of a local day, in order, at which the schedule may change."""
        row, before = local_time.row_of(day), local_time.row_of(day - 1)
        seconds = [0] + [edge for span in self._spans[row] for edge in span] + list(self._tails[before])
        instants = []
        for second in seconds:
            instants.extend(local_time.instants_of(day * DAY_S + second))
        instants.extend(local_time.steps_of(day))
        return sorted(instants)


class _Fixed:
    def __init__(self, value):
        self._value = value

    def is_open(self, local_time, utc_s):
        return self._value

    def next_change(self, local_time, utc_s):
        return None


BUILT_IN = {ALWAYS: _Fixed(True), NEVER: _Fixed(False)}
