"""A door's part of the wiring picture: the circuit of each strike or magnet, and the door's switches.

The circuit holds what must work without software: the fire alarm's contact in series with the supply, and the exit
button's second contact. A GPIO or Modbus relay of a fail-safe door is energised while it locks, so its normally open
contact carries the magnet; an output of an OSDP reader knows only on and off, so there it is the normally closed one.
"""

from typing import NamedTuple

from edge.config import Config, DoorLines
from edge.lines.gpio import line_at
from edge.lines.modbus import coil_at
from edge.pictures.header_pins import described
from edge.pictures.wiring_symbols import (
    BOX,
    CARD,
    DEVICE,
    GROUND,
    INK,
    PLUS,
    SIGNAL,
    SOFT,
    WARN,
    WARN_INK,
    box,
    coil,
    diode,
    joint,
    labelled_box,
    switch,
    upright_switch,
    wire,
    words,
)  # fmt: skip
from edge.wiring import is_gpio, is_modbus, is_osdp, osdp_line

CIRCUIT_HEIGHT = 216
SWITCH_HEIGHT = 70
_TERMINAL_WIDTH = 236


class Terminal(NamedTuple):
    """Where a target is, in words. `is_ours`: on the controller itself. `has_relay`: a relay is part of it."""

    device: str
    place: str
    is_ours: bool
    has_relay: bool


def terminal(target: str) -> Terminal:
    """What agent.toml's target names."""
    if is_gpio(target):
        chip, line = line_at(target)
        pin = described(chip, line)
        return Terminal(f"{chip}:{line}", pin or "a line of this chip", True, False)
    if is_modbus(target):
        board, relay = coil_at(target)
        return Terminal(f"relay board {board}", f"relay {relay}, counted from 0", False, True)
    if is_osdp(target):
        wired = osdp_line(target)
        return Terminal(f"reader {wired.reader}", f"no. {wired.number}, counted from 0", False, True)
    return Terminal("simulated board", "no wire", False, True)


def door_height(door: DoorLines) -> float:
    """Of the drawing of a door, its title not counted."""
    return 10 + CIRCUIT_HEIGHT * len(door.outputs) + SWITCH_HEIGHT * len(_switches(door)) + 8


def draw_door(config: Config, door: DoorLines, y: float) -> str:
    """A door's circuits and switches from y down."""
    parts, at = [], y + 10
    low = {f"gpio:{options.line}" for options in config.gpio if options.active_low}
    for name, target in door.outputs.items():
        parts.append(_circuit(door, name, target, at, target in low))
        at += CIRCUIT_HEIGHT
    for kind, target in _switches(door):
        parts.append(_switch(kind, target, at, kind in door.inverted))
        at += SWITCH_HEIGHT
    return "".join(parts)


def _switches(door: DoorLines) -> list[tuple[str, str]]:
    named = (("contact", door.contact), ("exit", door.exit), ("tamper", door.tamper))
    return [(kind, target) for kind, target in named if target]


# --- what moves ------------------------------------------------------------------------------------------------------


def _circuit(door: DoorLines, name: str, target: str, y: float, active_low: bool) -> str:
    at = terminal(target)
    is_safe = door.fail == "safe"
    lines = [f"output {name}", at.device, at.place]
    parts = [labelled_box(16, y + 34, _TERMINAL_WIDTH, 62, lines, DEVICE if at.is_ours else BOX)]
    parts.append(_relay(target, y, active_low))
    button = "exit button, 2nd" if door.exit else "exit button, a"
    parts.append(_loop(y, is_safe, is_safe and is_osdp(target), button))
    return "".join(parts)


def _relay(target: str, y: float, active_low: bool) -> str:
    """The relay's coil side, between the terminal and the circuit."""
    at = terminal(target)
    parts = [box(300, y + 34, 122, 62, BOX), coil(322, y + 62)]
    parts.append(words(310, y + 52, "relay module" if at.is_ours else "relay in it", 11.5, "bold"))
    parts.append(wire([(16 + _TERMINAL_WIDTH, y + 72), (322, y + 72)], SIGNAL))
    if at.is_ours:
        parts.append(words(258, y + 66, "IN", 10.5, "", SOFT))
        parts.append(words(310, y + 112, f"3.3 V input, active {'low' if active_low else 'high'};", 11, "", SOFT))
        parts.append(words(310, y + 127, "0 V to 0 V", 11, "", SOFT))
    elif is_osdp(target):
        parts.append(words(310, y + 112, "on the unsafe side if the", 11, "", WARN_INK))
        parts.append(words(310, y + 127, "reader is outdoors", 11, "", WARN_INK))
    return "".join(parts)


