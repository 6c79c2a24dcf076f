"""agent.toml to typed values. An error names the file, the key and what the key means."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edge import wiring

Slug = Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,64}$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]

_MEANINGS = {
    "controller": "this controller's id, as the manager's site file names it",
    "data": "the folder for events.db and policy.db",
    "keys": "the folder for device.key, manager.toml and osdp.toml",
    "api": "the Unix socket of the local API",
    "broker": "the MQTT broker's address, mqtt://HOST:PORT or mqtts://HOST:PORT",
    "ca": "the file with the broker's certificate authority",
    "certificate": "the file with this controller's TLS certificate",
    "key": "the file with this controller's TLS key",
    "rtc": "true where a battery-backed clock keeps the time",
    "bus": "an RS-485 line with OSDP readers",
    "port": "the serial port of an OSDP line, a modem or a relay board, such as /dev/ttyAMA0",
    "baud": "the line's speed: 9600, 19200, 38400, 57600, 115200 or 230400",
    "readers": "the line's readers: {id, address}",
    "address": "an OSDP address, 0 to 126",
    "door": "a door's wiring",
    "outputs": "where a door's outputs are: 'gpio:CHIP:LINE', 'osdp:READER:NUMBER', 'modbus:BOARD:COIL' or 'simulated'",
    "contact": "the door position switch: 'gpio:CHIP:LINE', 'osdp:READER:NUMBER' or 'simulated'; left out for none",
    "exit": "the exit button: 'gpio:CHIP:LINE' or 'osdp:READER:NUMBER'; the simulated board has its own",
    "tamper": "the cabinet's tamper switch: 'gpio:CHIP:LINE' or 'osdp:READER:NUMBER'",
    "inverted": "a door's switches on OSDP inputs that work the other way round; true: a wired reader's data lines do",
    "modbus": "a Modbus RTU relay board on a serial port of its own",
    "unit": "a relay board's Modbus address, 1 to 255",
    "timer": "a relay board's own pulse timer: 'none', 'flash' or 'flash-coil'",
    "fail": "'secure': power unlocks the strike; 'safe': power locks it",
    "gpio": "what is special about a GPIO line: {line, active_low, bias, debounce_ms}",
    "line": "a GPIO line, CHIP:LINE as in 'gpio:CHIP:LINE'",
    "active_low": "true where the line is active when low",
    "bias": "a GPIO line's pull: as-is, pull-up, pull-down or disabled",
    "debounce_ms": "for how long a level must last to count, 0 to 200 ms",
    "wiegand": "a reader on two Wiegand lines",
    "radio": "a receiver of radio remotes on two Wiegand lines",
    "modem": "a GSM modem on a serial port",
    "country_code": "the modem's country, as in '33', for numbers that the network shows without it",
    "d0": "the data 0 line, 'gpio:CHIP:LINE'",
    "d1": "the data 1 line, on the same chip",
    "keypad": "how a Wiegand reader sends keys: '4', '8', '26-binary', '26-bcd'; left out where it has none",
    "facility": "the facility code in which a buffered keypad sends its code",
    "digits": "how many digits a buffered keypad's codes have; 0: as many as come",
    "green": "the line of a wired reader's green light; red and buzzer likewise",
    "red": "the line of a wired reader's red light",
    "buzzer": "the line of a wired reader's buzzer",
    "format": "how a radio receiver sends number and button: '36', '44' or '26-channel'",
    "unlock_ms": "for how long an exit button unlocks before any policy came, in milliseconds",
    "board": "the Unix socket of the simulated line board",
    "keep_personal_days": "after how many days an event says no more who it was",
    "names_persons": "false where it is never written who came",
    "api_may_open": "true where whoever may use the local API may open doors by it",
    "keep_events": "how many acknowledged events stay on this controller",
}


class ConfigError(Exception):
    """agent.toml cannot be used; one line that says what to change."""


class BusReader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reader on an OSDP line."""

    id: Name
    address: Annotated[int, msgspec.Meta(ge=0, le=126)]


class Bus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An OSDP line."""

    port: Name
    readers: Annotated[tuple[BusReader, ...], msgspec.Meta(min_length=1, max_length=16)]
    baud: Literal[9600, 19200, 38400, 57600, 115200, 230400] = 9600


class DoorLines(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A door's wiring: where its outputs, its door position switch, exit button and tamper switch are."""

    id: Name
    outputs: dict[str, str]
    contact: str = ""
    exit: str = ""
    tamper: str = ""
    fail: Literal["secure", "safe"] = "secure"
    unlock_ms: Annotated[int, msgspec.Meta(ge=100, le=600_000)] = 5000
    inverted: tuple[Literal["contact", "exit", "tamper"], ...] = ()


