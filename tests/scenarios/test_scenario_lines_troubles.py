"""Row M1: whatever is slow, full, silent, missing or damaged, no door opens to a stranger, an alarm is raised, and the
exit button works all the while, as quickly as on an idle controller.

The button's 200 ms are those of requirements.md on a machine that needs 10 ms for it when idle; 30 of them are the
kernel's debounce. What an idle agent needs is measured in the same test, so a busy machine widens the bound.
"""

import asyncio
import contextlib
import errno
import shutil
import sqlite3
import statistics
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scenario_lines import (
    CONTACT,
    DATA,
    RELAYS,
    RESIDENT,
    STRANGER,
    TAMPER,
    UNLOCK_MS,
    AtWork,
    Box,
    all_there,
    at_work,
    until,
    write_box,
)
from scenario_processes import short_folder

from edge.decision.model import LOCK, Tick

EXIT_S, DEBOUNCE_S, IDLE_S = 0.200, 0.030, 0.010
PRESSES = 5
FOUR = RELAYS["four", "door"]

# --- what goes wrong while it works: (what, the alarm's reason) -----------------------------------------------------


@contextlib.contextmanager
def slow_disk(work: AtWork) -> Iterator[None]:
    """The storage thread does nothing inside the block."""
    reached, release = threading.Event(), threading.Event()
    work.agent.log.database.read(lambda _: (reached.set(), release.wait(60)))
    assert reached.wait(60)
    try:
        yield
    finally:
        release.set()


@contextlib.contextmanager
def disk_that_takes_nothing(work: AtWork) -> Iterator[None]:
    """Every write fails, as on a card that has gone read-only."""
    yield from _with_pragma(work, "query_only = 1", "query_only = 0")


@contextlib.contextmanager
def full_disk(work: AtWork) -> Iterator[None]:
    """The file may not grow, and has no room left."""
    yield from _with_pragma(work, "max_page_count = 1", "max_page_count = 1000000", fills=True)


def _with_pragma(work: AtWork, on: str, off: str, fills: bool = False) -> Iterator[None]:
    database = work.agent.log.database

    def set_to(pragma: str) -> None:
        database.read(lambda connection: connection.execute(f"PRAGMA {pragma}").fetchall()).result(60)

    set_to(on)
    if fills:
        for _ in range(60):
            work.hardware.board.present("yard-in", "badge", str(STRANGER))
    try:
        yield
    finally:
        set_to(off)


@contextlib.contextmanager
def silent_reader(work: AtWork) -> Iterator[None]:
    """The pair of the OSDP line is cut."""
    work.hardware.line.unplug()
    yield
    work.hardware.line.plug()


@contextlib.contextmanager
def noisy_reader(work: AtWork) -> Iterator[None]:
    """A tenth of the OSDP line's bytes are others."""
    work.hardware.line.noise(True, 0.1)
    yield
    work.hardware.line.noise(False)


@contextlib.contextmanager
def late_reader(work: AtWork) -> Iterator[None]:
    """The OSDP reader's answers come later than anybody waits."""
    work.hardware.reader.slow_answers(1500)
    yield
    work.hardware.reader.slow_answers(0)


@contextlib.contextmanager
def pulled_adapter(work: AtWork) -> Iterator[None]:
    """The OSDP line's port vanishes."""
    work.hardware.line.close()
    yield
    work.hardware.line.open()


@contextlib.contextmanager
def silent_relay_board(work: AtWork) -> Iterator[None]:
    """The relay board does not hear."""
    work.hardware.relays.deaf = 1 << 30
    yield
    work.hardware.relays.deaf = 0


@contextlib.contextmanager
def pulled_relay_board(work: AtWork) -> Iterator[None]:
    """The relay board's port vanishes."""
    work.hardware.relays.unplug()
    yield
    work.hardware.relays.plug()


@contextlib.contextmanager
def lost_modem(work: AtWork) -> Iterator[None]:
    """The modem's port vanishes."""
    work.hardware.modem.unplug()
    yield
    work.hardware.modem.plug()


@contextlib.contextmanager
def broken_switches(work: AtWork) -> Iterator[None]:
    """Contact and tamper cannot be read."""
    yield from _broken(work, CONTACT, TAMPER)


@contextlib.contextmanager
def broken_data_lines(work: AtWork) -> Iterator[None]:
    """A wired reader's lines cannot be read."""
    yield from _broken(work, *DATA["eight-in"])


def _broken(work: AtWork, *lines: int) -> Iterator[None]:
    for line in lines:
        work.hardware.chip.break_line(line)
    yield
    for line in lines:
        work.hardware.chip.mend_line(line)


