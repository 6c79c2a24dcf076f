"""A controller that was off line for thirty days comes back to a large change of its policy: everything is sent once,
the change is in force, and meanwhile its doors open as fast as ever (row P4). The agent is a real one, in this process;
its manager stands in the place of its line, as in benchmarks/record_busy.py."""

import asyncio
import sys
import time
from pathlib import Path
from statistics import median

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import record_agent
from record import p99
from record_agent import Badges, at_work
from record_sides import passage

from edge.uplink import signing
from edge.uplink.sync import UP_EVENTS

DAYS = 30
DAY_MS = 86_400_000
IDLE_S = 1.0  # at least
WAIT_S = 300  # against hanging
CHUNK = 500
GOAL = 3.0  # row P4


class AwayManager(record_agent.Manager):
    """It is away until `come_back`, and keeps every batch as it came."""

    newest: "AwayManager"

    def __init__(self, *given):
        super().__init__(*given)
        AwayManager.newest = self
        self.batches, self._connected, self.is_back = [], None, False

    def __call__(self, *_, connected, received, **more):
        self._connected = connected
        line = super().__call__(connected=lambda: None, received=received, **more)
        return line

    @property
    def is_connected(self):
        return self.is_back

    def come_back(self, parts):
        self.is_back = self.acknowledges = True
        self._connected()
        self.hand_down(parts)

    def publish(self, suffix, payload, *qos):
        if suffix == UP_EVENTS:
            self.batches.append(payload)
        super().publish(suffix, payload, *qos)

    def events(self):
        """Every event that came, as often as it came, read with the manager's keys."""
        public = signing.public_bytes(self.device)
        trust = self._down._replace(public_key=public, unseal=bytes(range(32)))
        return [entry for raw in self.batches for entry in signing.verify_events(raw, trust).events]


async def come_back_after(folder, credentials, events, rows):
    """(events of those days by number, all events as they came, badge-to-strike microseconds before, and after)."""
    loop, recorded = asyncio.get_running_loop(), {}
    async with at_work(folder, credentials) as (agent, manager, residence):
        badges, began = Badges(agent, residence, seed=1), int(time.time() * 1000) - DAYS * DAY_MS
        for first in range(0, events, CHUNK):
            chunk = range(first, min(first + CHUNK, events))
            some = [passage(n)._replace(at_ms=began + n * DAYS * DAY_MS // events) for n in chunk]
            recorded.update(zip(await asyncio.wrap_future(agent.log.record(some, 1)), some, strict=True))
        agent.manager_side.log_advanced()
        end = loop.time() + max(IDLE_S, events / 20_000)
        idle = await badges.come(lambda: loop.time() > end)
        parts, goal = manager.delta_parts(rows), agent.log.last_seq
        assert agent.log.acked == 0
        manager.come_back(parts)
        end = loop.time() + WAIT_S

        def is_done():
            applied = agent.policies.version[1] == manager.revision
            return (applied and agent.log.acked >= goal) or loop.time() > end

        busy = await badges.come(is_done)
        async with asyncio.timeout(WAIT_S):
            while agent.log.acked < agent.log.last_seq:
                await asyncio.sleep(0.01)
        stored = await asyncio.wrap_future(agent.policies.store.recomputed_digest())
        assert stored == agent.policies.digest == signing.policy_digest(manager._held.values())
        assert agent.policies.version[1] == manager.revision
        return recorded, manager.events(), idle, busy


@pytest.mark.parametrize(
    ("credentials", "events", "rows"),
    [(2_000, 5_000, 1_000), pytest.param(20_000, 100_000, 10_000, marks=[pytest.mark.full, pytest.mark.timeout(900)])],
)
def test_after_thirty_days_everything_is_sent_once_and_doors_wait_for_nothing(
    tmp_path, monkeypatch, credentials, events, rows
):
    """Both ends equal, nothing lost or doubled; half of the badges within three times what half of them take when
    nothing else is to be done, and in the full size 99 of 100."""
    monkeypatch.setattr(record_agent, "Manager", AwayManager)
    recorded, came, idle, busy = asyncio.run(come_back_after(tmp_path, credentials, events, rows))
    print(f"badge to strike, idle {median(idle):.0f} us, p99 {p99(idle):.0f}; with {events} events and {rows} rows on "
          f"their way {median(busy):.0f} us, p99 {p99(busy):.0f} ({len(busy)} badges)")  # fmt: skip
    assert [entry[0] for entry in came] == list(range(1, len(came) + 1))
    assert len(recorded) == events
    assert {seq: event for seq, _, _, event in came if seq in recorded} == recorded
    assert median(busy) <= GOAL * median(idle)
    if events >= 100_000:
        assert p99(busy) <= GOAL * p99(idle)
