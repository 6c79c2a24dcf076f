"""day.csv: steps at a residence's doors and what each must give. Format: examples/README.md, "day.csv"."""

from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from edge.decision import reasons
from edge.decision.model import MEDIUM_OF_WORD
from edge.residence import texts, times
from edge.residence.problems import Findings, Problem, TextError, has_errors, unknown
from edge.residence.spreadsheet import Column, Row, read_rows
from edge.residence.values import Door, Reader, Residence

COLUMNS = (
    Column("at", is_required=True),
    Column("door", is_required=True),
    Column("reader", is_required=True),
    Column("medium", is_required=True),
    Column("value", is_required=True),
    Column("button", is_required=True),
    Column("expect", is_required=True),
    Column("note"),
)

# What `value` may be, where it is one of a few words.
_VALUES = {
    "contact": ("open", "closed"),
    "tamper": ("on", "off"),
    "network": ("down", "up"),
    "power": ("restart",),
    "command": ("open", "hold", "release", "lockdown", "forgive"),
}
_MEDIA = (*MEDIUM_OF_WORD, "call", "rex", "contact", "tamper", "network", "clock", "power", "command")
_WITHOUT_DOOR = ("tamper", "network", "clock", "power", "command")  # they may mean all of them
_CLOCK_WORDS = ("trusted", "untrusted")
_BUTTONS = {"remote": ("1", "2", "3", "4"), "call": ("1", "2", "3", "refused", "none")}


@dataclass(frozen=True)
class Step:
    """One step. at_ms: utc. number: of a badge, remote, phone (E.164) or mobile. clock_ms: utc, of `clock` with a
    time. expect: words as written, ("none",) for nothing. `value` of a code is a secret."""

    line: int
    at_text: str
    at_ms: int
    door: str
    reader: str
    medium: str
    value: str
    number: int | None
    button: str
    clock_ms: int | None
    expect: tuple[str, ...]
    note: str


def read_day(path: str | Path, residence: Residence) -> tuple[tuple[Step, ...], list[Problem]]:
    """The steps of a day at a residence, in order; () if there is any error."""
    findings = Findings()
    zone = ZoneInfo(residence.time_zone)
    doors = {door.id: door for box in residence.controllers for door in box.doors}
    readers = {reader.id: reader for door in doors.values() for reader in door.readers}
    steps: list[Step] = []
    for row in read_rows(Path(path), COLUMNS, findings):
        step = _read_step(row, doors, readers, residence.country, zone)
        if steps and step.at_ms < steps[-1].at_ms and not row.is_bad:
            row.report("at", f"{step.at_text!r} is before the step above: time only goes on")
        steps.append(step)
    problems = sorted(findings.all(), key=lambda one: (one.line, one.column))
    return (() if has_errors(problems) else tuple(steps)), problems


def _read_step(row: Row, doors: dict[str, Door], readers: dict[str, Reader], country: str, zone: ZoneInfo) -> Step:
    for name in ("at", "medium", "expect"):
        if not row.text(name) and name in row.headings:
            row.report(name, "must not be empty")
    medium = row.one_of("medium", _MEDIA)
    door = row.one_of("door", doors)
    if medium and not row.text("door") and medium not in _WITHOUT_DOOR:
        row.report("door", f"a {medium} happens at a door: name it")
    _check_value(row, medium)
    number, clock_ms = None, None
    if medium == "phone":
        number = row.parsed("value", lambda text: texts.parse_telephone(text, country), None)
    elif medium in ("badge", "remote", "mobile"):
        number = row.parsed("value", lambda text: int(texts.parse_number(text)), None)
    elif medium == "code":
        row.parsed("value", texts.parse_code)
    elif medium == "clock" and row.text("value") not in _CLOCK_WORDS:
        clock_ms = row.parsed("value", lambda text: times.parse_instant_ms(text, zone), None)
    return Step(
        line=row.line,
        at_text=row.text("at"),
        at_ms=row.parsed("at", lambda text: times.parse_instant_ms(text, zone), 0),
        door=door,
        reader=_read_reader(row, door, readers),
        medium=medium,
        value=row.text("value"),
        number=number,
        button=_read_button(row, medium),
        clock_ms=clock_ms,
        expect=_read_expect(row, doors[door].outputs if door else ()),
        note=row.text("note"),
    )


def _check_value(row: Row, medium: str) -> None:
    text = row.text("value")
    if medium in _VALUES and text not in _VALUES[medium]:
        row.report("value", unknown(text, _VALUES[medium]))
    elif medium == "rex" and text:
        row.report("value", "an exit button has no value: leave it empty")
    elif medium and medium != "rex" and not text:
        row.report("value", f"must not be empty for {medium}")


def _read_reader(row: Row, door: str, readers: dict[str, Reader]) -> str:
    reader = row.one_of("reader", readers)
    if reader and door and readers[reader].door != door:
        row.report("reader", f"{reader!r} is at door {readers[reader].door!r}, not at {door!r}")
    return reader


def _read_button(row: Row, medium: str) -> str:
    text = row.text("button")
    if medium in _BUTTONS and text not in _BUTTONS[medium]:
        row.report("button", unknown(text, _BUTTONS[medium]))
    elif medium and medium not in _BUTTONS and text:
        row.report("button", f"a {medium} has no button: leave it empty")
    return text


def _read_expect(row: Row, outputs: tuple[str, ...]) -> tuple[str, ...]:
    def parse(text: str) -> tuple[str, ...]:
        words = tuple(word.strip() for word in text.split("+"))
        for word in words:
            _check_word(word, outputs)
        if "none" in words and len(words) > 1:
            raise TextError("'none' stands alone")
        return words

    return row.parsed("expect", parse, ())


def _check_word(word: str, outputs: tuple[str, ...]) -> None:
    kind, colon, detail = word.partition(":")
    if word in ("open", "none"):
        return
    allowed: dict[str, tuple[str, ...]] = {
        "open": ("exit", *outputs),
        "denied": reasons.DENIALS,
        "alarm": reasons.ALARMS,
    }
    if kind not in allowed or not colon:
        raise TextError(unknown(word, ("open", "open:OUTPUT", "open:exit", "denied:REASON", "alarm:KIND", "none")))
    if detail not in allowed[kind]:
        raise TextError(f"{kind}: {unknown(detail, allowed[kind])}")


def reader_for(residence: Residence, step: Step) -> Reader | None:
    """The reader that a step names, else one of its door that reads that medium; None where the medium needs none."""
    if step.reader:
        return residence.reader(step.reader)
    if step.medium == "mobile":
        return None
    kinds = {"phone": ("gsm",), "remote": ("radio",)}.get(step.medium, ("osdp", "wiegand"))
    for reader in residence.door(step.door).readers:
        if reader.kind in kinds and (step.medium != "code" or reader.keypad):
            return reader
    return None
