"""A file that turns out damaged under the running agent: set aside at once, another one begun, the doors go on."""

import asyncio
import os

import pytest
from edge_controller import DEADLINE_S, NEVER_AUTO, RESIDENT_B, STRANGER, make, until
from test_edge_agent import bench

from edge import recorder as recorders
from edge.decision.policy import VerifiedDelta
from edge.policies import Policies
from edge.storage.errors import PolicyRefused
from edge.storage.policy_store import PolicyStore
from edge.storage.state_store import StateStore

OLDER = VerifiedDelta(bytes(16), bytes(16), 1, 0, 0, (), (), bytes(32))


async def spoil(database) -> None:
    """Every page but the first is written over, as a failing card does it, while SQLite has the file open; what SQLite
    has of it in memory would hide that for a while, so it is let go."""

    def work(connection):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        with database.path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(4096)
            file.write(os.urandom(size - 4096))
        connection.execute("PRAGMA shrink_memory")

    await asyncio.wrap_future(database.read(work))


@pytest.fixture(autouse=True)
def _quick_retry(monkeypatch):
    monkeypatch.setattr(recorders, "RETRY_S", 0.01)


def test_a_log_that_is_damaged_at_run_is_set_aside_and_another_goes_on(folder):
    """The resident gets in, the stranger does not; both are in the new log, of another id and whole, with an alarm that
    names the old file; the next passage is on time again."""
    made = make(folder, changes=(NEVER_AUTO,))

    async def play():
        async with bench(made) as at:
            log, before = at.agent.log, at.agent.log.log_id
            await spoil(log.database)
            for badge in (RESIDENT_B, STRANGER):
                at.board.present("hall-b-in", "badge", badge)
                await at.board.barrier(DEADLINE_S)
            assert len(at.pulses()) == 1
            await until(lambda: log.log_id != before and not at.agent.recorder._backlog, "the new log has them")
            await at.board.barrier(DEADLINE_S)
            at.board.present("hall-b-in", "badge", RESIDENT_B)
            await at.board.barrier(DEADLINE_S)
            assert len(at.pulses()) == 2
            said = await at.events(medium="badge")
            assert sorted(said) == [("denied", "unknown", False), ("open", "", False), ("open", "", True)]
            alarms = [entry.event.detail for entry in await asyncio.wrap_future(log.query(result="alarm"))]
            assert any("events.db.damaged-1" in detail for detail in alarms), alarms
            assert (await asyncio.wrap_future(log.verify())).is_whole
            assert at.agent.recorder.dropped == 0
            await until((made.folder / "data" / "events.db.damaged-1.read").exists, "the old one is looked through")

    asyncio.run(play())


def test_what_is_kept_goes_along_where_it_can_be_read(folder):
    """Only the events are damaged: lockouts and the floor of wall time are in the new log."""
    made = make(folder, changes=(NEVER_AUTO,))

    async def play():
        async with bench(made) as at:
            log, state = at.agent.log, StateStore(at.agent.log.database)
            at.board.present("hall-b-in", "badge", RESIDENT_B)
            await at.board.barrier(DEADLINE_S)
            await asyncio.wrap_future(state.keep({"lockout": b"x"}))
            before, floor_ms = log.log_id, await asyncio.wrap_future(state.floor_ms())

            def work(connection):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'event'").fetchone()[0]
                with log.database.path.open("r+b") as file:
                    file.seek((page - 1) * 4096)
                    file.write(bytes(range(256)) * 16)
                connection.execute("PRAGMA shrink_memory")

            await asyncio.wrap_future(log.database.read(work))
            at.board.present("hall-b-in", "badge", RESIDENT_B)
            await at.board.barrier(DEADLINE_S)
            await until(lambda: log.log_id != before, "another log begins")
            assert (await asyncio.wrap_future(state.load()))["lockout"] == b"x"
            assert await asyncio.wrap_future(state.floor_ms()) >= floor_ms > 0

    asyncio.run(play())


def test_a_policy_that_is_damaged_at_run_stays_in_force(folder):
    """The rows are gone, the manager is told version 0.0, an older policy is refused; residents get in, now and after
    another start, and strangers do not."""
    made = make(folder, changes=(NEVER_AUTO,))

    async def passes(at):
        for badge, pulses in ((RESIDENT_B, 1), (STRANGER, 1)):
            at.board.present("hall-b-in", "badge", badge)
            await at.board.barrier(DEADLINE_S)
            assert len(at.pulses()) == pulses

    async def play():
        async with bench(made) as at:
            assert at.agent.policies.version == (1, 1)
            await spoil(at.agent.policies.store.database)
            await at.agent.policy_care._check()
            await until(lambda: at.agent.policies.version == (0, 0), "other rows begin")
            await passes(at)
            alarms = [entry.event.detail for entry in await asyncio.wrap_future(at.agent.log.query(result="alarm"))]
            assert any("policy.db.damaged-1" in detail for detail in alarms), alarms
            with pytest.raises(PolicyRefused, match=r"1\.1 was in force here"):
                await at.agent.policies.apply(OLDER)
        async with bench(made) as at:
            assert at.agent.policies.version == (0, 0)
            await passes(at)

    asyncio.run(play())


def test_an_image_without_rows_counts_only_up_to_the_newest_policy(tmp_path, folder):
    """The control: where a newer policy was in force than the image's, nobody gets in by the image."""
    made = make(folder, changes=(NEVER_AUTO,))

    async def loaded(floor):
        store = PolicyStore.open(made.folder / "data" / "policy.db")
        try:
            return await Policies(store, floor).load()
        finally:
            store.close()

    assert asyncio.run(loaded((1, 1))).version == (1, 1)
    for path in (made.folder / "data").glob("policy.db*"):
        path.unlink()
    assert asyncio.run(loaded((1, 1))).version == (1, 1)
    assert asyncio.run(loaded((1, 2))) is None
