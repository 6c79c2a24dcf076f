"""Which wire is where: the targets of agent.toml ("gpio:CHIP:LINE", "osdp:READER:NUMBER", "modbus:BOARD:COIL",
"simulated"), checked, and the GPIO lines made of them."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.lines.gpio import GpioLine, RequestLines, line_at
from edge.lines.lights import GpioLights, ReaderLines
from edge.lines.modbus import coil_at
from edge.lines.pulse_lines import PulseLines
from edge.lines.relays import GpioOutput, GpioOutputs
from edge.lines.switches import ACTIVE_LOW, DEBOUNCE_MS, GpioInput, GpioInputs
from edge.reader.radio import RadioReceiver
from edge.reader.wired_reader import WiredReader

if TYPE_CHECKING:
    from edge.config import Config, DoorLines, Radio, Wiegand

SIMULATED = "simulated"


class WiringError(ValueError):
    """Wires that cannot be as agent.toml says; one line that says what to change."""


class OsdpLine(NamedTuple):
    """An output or an input of an OSDP reader, 0 the first."""

    reader: str
    number: int


def osdp_line(target: str) -> OsdpLine:
    """The output or input that "osdp:READER:NUMBER" names. ValueError for anything else."""
    kind, _, rest = target.partition(":")
    reader, _, number = rest.rpartition(":")
    if kind != "osdp" or not reader or not number.isdecimal():
        raise ValueError(target)
    return OsdpLine(reader, int(number))


def is_gpio(target: str) -> bool:
    return target.startswith("gpio:")


def is_osdp(target: str) -> bool:
    return target.startswith("osdp:")


def is_modbus(target: str) -> bool:
    return target.startswith("modbus:")


def check(config: "Config") -> None:
    """WiringError where ids, addresses or lines are there twice, or a target is none."""
    readers = [reader.id for bus in config.bus for reader in bus.readers]
    wired = [wire.id for wire in (*_wired(config), *config.modem)]
    _refuse_twins([*readers, *wired], "reader")
    _refuse_twins([door.id for door in config.door], "door")
    for bus in config.bus:
        if len({reader.address for reader in bus.readers}) != len(bus.readers):
            raise WiringError(f"bus {bus.port}: two readers have one address; each needs its own")
    _refuse_twins([board.id for board in config.modbus], "relay board")
    ports = [*(bus.port for bus in config.bus), *(modem.port for modem in config.modem)]
    _refuse_twins([*ports, *(board.port for board in config.modbus)], "port")
    for door in config.door:
        _check_door(config, door, readers)
    _check_used_once(config)
    _check_lines(config)


def _refuse_twins(names: list[str], what: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise WiringError(f"{what} {twice[0]} is there twice; each {what} has its own id")


def _check_door(config: "Config", door: "DoorLines", readers: list[str]) -> None:
    if not door.outputs:
        raise WiringError(f"door {door.id}: outputs is empty; name at least the strike's output")
    for target in [*door.outputs.values(), door.contact, door.exit, door.tamper]:
        if target == SIMULATED and config.simulated is None:
            raise WiringError(f"door {door.id} is 'simulated', but there is no [simulated] board")
        if is_modbus(target):
            _check_modbus(config, door, target)
        elif target and target != SIMULATED and not is_gpio(target):
            _check_osdp(door, target, readers)
    for switch in (door.contact, door.exit, door.tamper):
        if is_modbus(switch):
            raise WiringError(f"door {door.id}: '{switch}': a relay board's inputs are not read; use a GPIO line")
    for kind in door.inverted:
        if not is_osdp(getattr(door, kind)):
            said = f"door {door.id}: its {kind} is on no OSDP reader; for a GPIO line write active_low under [[gpio]]"
            raise WiringError(said)


def _check_osdp(door: "DoorLines", target: str, readers: list[str]) -> None:
    try:
        line = osdp_line(target)
    except ValueError:
        kinds = "'gpio:CHIP:LINE', 'osdp:READER:NUMBER', 'modbus:BOARD:COIL' or 'simulated'"
        raise WiringError(f"door {door.id}: '{target}' is no line; write {kinds}") from None
    if line.reader not in readers:
        raise WiringError(f"door {door.id}: reader {line.reader} of '{target}' is on no bus")


def _check_modbus(config: "Config", door: "DoorLines", target: str) -> None:
    try:
        board, _ = coil_at(target)
    except ValueError:
        said = f"door {door.id}: '{target}' is no relay; write 'modbus:BOARD:COIL', coils from 0"
        raise WiringError(said) from None
    if board not in [one.id for one in config.modbus]:
        raise WiringError(f"door {door.id}: there is no [[modbus]] board {board} for '{target}'")


def _check_used_once(config: "Config") -> None:
    """An output moves one door's strike; an input is one switch."""
    for names in ("outputs", "switches"):
        used: dict[str, str] = {}
        for door in config.door:
            targets = door.outputs.values() if names == "outputs" else (door.contact, door.exit, door.tamper)
            for target in targets:
                if not (is_osdp(target) or is_modbus(target)):
                    continue
                if target in used:
                    raise WiringError(f"door {door.id}: '{target}' is door {used[target]}'s already")
                used[target] = door.id
    wanted = {coil_at(target)[0] for door in config.door for target in door.outputs.values() if is_modbus(target)}
    for board in config.modbus:
        if board.id not in wanted:
            raise WiringError(f"modbus board {board.id}: no door has an output on it; remove it or write one")


