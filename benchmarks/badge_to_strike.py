"""Badge to light and badge to strike over a paced serial line (requirements.md, row P2).

One process plays the readers (`paced_readers`): libosdp's peripheral devices on a pty whose bytes take their time, 10
bits each. It holds cards up at random moments and measures, on its own clock, until the command that answers has
wholly arrived: an LED command for half of the cards, an output command (the strike) for the others. Another process
is one control panel that answers each card at once, and its processor time is read from outside:

- vantail: `edge.reader.osdp.bus.Bus`, secure channel;
- a bare poller: no OSDP at all. It sends frames of the lengths that ours sent, two character times after each reply,
  to a device that answers with frames of the lengths that libosdp's answered with: what the line alone costs;
- libosdp's own Python control panel with its thread, as its documentation uses it, and PyPI's osdp in an environment
  of its own, both with the same readers.

"Without secure channel" is measured to see what it costs. In the product nothing takes a card without a session: on
our side it is the same bus with links that exist here alone (`osdp_panels.ClearLink`).
"""

import argparse
import sys
import time
from pathlib import Path
from typing import NamedTuple

from latency_picture import Bar, draw
from paced_readers import LED, OUTPUT, Lengths, Task
from panel_runs import (
    BARE,
    LIBOSDP,
    OURS,
    OURS_CLEAR,
    OURS_RECORDING,
    PYPI,
    Figures,
    RunError,
    Side,
    measure,
    p50,
    p95,
    share,
    us_per_exchange,
)
from peer_environments import UnavailableError
from report import Row, ahead, as_much, machine, missing, print_rows

FAST = 115200
GOAL_BARE = 1.5
GOAL_BYTES = 1.5
GOAL_PEER = 12.0
GOAL_PEER_READERS = (1, 16)
GOAL_COMMIT = 1.25
GOAL_OFF = 1.15
WORDS = {LED: "LED", OUTPUT: "strike"}


class Line(NamedTuple):
    """One line and who is measured on it. `peer_cards`: for the panels that take their time."""

    readers: int
    baud: int
    cards: int
    peer_cards: int
    sides: tuple[Side, ...]
    is_secure: bool = True

    @property
    def case(self) -> str:
        return f"{_reader_count(self.readers)}, {self.baud:,} baud, {'' if self.is_secure else 'no '}secure channel"


class Plan(NamedTuple):
    """What is measured. `recorded`: lines on which the strike waits for its record. `off`: (line, readers off)."""

    lines: list[Line]
    recorded: list[Line]
    off: list[tuple[Line, int]]
    idle_s: float = 1.0
    gap_ms: float = 0
    install: bool = True

    @property
    def runs(self) -> int:
        return sum(len(line.sides) for line in self.lines) + len(self.recorded) + 2 * len(self.off)


def _reader_count(count: int) -> str:
    return f"{count} reader{'s' * (count > 1)}"


# --- measuring -----------------------------------------------------------------------------------------------


class Measured(NamedTuple):
    """Every run that gave figures, by line and side; and the rows of those that did not."""

    of_line: dict[tuple[Line, Side], Figures]
    recorded: dict[Line, Figures]
    off: dict[tuple[Line, int], tuple[Figures, Figures]]
    missing: list[Row]


class _Progress:
    def __init__(self, runs: int) -> None:
        self._runs, self._done, self._begun_s = runs, 0, time.monotonic()

    def say(self, what: str) -> None:
        self._done += 1
        print(f"[{self._done}/{self._runs}] {time.monotonic() - self._begun_s:4.0f} s  {what}", file=sys.stderr)


def measure_all(plan: Plan) -> Measured:
    """Measure every side of a line in one go, ours first: the bare poller sends what it sent."""
    measured = Measured({}, {}, {}, [])
    progress = _Progress(plan.runs)
    for line in plan.lines:
        lengths = None
        for side in line.sides:
            progress.say(f"{line.case}: {side.name}")
            cards = line.peer_cards if side in (LIBOSDP, PYPI) else line.cards
            task = Task(line.readers, line.baud, cards, line.is_secure, idle_s=plan.idle_s, gap_ms=plan.gap_ms)
            try:
                figures = measure(side, task._replace(lengths=lengths if side is BARE else None), plan.install)
            except (UnavailableError, RunError) as reason:
                if side not in (LIBOSDP, PYPI):
                    raise
                measured.missing.append(missing("P2", line.case, f"{side.name}: {reason}", "ms", None))
                continue
            measured.of_line[line, side] = figures
            lengths = lengths or figures.lengths
    for line in plan.recorded:
        progress.say(f"{line.case}: the strike waits for its record")
        measured.recorded[line] = measure(OURS_RECORDING, Task(line.readers, line.baud, line.cards, idle_s=plan.idle_s))
    for line, off in plan.off:
        progress.say(f"{line.case}: {line.readers - off} readers, all present")
        present = measure(OURS, Task(line.readers - off, line.baud, line.cards))
        progress.say(f"{line.case}: {off} of them off")
        measured.off[line, off] = present, measure(OURS, Task(line.readers, line.baud, line.cards, off=off))
    return measured


