"""Exit buttons, door contacts and tamper switches on GPIO lines."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edge.decision.model import Contact, ExitPressed, LineAlarm, Tamper
from edge.lines.gpio import Claim, Edge, GpioError, GpioLine, RequestLines, claim_switch
from edge.lines.reclaiming import Reclaiming

KINDS = ("contact", "exit", "tamper")
DEBOUNCE_MS = 30  # far above a switch's bounce, far below the 400 ms of a pulse that must not be missed

# How each is wired to ground with a pull-up, so that a cut wire tells: a contact and a tamper loop are closed while all
# is well, and high means open; a button is open, and low means pressed.
ACTIVE_LOW = {"contact": False, "exit": True, "tamper": False}


@dataclass(frozen=True, slots=True)
class GpioInput:
    """A switch. `kind` "contact" (active: the leaf is open), "exit" (active: pressed), "tamper" (active: the housing is
    open; `source` is the reader's id, "" the cabinet)."""

    line: GpioLine
    kind: str
    door: str
    source: str = ""


class GpioInputs:
    """One controller's switches. `deliver` gets model.Contact, ExitPressed and Tamper on the loop, each change once,
    and at `claim` where the contacts stand and which tampers are open. A button that is held at `claim` counts when
    it is pressed again: a start opens nothing. A line that fails is a LineAlarm, and is claimed again and again."""

    def __init__(
        self,
        inputs: Sequence[GpioInput],
        deliver: Callable[[object], None],
        request_lines: RequestLines | None = None,
    ) -> None:
        self._inputs = list(inputs)
        self._deliver = deliver
        self._request_lines = request_lines
        self._claims: dict[int, Claim] = {}
        self._levels: dict[int, bool] = {}
        self._troubles: dict[int, str] = {}
        self._retries: dict[int, asyncio.TimerHandle] = {}
        self._reclaiming = [Reclaiming() for _ in self._inputs]
        self.lost_events = 0

    def claim(self) -> None:
        """Take every line, in a running loop. GpioError where one cannot be had: then none is kept."""
        try:
            for at in range(len(self._inputs)):
                self._levels[at] = self._take(at)
        except GpioError:
            self.release()
            raise
        for at, switch in enumerate(self._inputs):
            if switch.kind == "contact" or (switch.kind == "tamper" and self._levels[at]):
                self._tell(switch, self._levels[at])

    def release(self) -> None:
        for retry in self._retries.values():
            retry.cancel()
        self._retries.clear()
        for at in list(self._claims):
            self._give_back(at)

    def status(self) -> list[dict[str, Any]]:
        """For people, one dict a switch: plain values."""
        return [
            {
                "door": switch.door,
                "kind": switch.kind,
                "source": switch.source,
                "line": str(switch.line),
                "is_active": self._levels.get(at, False),
                "trouble": self._troubles.get(at, ""),
            }
            for at, switch in enumerate(self._inputs)
        ]

    def _readable(self) -> None:
        """Of all lines together, in the order of their stamps: a button and then the leaf, never the leaf first."""
        edges = [(edge.at_ns, at, edge) for at in list(self._claims) for edge in self._edges(at)]
        for _, at, edge in sorted(edges):
            self.lost_events += edge.has_gap
            self._change(at, edge.is_active)
        for at in {
            at for _, at, edge in edges if edge.has_gap and at in self._claims
        }:  # what is left need not end where the line is
            with self._telling_trouble(at):
                self._change(at, self._claims[at].is_active())

    def _edges(self, at: int) -> list[Edge]:
        with self._telling_trouble(at):
            return self._claims[at].edges()
        return []

    @contextlib.contextmanager
    def _telling_trouble(self, at: int) -> Iterator[None]:
        try:
            yield
        except GpioError as error:
            self._give_back(at)
            is_news = self._reclaiming[at].failed(asyncio.get_running_loop().time())
            self._claim_later(at, str(error), is_news)

    def _take(self, at: int) -> bool:
        """Claim a line; its level."""
        claim = self._claims[at] = claim_switch(self._inputs[at].line, self._request_lines)
        is_active = claim.is_active()
        asyncio.get_running_loop().add_reader(claim.fd, self._readable)
        return is_active

    def _give_back(self, at: int) -> None:
        claim = self._claims.pop(at)
        asyncio.get_running_loop().remove_reader(claim.fd)
        claim.release()

    def _claim_later(self, at: int, why: str, is_news: bool) -> None:
        self._troubles[at] = why
        pause_s = self._reclaiming[at].pause_s()
        self._retries[at] = asyncio.get_running_loop().call_later(pause_s, self._reclaim, at)
        if is_news:
            self._deliver(LineAlarm(self._inputs[at].door, f"{self._inputs[at].kind}: {why}"))

    def _reclaim(self, at: int) -> None:
        """A line that failed: have it again, as at the start."""
        del self._retries[at]
        try:
            is_active = self._take(at)
        except GpioError as error:
            if at in self._claims:
                self._give_back(at)
            is_news = self._reclaiming[at].refused(asyncio.get_running_loop().time())
            self._claim_later(at, str(error), is_news)
            return
        self._troubles.pop(at)
        self._reclaiming[at].back()
        if self._inputs[at].kind == "exit":
            self._levels[at] = is_active  # held while nobody could tell since when
        else:
            self._change(at, is_active)

    def _change(self, at: int, is_active: bool) -> None:
        if self._levels[at] != is_active:
            self._levels[at] = is_active
            self._tell(self._inputs[at], is_active)

    def _tell(self, switch: GpioInput, is_active: bool) -> None:
        if switch.kind == "contact":
            self._deliver(Contact(switch.door, is_active))
        elif switch.kind == "tamper":
            self._deliver(Tamper(switch.source, switch.door, is_active))
        elif is_active:
            self._deliver(ExitPressed(switch.door))