class ModbusBoard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A relay board, alone on its port."""

    id: Name
    port: Name
    baud: Literal[4800, 9600, 19200, 38400, 57600, 115200] = 9600
    unit: Annotated[int, msgspec.Meta(ge=1, le=255)] = 1
    timer: Literal["none", "flash", "flash-coil"] = "none"


class Modem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A GSM modem that is called to open, and calls residents."""

    id: Name
    port: Name
    country_code: Annotated[str, msgspec.Meta(pattern="^[1-9][0-9]{0,2}$")]
    baud: Literal[9600, 19200, 38400, 57600, 115200, 230400] = 115200


class GpioOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is special about one GPIO line."""

    line: Name
    active_low: bool | None = None
    bias: Literal["as-is", "pull-up", "pull-down", "disabled"] | None = None
    debounce_ms: Annotated[int, msgspec.Meta(ge=0, le=200)] | None = None


class Wiegand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reader on two Wiegand lines, and the lines of its light and buzzer."""

    id: Name
    d0: Name
    d1: Name
    keypad: Literal["", "4", "8", "26-binary", "26-bcd"] = ""
    facility: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
    digits: Annotated[int, msgspec.Meta(ge=0, le=12)] = 0
    inverted: bool = False
    green: str = ""
    red: str = ""
    buzzer: str = ""


class Radio(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A receiver of radio remotes on two Wiegand lines."""

    id: Name
    d0: Name
    d1: Name
    format: Literal["36", "44", "26-channel"] = "36"
    inverted: bool = False


class Uplink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The way to the cloud."""

    broker: Name
    ca: str = ""
    certificate: str = ""
    key: str = ""


class ClockSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What vouches for wall time besides NTP."""

    rtc: bool = False


class Simulated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The simulated line board, in place of wires."""

    board: Name


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One controller, as agent.toml describes it. Paths are relative to the file's folder."""

    controller: Slug
    data: Name = "data"
    keys: Name = "keys"
    api: Name = "api.sock"
    uplink: Uplink | None = None
    clock: ClockSettings = ClockSettings()
    simulated: Simulated | None = None
    bus: tuple[Bus, ...] = ()
    wiegand: tuple[Wiegand, ...] = ()
    radio: tuple[Radio, ...] = ()
    modem: tuple[Modem, ...] = ()
    modbus: tuple[ModbusBoard, ...] = ()
    door: tuple[DoorLines, ...] = ()
    gpio: tuple[GpioOptions, ...] = ()
    keep_events: Annotated[int, msgspec.Meta(ge=1000, le=10_000_000)] = 100_000
    keep_personal_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 90
    names_persons: bool = True
    api_may_open: bool = False


def load(path: Path) -> Config:
    """Read and check agent.toml; relative paths become absolute. ConfigError where it cannot be used."""
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give the controller's configuration with --config") from None
    except OSError as error:
        advice = "; run this as the agent's user" if isinstance(error, PermissionError) else ""
        raise ConfigError(f"{path}: cannot be read ({error.strerror}){advice}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; is it an agent.toml?") from None
    try:
        config = msgspec.convert(tomllib.loads(text), Config)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_explain(str(error))}") from None
    try:
        wiring.check(config)
    except wiring.WiringError as error:
        raise ConfigError(f"{path}: {error}") from None
    return _resolve(config, path.parent.resolve())


def _explain(message: str) -> str:
    """msgspec's message with the meaning of the key that it is about."""
    said, _, where = message.partition(" - at `$")
    parts = [part.split("[")[0] for part in where.rstrip("`").split(".") if part]
    unknown = said.partition("unknown field `")[2].rstrip("`")
    missing = said.partition("missing required field `")[2].rstrip("`")
    if unknown:
        inside = f" in {where.rstrip('`').lstrip('.')}" if parts else ""
        return f"unknown key '{unknown}'{inside}; known are {', '.join(sorted(_MEANINGS))}"
    key = missing or (parts[-1] if parts else "")
    meaning = f" ({key}: {_MEANINGS[key]})" if key in _MEANINGS else ""
    place = where.rstrip("`").lstrip(".")
    return f"{place + ': ' if place else ''}{said}{meaning}"


def _resolve(config: Config, folder: Path) -> Config:
    def absolute(name: str) -> str:
        return str(folder / name) if name else ""

    uplink = config.uplink
    if uplink is not None:
        uplink = msgspec.structs.replace(
            uplink, ca=absolute(uplink.ca), certificate=absolute(uplink.certificate), key=absolute(uplink.key)
        )
    simulated = config.simulated
    if simulated is not None:
        simulated = Simulated(board=absolute(simulated.board))
    return msgspec.structs.replace(
        config,
        data=absolute(config.data),
        keys=absolute(config.keys),
        api=absolute(config.api),
        uplink=uplink,
        simulated=simulated,
        bus=tuple(msgspec.structs.replace(bus, port=absolute(bus.port)) for bus in config.bus),
        modem=tuple(msgspec.structs.replace(modem, port=absolute(modem.port)) for modem in config.modem),
        modbus=tuple(msgspec.structs.replace(board, port=absolute(board.port)) for board in config.modbus),
    )
