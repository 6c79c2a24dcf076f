"""The manager's commands, carried out at the door: uplink says that one is fresh, the core decides, the reply says what
became of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from edge.decision import model, reasons
from edge.uplink.fields import MAX_STATUS
from edge.uplink.messages import Command

DONE = "done"


class Answered(NamedTuple):
    """What became of an input: the events of it, recorded by now or late, and the doors that denied because their log
    failed."""

    events: Sequence[model.Event]
    not_opened: frozenset[str]


class Asked(NamedTuple):
    """An input of the core about which somebody wants to know."""

    value: object
    answer: "asyncio.Future[Answered]"


class Commands:
    """ask: gives an input to the core, and says what became of it. status: of the agent."""

    def __init__(
        self,
        ask: Callable[[object], Awaitable[Answered]],
        status: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]],
    ) -> None:
        self._ask = ask
        self._status = status

    async def carry_out(self, command: Command) -> tuple[str, str, str]:
        """(result, reason, status) as a reply has them. Who opens by mobile is decided like any credential."""
        if command.action == "status":
            text = json.dumps(await self._status({}), ensure_ascii=False)
            return (DONE, "", text) if len(text.encode()) <= MAX_STATUS else (DONE, "too-long", "")
        # A lockdown that was set on site is not the manager's to end: what it calls a release ends holds alone.
        action = "unhold" if command.action == "release" else command.action
        value: object = model.Command(action, command.door, command.until_ms, command.who)
        if command.credential is not None:
            value = model.Presented("", command.door, model.MOBILE, command.credential, 0, True)
        return (*_outcome(await self._ask(value)), "")


def _outcome(answered: Answered) -> tuple[str, str]:
    """(result, reason): of several doors, "open" only where each opened."""
    denied = [event for event in answered.events if event.result == model.DENIED]
    if denied:
        return model.DENIED, denied[0].reason
    if answered.not_opened:
        return model.DENIED, reasons.LOG_FAILURE
    opened = [event for event in answered.events if event.result == model.OPEN]
    return (model.OPEN, opened[0].reason) if opened else (DONE, "")
