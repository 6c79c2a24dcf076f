"""Days and times as people write them: local days, exact times, intervals of a week type. All give integers.

A day or time is ISO 8601, `2026-03-29` or `2026-03-29T14:00[:30][+01:00]` (a space may stand for the T). With
`day_first`, `29/03/2026` too, as a French spreadsheet writes it.
"""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from edge.residence.problems import TextError

FIRST_YEAR = 1990
LAST_YEAR = 2199

_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](.+))?", re.ASCII)
_DAY_FIRST = re.compile(r"(\d\d)/(\d\d)/(\d{4})(?:[T ](.+))?", re.ASCII)
_TIME = re.compile(r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_HOUR = re.compile(r"(\d{1,2}):(\d\d)", re.ASCII)


def parse_from(text: str, zone: ZoneInfo, day_first: bool = False) -> int:
    """Utc seconds at which a validity begins: a day's first instant, or the exact time. TextError if it is neither."""
    day, time = _split(text, day_first)
    return _start_of(day, zone) if time is None else _exact_ms(day, time, zone, text) // 1000


def parse_to(text: str, zone: ZoneInfo, day_first: bool = False) -> int:
    """Utc seconds at which a validity has ended: the instant after a day's last, or the exact time."""
    day, time = _split(text, day_first)
    if time is None:
        return _start_of(day + timedelta(days=1), zone)
    return _exact_ms(day, time, zone, text) // 1000


def parse_instant_ms(text: str, zone: ZoneInfo) -> int:
    """Utc milliseconds of a local time, which must not be a mere day."""
    day, time = _split(text, False)
    if time is None:
        raise TextError(f"{text!r} lacks the time: write {text}T08:00:00")
    return _exact_ms(day, time, zone, text)


def parse_day(text: str) -> date:
    """A day without a time."""
    day, time = _split(text, False)
    if time is not None:
        raise TextError(f"{text!r} has a time: only the day is meant here, as in 2026-12-24")
    return day


def add_years(day: date, years: int) -> date:
    """The same day `years` later; 29 February becomes 1 March where there is none."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def start_of_day_s(day: date, zone: ZoneInfo) -> int:
    """Utc seconds of a local day's first instant."""
    return _start_of(day, zone)


def local_day(utc_s: int, zone: ZoneInfo) -> date:
    """The local day of an instant."""
    return datetime.fromtimestamp(utc_s, zone).date()


def parse_interval(text: str) -> tuple[int, int]:
    """(start_min, end_min) of "20:00-02:30"; "24:00" only as the end. TextError where start = end or it is no time."""
    start_text, dash, end_text = text.partition("-")
    if not dash:
        raise TextError(f'{text!r} is no interval: write it as "07:00-12:00"')
    start_min, end_min = _minutes(start_text.strip(), 1439), _minutes(end_text.strip(), 1440)
    if start_min == end_min:
        raise TextError(f'{text!r} starts when it ends: for the whole day write "00:00-24:00"')
    if end_min == 0:
        end_min = 1440  # midnight, one form of it
    return start_min, end_min


def _minutes(text: str, last: int) -> int:
    match = _HOUR.fullmatch(text)
    minutes = int(match[1]) * 60 + int(match[2]) if match and int(match[2]) < 60 else -1
    if not 0 <= minutes <= last:
        allowed = "23:59" if last < 1440 else "24:00"
        raise TextError(f"{text!r} is no time of day: write hours and minutes, 00:00 to {allowed}")
    return minutes


def _split(text: str, day_first: bool) -> tuple[date, str | None]:
    match = _ISO.fullmatch(text)
    if match:
        year, month, day = int(match[1]), int(match[2]), int(match[3])
    else:
        match = _DAY_FIRST.fullmatch(text) if day_first else None
        if not match:
            raise TextError(f"{text!r} is no day: write 2026-03-29, or with a time 2026-03-29T14:00")
        year, month, day = int(match[3]), int(match[2]), int(match[1])
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise TextError(f"{text!r}: the year must be {FIRST_YEAR} to {LAST_YEAR}")
    try:
        return date(year, month, day), match[4]
    except ValueError:
        raise TextError(f"{text!r}: there is no such day") from None


def _start_of(day: date, zone: ZoneInfo) -> int:
    # Where the clock skips midnight, fold=0 makes this the instant of the change: the day's first.
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def _exact_ms(day: date, time: str, zone: ZoneInfo, text: str) -> int:
    match = _TIME.fullmatch(time)
    if not match or int(match[1]) > 23 or int(match[2]) > 59 or int(match[3] or 0) > 59:
        raise TextError(f"{text!r} is no time: write 2026-03-29T14:00 or 2026-03-29T14:00:30+02:00")
    fraction_us = int((match[4] or "0").ljust(3, "0")) * 1000
    local = datetime(
        day.year, day.month, day.day, int(match[1]), int(match[2]), int(match[3] or 0), fraction_us, zone
    )  # fmt: skip
    instants = _instants_of(local)
    if not instants:
        raise TextError(f"{text!r} does not occur: the clock of {zone.key} skips this hour")
    if match[5]:
        instants = [one for one in instants if _offset_text(one, zone) == match[5].replace("Z", "+00:00")]
        if not instants:
            raise TextError(f"{text!r}: {zone.key} does not have this offset then; leave it out, or correct it")
    if len(instants) > 1:
        offsets = " or ".join(_offset_text(one, zone) for one in instants)
        raise TextError(f"{text!r} occurs twice, the clock repeats this hour: add {offsets}")
    return round(instants[0].timestamp() * 1000)


def _instants_of(local: datetime) -> list[datetime]:
    """The utc instants, none to two, at which the local clock shows `local`."""
    found: list[datetime] = []
    for fold in (0, 1):
        instant = local.replace(fold=fold).astimezone(UTC)
        shown = instant.astimezone(local.tzinfo).replace(tzinfo=None)
        if shown == local.replace(tzinfo=None) and instant not in found:
            found.append(instant)
    return found


def _offset_text(instant: datetime, zone: ZoneInfo) -> str:
    seconds = int(instant.astimezone(zone).utcoffset().total_seconds())  # type: ignore[union-attr]
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02d}:{minutes:02d}"
