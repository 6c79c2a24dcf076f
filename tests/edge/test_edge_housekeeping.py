"""The care for the log through the whole agent: verified, purged, erased, filling up, while it goes on."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import pytest
from edge_controller import NOW_MS, RESIDENT_B, make, until

from edge import housekeeping, keyring
from edge.agent import Agent
from edge.answering import Answers
from edge.config import load
from edge.console.api import BadRequestError
from edge.decision import model
from firmware_sim.driven_clock import DrivenClock

DAY_MS = 86_400_000


@contextlib.asynccontextmanager
async def at_work(made: Any, clock: DrivenClock) -> AsyncIterator[tuple[Agent, Any]]:
    config = load(made.config)
    agent = await Agent.start(config, keyring.load(config), clock)
    running = asyncio.ensure_future(agent.run())
    try:
        await agent.settle()
        yield agent, Answers(agent).by_op()
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def present(agent: Agent, number: str) -> None:
    decisions = agent.decisions
    agent.submit(model.Presented("hall-b-in", "", model.BADGE, int(number), 0, True))
    await until(lambda: agent.decisions > decisions, "a decision")
    await agent.settle()


def test_the_log_is_verified_by_the_local_api_and_a_changed_record_is_an_alarm(folder) -> None:
    """Whole at first; after somebody changed a record in the file, it is named, and the alarm goes up once."""
    made = make(folder)

    async def honest() -> None:
        async with at_work(made, DrivenClock(NOW_MS)) as (agent, ops):
            for _ in range(5):
                await present(agent, RESIDENT_B)
            found = await ops["verify"]({"op": "verify"})
            assert (found["bad_seq"], found["why"]) == (None, "")
            assert found["checked"] >= 5
            assert (found["first"], found["last"]) == (1, agent.log.last_seq)

    asyncio.run(honest())
    with contextlib.closing(sqlite3.connect(folder / "data" / "events.db", isolation_level=None)) as forger:
        seq = forger.execute("SELECT max(seq) FROM event WHERE medium = 'badge'").fetchone()[0]
        forger.execute("UPDATE event SET door = 'cellar' WHERE seq = ?", (seq,))

    async def after() -> None:
        async with at_work(made, DrivenClock(NOW_MS)) as (agent, ops):
            for _ in range(3):
                found = await ops["verify"]({"op": "verify"})
                assert found["bad_seq"] == seq
                assert found["why"]
            await agent.settle()
            alarms = (await ops["events"]({"op": "events", "result": "alarm", "reason": "log"}))["events"]
            assert len([each for each in alarms if f"event {seq} does not fit" in each["detail"]]) == 1

    asyncio.run(after())


def test_persons_go_after_their_time_and_never_by_an_untrusted_clock(folder) -> None:
    """The event stays and fits; the number is in the file no more. A clock that nobody trusts takes nobody."""
    made = make(folder)
    made.config.write_text("keep_personal_days = 30\n" + made.config.read_text())

    async def play() -> None:
        clock = DrivenClock(NOW_MS)
        async with at_work(made, clock) as (agent, ops):
            await present(agent, RESIDENT_B)
            clock.move_by(31 * DAY_MS)
            clock.trusted = False
            assert await agent.housekeeping.purge() == 0
            clock.trusted = True
            assert await agent.housekeeping.purge() == 1
            [event] = (await ops["events"]({"op": "events", "medium": "badge"}))["events"]
            assert (event["result"], event["credential"]) == ("open", "")
            assert (await ops["verify"]({"op": "verify"}))["bad_seq"] is None

    asyncio.run(play())
    left = b"".join(path.read_bytes() for path in (folder / "data").glob("events.db*"))
    assert RESIDENT_B.encode() not in left


def test_nobody_is_purged_by_a_time_that_was_typed(folder) -> None:
    """A year too far takes no name; the clock that NTP vouches for later does, negative control."""
    made = make(folder)

    async def play() -> None:
        clock = DrivenClock(NOW_MS)
        async with at_work(made, clock) as (agent, _):
            await present(agent, RESIDENT_B)
            clock.declare(NOW_MS + 10 * 365 * DAY_MS)
            assert agent.housekeeping.purge_before_ms() == 0
            assert await agent.housekeeping.purge() == 0
            clock.is_declared = False
            assert await agent.housekeeping.purge() == 1

    asyncio.run(play())


def test_one_person_is_erased_on_request(folder) -> None:
    """That one's events say nobody, the other's still who; that it happened is on record, without whom."""
    made = make(folder)
    other = "9999999999"

    async def play() -> None:
        async with at_work(made, DrivenClock(NOW_MS)) as (agent, ops):
            for number in (RESIDENT_B, other, RESIDENT_B):
                await present(agent, number)
            with pytest.raises(BadRequestError, match="erase whom"):
                await ops["erase"]({"op": "erase"})
            assert await ops["erase"]({"op": "erase", "credential": int(RESIDENT_B)}) == {"erased": 2}
            await agent.settle()
            events = (await ops["events"]({"op": "events"}))["events"]
            assert [each["credential"] for each in events if each["medium"] == "badge"] == ["", other, ""]
            [noted] = [each for each in events if each["reason"] == "erased"]
            assert RESIDENT_B not in str(noted)
            assert (await ops["verify"]({"op": "verify"}))["bad_seq"] is None

    asyncio.run(play())


@pytest.mark.parametrize("where", ["agent.toml", "site.toml"])
def test_nobody_is_named_where_the_site_wants_it_so(folder, where) -> None:
    """names_persons = false, on this controller or in the site's policy: neither in the answer nor in the file."""
    name = 'site = "clos-des-dunes"'
    made = make(folder, changes=((name, f"{name}\nnames_persons = false"),) if where == "site.toml" else ())
    if where == "agent.toml":
        made.config.write_text("names_persons = false\n" + made.config.read_text())

    async def play() -> None:
        async with at_work(made, DrivenClock(NOW_MS)) as (agent, ops):
            await present(agent, RESIDENT_B)
            [event] = (await ops["events"]({"op": "events", "medium": "badge"}))["events"]
            assert (event["result"], event["credential"]) == ("open", "")
            assert (await ops["verify"]({"op": "verify"}))["bad_seq"] is None

    asyncio.run(play())
    left = b"".join(path.read_bytes() for path in (folder / "data").glob("events.db*"))
    assert RESIDENT_B.encode() not in left


def test_a_log_that_fills_up_is_an_alarm_once(folder) -> None:
    """At 80 % of what may wait for the cloud, and again only after it had room."""
    said: list[object] = []

    class Filling:
        is_filling = False
        unsent, max_unsent = 80, 100

    keeper = housekeeping.Housekeeping(Filling(), DrivenClock(NOW_MS), 1000, 90, None, said.append)  # type: ignore[arg-type]
    for is_filling in (False, True, True, False, True):
        Filling.is_filling = is_filling
        keeper.committed()
    assert said == [model.LogAlarm("80 of 100 events wait for the cloud: restore the connection")] * 2
