"""Doors go on while the log is verified, purged, pruned, vacuumed and copied: nobody waits for the care of the past."""

import asyncio
import contextlib
import shutil
import time
from pathlib import Path

from edge_controller import NEVER_AUTO, NOW_MS, RESIDENT_B, make, until

from edge import keyring
from edge.agent import Agent
from edge.answering import Answers
from edge.config import load
from edge.decision import model
from edge.storage import vacuuming
from firmware_sim.driven_clock import DrivenClock

DAY_MS = 86_400_000
OLD_EVENTS = 8_000
PASSAGES = 60
SLOWER = 12  # of the median; benchmarks/record.py has the figure, this one must hold on a busy machine too


def old(number: int) -> model.Event:
    at_ms = NOW_MS - 100 * DAY_MS + number * 1000
    return model.Event(
        at_ms, True, "hall-b", "hall-b-in", "badge", 4_600_000_000 + number % 500, "open", "", "door", ""
    )


async def passages(agent: Agent, count: int) -> list[float]:
    """Seconds from each badge until its record is durable and its strike was told."""
    took = []
    for _ in range(count):
        decisions, started = agent.decisions, time.perf_counter()
        agent.submit(model.Presented("hall-b-in", "", model.BADGE, int(RESIDENT_B), 0, True))
        await until(lambda before=decisions: agent.decisions > before, "a decision")  # type: ignore[misc]
        await agent.settle()
        took.append(time.perf_counter() - started)
    return sorted(took)


def test_a_badge_opens_while_the_log_is_cared_for(folder, monkeypatch) -> None:
    """Each passage is recorded in time and none late, while records are verified, 8,000 persons purged, old events
    pruned, their room given back and both files copied; in the middle no slower than a few times idle."""
    monkeypatch.setattr(vacuuming, "SPARE_PAGES", 0)
    monkeypatch.setattr(vacuuming, "SPARE", 0.0)
    made = make(folder, changes=(NEVER_AUTO,))

    async def play() -> None:
        config = load(made.config)
        agent = await Agent.start(config, keyring.load(config), DrivenClock(NOW_MS))
        running = asyncio.ensure_future(agent.run())
        await asyncio.wrap_future(agent.log.record([old(number) for number in range(OLD_EVENTS)], 1))
        await asyncio.wrap_future(agent.log.acknowledge(OLD_EVENTS // 2))
        agent.housekeeping._countersigned = None  # no manager signed this acknowledgement
        ops = Answers(agent).by_op()
        idle = await passages(agent, PASSAGES)
        done = {"verified": 0, "purged": 0, "copied": 0, "pruned": 0, "vacuumed": 0}

        async def care() -> None:
            while True:
                done["verified"] += (await ops["verify"]({"op": "verify"}))["bad_seq"] is None
                done["purged"] += await agent.housekeeping.purge()
                done["pruned"] += await asyncio.wrap_future(agent.log.prune(OLD_EVENTS // 2))
                done["vacuumed"] += await asyncio.wrap_future(agent.log.vacuum())
                copies = await ops["backup"]({"op": "backup"})
                shutil.rmtree(Path(copies["folder"]))
                done["copied"] += 1

        caring = asyncio.ensure_future(care())
        busy: list[float] = []
        while min(done.values()) == 0:
            busy += await passages(agent, PASSAGES)
            assert not caring.done(), caring.exception()
        caring.cancel()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(caring, running)
        busy.sort()
        ratio = busy[len(busy) // 2] / idle[len(idle) // 2]
        print(f"{done}; median {ratio:.1f} times idle, {len(busy)} passages, worst {busy[-1] * 1000:.0f} ms")
        assert ratio < SLOWER
        assert agent.recorder.late == 0 or busy[-1] > 0.1, "late only where the machine itself was"
        assert done["purged"] >= OLD_EVENTS // 4

    asyncio.run(play())
