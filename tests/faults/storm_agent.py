"""The agent of `vantail run`, at whose door strangers present badges: `storm_agent.py CONFIG EVENTS PER_S`.

Each time it is killed it starts again at once, forked from a process that has imported everything and done nothing
else, and says its process id. It ends when its stdin closes. Not a test."""

import asyncio
import os
import random
import select
import sys
import threading
from pathlib import Path

from edge.agent import Agent
from edge.decision import model
from edge.service import serve

AT_ONCE = 10  # people at the same moment, so that commits are shared as on a busy day
DOOR = "hall-b"


async def present(agent: Agent, events: int, per_s: float) -> None:
    """Badges until the log holds `events`; those of each start are others."""
    chance = random.Random(agent.log.last_seq)
    while agent.log.last_seq < events:
        for _ in range(min(AT_ONCE, events - agent.log.last_seq)):
            number = chance.randrange(10**9, 10**10)
            agent.submit(model.Presented("", DOOR, model.BADGE, number, 0, True))
        await agent.settle()
        await asyncio.sleep(AT_ONCE / per_s)


def run(config: str, events: str, per_s: str) -> int:
    threading.Thread(target=end_with_parent, daemon=True).start()
    presenting: list[asyncio.Task[None]] = []

    async def started(agent: Agent) -> None:
        presenting.append(asyncio.create_task(present(agent, int(events), float(per_s))))

    return serve(Path(config), started=started)


def end_with_parent() -> None:
    """The test holds the other end of stdin."""
    while os.read(0, 1):
        pass
    os._exit(0)


def main() -> None:
    while not select.select([0], [], [], 0)[0]:  # stdin has nothing but an end
        pid = os.fork()
        if pid == 0:
            os._exit(run(*sys.argv[1:]))
        print(pid, flush=True)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
