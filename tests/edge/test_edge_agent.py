"""The agent over a real log and a simulated line board: no strike before its record, and nobody is kept in or out by a
disk that does not answer."""

import asyncio
import contextlib
import sqlite3
import threading
import time

import pytest
from edge_controller import DEADLINE_S, DENY, NEVER_AUTO, NOW_MS, RESIDENT_B, STRANGER, make, until

from edge import keyring, manager_side
from edge.agent import Agent
from edge.config import load
from edge.decision.model import LOCK
from edge.recorder import BUDGET_S
from firmware_sim.driven_clock import DrivenClock
from firmware_sim.line_board import LineBoard

REMOTE = "3695843690"  # opens the parking with button 1


class Bench:
    """An agent in this process with its board. `performed`: (door, ms, events on disk then) of each strike."""

    def __init__(self, agent, board):
        self.agent, self.board = agent, board
        self.performed = []
        strike = agent.hardware.simulated.strike

        def spied(door, output, ms):
            self.performed.append((door, ms, agent.log.last_seq))
            return strike(door, output, ms)

        agent.hardware.simulated.strike = spied

    def pulses(self):
        return [strike for strike in self.board.strikes if strike.ms != LOCK]

    def opens_performed(self):
        return [(door, seq) for door, ms, seq in self.performed if ms != LOCK]

    async def events(self, **wanted):
        found = await asyncio.wrap_future(self.agent.log.query(limit=1000, **wanted))
        return [(one.event.result, one.event.reason, one.late) for one in found]

    @contextlib.contextmanager
    def disk_held_up(self):
        """The storage thread does nothing inside the block."""
        reached, release = threading.Event(), threading.Event()
        self.agent.log.database.read(lambda _: (reached.set(), release.wait(DEADLINE_S)))
        assert reached.wait(DEADLINE_S)
        try:
            yield
        finally:
            release.set()


@contextlib.asynccontextmanager
async def bench(made):
    """The agent with its policy in force and its board connected, at the example's time."""
    board = LineBoard(made.board)
    await board.start()
    config = load(made.config)
    agent = await Agent.start(config, keyring.load(config), DrivenClock(NOW_MS))
    running = asyncio.create_task(agent.run())
    try:
        await board.wait_connected(DEADLINE_S)
        await board.barrier(DEADLINE_S)
        yield Bench(agent, board)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await board.stop()


def test_strike_moves_after_its_event_is_on_disk(folder):
    """A hundred passages on a quick disk: each relay moves when the log holds its event, and not before."""
    made = make(folder, changes=(NEVER_AUTO,))

    async def play():
        async with bench(made) as at:
            first = at.agent.log.last_seq
            for number in range(100):
                at.board.present("hall-b-in", "badge", RESIDENT_B)
                await at.board.barrier(DEADLINE_S)
                assert at.opens_performed()[-1] == ("hall-b", first + number + 1)
            at.board.present("hall-b-in", "badge", STRANGER)
            await at.board.barrier(DEADLINE_S)
            assert len(at.pulses()) == 100
            assert (await at.events(medium="badge"))[-1] == ("denied", "unknown", False)

    asyncio.run(play())


def test_slow_disk_keeps_no_resident_out(folder):
    """Within the budget nothing moves; then the door opens all the same, the log is in alarm, and the record, when it
    comes, is marked late."""
    made = make(folder, changes=(NEVER_AUTO,))

    async def play():
        async with bench(made) as at:
            with at.disk_held_up():
                presented_ns = time.perf_counter_ns()
                at.board.present("hall-b-in", "badge", RESIDENT_B)
                await until(at.pulses, "the strike moves")
                assert (at.pulses()[0].at_ns - presented_ns) / 1e9 >= BUDGET_S
            await until(lambda: at.agent.recorder.late, "it is counted")
            await until(lambda: at.agent.log.last_seq >= 5, "the record is written")
            assert (await at.events(medium="badge")) == [("open", "", True)]
            assert ("alarm", "log") in [event[:2] for event in await at.events()]
            at.board.present("hall-b-in", "badge", RESIDENT_B)
            await at.board.barrier(DEADLINE_S)
            assert (await at.events(medium="badge"))[-1] == ("open", "", False)

    asyncio.run(play())


def test_slow_disk_lets_no_stranger_in(folder):
    """Only what the policy grants opens while the log is away."""
    made = make(folder, changes=(NEVER_AUTO,))

    async def play():
        async with bench(made) as at:
            with at.disk_held_up():
                for _ in range(5):
                    at.board.present("hall-b-in", "badge", STRANGER)
                at.board.present("hall-b-in", "badge", RESIDENT_B)
                await until(at.pulses, "the resident's strike moves")
            await at.board.barrier(DEADLINE_S)
            assert len(at.pulses()) == 1
            assert [event[:2] for event in await at.events(medium="badge")] == [("denied", "unknown")] * 5 + [
                ("open", "")
            ]

    asyncio.run(play())