# --- the rows ------------------------------------------------------------------------------------------------


def wire_ms(lengths: Lengths, readers: int, baud: int, kind: str) -> float:
    """Return the byte times from a card to its answer, each reply followed by two characters of silence: half a
    round of polling until the reader's poll has arrived, the card's reply, the command."""
    round_characters = readers * (lengths.poll + lengths.ack + 2)
    command = lengths.led if kind == LED else lengths.output
    return _characters_ms(round_characters / 2 + lengths.card + 2 + command, baud)


def _characters_ms(count: float, baud: int) -> float:
    return count * 10 / baud * 1000


def _taken(figures: Figures, kind: str) -> list[float]:
    return figures.led_ms if kind == LED else figures.output_ms


def rows_of_line(line: Line, measured: Measured) -> list[Row]:
    """Compare one line's runs: medians have goals, p95 and processor use are figures."""
    sides = {side: measured.of_line[line, side] for side in line.sides if (line, side) in measured.of_line}
    ours = sides.pop(OURS if line.is_secure else OURS_CLEAR)
    rows = []
    for kind, word in WORDS.items():
        case, mine = f"badge to {word}, {line.case}", _taken(ours, kind)
        for side, figures in sides.items():
            theirs = _taken(figures, kind)
            compare, goal = (as_much, GOAL_BARE) if side is BARE else (ahead, _peer_goal(line))
            rows.append(compare("P2", f"{case}, p50", p50(mine), p50(theirs), side.name, "ms", goal))
            rows.append(compare("P2", f"{case}, p95 of {len(theirs)}", p95(mine), p95(theirs), side.name, "ms", None))
        wire = wire_ms(ours.lengths, line.readers, line.baud, kind)
        goal = GOAL_BYTES if line.is_secure else None
        rows.append(as_much("P2", f"{case}, p50", p50(mine), wire, "byte times alone", "ms", goal))
    for side, figures in sides.items():
        for word, window in (("idle", "idle"), ("with badges", "busy")):
            mine_load, load = getattr(ours, window), getattr(figures, window)
            case = f"processor {word}, {line.case}"
            rows.append(as_much("P2", case, share(mine_load), share(load), side.name, "%", None))
            each_us = us_per_exchange(mine_load), us_per_exchange(load)
            rows.append(as_much("P2", f"{case}, an exchange", *each_us, side.name, "us", None))
    return rows


def _peer_goal(line: Line) -> float | None:
    is_named = line.is_secure and line.baud == FAST and line.readers in GOAL_PEER_READERS
    return GOAL_PEER if is_named else None


def rows_of_secure_channel(measured: Measured) -> list[Row]:
    """What the secure channel costs: our bus with it beside our bus without, and the byte times of the two."""
    rows = []
    for (line, side), clear in measured.of_line.items():
        secure = next((f for (at, _), f in measured.of_line.items() if at[:2] == line[:2] and at.is_secure), None)
        if side is not OURS_CLEAR or secure is None:
            continue
        for kind, word in WORDS.items():
            case = f"badge to {word}, {_reader_count(line.readers)}, {line.baud:,} baud, with secure channel, p50"
            values = p50(_taken(secure, kind)), p50(_taken(clear, kind))
            rows.append(as_much("P2", case, *values, OURS_CLEAR.name, "ms", None))
            wires = [wire_ms(each.lengths, line.readers, line.baud, kind) for each in (secure, clear)]
            case += ": byte times alone"
            rows.append(as_much("P2", case, wires[0], wires[1], "without secure channel", "ms", None))
    return rows


