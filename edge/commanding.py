"""The manager's commands, carried out at the door: uplink says that one is fresh, the core decides, the reply says what
became of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from edge.decision import model
from edge.uplink.fields import MAX_STATUS
from edge.uplink.messages import Command

DONE = "done"


class Asked(NamedTuple):
    """An input of the core whose outputs somebody waits for."""

    value: object
    answer: "asyncio.Future[Sequence[object]]"


class Commands:
    """ask: gives an input to the core and returns its outputs, which are performed. status: of the agent."""

    def __init__(
        self,
        ask: Callable[[object], Awaitable[Sequence[object]]],
        status: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]],
    ) -> None:
        self._ask = ask
        self._status = status

    async def carry_out(self, command: Command) -> tuple[str, str, str]:
        """(result, reason, status) as a reply has them. Who opens by mobile is decided like any credential."""
        if command.action == "status":
            text = json.dumps(await self._status({}), ensure_ascii=False)
            return (DONE, "", text) if len(text) <= MAX_STATUS else (DONE, "too-long", "")
        value: object = model.Command(command.action, command.door, command.until_ms, command.who)
        if command.credential is not None:
            value = model.Presented("", command.door, model.MOBILE, command.credential, 0, True)
        return (*_outcome(await self._ask(value)), "")


def _outcome(outputs: Sequence[object]) -> tuple[str, str]:
    """(result, reason): of several doors, "open" only where each opened."""
    events = [output.event for output in outputs if isinstance(output, model.Record)]
    denied = [event for event in events if event.result == model.DENIED]
    if denied:
        return model.DENIED, denied[0].reason
    opened = [event for event in events if event.result == model.OPEN]
    return (model.OPEN, opened[0].reason) if opened else (DONE, "")