def test_door_that_denies_then_stays_shut_and_says_why(folder):
    """on_log_failure = "deny": no relay moves, and a second event corrects the record of the first."""
    made = make(folder, "parking", changes=(DENY,))

    async def play():
        async with bench(made) as at:
            with at.disk_held_up():
                at.board.present("parking-radio", "remote", REMOTE, 1)
                await until(lambda: at.agent.recorder.late, "the budget is over")
                await until(lambda: at.agent.decisions == 1 and at.agent._queue.empty(), "all is decided")
            await at.board.barrier(DEADLINE_S)
            await until(lambda: at.agent.log.last_seq >= 5, "the records are written")
            await at.board.barrier(DEADLINE_S)
            assert at.pulses() == []
            said = [event[:2] for event in await at.events()]
            assert said.index(("open", "")) < said.index(("denied", "log-failure"))
            assert ("alarm", "log") in said
            at.board.present("parking-radio", "remote", REMOTE, 1)  # well again
            await at.board.barrier(DEADLINE_S)
            assert len(at.pulses()) == 1

    asyncio.run(play())


@pytest.mark.parametrize("controller", ["hall-b", "parking"])
def test_exit_button_waits_for_no_disk(folder, controller):
    """Neither at an ordinary door nor at one that denies: its strike moves sooner than any credential's can."""
    made = make(folder, controller, changes=(DENY if controller == "parking" else NEVER_AUTO,))

    async def play():
        async with bench(made) as at:
            with at.disk_held_up():
                pressed_ns = time.perf_counter_ns()
                at.board.press_exit(controller)
                await until(at.pulses, "the strike moves")
                exit_s = (at.pulses()[0].at_ns - pressed_ns) / 1e9
                assert at.agent.log.last_seq == at.opens_performed()[0][1]  # and nothing was written meanwhile
            await at.board.barrier(DEADLINE_S)
            assert (await at.events(medium="exit"))[-1] == ("open", "", False)
            return exit_s

    took = [asyncio.run(play()) for _ in range(3)]
    print(f"button to strike: {took}")
    assert min(took) < BUDGET_S / 2  # a credential waits for all of it


def test_start_and_end_move_no_relay_but_to_lock(folder):
    """From the first moment to the last nothing is released that nobody asked for."""
    made = make(folder, changes=(NEVER_AUTO,))

    async def play():
        for _ in range(3):
            async with bench(made) as at:
                board = at.board
            assert [strike for strike in board.strikes if strike.ms != LOCK] == []
            assert list(board.history) == []

    asyncio.run(play())


def test_image_that_was_tampered_with_on_disk_is_made_anew_from_the_rows(folder):
    """One byte of the compiled policy changed: the stored rows are the truth, and the door works as before."""
    made = make(folder, changes=(NEVER_AUTO,))
    image = made.folder / "data" / "policy.image"

    async def play():
        async with bench(made) as at:
            at.board.present("hall-b-in", "badge", RESIDENT_B)
            await at.board.barrier(DEADLINE_S)
            return len(at.pulses())

    assert asyncio.run(play()) == 1
    whole = image.read_bytes()
    for place in (0, len(whole) // 2, len(whole) - 1):
        spoilt = bytearray(whole)
        spoilt[place] ^= 0x20
        image.write_bytes(spoilt)
        assert asyncio.run(play()) == 1
        assert image.read_bytes() == whole
    image.unlink()
    assert asyncio.run(play()) == 1


def test_rows_that_were_tampered_with_on_disk_open_nothing(folder):
    """A row taken from policy.db: no policy is in force, the exit button works, and an alarm says what is needed."""
    made = make(folder, changes=(NEVER_AUTO,))
    with contextlib.closing(sqlite3.connect(made.folder / "data" / "policy.db")) as file:
        [(count,)] = file.execute("SELECT count(*) FROM row").fetchall()
        assert count > 10
        file.execute("DELETE FROM row WHERE key = (SELECT max(key) FROM row)")
        file.commit()
    (made.folder / "data" / "policy.image").unlink(missing_ok=True)

    async def play():
        async with bench(made) as at:
            at.board.present("hall-b-in", "badge", RESIDENT_B)
            await at.board.barrier(DEADLINE_S)
            assert at.pulses() == []
            at.board.press_exit("hall-b")
            await at.board.barrier(DEADLINE_S)
            assert len(at.pulses()) == 1
            said = [(one[0], one[1]) for one in await at.events()]
            assert ("denied", "unknown") in said
            assert ("alarm", "log") in said
            found = await asyncio.wrap_future(at.agent.log.query(result="alarm", limit=10))
            assert "snapshot is needed" in found[0].event.detail

    asyncio.run(play())


def test_a_line_that_cannot_be_made_keeps_nobody_out(folder, monkeypatch):
    """The broker's authority is missing: the doors work, it is said once, and tried again until the file is there."""
    made = make(folder, "hall-b", "mqtts://127.0.0.1:1", changes=(NEVER_AUTO,))
    text = made.config.read_text().replace('broker = "mqtts', 'ca = "gone.pem"\nbroker = "mqtts')
    made.config.write_text(text)
    monkeypatch.setattr(manager_side, "AGAIN_S", 0.01)
    tried, connect = [], manager_side.ManagerSide._connect
    monkeypatch.setattr(manager_side.ManagerSide, "_connect", lambda *given: tried.append(given) or connect(*given))

    async def play():
        async with bench(made) as at:
            at.board.present("hall-b-in", "badge", RESIDENT_B)
            await at.board.barrier(DEADLINE_S)
            assert len(at.pulses()) == 1
            await until(lambda: len(tried) > 5, "it is tried again")
            await at.agent.settle()
            said = [reason for _, reason, _ in await at.events()]
            assert said.count("uplink-refused") == 1

    asyncio.run(play())