def rows_of_record(line: Line, recorded: Figures, plain: Figures) -> list[Row]:
    """badge, record, strike: the strike without a record, the commit alone, and the half exchange that is under way
    when the commit ends. `plain`: our run on the same line without a record."""
    with_cards, alone = recorded.told
    mine, strike, commit = p50(recorded.output_ms), p50(plain.output_ms), p50(alone)
    half_ms = _characters_ms((recorded.lengths.poll + recorded.lengths.ack + 2) / 2, line.baud)
    case, of_commit = f"badge to record to strike, {line.case}", f"the commit after a card, {line.case}"
    parts = "strike + commit + half an exchange"
    return [
        as_much("P2", f"{case}, p50", mine, strike + commit + half_ms, parts, "ms", GOAL_COMMIT),
        as_much("P2", f"{case}, p50", mine, strike + commit, "strike + commit", "ms", None),
        as_much("P2", f"{case}, p95", p95(recorded.output_ms), p95(plain.output_ms), "strike alone", "ms", None),
        as_much("P2", f"{of_commit}, p50", p50(with_cards), commit, "the commit alone", "ms", None),
        as_much("P2", f"{of_commit}, p95", p95(with_cards), p95(alone), "the commit alone", "ms", None),
    ]


def rows_of_off(line: Line, off: int, present: Figures, others: Figures) -> list[Row]:
    """Readers that are off beside a line that never had them: their share of the round is not counted."""
    case = f"badge to light or strike, {off} of {line.readers} readers off, {line.baud:,} baud"
    name = f"the other {line.readers - off} alone"
    return [
        as_much("P2", f"{case}, p50", p50(others.all_ms), p50(present.all_ms), name, "ms", GOAL_OFF),
        as_much("P2", f"{case}, p95", p95(others.all_ms), p95(present.all_ms), name, "ms", None),
    ]


def rows_of(plan: Plan, measured: Measured) -> list[Row]:
    """Every row, in the order of the plan."""
    rows = [row for line in plan.lines for row in rows_of_line(line, measured)]
    rows += rows_of_secure_channel(measured)
    for line, recorded in measured.recorded.items():
        plain = next(f for (at, side), f in measured.of_line.items() if at[:2] == line[:2] and side is OURS)
        rows += rows_of_record(line, recorded, plain)
    for (line, off), (present, others) in measured.off.items():
        rows += rows_of_off(line, off, present, others)
    return rows + measured.missing + rows_of_lost(measured)


def rows_of_lost(measured: Measured) -> list[Row]:
    """Cards that a panel did not answer at all, and which are in no other figure: not ok where the panel is ours."""
    rows = []
    off = [figures for pair in measured.off.values() for figures in pair]
    for figures in (*measured.of_line.values(), *measured.recorded.values(), *off):
        if figures.lost:
            task = figures.task
            case = f"cards not answered, {_reader_count(task.readers)}, {task.baud:,} baud"
            row = missing("P2", case, f"{figures.side.name}: {figures.lost} of {task.cards}", "", None)
            rows.append(row | {"ok": figures.side in (LIBOSDP, PYPI)})
    return rows


# --- showing -------------------------------------------------------------------------------------------------

HEAD = (
    f"{'':60} {'LED p50':>9} {'p95':>8} {'strike p50':>11} {'p95':>8}"
    f" {'cards':>6} {'idle':>7} {'badges':>7} {'an exchange':>12} {'exchanges':>10}"
)


def print_table(rows: list[Row], measured: Measured) -> None:
    """Every run in a line of its own; then the rows that have a goal, and the other comparisons that are not in it."""
    print(machine())
    print("Milliseconds from card to complete command; percent of one processor; microseconds; exchanges a second\n")
    shown = None
    for (line, _), figures in measured.of_line.items():
        if line is not shown:
            print(f"{line.case}\n{HEAD}" if shown is None else f"\n{line.case}\n{HEAD}")
            shown = line
        _print_run(figures)
    if measured.recorded:
        print(f"\nthe strike waits for its record\n{HEAD}")
    for figures in measured.recorded.values():
        _print_run(figures, f", {_reader_count(figures.task.readers)}, {figures.task.baud:,} baud")
    if measured.off:
        print(f"\nreaders that are off\n{HEAD}")
    for present, others in measured.off.values():
        _print_run(present, f", {present.task.readers} readers")
        _print_run(others, f", {others.task.readers} readers, {others.task.off} off")
    print()
    print_rows("badge_to_strike", [row for row in rows if row["goal"] is not None or row["ratio"] is None], False)


def _print_run(figures: Figures, what: str = "") -> None:
    led, strike = figures.led_ms, figures.output_ms
    per_s = figures.idle.exchanges / figures.idle.wall_s
    print(
        f"  {figures.side.name + what:58} {p50(led):9.2f} {p95(led):8.2f} {p50(strike):11.2f} {p95(strike):8.2f}"
        f" {len(figures.all_ms):6} {share(figures.idle):5.1f} % {share(figures.busy):5.1f} %"
        f" {us_per_exchange(figures.busy):9.0f} us {per_s:8.0f}/s"
    )


