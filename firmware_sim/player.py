"""Plays the steps of a day at the doors of a building and says what each gave.

Before a step, time moves to it on every controller and everything that falls due on the way is run; what that gives
counts for the step. What a step gave is read twice: from the agents' logs, and from the relays that moved.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from edge.decision.model import HOLD, LOCK, MEDIUM_OF_WORD
from edge.reader import card_format
from edge.residence import values
from edge.residence.day import Step, reader_for
from edge.residence.outcome import is_as_expected, of_all, word_of
from firmware_sim.building import Hardware
from firmware_sim.control import Control, ask_agent

ANSWER_S = 20.0  # an agent that was killed is back by then
LIGHT_S = 2.0
DAY_MS = 86_400_000


@dataclass
class Played:
    """What a step gave, in the words of `expect`."""

    step: Step
    got: str
    is_ok: bool
    decision_us: float | None
    badge_to_strike_ms: float | None
    light: int | None
    seen: list[dict[str, Any]] = field(default_factory=list)

    def as_object(self) -> dict[str, Any]:
        """The step's entry in the report."""
        step = self.step
        return {
            "at": step.at_text,
            "door": step.door,
            "medium": step.medium,
            "value": step.value,
            "expect": "+".join(step.expect),
            "got": self.got,
            "ok": self.is_ok,
            "decision_us": self.decision_us,
            "badge_to_strike_ms": self.badge_to_strike_ms,
        }


class Station:
    """One controller in play: its hardware, its agent's sockets, and how far its log was read."""

    def __init__(self, hardware: Hardware, utc_ms: int) -> None:
        self.hardware = hardware
        self.lived_ms = utc_ms  # the day's time up to which it was played here
        self.control = Control(hardware.control)
        self.clock: dict[str, Any] = {
            "utc_ms": utc_ms,
            "mono_ms": 0,
            "trusted": True,
        }  # as the agent's clock stood when it last answered
        self._seen = 0

    async def ask(self, verb: str, value: object) -> dict[str, Any]:
        """Ask the agent's driver; one that was killed is waited for."""
        answer = await insist(lambda: self.control.ask(verb, value, ANSWER_S))
        self.clock = {name: answer[name] for name in ("utc_ms", "mono_ms", "trusted")}
        return answer

    async def new_events(self) -> list[dict[str, Any]]:
        """What the log holds beyond what was read before."""
        events: list[dict[str, Any]] = []
        while True:
            answer = await insist(lambda: ask_agent(self.hardware.api, "events", after_seq=self._seen, limit=1000))
            if not answer["events"]:
                return events
            self._seen = answer["events"][-1]["seq"]
            events += answer["events"]


