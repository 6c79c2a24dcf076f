"""From a badge to its strike while the agent has other work: a delta of many rows, a long log on its way out."""

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from record_agent import WAIT_S, Badges, Manager, at_work
from record_sides import passage

from edge.agent import Agent

FILL_EVENTS = 500
SETTLE_S = 0.3


class Busy(NamedTuple):
    """Microseconds from badge to strike: idle; while the log drains and a delta is applied; while the log drains on.
    drained: events of all rounds."""

    idle_us: list[float]
    with_delta_us: list[float]
    draining_us: list[float]
    drained: int

    @property
    def busy_us(self) -> list[float]:
        """All that was not idle."""
        return self.with_delta_us + self.draining_us


async def measure(folder: Path, credentials: int, events: int, rows_of_delta: int, idle_s: float, rounds: int) -> Busy:
    """In each round idle for `idle_s`; then a log of `events` drains, and a delta is applied as that begins."""
    taken = Busy([], [], [], 0)
    loop = asyncio.get_running_loop()
    async with at_work(folder, credentials) as (agent, manager, residence):
        badges = Badges(agent, residence, seed=1)
        for _ in range(rounds):
            manager.acknowledges = True
            await badges.come(_after(loop.time() + SETTLE_S))
            taken.idle_us.extend(await badges.come(_after(loop.time() + idle_s)))
            manager.acknowledges = False
            await _fill(agent, events)
            taken = await _drain(agent, manager, badges, rows_of_delta, taken)
        assert not agent.recorder.dropped
    return taken


async def _drain(agent: Agent, manager: Manager, badges: Badges, rows_of_delta: int, taken: Busy) -> Busy:
    loop = asyncio.get_running_loop()
    parts = manager.delta_parts(rows_of_delta)
    gc.collect()
    acked, goal = agent.log.acked, agent.log.last_seq
    manager.acknowledges = True
    manager.hand_down(parts)
    end = loop.time() + WAIT_S

    def is_applied() -> bool:
        return agent.policies.version[1] == manager.revision

    taken.with_delta_us.extend(await badges.come(lambda: is_applied() or loop.time() > end))
    taken.draining_us.extend(await badges.come(lambda: agent.log.acked >= goal or loop.time() > end))
    assert is_applied(), "the delta was not applied in time"
    assert agent.log.acked >= goal, "the log did not drain in time"
    return taken._replace(drained=taken.drained + goal - acked)


def _after(end: float) -> Callable[[], bool]:
    return lambda: asyncio.get_running_loop().time() > end


async def _fill(agent: Agent, events: int) -> None:
    """A log as it is after a long time without the cloud."""
    for first in range(0, events, FILL_EVENTS):
        size = min(FILL_EVENTS, events - first)
        await asyncio.wrap_future(agent.log.record([passage(first + at) for at in range(size)], 1))
    agent._log_committed((), ())
