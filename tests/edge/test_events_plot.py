"""The picture of the events: what it counts, where it puts it, and that everybody can read it."""

import random
import re
import xml.etree.ElementTree as ElementTree
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge import events_plot
from edge.events_plot import HOURS_DAYS, MOST_DAYS, Tally, draw
from edge.translations import catalogue, parse

PARIS = ZoneInfo("Europe/Paris")
FRENCH = Path(events_plot.__file__).parent / "locale" / "fr" / "LC_MESSAGES" / "plot.po"
SVG = "{http://www.w3.org/2000/svg}"


def tally(*events: tuple[datetime, str, str]) -> Tally:
    """Of (moment, door, result)."""
    counted = Tally(lambda utc_ms: datetime.fromtimestamp(utc_ms / 1000, PARIS))
    for at, door, result in events:
        at_ms = int(at.timestamp() * 1000)
        counted.add({"at_ms": at_ms, "door": door, "result": result, "clock_trusted": True})
    return counted


def passages(days: int, count: int, seed: int = 7) -> Tally:
    chance = random.Random(seed)
    first = datetime(2026, 1, 5, tzinfo=PARIS)
    spread = [first + timedelta(minutes=chance.randrange(days * 1440)) for _ in range(count)]
    ends = [first, first + timedelta(days=days - 1, hours=12)]
    return tally(*((at, chance.choice(("a", "b")), "open") for at in (*spread, *ends)))


def drawn(counted: Tally, say=str, names=None) -> ElementTree.Element:
    return ElementTree.fromstring(draw(counted, "a house", names or {}, say))


def words(picture: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in picture.iter(f"{SVG}text")]


def cells(picture: ElementTree.Element) -> dict[str, int]:
    """What each cell of the calendar says: where → passages."""
    said = [group.find(f"{SVG}title").text for group in picture.iter(f"{SVG}g")]
    return {where: int(number.split(",")[0]) for where, _, number in (text.rpartition(": ") for text in said)}


def test_an_hour_is_that_of_the_place():
    """At 23:30 UTC it is half past midnight of the next day in Paris."""
    picture = drawn(tally((datetime(2026, 1, 5, 23, 30, tzinfo=UTC), "a", "open")))
    assert {where: number for where, number in cells(picture).items() if number} == {"Tue 6 Jan 2026, 00:00–01:00": 1}


def test_every_passage_is_in_one_cell():
    """Days by hours, and weeks by days: the cells add up; alarms are marks on them, infos nowhere."""
    for days in (HOURS_DAYS, HOURS_DAYS + 1, 800):
        counted = passages(days, 500)
        for result in ("info", "denied", "alarm"):
            at_ms = int(datetime(2026, 1, 5, 9, tzinfo=PARIS).timestamp() * 1000)
            counted.add({"at_ms": at_ms, "door": "a", "result": result, "clock_trusted": True})
        picture = drawn(counted)
        assert sum(cells(picture).values()) == 503, days
        assert len(cells(picture)) == (days * 24 if days == HOURS_DAYS else days)
        # One in the calendar, one in the legend.
        assert len(list(picture.iter(f"{SVG}circle"))) == 2


def test_the_night_without_an_hour_is_drawn():
    """The last Sunday of March: 23 hours pass, and both sides of the gap are where the clocks showed them."""
    night = datetime(2026, 3, 28, 23, tzinfo=UTC)
    picture = drawn(tally(*((night + timedelta(minutes=30 * n), "a", "open") for n in range(8))))
    found = {where.split(", ")[1]: number for where, number in cells(picture).items() if number}
    assert found == {"00:00–01:00": 2, "01:00–02:00": 2, "03:00–04:00": 2, "04:00–05:00": 2}
    assert any("CET (UTC+01:00), CEST (UTC+02:00)" in text for text in words(picture))


def test_a_wild_clock_draws_no_century():
    """Of events decades apart the newest years are drawn; all are counted."""
    counted = tally((datetime(1990, 1, 1, tzinfo=UTC), "a", "open"), (datetime(2026, 1, 1, tzinfo=UTC), "a", "open"))
    assert len(cells(drawn(counted))) <= MOST_DAYS
    assert "granted 2 · denied 0 · alarms 0" in words(drawn(counted))