TROUBLES = [
    (slow_disk, "log"),
    (disk_that_takes_nothing, "log"),
    (full_disk, "log"),
    (silent_reader, "reader"),
    (noisy_reader, "reader"),
    (late_reader, "reader"),
    (pulled_adapter, "reader"),
    (pulled_relay_board, "line"),
    (silent_relay_board, "line"),
    (lost_modem, "reader"),
    (broken_switches, "line"),
    (broken_data_lines, "reader"),
]


def present_strangers(work: AtWork) -> None:
    """At every reader that there is, whatever its state."""
    hardware = work.hardware
    for reader in ("shed-in", "yard-in", "lobby-in"):
        hardware.board.present(reader, "badge", str(STRANGER))
    hardware.osdp_card(STRANGER)
    hardware.card("four-in", STRANGER)
    hardware.type("bcd-in", "111111")
    hardware.remote(STRANGER, 1)
    hardware.modem.network.call_in("+4799999999")


async def press(work: AtWork) -> float:
    """Seconds from the button's contact until the strike lets go, without the kernel's debounce; then let it lock."""
    moved: list[float] = []
    chip = work.hardware.chip

    def put(line: int, level: bool) -> None:
        if line == FOUR and level:
            moved.append(time.perf_counter())

    chip.on_put = put
    pressed_s = time.perf_counter()
    work.hardware.press_exit()
    await until(lambda: moved, "the strike lets go")
    chip.on_put = None
    work.clock.move_by(UNLOCK_MS)
    work.agent.submit(Tick())
    await until(lambda: not chip.outputs[FOUR], "the strike locks")
    return moved[0] - pressed_s


async def presses(work: AtWork) -> list[float]:
    return [await press(work) for _ in range(PRESSES)]


def check_quick(taken_s: list[float], idle_s: list[float]) -> None:
    """Every press within 200 ms, debounce counted, on a machine that needs 10 ms when idle."""
    slower = max(1.0, statistics.median(idle_s) / IDLE_S)
    print(
        "button to strike, ms: idle", [round(s * 1000, 1) for s in idle_s], "now", [round(s * 1000, 1) for s in taken_s]
    )
    assert max(taken_s) + DEBOUNCE_S <= EXIT_S * slower


async def alarms(work: AtWork) -> list[str]:
    return [event["reason"] for event in await work.events() if event["result"] == "alarm"]


SLOWEST = (noisy_reader, late_reader, silent_relay_board, lost_modem)  # their kind is shown by another one as well


def troubles() -> list:
    """What the test below is given: the slowest ones in the full size only."""
    return [
        pytest.param(trouble, reason, id=trouble.__name__, marks=[pytest.mark.full] * (trouble in SLOWEST))
        for trouble, reason in TROUBLES
    ]


@pytest.mark.parametrize(("trouble", "reason"), troubles())
def test_it_opens_to_nobody_but_the_button(trouble: Callable, reason: str) -> None:
    """Strangers at every reader stay outside, the button works at once, and the alarm is on record afterwards."""

    async def run() -> None:
        async with at_work(write_box(folder)) as work:
            idle_s = await presses(work)
            before = await alarms(work)
            with trouble(work):
                present_strangers(work)
                taken_s = await presses(work)
                present_strangers(work)
                if reason == "log":  # nothing can be read of it before it is over
                    await until(lambda: work.agent.recorder.late, "it is noticed")
                else:
                    await _alarmed(work, reason)
                taken_s += await presses(work)
            await _alarmed(work, reason)
            check_quick(taken_s, idle_s)
            assert reason not in before
            assert work.hardware.activations() == [("four", "door")] * 3 * PRESSES

    with short_folder() as folder:
        asyncio.run(run())


async def _alarmed(work: AtWork, reason: str) -> None:
    """The alarm is on record, late at worst."""
    end = time.monotonic() + 30
    work.seen = 0
    while reason not in (found := await alarms(work)):
        assert time.monotonic() < end, f"no alarm {reason}: {found}"
        work.seen = 0
        await asyncio.sleep(0.05)


# --- what is missing or damaged at a start --------------------------------------------------------------------------


def damage(path: Path) -> None:
    """Bytes in the middle of each of its pages are others."""
    content = bytearray(path.read_bytes())
    for at in range(100, len(content), 512):
        content[at] ^= 0x5A
    path.write_bytes(content)


def take_a_row(path: Path) -> None:
    """A row of the policy is gone."""
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("DELETE FROM row WHERE key = (SELECT max(key) FROM row)")
        file.commit()