def _check_lines(config: "Config") -> None:
    """Every GPIO line is used once, by its right form; both lines of a reader are on one chip."""
    used: dict[tuple[str, str], str] = {}
    for target, where in _targets(config):
        try:
            line = line_at(target)
        except ValueError:
            raise WiringError(f"{where}: '{target}' is no line; write 'gpio:CHIP:LINE'") from None
        if line in used:
            raise WiringError(f"{where}: line {target} is {used[line]} already")
        used[line] = where
    for wire in _wired(config):
        if line_at(wire.d0)[0] != line_at(wire.d1)[0]:
            raise WiringError(f"reader {wire.id}: d0 and d1 must be on one chip")
    known = {":".join(line) for line in used}
    for options in config.gpio:
        if options.line not in known:
            raise WiringError(f"gpio line '{options.line}' is used nowhere; write CHIP:LINE as a door or reader does")


def _targets(config: "Config") -> Iterator[tuple[str, str]]:
    """(target, what it is for) of every GPIO line."""
    for door in config.door:
        named = {**door.outputs, "contact": door.contact, "exit": door.exit, "tamper": door.tamper}
        for name, target in named.items():
            if is_gpio(target):
                yield target, f"door {door.id}'s {name}"
    for wire in config.wiegand:
        for name in ("d0", "d1", "green", "red", "buzzer"):
            if getattr(wire, name):
                yield getattr(wire, name), f"reader {wire.id}'s {name}"
    for receiver in config.radio:
        yield receiver.d0, f"reader {receiver.id}'s d0"
        yield receiver.d1, f"reader {receiver.id}'s d1"


def _wired(config: "Config") -> "list[Wiegand | Radio]":
    return [*config.wiegand, *config.radio]


class Gpio:
    """Every GPIO line of a controller. `deliver` gets what switches and wired readers report; `request_lines`: a double
    of gpiod's, where there is no GPIO."""

    def __init__(
        self, config: "Config", deliver: Callable[[object], None], request_lines: RequestLines | None = None
    ) -> None:
        self._options = {options.line: options for options in config.gpio}
        relays = {
            (door.id, name): GpioOutput(self._line(target, "as-is"), door.fail == "safe")
            for door in config.door
            for name, target in door.outputs.items()
            if is_gpio(target)
        }
        self.relays = relays
        self.outputs = GpioOutputs(relays, request_lines, deliver)
        self._inputs = GpioInputs(list(self._switches(config)), deliver, request_lines)
        lit = {wire.id: self._lights(wire) for wire in config.wiegand if wire.green or wire.red or wire.buzzer}
        self.lights = GpioLights(lit, request_lines)
        self.lit = frozenset(lit)
        self._wired: list[Any] = [
            *(WiredReader(wire.id, wire.keypad, wire.facility, wire.digits) for wire in config.wiegand),
            *(RadioReceiver(wire.id, wire.format) for wire in config.radio),
        ]
        self._pulses = [
            PulseLines((self._data(wire, wire.d0), self._data(wire, wire.d1)), reader, deliver, request_lines)
            for wire, reader in zip(_wired(config), self._wired, strict=True)
        ]

    def claim_outputs(self) -> None:
        """Take what moves and shines, locked and dark. lines.gpio.GpioError."""
        self.outputs.claim()
        self.lights.claim()

    def claim_inputs(self) -> None:
        """Take what is felt. lines.gpio.GpioError."""
        self._inputs.claim()
        for pulses in self._pulses:
            pulses.claim()

    def release(self) -> None:
        """Lock everything and give every line back."""
        for pulses in self._pulses:
            pulses.release()
        self._inputs.release()
        self.lights.release()
        self.outputs.release()

    def status(self) -> dict[str, Any]:
        """For people: relays, switches and wired readers."""
        return {
            "relays": self.outputs.status(),
            "switches": self._inputs.status(),
            "readers": [
                {**reader.status(), "trouble": pulses.trouble}
                for reader, pulses in zip(self._wired, self._pulses, strict=True)
            ],
        }

    def _switches(self, config: "Config") -> Iterator[GpioInput]:
        for door in config.door:
            for kind, target in (("contact", door.contact), ("exit", door.exit), ("tamper", door.tamper)):
                if is_gpio(target):
                    yield GpioInput(self._line(target, "pull-up", ACTIVE_LOW[kind], DEBOUNCE_MS), kind, door.id)

    def _lights(self, wire: "Wiegand") -> ReaderLines:
        def line(target: str) -> GpioLine | None:
            return self._line(target, "as-is", True) if target else None

        return ReaderLines(line(wire.green), line(wire.red), line(wire.buzzer))

    def _data(self, wire: "Wiegand | Radio", target: str) -> GpioLine:
        return self._line(target, "pull-up", not wire.inverted)

    def _line(self, target: str, bias: str, active_low: bool = False, debounce_ms: int = 0) -> GpioLine:
        """A line with what [[gpio]] says of it, else what its use asks for."""
        chip, line = line_at(target)
        options = self._options.get(f"{chip}:{line}")
        if options is not None:
            active_low = active_low if options.active_low is None else options.active_low
            bias = options.bias or bias
            debounce_ms = debounce_ms if options.debounce_ms is None else options.debounce_ms
        return GpioLine(chip, line, active_low, bias, debounce_ms)
