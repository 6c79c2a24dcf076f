"""agent.toml to typed values. An error names the file, the key and what the key means."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

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
    "port": "the serial port of an OSDP line, such as /dev/ttyAMA0",
    "baud": "the line's speed: 9600, 19200, 38400, 57600, 115200 or 230400",
    "readers": "the line's readers: {id, address}",
    "address": "an OSDP address, 0 to 126",
    "door": "a door's wiring",
    "outputs": "where each of a door's outputs is: 'simulated' or 'osdp:READER:NUMBER'",
    "contact": "where the door position switch is: 'simulated', or left out where there is none",
    "unlock_ms": "for how long an exit button unlocks before any policy came, in milliseconds",
    "board": "the Unix socket of the simulated line board",
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
    """A door's wiring: where its outputs and its door position switch are."""

    id: Name
    outputs: dict[str, str]
    contact: str = ""
    unlock_ms: Annotated[int, msgspec.Meta(ge=100, le=600_000)] = 5000


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
    door: tuple[DoorLines, ...] = ()
    keep_events: Annotated[int, msgspec.Meta(ge=1000, le=10_000_000)] = 100_000


class OsdpOutput(NamedTuple):
    """An output of an OSDP reader."""

    reader: str
    number: int


def load(path: Path) -> Config:
    """Read and check agent.toml; relative paths become absolute. ConfigError where it cannot be used."""
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give the controller's configuration with --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    try:
        config = msgspec.convert(tomllib.loads(text), Config)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_explain(str(error))}") from None
    _check_wiring(path, config)
    return _resolve(config, path.parent.resolve())


def output_of(target: str) -> OsdpOutput | None:
    """Where an output is: None for the simulated board. ValueError for anything else that is not osdp:READER:NUMBER."""
    if target == "simulated":
        return None
    kind, _, rest = target.partition(":")
    reader, _, number = rest.rpartition(":")
    if kind != "osdp" or not reader or not number.isdecimal():
        raise ValueError(target)
    return OsdpOutput(reader, int(number))


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


def _check_wiring(path: Path, config: Config) -> None:
    readers = [reader.id for bus in config.bus for reader in bus.readers]
    for names, what in ((readers, "reader"), ([door.id for door in config.door], "door")):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"{path}: {what} {twice[0]} is there twice; each {what} has its own id")
    for bus in config.bus:
        taken = [reader.address for reader in bus.readers]
        if len(set(taken)) != len(taken):
            raise ConfigError(f"{path}: bus {bus.port}: two readers have one address; each needs its own")
    for door in config.door:
        targets = [*door.outputs.values(), *([door.contact] if door.contact else [])]
        if not door.outputs:
            raise ConfigError(f"{path}: door {door.id}: outputs is empty; name at least the strike's output")
        for target in targets:
            _check_target(path, config, door, target, readers)


def _check_target(path: Path, config: Config, door: DoorLines, target: str, readers: list[str]) -> None:
    try:
        output = output_of(target)
    except ValueError:
        said = f"door {door.id}: '{target}' is no line; write 'simulated' or 'osdp:READER:NUMBER'"
        raise ConfigError(f"{path}: {said}") from None
    if output is None and config.simulated is None:
        raise ConfigError(f"{path}: door {door.id} is 'simulated', but there is no [simulated] board")
    if output is not None and output.reader not in readers:
        raise ConfigError(f"{path}: door {door.id}: reader {output.reader} of '{target}' is on no bus")


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
    )
