"""A site's own calendar for a span of years: utc offsets and holidays, so that the core needs no time-zone database."""

import bisect
from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays as public_holidays

from edge.residence.values import Holiday

_DAY_S = 86_400
_EPOCH = date(1970, 1, 1)

Years = tuple[int, int]  # first and last, both included


def years_around(now_s: float) -> Years:
    """The years that a policy made now covers: from last year to eleven years ahead."""
    year = datetime.fromtimestamp(now_s, UTC).year
    return year - 1, year + 11


def find_offsets(zone: ZoneInfo, years: Years) -> list[tuple[int, int]]:
    """(from_s, offset_s) of each stretch with one offset; the first begins with the first year (utc)."""
    start_s = int(datetime(years[0], 1, 1, tzinfo=UTC).timestamp())
    end_s = int(datetime(years[1] + 1, 1, 1, tzinfo=UTC).timestamp())
    offsets = [(start_s, _offset_s(zone, start_s))]
    for at_s in range(start_s, end_s, _DAY_S):
        before, after = _offset_s(zone, at_s), _offset_s(zone, at_s + _DAY_S)
        if before != after:
            offsets.append((_change_s(zone, at_s, at_s + _DAY_S), after))
    return offsets


def _change_s(zone: ZoneInfo, before_s: int, after_s: int) -> int:
    """The first second after `before_s` with another offset, by halving."""
    old = _offset_s(zone, before_s)
    seconds = range(before_s, after_s + 1)
    return seconds[bisect.bisect_left(seconds, True, key=lambda at_s: _offset_s(zone, at_s) != old)]


def find_holidays(country: str, subdivision: str, own: Iterable[Holiday], years: Years) -> dict[int, str]:
    """{local days since 1970-01-01: name}: public holidays, and the site's own, less those that it takes away."""
    own = tuple(own)
    days = dict(_public(country, subdivision, years))
    for is_open in (False, True):  # what is taken away wins
        for holiday in own:
            if holiday.is_open != is_open:
                continue
            for day in _days_of(holiday, years):
                if is_open:
                    days.pop(day, None)
                else:
                    days[day] = holiday.name or days.get(day, "")
    return {(day - _EPOCH).days: name for day, name in sorted(days.items())}


def _days_of(holiday: Holiday, years: Years) -> list[date]:
    if not holiday.every_year:
        return [holiday.day]
    days = []
    for year in range(years[0], years[1] + 1):
        try:
            days.append(holiday.day.replace(year=year))
        except ValueError:
            continue  # 29 February
    return days


@lru_cache(maxsize=64)
def _public(country: str, subdivision: str, years: Years) -> tuple[tuple[date, str], ...]:
    known = public_holidays.list_supported_countries(include_aliases=False)
    if country not in known:
        return ()
    # Names in the country's own language: else they would follow the environment, and the digest with them.
    language = public_holidays.country_holidays(country).default_language
    calendar = public_holidays.country_holidays(
        country, subdiv=subdivision or None, years=range(years[0], years[1] + 1), language=language
    )
    return tuple(sorted(calendar.items()))


def _offset_s(zone: ZoneInfo, utc_s: int) -> int:
    offset = datetime.fromtimestamp(utc_s, zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0
