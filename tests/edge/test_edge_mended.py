"""Faults that a hostile reading found, each as a test: it fails on the agent as it was before."""

import asyncio
import contextlib
import sqlite3
import time
from types import SimpleNamespace

import pytest
from edge_controller import NOW_MS, make

from edge import housekeeping, keyring
from edge.actuators import Actuators
from edge.agent import Agent
from edge.config import load
from edge.decision import model, rows
from edge.decision.controller import Controller
from edge.decision.index import Index
from edge.decision.policy import VerifiedDelta, compile_image
from edge.policies import POLICY_ERRORS, Policies
from edge.recorder import Recorder
from edge.storage.event_log import EventLog
from edge.storage.policy_store import PolicyRefused, PolicyStore
from edge.uplink.signing import policy_digest
from firmware_sim.driven_clock import DrivenClock

DOOR = rows.Door("a", "A", ("door",), 5000, 9000, 0, rows.NEVER, False, False, False, "", "", (), rows.NEVER)
SITE = rows.Site(bytes(16), "s", False, 1)
EVENT = model.Event(NOW_MS, True, "a", "", "badge", 1, model.OPEN, "", "door", "")


def moment(mono_ms: int) -> model.Moment:
    return model.Moment(mono_ms, NOW_MS + mono_ms, True, 0)


def index_of(*more: object, revision: int = 1) -> Index:
    packed = [rows.pack(row) for row in (SITE, DOOR, *more)]
    return Index(compile_image(packed, (1, revision), policy_digest(packed), lambda data: 0))


def strikes(outputs: list) -> list[tuple[str, int]]:
    return [(output.output, output.ms) for output in outputs if isinstance(output, model.Strike)]


def test_a_lockdown_by_policy_ends_a_running_pulse() -> None:
    """The row has the force of the command: the strike is locked at once."""
    controller = Controller()
    controller.handle(model.PolicyReplaced(index_of()), moment(0))
    controller.handle(model.Command("open", "a", 0, "manager"), moment(1))
    locked = controller.handle(model.PolicyReplaced(index_of(rows.Mode("", True, "m"), revision=2)), moment(2))
    assert ("door", model.LOCK) in strikes(locked)


def test_an_exit_pressed_as_a_hold_ends_keeps_its_time() -> None:
    """Pressed 100 ms before the end of a hold: the strike stays released for the door's time, then locks."""
    controller = Controller()
    controller.handle(model.PolicyReplaced(index_of()), moment(0))
    controller.handle(model.Command("hold", "a", NOW_MS + 10_000, "manager"), moment(0))
    controller.handle(model.ExitPressed("a"), moment(9_900))
    assert strikes(controller.handle(model.Tick(), moment(10_000))) == [("door", 4_900)]
    assert controller.next_deadline(moment(10_000)) == 14_900
    assert strikes(controller.handle(model.Tick(), moment(14_900))) == [("door", model.LOCK)]


def test_a_full_log_is_a_failure(tmp_path) -> None:
    """A passage that found no room is not recorded: a door that denies then must hear of it."""

    async def play() -> list[str]:
        log = EventLog.open(tmp_path / "events.db", max_unsent=1)
        said: list[str] = []
        recorder = Recorder(log, said.append, lambda late: None, lambda seqs, events: None)
        answers = [await recorder.record([EVENT], {}, 1, waits=True) for _ in range(2)]
        await asyncio.to_thread(log.close)
        assert said == answers[1:]
        return answers

    assert [bool(answer) for answer in asyncio.run(play())] == [False, True]


def test_an_event_that_no_row_can_hold_is_said(tmp_path) -> None:
    """It is counted and told, and what comes after it is written."""

    async def play() -> tuple[str, str, int]:
        log = EventLog.open(tmp_path / "events.db")
        recorder = Recorder(log, lambda detail: None, lambda late: None, lambda seqs, events: None)
        bad = await recorder.record([EVENT._replace(detail="\udcff")], {}, 1, waits=True)
        good = await recorder.record([EVENT], {}, 1, waits=True)
        await asyncio.to_thread(log.close)
        return bad, good, recorder.dropped

    bad, good, dropped = asyncio.run(play())
    assert (bool(bad), good, dropped) == (True, "", 1)


def test_a_reader_that_comes_back_is_told_how_its_output_shall_be(folder) -> None:
    """What it was told while it was away is lost: a hold is given again, and a lock is, never a pulse."""
    made = make(folder)
    made.config.write_text(
        'controller = "hall-b"\n[[bus]]\nport = "p"\nreaders = [{ id = "r", address = 0 }]\n'
        '[[door]]\nid = "d"\noutputs = { door = "osdp:r:0" }\n'
    )
    told: list[int] = []
    bus = SimpleNamespace(set_output=lambda reader, number, ms: told.append(ms))
    gpio = SimpleNamespace(lit=frozenset())
    hardware = SimpleNamespace(bus_of={"r": bus}, gpio=gpio, modems={}, relay_boards={}, simulated=None)
    actuators = Actuators(load(made.config), hardware, lambda door: "")  # type: ignore[arg-type]
    for ms, after in ((model.HOLD, [model.HOLD]), (model.LOCK, [model.LOCK]), (60_000, []), (1, [model.LOCK])):
        actuators.strike(model.Strike("d", "door", ms))
        time.sleep(0.002)  # the last pulse is over
        actuators.reader_back("r")
        assert told == [ms, *after], "one that still runs is not cut"
        told.clear()
    actuators.is_stopping = True
    actuators.strike(model.Strike("d", "door", model.HOLD))
    assert told == []


