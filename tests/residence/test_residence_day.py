"""day.csv: its steps, and every kind of error in it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from residence_folders import EXAMPLE, copy_example, read_whole

from edge.residence.day import Step, read_day
from edge.residence.values import Residence

HEADINGS = "at;door;reader;medium;value;button;expect;note\n"


@pytest.fixture(scope="module")
def residence() -> Residence:
    """The example."""
    return read_whole(EXAMPLE)


def _utc_ms(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1000


def _day(tmp_path: Path, residence: Residence, *lines: str) -> tuple[tuple[Step, ...], list[str]]:
    (tmp_path / "day.csv").write_text(HEADINGS + "\n".join(lines), "utf-8")
    steps, problems = read_day(tmp_path / "day.csv", residence)
    return steps, [str(one) for one in problems]


def test_the_examples_day(residence: Residence) -> None:
    """All 36 steps are there, in order, with numbers, instants and expectations."""
    steps, problems = read_day(EXAMPLE / "day.csv", residence)
    assert problems == []
    assert len(steps) == 36
    assert [step.line for step in steps] == list(range(2, 38))
    assert [step.at_ms for step in steps] == sorted(step.at_ms for step in steps)
    assert steps[0] == Step(
        2, "2026-11-23T07:58:00", _utc_ms(2026, 11, 23, 6, 58), "hall-a", "hall-a-in", "badge", "1111100007",
        1111100007, "", None, ("open",), "a resident",
    )  # fmt: skip
    assert steps[10].expect == ("open", "alarm:duress")
    assert steps[10].number is None
    phone = next(step for step in steps if step.medium == "phone")
    assert (phone.value, phone.number) == ("0033612345670", 33612345670)
    call = next(step for step in steps if step.medium == "call")
    assert (call.value, call.button, call.reader, call.number) == ("A3", "3", "", None)


def test_the_repeated_hour_needs_its_offset(tmp_path: Path, residence: Residence) -> None:
    """Both passes of 02:30 in autumn can be written; without an offset it is refused."""
    steps, problems = _day(
        tmp_path,
        residence,
        "2026-10-25T02:30:00+02:00;hall-a;;rex;;;open:exit;",
        "2026-10-25T02:30:00+01:00;hall-a;;rex;;;open:exit;",
    )
    assert problems == []
    assert [step.at_ms for step in steps] == [_utc_ms(2026, 10, 25, 0, 30), _utc_ms(2026, 10, 25, 1, 30)]
    steps, problems = _day(tmp_path, residence, "2026-10-25T02:30:00;hall-a;;rex;;;open:exit;")
    assert steps == ()
    assert "add +02:00 or +01:00" in problems[0]


def test_steps_of_every_medium(tmp_path: Path, residence: Residence) -> None:
    """What the format's table allows is taken, each medium with its values."""
    at = "2026-11-23T08:00:00"
    steps, problems = _day(
        tmp_path,
        residence,
        f"{at};hall-a;hall-a-in;mobile;0000000077;;denied:unknown;",
        f"{at};hall-a;;tamper;on;;alarm:tamper;",
        f"{at};;;tamper;off;;none;",
        f"{at};;;clock;untrusted;;alarm:clock;",
        f"{at};;;clock;2026-11-23T09:00:00;;none;",
        f"{at};;;power;restart;;none;",
        f"{at};hall-b;;command;lockdown;;none;",
        f"{at};;;command;release;;none;",
        f"{at};parking;parking-radio;remote;3695843690;4;denied:no-access+alarm:reader;",
    )
    assert problems == []
    assert steps[0].number == 77
    assert steps[4].clock_ms == _utc_ms(2026, 11, 23, 8)
    assert [step.clock_ms for step in steps if step.clock_ms is None] == [None] * 8
    assert steps[8].expect == ("denied:no-access", "alarm:reader")