async def insist(ask: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Ask again while the other side is being started again; TimeoutError when it does not come back."""
    async with asyncio.timeout(ANSWER_S):
        while True:
            try:
                return await ask()
            except ConnectionError:
                await asyncio.sleep(0.05)


class Player:
    """Plays steps. `network(is_up)` and `restart(controller id)` are the demo's switches."""

    def __init__(
        self,
        residence: values.Residence,
        stations: dict[str, Station],
        network: Callable[[bool], Awaitable[None]],
        restart: Callable[[str], Awaitable[None]],
    ) -> None:
        self._residence = residence
        self._stations = stations
        self._network = network
        self._restart = restart
        self._began_ns = 0
        self._from_ns = 0
        self._decision_us: float | None = None

    async def play(self, step: Step) -> Played:
        """Move to the step's time, do it, and say what it gave."""
        self._from_ns = time.perf_counter_ns()
        await self.pass_time(step.at_ms)
        self._decision_us = None
        self._began_ns = time.perf_counter_ns()
        await self._do(step)
        by_station = [await self._gather(station) for station in self._stations.values()]
        got = of_all(self._words(events, strikes) for events, strikes in by_station)
        light = await self._light(step) if step.medium in MEDIUM_OF_WORD else None
        return Played(
            step,
            "+".join(got) or "none",
            is_as_expected(got, step.expect),
            self._decision_us,
            self._to_strike_ms(step),
            light,
            [event for events, _ in by_station for event in events],
        )

    async def pass_time(self, utc_ms: int) -> None:
        """Let time pass until then on every controller's clocks, wherever a step of the day has set them."""
        for station in self._stations.values():
            await station.ask("pass_time", max(0, utc_ms - station.lived_ms))
            station.lived_ms = max(station.lived_ms, utc_ms)

    # --- doing ----------------------------------------------------------------------------------------------

    async def _do(self, step: Step) -> None:
        if step.medium in MEDIUM_OF_WORD:
            await self._present(step)
        else:
            await getattr(self, f"_do_{step.medium}")(step)

    async def _present(self, step: Step) -> None:
        station = self._station(step)
        reader = reader_for(self._residence, step)
        decided = (await station.ask("settle", True))["decisions"]
        if reader is None:
            fields = ["", step.door, MEDIUM_OF_WORD[step.medium], step.number, 0, True]
            self._began_ns = time.perf_counter_ns()
            await station.ask("submit", {"Presented": fields})
        elif reader.kind == "osdp":
            await self._await_ready(station, reader)
            self._began_ns = time.perf_counter_ns()
            self._present_osdp(station, reader, step)
        else:
            await station.hardware.board.wait_connected(ANSWER_S)
            button = int(step.button) if step.button.isdecimal() else 0
            self._began_ns = time.perf_counter_ns()
            station.hardware.board.present(reader.id, step.medium, step.value, button)
        answer = await self._await_decision(station, decided)
        self._decision_us = answer.get("decision_us")

    async def _await_decision(self, station: Station, decided: int) -> dict[str, Any]:
        """The answer to what was presented. An agent that is killed meanwhile has not decided: the log says so."""
        try:
            return await station.control.ask("await_decisions", decided + 1, ANSWER_S)
        except (ConnectionError, TimeoutError):
            return {}

    def _present_osdp(self, station: Station, reader: values.Reader, step: Step) -> None:
        device = station.hardware.readers[reader.id]
        if step.medium == "code":
            device.press(step.value + "#")
        else:
            device.present_card(*_card(step.number or 0, reader.format))

    async def _await_ready(self, station: Station, reader: values.Reader) -> None:
        """A person waits until the reader's light is back: what is presented before is not taken."""
        async with asyncio.timeout(ANSWER_S):
            while True:
                status = await insist(lambda: ask_agent(station.hardware.api, "status"))
                if any(line["reader"] == reader.id and line["ready"] for line in status["readers"]):
                    return
                await asyncio.sleep(0.02)

    async def _do_call(self, step: Step) -> None:
        """Visitor and residents: number `button` answers and presses the key, all refuse, or nobody answers."""
        station = self._station(step)
        board = station.hardware.board
        panel = next((panel for panel in self._residence.panels if panel.door == step.door), None)
        await board.wait_connected(ANSWER_S)
        board.call(step.door, step.value)
        await self._barrier(station)
        turn = 0
        end_ms = step.at_ms + DAY_MS
        for _ in range(20):
            dialled = [entry for entry in board.calls if entry.at_ns > self._began_ns and hasattr(entry, "number")]
            if len(dialled) > turn:
                turn = len(dialled)
                if step.button == "refused":
                    board.call_progress(step.door, "refused")
                elif step.button == str(turn) and panel is not None:
                    board.call_progress(step.door, "answered")
                    board.call_progress(step.door, "key", panel.open_key)
                await self._barrier(station)
                continue
            if not dialled or await self._call_is_over(station):
                return
            before_ms = station.clock["mono_ms"]
            await station.ask("pass_to_next", end_ms - station.lived_ms)
            station.lived_ms += station.clock["mono_ms"] - before_ms
            await self._barrier(station)

    async def _call_is_over(self, station: Station) -> bool:
        status = await ask_agent(station.hardware.api, "status")
        return not status["calls"]

    async def _do_rex(self, step: Step) -> None:
        await self._on_board(step, lambda board: board.press_exit(step.door))

    async def _do_contact(self, step: Step) -> None:
        await self._on_board(step, lambda board: board.contact(step.door, step.value == "open"))

    async def _do_tamper(self, step: Step) -> None:
        await self._on_board(step, lambda board: board.tamper(step.reader, step.door, step.value == "on"))

    async def _on_board(self, step: Step, act: Callable[[Any], bool]) -> None:
        station = self._station(step)
        await station.hardware.board.wait_connected(ANSWER_S)
        self._began_ns = time.perf_counter_ns()
        act(station.hardware.board)

    async def _do_network(self, step: Step) -> None:
        await self._network(step.value == "up")

    async def _do_clock(self, step: Step) -> None:
        change = {"utc_ms": step.clock_ms} if step.clock_ms is not None else {"trusted": step.value == "trusted"}
        for station in self._stations_of(step):
            await station.ask("set_clock", change)

    async def _do_power(self, step: Step) -> None:
        for station in self._stations_of(step):
            await self._restart(station.hardware.controller.id)

    async def _do_command(self, step: Step) -> None:
        for station in self._stations_of(step):
            await station.ask("submit", {"Command": [step.value, step.door, step.at_ms + DAY_MS, "day file"]})

    # --- finding --------------------------------------------------------------------------------------------

    def _stations_of(self, step: Step) -> list[Station]:
        return [self._station(step)] if step.door else list(self._stations.values())

    def _station(self, step: Step) -> Station:
        door = step.door or (self._residence.reader(step.reader).door if step.reader else "")
        if door:
            return self._stations[self._residence.controller_of_door(door).id]
        return next(iter(self._stations.values()))

    # --- what it gave ---------------------------------------------------------------------------------------

    async def _barrier(self, station: Station) -> None:
        try:
            await station.hardware.board.barrier(ANSWER_S)
        except ConnectionError:
            await station.hardware.board.wait_connected(ANSWER_S)
            await station.hardware.board.barrier(ANSWER_S)

    async def _gather(self, station: Station) -> tuple[list[dict[str, Any]], list[Any]]:
        """What a controller has recorded since the step before, and what its relays were told."""
        await self._barrier(station)
        await station.ask("settle", True)
        events = await station.new_events()
        return events, [strike for strike in station.hardware.board.strikes if strike.at_ns >= self._from_ns]

    def _words(self, events: list[dict[str, Any]], strikes: list[Any]) -> list[str]:
        """What events and relays say, in the words of `expect`. An opening on record whose relay did not move, and
        a relay that moved without a record, are words that no day file expects."""
        moved = {(strike.door, strike.output) for strike in strikes if strike.ms != LOCK}
        allowed = {(e["door"], self._first(e["door"])) for e in events if e["reason"] in ("standing-open", "hold")}
        words = []
        for event in events:
            word = word_of(SimpleNamespace(**event), self._first)
            if event["result"] == "open":
                output = self._first(event["door"]) if event["output"] == "exit" else event["output"]
                allowed.add((event["door"], output))
                word += "" if (event["door"], output) in moved else ":relay-did-not-move"
            words += [word] if word else []
        held = {(strike.door, strike.output) for strike in strikes if strike.ms == HOLD}
        words += [f"unrecorded:{door}:{output}" for door, output in sorted(moved - allowed - held)]
        return words

    def _first(self, door: str) -> str:
        return self._residence.door(door).outputs[0] if door else ""

    def _to_strike_ms(self, step: Step) -> float | None:
        if step.medium not in MEDIUM_OF_WORD:
            return None
        for strike in self._station(step).hardware.board.strikes:
            if strike.at_ns >= self._began_ns and strike.door == step.door and strike.ms != LOCK:
                return round((strike.at_ns - self._began_ns) / 1e6, 2)
        return None

    async def _light(self, step: Step) -> int | None:
        """The true colour of the reader's light, once it has been told."""
        reader = reader_for(self._residence, step)
        if reader is None or reader.kind != "osdp":
            return None
        device = self._station(step).hardware.readers[reader.id]
        end = time.monotonic() + LIGHT_S
        while time.monotonic() < end:
            if any(seen.kind == "led" and seen.at_ns > self._began_ns for seen in device.seen):
                return int(device.color(time.monotonic() * 1000))
            await asyncio.sleep(0.005)
        return None


def _card(number: int, format_name: str) -> tuple[int, bytes]:
    """The bits of a card. One that the reader's format cannot hold is a card of another kind."""
    try:
        return card_format.encode(number, format_name)
    except ValueError:
        return card_format.encode(number)