def test_doors_have_bars_in_proportion():
    """The longest fills its place, another is as much shorter as it had fewer; the numbers stand beside."""
    at = datetime(2026, 1, 5, 9, tzinfo=PARIS)
    counted = tally(*[(at, "a", "open")] * 90, *[(at, "a", "denied")] * 10, *[(at, "b", "open")] * 25)
    picture = drawn(counted, names={"a": "Hall <A> & \x07co"})
    widths = {
        (bar.find(f"{SVG}title").text, bar.get("fill")): float(bar.get("width"))
        for bar in picture.iter(f"{SVG}rect")
        if bar.find(f"{SVG}title") is not None
    }
    blue, orange = events_plot._OF_RESULT["open"], events_plot._OF_RESULT["denied"]
    assert widths[("Hall <A> &  co: 90", blue)] == pytest.approx(9 * widths[("Hall <A> &  co: 10", orange)])
    assert widths[("b: 25", blue)] == pytest.approx(widths[("Hall <A> &  co: 90", blue)] * 25 / 90, abs=0.1)
    assert {"90", "10", "25"} <= set(words(picture))


def test_nothing_to_draw_says_so():
    """A picture all the same, so that a script finds a file."""
    assert "No passages and no alarms were found." in words(drawn(tally()))


def test_one_alarm_alone_is_drawn():
    """Nobody came: the scale has nothing to scale."""
    picture = drawn(tally((datetime(2026, 1, 5, 9, tzinfo=PARIS), "", "alarm")))
    assert "no door" in words(picture)
    assert "granted 0 · denied 0 · alarms 1" in words(picture)


def test_the_steps_of_the_scale_are_full():
    """Each has about as many cells as the others, and the legend gives their bounds without a gap."""
    assert events_plot._levels([0, 1, 1, 1]) == [1]
    assert events_plot._levels([]) == [1]
    assert events_plot._levels(range(1, 101)) == [1, 21, 41, 61, 81]
    picture = drawn(passages(30, 40_000))
    legend = [text for text in words(picture) if re.fullmatch(r"\d+–\d+", text)]
    bounds = sorted([int(number) for number in text.split("–")] for text in legend)
    assert all(after[0] == before[-1] + 1 for before, after in pairwise(bounds))
    assert bounds[-1][-1] == max(cells(picture).values())


def lightness(color: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((lightness(one), lightness(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_are_told_apart_without_colour():
    """Each step of the scale is clearly darker than the one before, so are a bar's parts, and text can be read."""
    steps = (events_plot._EMPTY, *events_plot._SCALE)
    assert all(contrast(light, dark) > 1.15 and lightness(light) > lightness(dark) for light, dark in pairwise(steps))
    bar = [events_plot._OF_RESULT[result] for result in ("denied", "open", "alarm")]
    assert all(contrast(*pair) > 1.3 for pair in pairwise(bar))
    for ink in (events_plot._INK, events_plot._SOFT):
        assert contrast(ink, events_plot._PAPER) > 4.5


def test_it_brings_its_own_paper_and_words():
    """Legible in a dark viewer; a title and a description for who cannot see; nothing from elsewhere."""
    picture = drawn(passages(10, 100))
    [paper] = [rect for rect in picture.iter(f"{SVG}rect") if rect.get("width") == "100%"]
    assert paper.get("fill") == events_plot._PAPER
    assert picture.find(f"{SVG}title").text == "Passages · a house"
    assert "granted" in picture.find(f"{SVG}desc").text
    kinds = {element.tag.removeprefix(SVG) for element in picture.iter()}
    assert kinds == {"svg", "title", "desc", "rect", "text", "g", "line"}


def test_every_text_is_french_too():
    """No text of either calendar is missing in the catalogue, and none there is left over."""
    said = set()

    def say(text: str) -> str:
        said.add(text)
        return text

    at = datetime(2026, 1, 5, 9, tzinfo=PARIS)
    odd = tally((at, "", "alarm"))
    odd.untrusted = 1
    for counted in (tally(), odd, passages(10, 100), passages(100, 100)):
        draw(counted, "", {}, say)
    assert said == set(parse(FRENCH.read_text("utf-8"))) - {""}
    french = words(drawn(passages(100, 3000), catalogue(FRENCH).gettext))
    assert {"accordés 3\u202f002 · refusés 0 · alarmes 0", "Par porte", "lun.", "Passages par jour"} <= set(french)


def test_months_and_weekdays_are_twelve_and_seven():
    """In both languages: they are one text each."""
    french = catalogue(FRENCH).gettext
    for say in (str, french):
        assert len(say("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec").split()) == 12
        assert len(say("Mon Tue Wed Thu Fri Sat Sun").split()) == 7
    assert date(2026, 11, 23).weekday() == 0
