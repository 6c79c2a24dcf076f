"""Row S3 at the doors: the disk under a running agent refuses its calls. Residents get in, nobody else does, the exit
button works, an alarm goes up, and what happened meanwhile is written when the disk is well again, marked late.

The agent, its log and its SQLite are real; the disk is not (tests/storage/power_cut_sqlite.py).
"""

import asyncio
import contextlib
import errno
import random

import pytest
from edge_controller import DEADLINE_S, DENY, NEVER_AUTO, RESIDENT_B, STRANGER, make, until
from power_cut_disk import Tape
from power_cut_sqlite import Faults, beneath
from test_edge_agent import REMOTE, bench

from edge import recorder as recorders
from edge.storage.event_log import EventLog

ERRORS = (errno.EIO, errno.ENOSPC, errno.EROFS)
# apsw tells Python, too, of an exception that it hands on to SQLite.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@contextlib.asynccontextmanager
async def on_failing_disk(folder, number, controller="hall-b", change=NEVER_AUTO):
    """An agent at work, and what makes the calls on its log's file fail."""
    made = make(folder, controller, changes=(change,))
    faults = Faults(number, names="events.db")
    with beneath((made.folder / "data").resolve(), Tape(), faults):
        async with bench(made) as at:
            yield at, faults


async def well_again(at, faults):
    """The disk takes everything from now on; return when what was held back is written."""
    faults.is_on = False
    faults.fail_in(0)
    before = at.agent.recorder.late
    if before:
        await until(lambda: not at.agent.recorder._backlog, "what was held back is written")
    await at.board.barrier(DEADLINE_S)


async def do(at, step):
    step()
    await at.board.barrier(DEADLINE_S)


@pytest.fixture(autouse=True)
def _quick_retry(monkeypatch):
    monkeypatch.setattr(recorders, "RETRY_S", 0.01)


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
def test_a_dead_disk_keeps_no_resident_out_and_lets_no_stranger_in(folder, number):
    """Every write refused: the resident's strike and the exit's move, the stranger's does not; all three are on record
    later, late, with the alarm."""

    async def play():
        async with on_failing_disk(folder, number) as (at, faults):
            faults.is_on = True
            await do(at, lambda: at.board.present("hall-b-in", "badge", STRANGER))
            assert at.pulses() == []
            await do(at, lambda: at.board.present("hall-b-in", "badge", RESIDENT_B))
            assert len(at.pulses()) == 1
            await do(at, lambda: at.board.press_exit("hall-b"))
            assert len(at.pulses()) == 2
            assert faults.refused > 0
            await well_again(at, faults)
            said = await at.events()
            for happened in (("denied", "unknown", True), ("open", "", True), ("alarm", "log", True)):
                assert happened in said
            assert [event[2] for event in await at.events(medium="exit")] == [True]
            assert at.agent.recorder.dropped == 0

    asyncio.run(play())


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
def test_a_door_that_denies_without_its_record_stays_shut(folder, number):
    """on_log_failure = "deny": nothing moves but for the exit button, and a second event corrects the first."""

    async def play():
        async with on_failing_disk(folder, number, "parking", DENY) as (at, faults):
            faults.is_on = True
            await do(at, lambda: at.board.present("parking-radio", "remote", REMOTE, 1))
            await until(lambda: at.agent.recorder.late, "the refusal is known")
            await at.board.barrier(DEADLINE_S)
            assert at.pulses() == []
            await do(at, lambda: at.board.press_exit("parking"))
            assert len(at.pulses()) > 0
            await well_again(at, faults)
            said = [event[:2] for event in await at.events()]
            assert said.index(("open", "")) < said.index(("denied", "log-failure"))
            assert ("alarm", "log") in said

    asyncio.run(play())


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("rounds", [40, pytest.param(500, marks=[pytest.mark.full, pytest.mark.timeout(3600)])])
def test_whatever_call_fails_each_passage_is_decided_and_recorded_once(folder, number, rounds):
    """One call refused, or a few, at another place each time: a stranger never gets in, a resident and who leaves
    always do, and in the end each of them is on record exactly once."""
    print("seed", number)
    choice = random.Random(number)

    async def play():
        async with on_failing_disk(folder, number) as (at, faults):
            for round_ in range(1, rounds + 1):
                faults.fail_in(1 + round_ % 40, choice.choice((0, 0, 3)))
                await do(at, lambda: at.board.present("hall-b-in", "badge", STRANGER))
                assert len(at.pulses()) == 2 * (round_ - 1)
                await do(at, lambda: at.board.present("hall-b-in", "badge", RESIDENT_B))
                await do(at, lambda: at.board.press_exit("hall-b"))
                assert len(at.pulses()) == 2 * round_
                await well_again(at, faults)
            assert faults.refused >= rounds // 2
            found = [(one[0], one[1]) for one in await every_event(at) if one[2] in ("badge", "exit")]
            assert found.count(("denied", "unknown")) == rounds
            assert found.count(("open", "")) == 2 * rounds
            assert at.agent.recorder.dropped == 0

    asyncio.run(play())
    log = EventLog.open(folder / "data" / "events.db")
    assert log.report.set_aside is None
    log.close()


async def every_event(at):
    found = await asyncio.wrap_future(at.agent.log.query(limit=100_000))
    return [(one.event.result, one.event.reason, one.event.medium) for one in found]
