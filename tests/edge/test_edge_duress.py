"""A duress code at a whole agent: what the door does does not tell (requirements.md, D6)."""

import asyncio
import contextlib

from edge_controller import NOW_MS, make, until

from edge import keyring
from edge.agent import Agent
from edge.config import load
from edge.decision.model import LOCK
from firmware_sim.driven_clock import DrivenClock
from firmware_sim.line_board import LineBoard

PLAIN, DURESS, WRONG = "12345", "98761", "55555"
HALL_A_WITHOUT_BUS = """\
controller = "hall-a"
api = "api"

[simulated]
board = "board"

[[door]]
id = "hall-a"
outputs = { door = "simulated", aux1 = "simulated", aux2 = "simulated" }
"""


def test_duress_costs_no_second_commit_and_shows_nothing_else(folder) -> None:
    """Both codes: one durable commit before the strike, the same strike and the same light; only the log differs."""
    seen = {}

    async def play() -> None:
        made = make(folder, "hall-a")
        made.config.write_text(HALL_A_WITHOUT_BUS)
        board = LineBoard(folder / "board")
        await board.start()
        config = load(made.config)
        agent = await Agent.start(config, keyring.load(config), DrivenClock(NOW_MS))
        running = asyncio.ensure_future(agent.run())
        try:
            await until(lambda: board.is_connected and agent.controller.index is not None, "the agent")
            for code in (PLAIN, DURESS):
                await agent.settle()
                commits, last_seq, strikes, lights = (
                    agent.log.commits,
                    agent.log.last_seq,
                    len(board.strikes),
                    len(board.indicated),
                )
                board.present("hall-a-in", "code", code)
                await board.barrier(20)
                seen[code] = (
                    agent.log.commits - commits,
                    [(s.door, s.output, s.ms) for s in list(board.strikes)[strikes:] if s.ms != LOCK],
                    [(i.reader, i.outcome) for i in list(board.indicated)[lights:]],
                    agent.log.last_seq - last_seq,
                )
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await board.stop()

    asyncio.run(play())
    assert seen[PLAIN][:3] == seen[DURESS][:3]
    assert seen[PLAIN][0] == 1
    assert (seen[PLAIN][3], seen[DURESS][3]) == (1, 2)
