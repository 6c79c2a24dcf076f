"""One controller's doors as a person meets them: what can be seen there, and what can be done.

Everything seen is the hardware's own: a light is the simulated reader's LED, a strike the board's relay or the reader's
output, a leaf moves because somebody pushed it. Nothing asks the agent.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.decision.indications import BLACK, TABLE, Signal
from edge.reader import card_format
from firmware_sim.board_words import Change, Dialled, HungUp, Indicated
from firmware_sim.door_leaf import DoorLeaf, now_ms
from firmware_sim.door_places import CARD_KINDS, SIMULATED, DoorPlace, ReaderPlace
from firmware_sim.line_board import LineBoard
from firmware_sim.osdp_reader import OsdpReader
from firmware_sim.reader_lights import LED_PERMANENT_SET, LED_TEMPORARY_SET, UNIT_MS, Buzzer, Light, offline_color
from firmware_sim.reader_line import ReaderLine

SLOW_MS = 150.0  # under OSDP's reply delay: slow, not lost
FORGETS_MS = 10_000  # a keypad that hands over whole codes gives up on a half one
LONGEST_CODE = 12


class ActError(ValueError):
    """Nobody can do that here; one line that says why."""


class ValueReader:
    """A reader at the value boundary: it shows what the board was told, and gathers keys to a code."""

    def __init__(self) -> None:
        self.light = Light()
        self.buzzer = Buzzer()
        self._keys = ""
        self._pressed_ms = 0

    def indicate(self, signal: Signal, at_ms: float) -> None:
        """Show `signal`, as the commands by which an OSDP reader would be told."""
        is_passing = signal.total_ms > 0
        led = {
            "temporary": is_passing,
            "control_code": LED_TEMPORARY_SET if is_passing else LED_PERMANENT_SET,
            "on_color": signal.on_color,
            "off_color": signal.off_color,
            "on_count": signal.on_ms // UNIT_MS,
            "off_count": signal.off_ms // UNIT_MS,
            "timer_count": signal.total_ms // UNIT_MS,
            "cancel_temporary": not is_passing,
        }
        self.light.command(led, at_ms)
        if signal.beeps:
            counts = {"on_count": signal.beep_ms // UNIT_MS, "off_count": signal.beep_gap_ms // UNIT_MS}
            self.buzzer.command({"control_code": 2, "rep_count": signal.beeps, **counts}, at_ms)

    def press(self, keys: str, at_ms: int) -> str:
        """Press keys; returns the code that "#" ended, "" while there is none."""
        code = ""
        for key in keys:
            kept = self._keys if at_ms - self._pressed_ms < FORGETS_MS else ""
            self._pressed_ms = at_ms
            if key == "#":
                code, self._keys = kept, ""
            else:
                self._keys = "" if key == "*" else (kept + key)[:LONGEST_CODE]
        return code


class Bench:
    """`doors` of one controller: `board` moves relays and hears switches, `readers` (id → device) are on `lines`.
    `api`: the agent's local API, where there is one to ask what it recorded."""

    def __init__(
        self,
        controller: str,
        doors: Sequence[DoorPlace],
        board: LineBoard | None,
        readers: Mapping[str, OsdpReader],
        lines: Sequence[ReaderLine],
        api: Path | None = None,
    ) -> None:
        self.controller = controller
        self.doors = list(doors)
        self.board = board
        self.readers = dict(readers)
        self.lines = list(lines)
        self.api = api
        self._places = {reader.id: reader for door in self.doors for reader in door.readers}
        self._leaves = {door.id: self._leaf(door) for door in self.doors}
        self._values = {place.id: ValueReader() for place in self._places.values() if place.id not in self.readers}
        self._rings: dict[str, dict[str, str]] = {}
        self._addresses = {reader.reader: reader.address for reader in self.readers.values()}
        self._stuck: dict[str, str] = {}
        self._before = board.on_change if board is not None else None
        if board is not None:
            board.on_change = self._heard

    def _leaf(self, door: DoorPlace) -> DoorLeaf:
        def moved(is_open: bool) -> None:
            if self.board is not None and door.has_contact:
                self.board.contact(door.id, is_open)

        return DoorLeaf(lambda: self._is_released(door), moved)

    def advance(self) -> None:
        """Let time pass for what moves by itself."""
        for leaf in self._leaves.values():
            leaf.advance(now_ms())

    # --- what can be seen -----------------------------------------------------------------------------------

    def look(self, at_ms: float) -> dict[str, dict[str, Any]]:
        """Door id → what is to be seen of it. `at_ms`: a moment of reader_lights.now_ms."""
        return {door.id: self._look_at(door, at_ms) for door in self.doors}

    def _look_at(self, door: DoorPlace, at_ms: float) -> dict[str, Any]:
        leaf = self._leaves[door.id]
        return {
            "is_connected": self.board.is_connected if self.board is not None else None,
            "outputs": {name: self._is_unlocked(door, name, at_ms) for name in door.outputs},
            "leaf": {
                "is_open": leaf.is_open,
                "is_propped": leaf.is_propped,
                "says_open": leaf.says_open,
                "passages": leaf.passages,
                "refusals": leaf.refusals,
                "forcings": leaf.forcings,
                "stuck": self._stuck.get(door.id, ""),
            },
            "readers": {place.id: self._look_at_reader(place.id, at_ms) for place in door.readers},
            "ring": self._rings.get(door.id),
        }

    def _look_at_reader(self, reader: str, at_ms: float) -> dict[str, Any]:
        device = self.readers.get(reader)
        if device is not None:
            return {
                "color": device.color(at_ms),
                "is_beeping": device.is_beeping(at_ms),
                "link": self._link(device),
                "faults": self._faults(device),
            }
        shown = self._values[reader]
        is_there = self.board is not None and self.board.is_connected
        color = shown.light.color(at_ms) if is_there else offline_color(at_ms) if self.board else BLACK
        return {
            "color": color,
            "is_beeping": is_there and shown.buzzer.is_sounding(at_ms),
            "link": "connected" if is_there else "offline",
            "faults": {},
        }

    def _link(self, device: OsdpReader) -> str:
        if not device.is_plugged:
            return "unplugged"
        if not self._line_of(device).is_plugged:
            return "offline"
        if not device.is_paired:
            return "unpaired"
        return "secure" if device.is_secure else "offline"

    def _faults(self, device: OsdpReader) -> dict[str, bool]:
        return {
            "unplug": not device.is_plugged,
            "noise": self._line_of(device).is_noisy,
            "swap_address": device.address != self._addresses[device.reader],
            "slow": device.answer_ms > 0,
            "tamper": device.status()["is_tampered"],
        }

    def _is_unlocked(self, door: DoorPlace, output: str, at_ms: float) -> bool | None:
        """None: a line that is not simulated, so nobody here sees it move."""
        target = door.outputs[output]
        if target == SIMULATED and self.board is not None:
            return self.board.is_unlocked(door.id, output)
        kind, _, rest = target.partition(":")
        reader, _, number = rest.rpartition(":")
        if kind == "osdp" and reader in self.readers:
            return self.readers[reader].is_output_on(int(number), at_ms)
        return None

    def _is_released(self, door: DoorPlace) -> bool:
        return bool(self._is_unlocked(door, next(iter(door.outputs)), now_ms()))

    def _heard(self, change: Change) -> None:
        if isinstance(change, Indicated) and change.reader in self._values and change.outcome in TABLE:
            self._values[change.reader].indicate(TABLE[change.outcome], now_ms())
        elif isinstance(change, Dialled):
            self._rings[change.door] = {"number": change.number, "state": "ringing"}
        elif isinstance(change, HungUp):
            self._rings.pop(change.door, None)
        if self._before is not None:
            self._before(change)

    # --- at a reader: ActError where nobody can ---------------------------------------------------------------

    def present(self, reader: str, number: str) -> None:
        """Hold a badge to a reader. `number`: decimal, as printed on it."""
        place = self._place(reader, CARD_KINDS)
        _check_number(number)
        device = self.readers.get(reader)
        if device is None:
            self._tell_board(reader, "badge", number)
        elif not device.present_card(*_card(int(number), place.format)):
            raise ActError(f"{reader} did not take the badge: it is off, or its memory is full")

    def press(self, reader: str, keys: str) -> None:
        """Press keys: 0-9, * (clear) and # (end)."""
        self._place(reader, CARD_KINDS)
        if not keys or set(keys) - set("0123456789*#"):
            raise ActError("a keypad has the keys 0-9, * and #")
        device = self.readers.get(reader)
        if device is not None:
            if not device.press(keys):
                raise ActError(f"{reader} did not take the keys: it is off, or its memory is full")
            return
        code = self._values[reader].press(keys, now_ms())
        if code:
            self._tell_board(reader, "code", code)

    def remote(self, reader: str, number: str, button: int) -> None:
        """Press button 1 to 4 of a radio remote."""
        self._place(reader, ("radio",))
        _check_number(number)
        if not 1 <= button <= 4:
            raise ActError("a remote has the buttons 1 to 4")
        self._tell_board(reader, "remote", number, button)

    def phone(self, reader: str, number: str) -> None:
        """Call the door's modem from a telephone. `number`: E.164 digits, with or without 00."""
        self._place(reader, ("gsm",))
        _check_number(number)
        self._tell_board(reader, "phone", number)

    # --- at the call panel ------------------------------------------------------------------------------------

    def visit(self, door: str, call_code: str) -> None:
        """A visitor calls a resident at the door's panel."""
        if self._door(door).panel is None:
            raise ActError(f"door {door} has no call panel")
        if not 1 <= len(call_code) <= 20:
            raise ActError("a call code has 1 to 20 characters")
        self._on_board().call(door, call_code)

    def answer(self, door: str) -> None:
        """The called person picks up."""
        self._ring(door)["state"] = "talking"
        self._on_board().call_progress(door, "answered")

    def phone_key(self, door: str, key: str) -> None:
        """The called person presses a key."""
        if len(key) != 1 or key not in "0123456789*#":
            raise ActError("a telephone has the keys 0-9, * and #")
        if self._ring(door)["state"] != "talking":
            raise ActError("answer the call first")
        self._on_board().call_progress(door, "key", key)

    def refuse(self, door: str) -> None:
        """The called person refuses, or ends the call."""
        state = self._ring(door)["state"]
        self._rings.pop(door)
        self._on_board().call_progress(door, "ended" if state == "talking" else "refused")

    # --- at the leaf ------------------------------------------------------------------------------------------

    def push(self, door: str) -> None:
        """Push the leaf: it opens where the strike lets it."""
        self._leaves[self._door(door).id].push(now_ms())

    def force(self, door: str) -> None:
        """Break it open."""
        self._leaves[self._door(door).id].force(now_ms())

    def prop(self, door: str, is_on: bool) -> None:
        """Hold the leaf open (it is pushed first where it is shut), or let it fall to."""
        leaf = self._leaves[self._door(door).id]
        if is_on and not leaf.is_open:
            leaf.push(now_ms())
        leaf.prop(is_on, now_ms())

    def exit(self, door: str) -> None:
        """Press the exit button."""
        self._door(door)
        self._on_board().press_exit(door)

    # --- faults on demand -------------------------------------------------------------------------------------

    def unplug(self, reader: str, is_on: bool) -> None:
        """Pull a reader's cable, or put it back."""
        device = self._device(reader)
        if is_on:
            device.unplug()
        else:
            device.plug_in()

    def noise(self, reader: str, is_on: bool) -> None:
        """A motor beside the cable of the reader's line: all its readers hear it."""
        self._line_of(self._device(reader)).noise(is_on)

    def swap_address(self, reader: str, is_on: bool) -> None:
        """Set the reader to another address, or back."""
        device = self._device(reader)
        taken = {other.address for other in self._line_of(device).readers} | set(self._addresses.values())
        own = self._addresses[reader]
        device.swap_address(next(each for each in range(126, -1, -1) if each not in taken) if is_on else own)

    def slow(self, reader: str, is_on: bool) -> None:
        """Let the reader think before it answers."""
        self._device(reader).slow_answers(SLOW_MS if is_on else 0)

    def tamper(self, reader: str, is_on: bool) -> None:
        """Open the reader's housing, or close it."""
        self._device(reader).tamper(is_on)

    def stick(self, door: str, says: str) -> None:
        """Let the door's contact say "open" or "closed" whatever the leaf does; "": it works again."""
        if says not in ("open", "closed", ""):
            raise ActError('a contact can be stuck "open" or "closed"; "" mends it')
        if self.board is None or not self._door(door).has_contact:
            raise ActError(f"door {door} has no simulated contact")
        self._stuck[door] = says
        self._leaves[door].stick_contact(None if says == "" else says == "open", now_ms())

    # --- finding ----------------------------------------------------------------------------------------------

    def _door(self, door: str) -> DoorPlace:
        for place in self.doors:
            if place.id == door:
                return place
        raise ActError(f"there is no door {door} here")

    def _place(self, reader: str, kinds: Sequence[str]) -> ReaderPlace:
        place = self._places.get(reader)
        if place is None or place.kind not in kinds:
            raise ActError(f"there is no such reader {reader} here")
        return place

    def _device(self, reader: str) -> OsdpReader:
        if reader not in self.readers:
            raise ActError(f"{reader} has no line of its own: faults are for OSDP readers")
        return self.readers[reader]

    def _line_of(self, device: OsdpReader) -> ReaderLine:
        return next(line for line in self.lines if device in line.readers)

    def _ring(self, door: str) -> dict[str, str]:
        if door not in self._rings:
            raise ActError(f"no telephone rings for door {door}")
        return self._rings[door]

    def _on_board(self) -> LineBoard:
        if self.board is None or not self.board.is_connected:
            raise ActError(f"no agent listens on the board of {self.controller}: start it, or wait until it is back")
        return self.board

    def _tell_board(self, reader: str, medium: str, value: str, button: int = 0) -> None:
        self._on_board().present(reader, medium, value, button)


def _check_number(number: str) -> None:
    if not (number.isascii() and number.isdecimal() and len(number) <= 20):
        raise ActError("a number has 1 to 20 digits")


def _card(number: int, format_name: str) -> tuple[int, bytes]:
    """The bits of a card. One that the reader's format cannot hold is a card of another kind."""
    try:
        return card_format.encode(number, format_name)
    except ValueError:
        return card_format.encode(number & (1 << 64) - 1)