AT = "2026-11-23T08:00:00"
ERRORS = [
    (";hall-a;;rex;;;open:exit;", 1, "at: must not be empty"),
    ("2026-11-23;hall-a;;rex;;;open:exit;", 1, "at: '2026-11-23' lacks the time"),
    ("2026-03-29T02:30:00;hall-a;;rex;;;open:exit;", 1, "skips this hour"),
    (f"{AT};hall-z;;rex;;;open:exit;", 2, "door: 'hall-z' is unknown"),
    (f"{AT};;;rex;;;open:exit;", 2, "door: a rex happens at a door"),
    (f"{AT};hall-a;hall-z-in;badge;1111100007;;open;", 3, "reader: 'hall-z-in' is unknown"),
    (f"{AT};hall-b;hall-a-in;badge;1111100007;;open;", 3, "reader: 'hall-a-in' is at door 'hall-a'"),
    (f"{AT};hall-a;;nose;;;open;", 4, "medium: 'nose' is unknown"),
    (f"{AT};hall-a;;badge;;;open;", 5, "value: must not be empty for badge"),
    (f"{AT};hall-a;;badge;4,64E+09;;open;", 5, "format the column as text"),
    (f"{AT};hall-a;;badge;123;;open;", 5, "at least 10"),
    (f"{AT};hall-a;;code;12a;;open;", 5, "not shown"),
    (f"{AT};hall-a;;phone;12;;open;", 5, "telephone"),
    (f"{AT};hall-a;;contact;ajar;;none;", 5, "value: 'ajar' is unknown; there is: open, closed"),
    (f"{AT};hall-a;;rex;1;;open:exit;", 5, "value: an exit button has no value"),
    (f"{AT};;;clock;soon;;none;", 5, "value: 'soon' is no day"),
    (f"{AT};hall-a;;badge;1111100007;1;open;", 6, "button: a badge has no button"),
    (f"{AT};parking;;remote;1111100007;;open;", 6, "button: '' is unknown; there is: 1, 2, 3, 4"),
    (f"{AT};hall-a;;call;A1;4;open;", 6, "button: '4' is unknown"),
    (f"{AT};hall-a;;rex;;;;", 7, "expect: must not be empty"),
    (f"{AT};hall-a;;rex;;;opened;", 7, "expect: 'opened' is unknown"),
    (f"{AT};hall-a;;rex;;;open:aux9;", 7, "expect: open: 'aux9' is unknown"),
    (f"{AT};hall-a;;rex;;;denied:because;", 7, "expect: denied: 'because' is unknown"),
    (f"{AT};hall-a;;rex;;;alarm:fire;", 7, "expect: alarm: 'fire' is unknown"),
    (f"{AT};hall-a;;rex;;;none+open;", 7, "expect: 'none' stands alone"),
    ("2026-11-23T07:59:59;hall-a;;rex;;;open:exit;", 1, "is before the step above"),
]


@pytest.mark.parametrize(("line", "column", "words"), ERRORS)
def test_an_error_names_its_line_and_column(
    tmp_path: Path, residence: Residence, line: str, column: int, words: str
) -> None:
    """A wrong step is the only problem, at its place, and the day has no steps."""
    steps, problems = _day(tmp_path, residence, f"{AT};hall-a;;rex;;;open:exit;", line)
    assert steps == ()
    assert len(problems) == 1, problems
    assert problems[0].startswith(f"day.csv:3:{column}: ")
    assert words in problems[0]


def test_a_code_is_not_shown(tmp_path: Path, residence: Residence) -> None:
    """The problem of a wrong code does not repeat it."""
    _, problems = _day(tmp_path, residence, f"{AT};hall-a;;code;98761x;;open;")
    assert len(problems) == 1
    assert "98761" not in problems[0]


def test_missing_files_and_columns_are_problems(tmp_path: Path, residence: Residence) -> None:
    """No file, no heading: a problem each, no exception."""
    assert str(read_day(tmp_path / "no.csv", residence)[1][0]).startswith("no.csv: is missing")
    (tmp_path / "day.csv").write_text("at;door\n")
    _, problems = read_day(tmp_path / "day.csv", residence)
    assert [one.field for one in problems] == ["reader", "medium", "value", "button", "expect"]


def test_any_copy_reads_alike(tmp_path: Path, residence: Residence) -> None:
    """A copy with commas and a BOM has the same steps."""
    folder = copy_example(tmp_path)
    text = (folder / "day.csv").read_text("utf-8")
    swapped = text.replace(",", " ").replace(";", ",")
    (folder / "day.csv").write_bytes(b"\xef\xbb\xbf" + swapped.encode())
    steps, problems = read_day(folder / "day.csv", residence)
    assert problems == []
    expected, _ = read_day(EXAMPLE / "day.csv", residence)
    assert [step.at_ms for step in steps] == [step.at_ms for step in expected]
    assert [step.expect for step in steps] == [step.expect for step in expected]
