"""Days, exact times and intervals; the calendar against the time-zone database."""

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from edge.residence import times
from edge.residence.calendar import find_holidays, find_offsets, years_around
from edge.residence.problems import TextError
from edge.residence.values import Holiday

PARIS = ZoneInfo("Europe/Paris")
NEW_YORK = ZoneInfo("America/New_York")


def _utc_s(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp())


def test_both_days_are_included() -> None:
    """A day's `from` is its first instant, its `to` the instant after its last: 23, 24 and 25 hours."""
    for text, hours in (("2026-03-29", 23), ("2026-06-01", 24), ("2026-10-25", 25)):
        assert times.parse_to(text, PARIS) - times.parse_from(text, PARIS) == hours * 3600
    assert times.parse_from("2026-06-01", PARIS) == _utc_s(2026, 5, 31, 22)


def test_a_day_without_midnight_begins_at_the_change() -> None:
    """Where the clock skips midnight the day begins at 01:00, the instant of the change."""
    santiago = ZoneInfo("America/Santiago")
    start_s = times.parse_from("2024-09-08", santiago)
    assert datetime.fromtimestamp(start_s, santiago).isoformat() == "2024-09-08T01:00:00-03:00"
    assert datetime.fromtimestamp(start_s - 1, santiago).date() == date(2024, 9, 7)


def test_a_time_is_exact() -> None:
    """With a time, `from` and `to` are that instant; seconds and an offset may follow."""
    assert times.parse_from("2026-03-29T14:00", PARIS) == times.parse_to("2026-03-29 14:00", PARIS)
    assert times.parse_to("2026-03-29T14:00", PARIS) == _utc_s(2026, 3, 29, 12)
    assert times.parse_to("2026-10-25T02:30+02:00", PARIS) == _utc_s(2026, 10, 25, 0, 30)
    assert times.parse_to("2026-10-25T02:30+01:00", PARIS) == _utc_s(2026, 10, 25, 1, 30)
    assert times.parse_instant_ms("2026-01-01T00:00:01.5", PARIS) == _utc_s(2025, 12, 31, 23) * 1000 + 1500


@pytest.mark.parametrize(
    "text",
    [
        "", "2026", "2026-3-29", "29/03/2026", "2026-02-29", "2026-03-29T", "2026-03-29T14", "2026-03-29T14:60",
        "2026-03-29T24:00", "2026-03-29T02:00", "2026-03-29T02:59:59", "2026-10-25T02:00", "2026-06-01T10:00+01:00",
        "2026-06-01T10:00Z", "1989-12-31", "2200-01-01", "２０２６-01-01", "2026-01-01\n",
    ],
)  # fmt: skip
def test_what_is_no_day_or_time_is_refused(text: str) -> None:
    """Wrong, impossible, ambiguous and skipped times are errors."""
    with pytest.raises(TextError):
        times.parse_from(text, PARIS)


def test_an_exact_time_comes_back() -> None:
    """2,000 random instants in two zones, written as local time with offset, are read as the same instants."""
    seed = 20260329
    print("seed", seed)
    chance = random.Random(seed)
    for zone in (PARIS, NEW_YORK):
        for _ in range(1000):
            instant = datetime.fromtimestamp(chance.randrange(_utc_s(2000, 1, 1), _utc_s(2100, 1, 1)), zone)
            assert times.parse_from(instant.isoformat(), zone) == instant.timestamp()


def test_intervals() -> None:
    """Over midnight, up to 24:00; an end of 00:00 is midnight too; start = end is refused."""
    assert times.parse_interval("07:00-12:00") == (420, 720)
    assert times.parse_interval("20:00-02:30") == (1200, 150)
    assert times.parse_interval("20:00 - 24:00") == times.parse_interval("20:00-00:00") == (1200, 1440)
    for text in ("07:00-07:00", "24:00-01:00", "7-8", "07:00", "07:00-24:30", "07:60-08:00", "-", "00:00-00:00-"):
        with pytest.raises(TextError):
            times.parse_interval(text)


def test_years_later() -> None:
    """29 February has no anniversary in most years: the day after counts."""
    assert times.add_years(date(2026, 7, 1), 3) == date(2029, 7, 1)
    assert times.add_years(date(2028, 2, 29), 3) == date(2031, 3, 1)


@pytest.mark.parametrize(
    "name", ["Europe/Paris", "America/New_York", "Africa/Casablanca", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]
)
def test_offsets_are_those_of_the_zone(name: str) -> None:
    """At 3,000 random instants, and beside every change, the table gives what the time-zone database gives."""
    zone = ZoneInfo(name)
    years = (2025, 2037)
    offsets = find_offsets(zone, years)
    seed = 7
    print("seed", seed)
    chance = random.Random(seed)
    moments = [chance.randrange(_utc_s(2025, 1, 1), _utc_s(2038, 1, 1)) for _ in range(3000)]
    moments += [from_s + step for from_s, _ in offsets[1:] for step in (-1, 0, 1)]
    for moment_s in moments:
        expected = datetime.fromtimestamp(moment_s, zone).utcoffset()
        assert [one for one in offsets if one[0] <= moment_s][-1][1] == expected.total_seconds()  # type: ignore[union-attr]


def test_offsets_of_paris() -> None:
    """One year of Paris, second for second."""
    assert find_offsets(PARIS, (2026, 2026)) == [
        (_utc_s(2026, 1, 1), 3600), (_utc_s(2026, 3, 29, 1), 7200), (_utc_s(2026, 10, 25, 1), 3600),
    ]  # fmt: skip


def _days(found: dict[int, str]) -> dict[str, str]:
    return {(date(1970, 1, 1) + timedelta(days=day)).isoformat(): name for day, name in found.items()}


def test_own_holidays_add_and_remove() -> None:
    """A site's holiday comes every year if it says so; an open one takes a public holiday away, and wins."""
    own = (
        Holiday(date(2026, 12, 24), "Veille de Noël", True, False),
        Holiday(date(2026, 7, 14), "", False, True),
        Holiday(date(2027, 5, 1), "", True, True),
        Holiday(date(2024, 2, 29), "Leap", True, False),
        Holiday(date(2026, 3, 2), "x", False, False),
        Holiday(date(2026, 3, 2), "x", False, True),
    )
    days = _days(find_holidays("FR", "", own, (2026, 2028)))
    assert [day for day in days if day.endswith("12-24")] == ["2026-12-24", "2027-12-24", "2028-12-24"]
    assert [day for day in days if day.endswith("07-14")] == ["2027-07-14", "2028-07-14"]
    assert not [day for day in days if day.endswith("05-01")]
    assert [day for day in days if day.endswith("02-29")] == ["2028-02-29"]
    assert "2026-03-02" not in days
    assert days["2026-12-25"] == "Noël"
    assert list(days) == sorted(days)


def test_public_holidays_follow_the_subdivision_not_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Good Friday counts in Alsace-Moselle only; no country, no public holidays; names do not follow LANG."""
    monkeypatch.setenv("LANGUAGE", "en_US")
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    assert _days(find_holidays("FR", "57", (), (2023, 2023)))["2023-04-07"] == "Vendredi saint"
    assert "2023-04-07" not in _days(find_holidays("FR", "", (), (2023, 2023)))
    assert find_holidays("", "", (), (2023, 2023)) == {}


def test_a_policy_covers_ten_years_ahead() -> None:
    """From last year to eleven years ahead, so that ten full years lie ahead of any day of this one."""
    assert years_around(_utc_s(2026, 12, 31, 23, 59, 59)) == (2025, 2037)
