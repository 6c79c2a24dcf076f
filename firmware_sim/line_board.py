"""One controller's line board in software: strike relays, door contacts, exit buttons, tamper switches.

It is also the *value boundary* of readers whose electrical side comes with a later issue: what a Wiegand
keypad or card reader, a radio receiver or a GSM modem would have decoded is handed over as a value (a card
number, digits, a caller's number), not as pulses or AT commands. OSDP readers are not here: they have a
real line (`reader_line`).

A Unix socket, one JSON object a line, at most 4 KiB each; the agent connects (`edge.lines.simulated`).
Agent to board: strike, indicate, dial, hang_up, barrier. Board to agent: contact, exit, tamper, present,
call, call_progress, barrier, error. What the board cannot take is counted and answered with an error.

Faults on demand: `unplug` / `plug` (the connection), `stuck_contact`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from firmware_sim.board_words import (
    HOLD,
    LINE_BYTES,
    LOCK,
    BoardError,
    Change,
    Dialled,
    HungUp,
    Indicated,
    RelayChange,
    StrikeSeen,
    pack,
    unpack,
)

KEPT = 10_000  # entries of each history
UNSENT_BYTES = 256 * 1024  # an agent that reads nothing is dropped


class LineBoard:
    """The board of one controller, serving the Unix socket `path`. `on_change` gets every Change."""

    def __init__(self, path: str | Path, on_change: Callable[[Change], None] | None = None) -> None:
        self.path = Path(path)
        self.on_change = on_change
        self.strikes: deque[StrikeSeen] = deque(maxlen=KEPT)
        self.history: deque[RelayChange] = deque(maxlen=KEPT)
        self.indicated: deque[Indicated] = deque(maxlen=KEPT)
        self.calls: deque[Dialled | HungUp] = deque(maxlen=KEPT)
        self.bad_lines = 0
        self.lost_inputs = 0
        self.connections = 0
        self.last_error = ""
        self.is_plugged = True
        self._stuck: dict[str, bool] = {}  # door → what its contact says, whatever the leaf does
        self._leaves: dict[str, bool] = {}  # door → where its leaf is
        self._server: asyncio.Server | None = None
        self._agent: asyncio.StreamWriter | None = None
        self._connected = asyncio.Event()
        self._unlocked: dict[tuple[str, str], asyncio.TimerHandle | None] = {}
        self._levels: dict[tuple[str, ...], dict[str, Any]] = {}
        self._barriers: dict[int, asyncio.Future[None]] = {}
        self._last_barrier = 0

    async def start(self) -> None:
        """Serve. A socket left behind by an earlier run is replaced."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self.path), limit=LINE_BYTES)

    async def stop(self) -> None:
        """Drop the agent and the relays, and remove the socket."""
        if self._server is None:
            return
        self._server.close()
        self._drop_agent()
        await self._server.wait_closed()
        self._server = None
        self.path.unlink(missing_ok=True)

    @property
    def is_connected(self) -> bool:
        return self._agent is not None

    async def wait_connected(self, timeout_s: float) -> None:
        """Return when an agent is connected; TimeoutError after `timeout_s`."""
        async with asyncio.timeout(timeout_s):  # wait_for of Python 3.11 may swallow a Ctrl-C
            await self._connected.wait()

    def is_unlocked(self, door: str, output: str) -> bool:
        """Say whether that relay lets people through now."""
        return (door, output) in self._unlocked

    def status(self) -> dict[str, Any]:
        return {
            "is_plugged": self.is_plugged,
            "is_connected": self.is_connected,
            "connections": self.connections,
            "bad_lines": self.bad_lines,
            "lost_inputs": self.lost_inputs,
            "last_error": self.last_error,
            "unlocked": sorted(self._unlocked),
            "stuck_contacts": dict(sorted(self._stuck.items())),
        }

    # --- faults on demand -----------------------------------------------------------------------------------

    def unplug(self) -> None:
        """Cut the connection: the agent reads an end, every relay drops, and no agent gets through until `plug`."""
        self.is_plugged = False
        self._drop_agent()

    def plug(self) -> None:
        """Let an agent through again. It is told where leaves and housings stand, and nothing else of meanwhile."""
        self.is_plugged = True

    def stuck_contact(self, door: str, is_open: bool | None) -> bool:
        """Let the door's contact say `is_open` whatever its leaf does, as a lost magnet or a bridged wire makes it;
        None: it works again, and says where the leaf is. False when no agent heard of it."""
        if is_open is None:
            self._stuck.pop(door, None)
        else:
            self._stuck[door] = is_open
        return self._tell_contact(door)

    # --- what happens at the doors: False and counted when no agent is connected ----------------------------

    def contact(self, door: str, is_open: bool) -> bool:
        """Move the leaf. An agent that connects later is told where it stands."""
        self._leaves[door] = is_open
        return self._tell_contact(door)

    def is_leaf_open(self, door: str) -> bool:
        """Say where the leaf is, whatever its contact says."""
        return self._leaves.get(door, False)

    def _tell_contact(self, door: str) -> bool:
        """What the contact says now; nothing where it says that already."""
        says_open = self._stuck.get(door, self.is_leaf_open(door))
        message = {"contact": {"door": door, "open": says_open}}
        if door in self._stuck and self._levels.get(("contact", door)) == message:
            return self.is_connected
        return self._level(("contact", door), message)

    def tamper(self, source: str, door: str, is_on: bool) -> bool:
        """Open or close a housing; `source`: reader id, or "" for the cabinet. Told again like a contact."""
        words = {"source": source, "door": door, "on": is_on}
        return self._level(("tamper", source, door), {"tamper": words})

    def press_exit(self, door: str) -> bool:
        return self._tell({"exit": {"door": door}})

    def present(self, reader: str, medium: str, value: str, button: int = 0) -> bool:
        """Present `value` (decimal digits, code digits or a caller's number) at a value-boundary reader."""
        words = {"reader": reader, "medium": medium, "value": value, "button": button}
        return self._tell({"present": words})

    def call(self, door: str, call_code: str) -> bool:
        """A visitor enters a call code at the door's panel."""
        return self._tell({"call": {"door": door, "call_code": call_code}})

    def call_progress(self, door: str, what: str, key: str = "") -> bool:
        """The called person acts: "answered", "refused", "ended", or "key" with the `key` pressed."""
        return self._tell({"call_progress": {"door": door, "what": what, "key": key}})

    async def barrier(self, timeout_s: float) -> None:
        """Return when the agent has handled all that was told before and performed what followed from it.

        Raises ConnectionError when there is no agent or it goes away, TimeoutError after `timeout_s`.
        """
        self._last_barrier += 1
        number = self._last_barrier
        answered = asyncio.get_running_loop().create_future()
        self._barriers[number] = answered
        try:
            if not self._tell({"barrier": number}):
                raise ConnectionError(f"{self.path}: no agent is connected; start it, or wait until it is back")
            async with asyncio.timeout(timeout_s):
                await answered
        finally:
            self._barriers.pop(number, None)

    def _level(self, key: tuple[str, ...], message: dict[str, Any]) -> bool:
        self._levels[key] = message
        return self._tell(message)

    def _tell(self, message: dict[str, Any]) -> bool:
        if self._agent is None:
            self.lost_inputs += 1
            return False
        self._agent.write(pack(message))
        if self._agent.transport.get_write_buffer_size() > UNSENT_BYTES:
            self._drop_agent()
        return True

    # --- the agent's connection -----------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.is_plugged:
            writer.transport.abort()
            return
        self._drop_agent()  # a controller started anew while its old connection is not yet known to be dead
        self._agent = writer
        self.connections += 1
        self._connected.set()
        for message in self._levels.values():
            self._tell(message)
        try:
            while (line := await read_line(reader)) is not None:
                if self._agent is not writer:
                    break
                self._hear(line)
        except ConnectionError:
            pass
        finally:
            if self._agent is writer:
                self._drop_agent()

    def _drop_agent(self) -> None:
        """Close the agent's connection, if any. Every relay drops in the same instant: fail-secure."""
        agent, self._agent = self._agent, None
        self._connected.clear()
        for door, output in list(self._unlocked):
            self._lock(door, output, "connection lost")
        for waiting in self._barriers.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError(f"{self.path}: the agent went away"))
        if agent is not None:
            agent.transport.abort()

    def _hear(self, line: bytes) -> None:
        try:
            word, words = unpack(line)
        except BoardError as error:
            self.bad_lines += 1
            self.last_error = str(error)
            self._tell({"error": str(error)})
            return
        at_ns = time.perf_counter_ns()
        if word == "strike":
            self._strike(StrikeSeen(at_ns, **words))
        elif word == "barrier":
            answered = self._barriers.get(words["number"])
            if answered is not None and not answered.done():
                answered.set_result(None)
        elif word == "indicate":
            indicated = Indicated(at_ns, **words)
            self.indicated.append(indicated)
            self._announce(indicated)
        else:
            call = Dialled(at_ns, **words) if word == "dial" else HungUp(at_ns, **words)
            self.calls.append(call)
            self._announce(call)

    # --- the relays -----------------------------------------------------------------------------------------

    def _strike(self, strike: StrikeSeen) -> None:
        self.strikes.append(strike)
        self._announce(strike)
        if strike.ms == LOCK:
            self._lock(strike.door, strike.output, "lock")
            return
        key = (strike.door, strike.output)
        was_unlocked = key in self._unlocked
        self._stop_timer(key)
        if strike.ms == HOLD:
            self._unlocked[key] = None
        else:  # the board ends a pulse by itself, should the agent's LOCK never come
            self._unlocked[key] = asyncio.get_running_loop().call_later(strike.ms / 1000, self._lock, *key, "timer")
        if not was_unlocked:
            self._moved(*key, True, "hold" if strike.ms == HOLD else "pulse")

    def _lock(self, door: str, output: str, cause: str) -> None:
        if (door, output) in self._unlocked:
            self._stop_timer((door, output))
            del self._unlocked[door, output]
            self._moved(door, output, False, cause)

    def _stop_timer(self, key: tuple[str, str]) -> None:
        timer = self._unlocked.get(key)
        if timer is not None:
            timer.cancel()

    def _moved(self, door: str, output: str, is_unlocked: bool, cause: str) -> None:
        change = RelayChange(time.perf_counter_ns(), door, output, is_unlocked, cause)
        self.history.append(change)
        self._announce(change)

    def _announce(self, change: Change) -> None:
        if self.on_change is not None:
            self.on_change(change)


async def read_line(reader: asyncio.StreamReader) -> bytes | None:
    """Return the next line without its end, None at the end of the connection.

    Of a line over LINE_BYTES all is dropped but its first bytes, which no longer parse; memory stays bounded.
    """
    too_long = b""
    while True:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as overrun:
            too_long = too_long or b"\0" * (LINE_BYTES + 1)
            await reader.readexactly(overrun.consumed)
            continue
        except asyncio.IncompleteReadError:
            return None
        return too_long or line[:-1]