def _loop(y: float, is_safe: bool, uses_nc: bool, button: str) -> str:
    """Supply, fire alarm, exit button, relay contact, strike or magnet, and back."""
    top, bottom, right = y + 62, y + 162, 1120
    parts = [labelled_box(470, y + 82, 112, 60, ["+  supply", "12 or 24 V DC", "with battery"], CARD, INK)]
    parts.append(wire([(526, y + 82), (526, top), (612, top)], PLUS) + wire([(526, y + 142), (526, bottom)], GROUND))
    parts.append(_fire_contact(top))
    start = 674
    if is_safe:
        parts.append(wire([(start, top), (726, top)], PLUS) + switch(726, top, True, SIGNAL))
        parts += [words(716, top - 26, button, 11, "bold", SIGNAL)]
        parts += [words(716, top - 13, "contact: opens", 11, "", SIGNAL)]
        start = 770
    else:
        parts += _parallel_exit(top, start, button)
    parts.append(wire([(start, top), (870, top)], PLUS) + switch(870, top, uses_nc))
    parts.append(wire([(361, y + 34), (361, y + 16), (892, y + 16), (892, top - 12)], SOFT, True, 1.3))
    kind = "C–NC" if uses_nc else "C–NO"
    held = "at rest: locked" if uses_nc or not is_safe else "energised: locked"
    parts += [words(924, top - 24, f"relay {kind}", 11.5, "bold"), words(924, top - 10, held, 11, "", SOFT)]
    parts.append(wire([(914, top), (right, top), (right, y + 84)], PLUS))
    parts.append(wire([(right, y + 140), (right, bottom), (526, bottom)], GROUND))
    parts.append(diode(1040, top, bottom))
    parts += [words(946, y + 108, "diode for DC,", 11, "", SOFT), words(946, y + 122, "varistor for AC", 11, "", SOFT)]
    device = ["magnet", "fail-safe"] if is_safe else ["strike", "fail-secure"]
    parts.append(labelled_box(right - 46, y + 84, 92, 56, device, CARD, INK))
    parts.append(_promise(y, is_safe))
    return "".join(parts)


def _fire_contact(top: float) -> str:
    return (
        box(600, top - 40, 86, 54, WARN, WARN_INK)
        + switch(620, top, True, WARN_INK)
        + wire([(612, top), (620, top)], PLUS)
        + wire([(664, top), (674, top)], PLUS)
        + words(607, top - 27, "fire alarm", 11, "bold", WARN_INK)
        + words(607, top - 15, "opens", 11, "", WARN_INK)
    )


def _parallel_exit(top: float, start: float, button: str) -> list[str]:
    """The exit button's second contact beside the relay's."""
    low = top + 58
    return [
        joint(start + 60, top, PLUS),
        wire([(start + 60, top), (start + 60, low), (870, low)], PLUS),
        switch(870, low, False, SIGNAL),
        wire([(914, low), (934, low), (934, top)], PLUS),
        joint(934, top, PLUS),
        words(744, low + 18, f"{button} contact: closes", 11, "bold", SIGNAL),
    ]


def _promise(y: float, is_safe: bool) -> str:
    """What happens without power, in a line under the circuit."""
    if is_safe:
        said = "Without power, in a fire alarm, and while the button is pressed the magnet lets go by itself."
    else:
        said = (
            "Without power, and in a fire alarm, it stays locked: only where the handle inside always opens the door."
        )
    return words(470, y + 186, said, 11.5, "", SOFT if is_safe else WARN_INK)


# --- what is felt ----------------------------------------------------------------------------------------------------

_SWITCHES = {
    "contact": ("door contact", "closed while the door is shut, so that a cut wire tells", True),
    "exit": (
        "exit button, 1st contact",
        "closes when pressed; its 2nd contact is in the strike's circuit above",
        False,
    ),
    "tamper": ("cabinet's tamper switch", "closed while the cabinet is shut", True),
}


def _switch(kind: str, target: str, y: float, is_inverted: bool) -> str:
    at = terminal(target)
    name, meaning, is_closed = _SWITCHES[kind]
    if is_inverted:
        is_closed, meaning = not is_closed, f"{'open' if is_closed else 'closed'} at rest: inverted in agent.toml"
    top, bottom = y + 15, y + 47
    ground = "0 V: a GND pin of the header" if at.is_ours else "its common terminal"
    return (
        labelled_box(16, y, _TERMINAL_WIDTH, 62, [kind, at.device, at.place], DEVICE if at.is_ours else BOX)
        + wire([(16 + _TERMINAL_WIDTH, top), (470, top)], SIGNAL)
        + wire([(16 + _TERMINAL_WIDTH, bottom), (470, bottom)], GROUND)
        + upright_switch(470, top, bottom, is_closed, SIGNAL if kind == "exit" else INK)
        + words(262, bottom - 6, ground, 10.5, "", SOFT)
        + words(496, y + 28, name, 12.5, "bold")
        + words(496, y + 45, meaning, 11.5, "", SOFT)
    )