def plot(measured: Measured, path: Path) -> None:
    """Draw every line's runs, a panel each baud and secure channel or not."""
    bars = []
    for (line, side), figures in measured.of_line.items():
        channel = "secure channel" if line.is_secure else "no secure channel (ours: in this benchmark alone)"
        panel = f"{line.baud:,} baud, {channel}"
        name = OURS.name if side is OURS_CLEAR else side.name
        bars.append(Bar(panel, _reader_count(line.readers), name, p50(figures.all_ms), p95(figures.all_ms)))
    draw(bars, "From badge to complete answer: p50, and p95 above it", f"{machine()}; logarithmic", path)


# --- the program ---------------------------------------------------------------------------------------------

ALL_SIDES = (OURS, BARE, LIBOSDP, PYPI)
CARDS = {9600: 60, 38400: 100, FAST: 160}
PEER_CARDS = {9600: 16, 38400: 24, FAST: 40}


def quick_plan() -> Plan:
    """About 55 s on two cores."""
    one, many = (Line(count, FAST, 32, 8, (OURS, BARE, LIBOSDP)) for count in (1, 16))
    clear = Line(1, FAST, 32, 8, (OURS_CLEAR,), is_secure=False)
    return Plan([one, many, clear], [one], [(Line(4, FAST, 40, 0, ()), 1)], idle_s=0.5)


def full_plan() -> Plan:
    """About 15 minutes on two cores."""
    lines = []
    for baud, cards in CARDS.items():
        sides = ALL_SIDES if baud == FAST else (OURS, BARE, LIBOSDP)
        lines += [Line(count, baud, cards, PEER_CARDS[baud], sides) for count in (1, 4, 16)]
    recorded = [line for line in lines if line.baud == FAST and line.readers in (1, 16)]
    sides = (OURS_CLEAR, BARE, LIBOSDP, PYPI)
    lines += [Line(count, FAST, CARDS[FAST], PEER_CARDS[FAST], sides, is_secure=False) for count in (1, 4, 16)]
    off = [(Line(4, FAST, 300, 0, ()), 1), (Line(16, FAST, 300, 0, ()), 1), (Line(16, FAST, 300, 0, ()), 4)]
    return Plan(lines, recorded, off)


def chosen_plan(readers: list[int], bauds: list[int], cards: int, parts: list[str]) -> Plan:
    """Any sizes, with the sides of the quick form: of the test, or to look closer."""
    lines = [Line(count, baud, cards, max(cards // 2, 4), (OURS, BARE, LIBOSDP)) for baud in bauds for count in readers]
    clear = [line._replace(sides=(OURS_CLEAR,), is_secure=False) for line in lines] if "clear" in parts else []
    off = [(line, max(line.readers // 4, 1)) for line in lines if line.readers > 1] if "off" in parts else []
    return Plan(lines + clear, lines[:1] if "record" in parts else [], off, idle_s=0.2)


def main() -> int:
    parser = argparse.ArgumentParser(description="badge to light and strike over a paced serial line (row P2)")
    parser.add_argument("--quick", action="store_true", help="115,200 baud, fewer cards: under a minute, not 15")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture of all runs (SVG)")
    parser.add_argument("--no-install", action="store_true", help="measure PyPI's osdp only if it is installed already")
    parser.add_argument("--readers", help="numbers of readers, with commas between: instead of the form's own")
    parser.add_argument("--bauds", default=str(FAST), help="with --readers: the same of speeds")
    parser.add_argument("--cards", type=int, default=40, help="with --readers: cards a run")
    parser.add_argument("--parts", default="", help="with --readers: clear, record, off; with commas between")
    parser.add_argument("--gap-ms", type=float, default=0, help="slow our bus down by a pause after each exchange")
    arguments = parser.parse_args()
    plan = quick_plan() if arguments.quick else full_plan()
    if arguments.readers:
        readers, bauds = ([int(word) for word in words.split(",")] for words in (arguments.readers, arguments.bauds))
        plan = chosen_plan(readers, bauds, arguments.cards, arguments.parts.split(","))
    plan = plan._replace(gap_ms=arguments.gap_ms, install=not arguments.no_install)
    try:
        measured = measure_all(plan)
    except RunError as error:
        print(f"badge_to_strike: {error}", file=sys.stderr)
        return 70
    rows = rows_of(plan, measured)
    if arguments.json:
        print_rows("badge_to_strike", rows, True)
    else:
        print_table(rows, measured)
    if arguments.plot:
        plot(measured, arguments.plot)
    return 0 if all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