def snapshot(revision: int) -> VerifiedDelta:
    packed = tuple(rows.pack(row) for row in (SITE, DOOR, rows.Group(1, str(revision), ())))
    return VerifiedDelta(bytes(16), bytes(16), 1, 0, revision, packed, (), policy_digest(packed))


def test_damaged_rows_are_asked_for_again_and_an_older_policy_is_refused(tmp_path) -> None:
    """Rows that were changed behind our back are let go of; the same revision is then taken, an older one is not."""

    async def play() -> None:
        store = PolicyStore.open(tmp_path / "policy.db")
        policies = Policies(store)
        await policies.apply(snapshot(7))
        await asyncio.to_thread(policies.close)
        (tmp_path / "policy.image").unlink()
        with contextlib.closing(sqlite3.connect(tmp_path / "policy.db")) as file, file:
            file.execute("DELETE FROM row WHERE key = (SELECT min(key) FROM row)")
        policies = Policies(PolicyStore.open(tmp_path / "policy.db"))
        with pytest.raises(POLICY_ERRORS):
            await policies.load()
        await policies.forget()
        with pytest.raises(PolicyRefused):
            await policies.apply(snapshot(5))
        assert (await policies.apply(snapshot(7))).version == (1, 7)
        await asyncio.to_thread(policies.close)

    asyncio.run(play())


def test_a_lost_policy_file_is_no_way_back(tmp_path) -> None:
    """policy.db is gone, the log remembers which policy was in force: an older one is refused."""

    async def play() -> None:
        policies = Policies(PolicyStore.open(tmp_path / "policy.db"), floor=(1, 7))
        with pytest.raises(PolicyRefused, match=r"1\.7 was in force"):
            await policies.apply(snapshot(6))
        await policies.apply(snapshot(7))
        await asyncio.to_thread(policies.close)

    asyncio.run(play())


@pytest.mark.parametrize("way", ["told", "failed", "failed before a power cut"])
def test_an_agent_that_ended_without_being_told_is_an_alarm_at_the_next_start(folder, way) -> None:
    """A fault ends it: an alarm once it is back. Not where it was told to stop, nor after a power cut."""
    made = make(folder)
    config = load(made.config)

    async def life(boot: str, fails: bool) -> list[str]:
        clock = DrivenClock(NOW_MS)
        clock.boot = boot
        agent = await Agent.start(config, keyring.load(config), clock)
        running = asyncio.ensure_future(agent.run())
        await agent.settle()
        found = await asyncio.wrap_future(agent.log.query(result="alarm", reason="agent"))
        if fails:
            agent.submit(object())  # no input of the core
        else:
            running.cancel()
        await asyncio.wait([running])
        assert running.cancelled() is not fails
        if fails:
            assert running.exception() is not None
        return [logged.event.detail for logged in found]

    assert asyncio.run(life("boot-1", fails=way != "told")) == []
    again = asyncio.run(life("boot-2" if "power" in way else "boot-1", fails=False))
    assert again == (["it ended without being told to, and was started again"] if way == "failed" else [])


def test_a_kept_value_that_cannot_be_read_keeps_nobody_out(folder) -> None:
    """One turned bit in the floor of policies: the agent starts, with the policy that it has."""
    made = make(folder)
    config = load(made.config)

    async def life() -> bool:
        agent = await Agent.start(config, keyring.load(config), DrivenClock(NOW_MS))
        running = asyncio.ensure_future(agent.run())
        await agent.settle()
        agent.submit(model.Noted("anything", "", "", ""))
        await agent.settle()
        running.cancel()
        await asyncio.wait([running])
        return agent.controller.index is not None

    assert asyncio.run(life())
    with contextlib.closing(sqlite3.connect(folder / "data" / "events.db", isolation_level=None)) as flipped:
        assert flipped.execute("UPDATE kept SET value = ? WHERE name = 'policy-floor'", (b"q 1",)).rowcount == 1
    assert asyncio.run(life())


def test_a_row_that_cannot_be_purged_is_an_alarm_and_not_the_end(folder, monkeypatch) -> None:
    """The doors go on whatever the past is like."""
    monkeypatch.setattr(housekeeping, "FIRST_PURGE_S", 0.01)
    made = make(folder)
    config = load(made.config)

    async def life() -> list[str]:
        agent = await Agent.start(config, keyring.load(config), DrivenClock(NOW_MS))

        def broken(before_ms: int) -> object:
            raise OverflowError("int too large to convert")

        monkeypatch.setattr(agent.log, "purge", broken)
        running = asyncio.ensure_future(agent.run())
        found: list[str] = []
        async with asyncio.timeout(30):
            while not found:
                alarms = await asyncio.wrap_future(agent.log.query(result="alarm", reason="log"))
                found = [logged.event.detail for logged in alarms]
                await asyncio.sleep(0.01)
        assert not running.done()
        running.cancel()
        await asyncio.wait([running])
        return found

    assert asyncio.run(life()) == ["purge: int too large to convert"]
