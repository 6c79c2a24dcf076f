"""A real agent with a development clock, in a process of its own: `python -m firmware_sim.driven_agent`.

It is the agent that `vantail run` starts, with another clock, and a control socket over which the simulator moves
that clock and runs every deadline between. One JSON object {"verb": value} a line, answered by one:

    pass_time ms           time passes; everything that falls due is run
    pass_to_next ms        likewise, but only to the next deadline, at most so long → {"due"}
    set_clock {"trusted": bool} or {"utc_ms": n}    wall time is trusted, is not, or is stepped
    submit {"Command" | "Presented": [fields]}      an input that has no line in the simulation
    await_decisions n      answers once n credentials were decided → {"decisions", "decision_us"}
    settle true            answers once everything was performed

Every answer says the clock as it is then: {"utc_ms", "mono_ms", "trusted"}.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from edge.agent import Agent
from edge.decision import model
from edge.service import serve
from firmware_sim.driven_clock import DrivenClock

_MOST_TICKS = 1_000_000
_SUBMITTED = {"Command": model.Command, "Presented": model.Presented}


class Driver:
    """Serves the control socket of one agent."""

    def __init__(self, agent: Agent, clock: DrivenClock) -> None:
        self._agent = agent
        self._clock = clock
        self._verbs = {
            "pass_time": self.pass_time,
            "pass_to_next": self.pass_to_next,
            "set_clock": self.set_clock,
            "submit": self.submit,
            "await_decisions": self.await_decisions,
            "settle": self.settle,
        }

    async def listen(self, path: Path) -> None:
        await asyncio.start_unix_server(self._serve, path)

    async def pass_time(self, passing_ms: int) -> dict[str, Any]:
        end_ms = self._clock.mono_ms + passing_ms
        for _ in range(_MOST_TICKS):
            if not (await self.pass_to_next(end_ms - self._clock.mono_ms))["due"]:
                return {}
        raise RuntimeError("deadlines do not end")

    async def pass_to_next(self, at_most_ms: int) -> dict[str, Any]:
        await self._agent.settle()
        deadline_ms = self._agent.next_deadline()
        until_due_ms = at_most_ms if deadline_ms is None else max(0, deadline_ms - self._clock.mono_ms)
        due = deadline_ms is not None and until_due_ms <= at_most_ms
        self._clock.move_by(max(0, min(until_due_ms, at_most_ms)))
        self._agent.submit(model.Tick())
        await self._agent.settle()
        return {"due": due}

    async def set_clock(self, change: dict[str, Any]) -> dict[str, Any]:
        if "trusted" in change:
            self._clock.trusted = bool(change["trusted"])
        if "utc_ms" in change:
            self._clock.set_wall(int(change["utc_ms"]))
        self._agent.submit(model.Tick())
        return await self.settle(True)

    async def submit(self, inputs: dict[str, list[Any]]) -> dict[str, Any]:
        for name, fields in inputs.items():
            self._agent.submit(_SUBMITTED[name](*fields))
        return await self.settle(True)

    async def await_decisions(self, wanted: int) -> dict[str, Any]:
        while self._agent.decisions < wanted:
            await asyncio.sleep(0.0005)
        return await self.settle(True)

    async def settle(self, _: bool) -> dict[str, Any]:
        await self._agent.settle()
        return {"decisions": self._agent.decisions, "decision_us": self._agent.decision_us}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):  # the agent ends, or the simulator
            while line := await reader.readline():
                [(verb, value)] = json.loads(line).items()
                answer = await self._verbs[verb](value)  # type: ignore[operator]
                clock = {name: getattr(self._clock, name) for name in ("utc_ms", "mono_ms", "trusted")}
                writer.write(json.dumps({**clock, **answer}).encode() + b"\n")
                await writer.drain()
        writer.close()


def main() -> int:
    """Run until the simulator closes stdin, or SIGTERM."""
    parser = argparse.ArgumentParser(prog="firmware_sim.driven_agent", description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--control", type=Path, required=True)
    parser.add_argument("--utc-ms", type=int, required=True)
    parser.add_argument("--mono-ms", type=int, required=True)
    parser.add_argument("--untrusted", action="store_true")
    options = parser.parse_args()
    clock = DrivenClock(options.utc_ms, options.mono_ms, not options.untrusted)
    threading.Thread(target=_end_with_parent, daemon=True).start()

    async def started(agent: Agent) -> None:
        options.control.unlink(missing_ok=True)
        await Driver(agent, clock).listen(options.control)

    return serve(options.config, clock, started)


def _end_with_parent() -> None:
    """The simulator holds the other end of stdin; when it is gone, this process has no purpose."""
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