FILES = {
    "no policy": (lambda data: (data / "policy.db").unlink(), True),
    "a damaged policy": (lambda data: damage(data / "policy.db"), True),
    "an empty policy": (lambda data: (data / "policy.db").write_bytes(b""), True),
    "a policy without a row": (lambda data: [take_a_row(data / "policy.db"), (data / "policy.image").unlink()], True),
    "a damaged log": (lambda data: damage(data / "events.db"), True),
    "no image": (lambda data: (data / "policy.image").unlink(), False),
    "a damaged image": (lambda data: damage(data / "policy.image"), False),
    "nothing at all": (lambda data: [shutil.rmtree(data), data.mkdir(0o700)], None),
}


def without_sidecars(data: Path) -> None:
    """What a stopped agent may have left beside its files."""
    for path in (*data.glob("*-wal"), *data.glob("*-shm")):
        path.unlink()


@pytest.mark.parametrize("what", FILES)
def test_started_with_a_file_missing_or_damaged(what: str) -> None:
    """Nothing opens by the start or to a stranger, the button works at once; an alarm says it, but where the file is
    made anew from the rows and nothing was lost, or where it is a controller's first start."""
    spoil, alarms_wanted = FILES[what]

    async def run(box: Box) -> None:
        async with at_work(box) as work:
            idle_s = await presses(work)
            assert await work.decided(1, lambda: work.hardware.card("four-in", RESIDENT)) == [("four", "open", "")]
        without_sidecars(box.data)
        spoil(box.data)
        async with at_work(box) as work:
            taken_s = await presses(work)
            before = work.agent.decisions
            present_strangers(work)
            await until(lambda: work.agent.decisions >= before + 7, "decisions")
            await work.settle()
            check_quick(taken_s, idle_s)
            assert work.hardware.activations() == [("four", "door")] * PRESSES
            if alarms_wanted:
                await _alarmed(work, "log")

    with short_folder() as folder:
        asyncio.run(run(write_box(folder)))


# --- exceptions -----------------------------------------------------------------------------------------------------


class BrokenError(Exception):
    """What a part raises here."""


@pytest.mark.parametrize("part", ["core", "reader line", "relay", "recorder"])
def test_a_part_that_breaks_locks_every_strike(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception in a pulse: every strike is locked in that moment, the agent ends with it, and the next one's button
    works, with nothing moved by the start."""

    async def run(box: Box) -> None:
        async with at_work(box) as work:
            chip = work.hardware.chip
            work.hardware.press_exit()
            await until(lambda: chip.outputs[FOUR], "a pulse")
            work.may_end = True
            break_part(work)
            work.hardware.board.present("yard-in", "badge", str(RESIDENT))
            work.hardware.osdp_card(STRANGER)
            await until(work.running.done, "the agent ends")
            monkeypatch.undo()
            assert "BrokenError" in repr(work.running.exception())
            assert not chip.outputs[FOUR]
            # Where a line breaks, the badge at another door may have been decided before: it is a resident's.
            may_open = {("four", "door"), ("yard", "door")} if part == "reader line" else {("four", "door")}
            assert work.hardware.activations()[0] == ("four", "door")
            assert set(work.hardware.activations()) <= may_open
        async with at_work(box) as work:
            assert work.hardware.activations() == []
            await press(work)

    def break_part(work: AtWork) -> None:
        def raising(*_: object, **__: object) -> None:
            raise BrokenError(part)

        agent = work.agent
        match part:
            case "core":
                monkeypatch.setattr(agent.controller, "handle", raising)
            case "reader line":
                monkeypatch.setattr(agent.hardware.buses[0], "_pick", raising)
            case "recorder":
                monkeypatch.setattr(agent.recorder, "record", raising)
            case "relay":
                strike = agent.actuators.strike

                def breaks(output: object, *rest: object) -> None:
                    if output.ms != LOCK:
                        raise BrokenError(part)
                    strike(output, *rest)

                monkeypatch.setattr(agent.actuators, "strike", breaks)

    with short_folder() as folder:
        asyncio.run(run(write_box(folder)))


def test_a_port_that_vanishes_while_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the terminal's own calls raise then is no OSError: it is a line that is away, not the end of the agent."""

    async def run() -> None:
        async with at_work(write_box(folder)) as work:
            hardware, tries = work.hardware, []

            def vanished(*_: object) -> None:
                tries.append(1)
                raise termios.error(errno.EIO, "Input/output error")

            for take_away in (hardware.line.close, hardware.relays.unplug, hardware.modem.unplug):
                take_away()
            monkeypatch.setattr("serial.serialposix.termios.tcsetattr", vanished)
            for give_back in (hardware.line.open, hardware.relays.plug, hardware.modem.plug):
                give_back()
            await until(lambda: len(tries) >= 3 or work.running.done(), "tries of each")
            monkeypatch.undo()
            await all_there(work)
            await press(work)
            assert work.hardware.activations() == [("four", "door")]

    with short_folder() as folder:
        asyncio.run(run())
