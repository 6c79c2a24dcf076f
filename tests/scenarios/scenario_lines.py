"""One controller that has every kind of line there is, and an agent at work on it in this process.

The site is written here, on purpose with other names and figures than the example. What stands for wires: libosdp's
reader behind a pty, an AT modem on a pty, pymodbus's server as relay board, the simulated board's socket, and a double
at gpiod's boundary. The agent's wall and monotonic time stand still until a test moves them.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from edge import keyring
from edge.agent import Agent
from edge.clock import BUILD_MS
from edge.config import load
from edge.console.api import call
from edge.decision import model
from edge.decision.policy import VerifiedDelta
from edge.reader import card_format
from edge.residence.compile import policy_digest, policy_rows, years_around
from edge.residence.reading import read
from edge.storage.policy_store import PolicyStore
from edge.uplink import signing
from firmware_sim import pulses
from firmware_sim.driven_clock import DrivenClock
from firmware_sim.gpio_double import ChipDouble
from firmware_sim.gsm_modem import GsmModem
from firmware_sim.gsm_network import Callee
from firmware_sim.line_board import LineBoard
from firmware_sim.modbus_board import ModbusRelayBoard
from firmware_sim.osdp_reader import OsdpReader
from firmware_sim.reader_lights import now_ms
from firmware_sim.reader_line import ReaderLine

DEADLINE_S = 30  # against hanging, not a measure
NOW_MS = 1_795_417_080_000  # 2026-11-23, a Monday, 07:58 in Oslo
UNLOCK_MS = 1000
RESIDENT, STRANGER = 4400012, 9900099
REMOTE = 0x00C0FFEE
CODE, BCD_CODE, WRONG_CODE = "24680", "135790", "11111"
CALLER = "4722330001"
NUMBERS = ("4722330011", "4722330012", "4722330013")
CALL_CODE, OPEN_KEY = "12", "5"
MS = 1_000_000
BETWEEN_WORDS_MS = 45  # more than a decoder waits for the end of a word

SITE = f"""\
site = "havnegata"
name = "Havnegata 3"
time_zone = "Europe/Oslo"
country = "NO"
manager = 31

[[week_type]]
name = "Day"
mon = ["07:00-19:00"]
tue = ["07:00-19:00"]

[[block]]
id = "one"
access_profile = "All"

[[controller]]
id = "box"
{{doors}}
[[panel]]
id = "panel"
door = "porch"
modem = "porch-gsm"
blocks = ["one"]
open_key = "{OPEN_KEY}"

[[access_profile]]
name = "All"
grants = [
{{grants}}]
"""

# door: (outputs in site.toml, more of the door, its reader in site.toml)
DOORS = {
    "four": (["door"], "", '{ id = "four-in", kind = "wiegand", bits = 34, keypad = true }'),
    "eight": (["door"], "", '{ id = "eight-in", kind = "wiegand", bits = 34, keypad = true }'),
    "binary": (["door"], "", '{ id = "binary-in", kind = "wiegand", bits = 34, keypad = true }'),
    "bcd": (["door"], "", '{ id = "bcd-in", kind = "wiegand", bits = 34, keypad = true }'),
    "gate": (["door", "aux1", "aux2", "aux3"], "", '{ id = "gate-radio", kind = "radio" }'),
    "porch": (["door"], "", '{ id = "porch-gsm", kind = "gsm" }'),
    "cellar": (["door"], "", '{ id = "cellar-in", kind = "osdp", address = 4, baud = 115200, keypad = true }'),
    "shed": (["door"], "", '{ id = "shed-in", kind = "wiegand", bits = 34 }'),
    "yard": (["door"], "", '{ id = "yard-in", kind = "wiegand", bits = 34 }'),
    "lobby": (["door"], 'auto_open = "{lobby}"', '{ id = "lobby-in", kind = "wiegand", bits = 34 }'),
}

# gpiochip0: outputs, then the two data lines of each wired reader, then the switches of door "four".
RELAYS = {("four", "door"): 14, ("eight", "door"): 15, ("binary", "door"): 16, ("bcd", "door"): 17}
RELAYS |= {
    ("gate", "door"): 18,
    ("gate", "aux1"): 19,
    ("gate", "aux2"): 20,
    ("gate", "aux3"): 21,
    ("porch", "door"): 22,
}
DATA = {"four-in": (2, 3), "eight-in": (4, 5), "binary-in": (6, 7), "bcd-in": (8, 9), "gate-radio": (10, 11)}
CONTACT, EXIT, TAMPER = 24, 25, 26
KEYPADS = {"four-in": "4", "eight-in": "8", "binary-in": "26-binary", "bcd-in": "26-bcd"}
FACILITY = 7


def site_text(auto_open: str) -> str:
    doors, grants = [], []
    for door, (outputs, more, reader) in DOORS.items():
        names = ", ".join(f'"{name}"' for name in outputs)
        doors.append(
            f'\n  [[controller.door]]\n  id = "{door}"\n  outputs = [{names}]\n  unlock_ms = {UNLOCK_MS}\n'
            f"  {more.format(lobby=auto_open)}\n  readers = [{reader}]\n"
        )
        if door == "gate":
            for button, output in enumerate(outputs[:3], 1):  # button 4 moves nothing
                grants.append(
                    f'  {{ door = "gate", output = "{output}", media = ["remote"], buttons = [{button}] }},\n'
                )
        else:
            grants.append(f'  {{ door = "{door}", media = ["badge", "code", "phone"] }},\n')
    return SITE.format(doors="".join(doors), grants="".join(grants))


RESIDENTS = (
    "block,flat,name,floor,display,call_code,phone1,phone2,phone3,delay1_s,delay2_s,delay3_s,auto_open,door_code\n"
    f"one,1,Haugen,1,Haugen,{CALL_CODE},+{NUMBERS[0]},+{NUMBERS[1]},+{NUMBERS[2]},20,20,20,Never,{CODE}\n"
    f"one,2,Lie,1,Lie,22,+{CALLER},,,20,20,20,Never,{BCD_CODE}\n"
)
PASSES = (
    "number,radio_number,type,colour,block,flat,profile,from,to,state,notes\n"
    f"{RESIDENT:010d},,badge,,one,1,,,,active,\n"
    f"{REMOTE:010d},,remote,,one,1,,,,active,\n"
)


def agent_toml(timer: str, broker: str = "") -> str:
    """Every wire of the controller. `timer`: the relay board's own pulse timer; `broker`: mqtt://…, "" for none."""
    text = ['controller = "box"\napi = "api"\n\n[simulated]\nboard = "board"\n']
    text += [f'[uplink]\nbroker = "{broker}"\n'] if broker else []
    text += ['[[bus]]\nport = "bus"\nbaud = 115200\nreaders = [{ id = "cellar-in", address = 4 }]\n']
    text += ['[[modem]]\nid = "porch-gsm"\nport = "gsm"\ncountry_code = "47"\n']
    text += [f'[[modbus]]\nid = "board"\nport = "relays"\nunit = 1\ntimer = "{timer}"\n']
    for reader, (d0, d1) in DATA.items():
        lines = f'd0 = "gpio:gpiochip0:{d0}"\nd1 = "gpio:gpiochip0:{d1}"\n'
        if reader == "gate-radio":
            text.append(f'[[radio]]\nid = "{reader}"\nformat = "36"\n{lines}')
        else:
            more = f"facility = {FACILITY}\ndigits = 5\n" if reader == "binary-in" else ""
            text.append(f'[[wiegand]]\nid = "{reader}"\nkeypad = "{KEYPADS[reader]}"\n{lines}{more}')
    targets = {"cellar": "osdp:cellar-in:0", "shed": "modbus:board:0", "yard": "simulated", "lobby": "simulated"}
    for door, (outputs, _, _) in DOORS.items():
        wired = {name: targets.get(door) or f"gpio:gpiochip0:{RELAYS[door, name]}" for name in outputs}
        more = f'contact = "gpio:gpiochip0:{CONTACT}"\nexit = "gpio:gpiochip0:{EXIT}"\n' if door == "four" else ""
        more += f'tamper = "gpio:gpiochip0:{TAMPER}"\n' if door == "four" else ""
        more += 'contact = "simulated"\n' if door == "yard" else ""
        named = ", ".join(f'{name} = "{target}"' for name, target in wired.items())
        text.append(f'[[door]]\nid = "{door}"\noutputs = {{ {named} }}\nunlock_ms = {UNLOCK_MS}\n{more}')
    return "\n".join(text)


@dataclass
class Box:
    """The controller's folder, with keys and a policy."""

    folder: Path
    reader_key: bytes = field(default_factory=lambda: os.urandom(16), repr=False)

    @property
    def config(self) -> Path:
        return self.folder / "agent.toml"

    @property
    def api(self) -> Path:
        return self.folder / "api"

    @property
    def data(self) -> Path:
        return self.folder / "data"


def write_box(folder: Path, *, auto_open: str = "Never", timer: str = "flash", broker: str = "") -> Box:
    """Write everything. `auto_open`: week type of the door "lobby"."""
    box = Box(folder)
    box.config.write_text(agent_toml(timer, broker))
    keys = folder / "keys"
    keys.mkdir(mode=0o700)
    device, manager_key = signing.generate_key(), signing.generate_key()
    signing.write_private_key(keys / "device.key", device)
    public = signing.public_bytes(manager_key)
    seal_key = signing.seal_public(bytes(range(32)))
    manager = signing.ManagerTrust(os.urandom(16), "havnegata", "box", public, 1, 31, os.urandom(32), seal_key)
    signing.write_manager(keys / "manager.toml", manager)
    (keys / "osdp.toml").touch(0o600)
    (keys / "osdp.toml").write_text(f'cellar-in = "{box.reader_key.hex()}"\n')
    _store_policy(box, manager, signing.fingerprint(signing.public_bytes(device)), auto_open)
    return box


def _store_policy(box: Box, manager: signing.ManagerTrust, device: bytes, auto_open: str) -> None:
    site = box.folder / "site"
    site.mkdir()
    (site / "site.toml").write_text(site_text(auto_open), "utf-8")
    (site / "residents.csv").write_text(RESIDENTS, "utf-8")
    (site / "passes.csv").write_text(PASSES, "utf-8")
    residence, problems = read(site, date(2026, 11, 23))
    assert residence is not None, problems
    rows = policy_rows(residence, "box", manager.site_uid, manager.code_key, years_around(NOW_MS / 1000))
    box.data.mkdir(mode=0o700)
    store = PolicyStore.open(box.data / "policy.db")
    store.apply(VerifiedDelta(manager.site_uid, device, 1, 0, 1, tuple(rows), (), policy_digest(rows))).result(30)
    store.close()


class Hardware:
    """Everything on the other side of the agent's lines. `activations()`: each time that a strike let go, as
    (door, output), whatever for."""

    def __init__(self, box: Box, timer: str = "flash") -> None:
        self.chip = ChipDouble(keeps_released=False)
        self.chip.drive(CONTACT, False, time.monotonic_ns())  # the leaf is closed, and so is the cabinet
        self.chip.drive(TAMPER, False, time.monotonic_ns())
        self.reader = OsdpReader("cellar-in", 4, box.reader_key)
        self.line = ReaderLine(box.folder / "bus", [self.reader])
        self.modem = GsmModem(box.folder / "gsm", "sim7600")
        self.relays = ModbusRelayBoard(box.folder / "relays", 1, 8, timer)
        self.board = LineBoard(box.folder / "board")
        self._last_ns = self._button_ns = time.monotonic_ns()

    async def start(self) -> None:
        self.line.open()
        self.modem.open()
        await self.relays.start()
        await self.board.start()

    async def stop(self) -> None:
        self.line.close()
        self.modem.close()
        await self.relays.stop()
        await self.board.stop()

    def activations(self) -> list[tuple[str, str]]:
        names = {line: key for key, line in RELAYS.items()}
        found = [names[line] for line, level in self.chip.history if level and line in names]
        found += [("shed", "door") for moved in self.relays.history if moved.is_energised]
        found += [(moved.door, moved.output) for moved in self.board.history if moved.is_unlocked]
        commands = [seen.command for seen in self.reader.seen if seen.kind == "output"]
        return found + [("cellar", "door") for command in commands if command["control_code"] in (2, 5)]

    def unlocked(self) -> set[tuple[str, str]]:
        """What lets people through now."""
        found = {key for key, line in RELAYS.items() if self.chip.outputs.get(line)}
        found |= {("shed", "door")} if self.relays.relays[0] else set()
        found |= {("cellar", "door")} if self.reader.is_output_on(0, now_ms()) else set()
        return found | {(door, "door") for door in ("yard", "lobby") if self.board.is_unlocked(door, "door")}

    # --- people at the GPIO lines; each of them begins after the one before has ended ------------------------------

    def _moment_ns(self) -> int:
        self._last_ns = max(time.monotonic_ns(), self._last_ns + BETWEEN_WORDS_MS * MS)
        return self._last_ns

    def send(self, reader: str, train: Callable[[int], list[pulses.Pulse]]) -> None:
        """Pulses on a wired reader's two lines."""
        for line, at_ns in train(self._moment_ns()):
            self.chip.pulse(DATA[reader][line], at_ns, 50_000)
            self._last_ns = at_ns

    def type(self, reader: str, keys: str) -> None:
        """Press keys: one word each, or, of a buffered keypad, the whole code."""
        keypad = KEYPADS[reader]
        if keypad in ("4", "8"):
            for key in keys:
                self.send(reader, lambda at_ns, key=key: pulses.key(key, keypad, at_ns))  # type: ignore[misc]
        else:
            self.send(reader, lambda at_ns: pulses.code(keys, keypad, FACILITY, at_ns))

    def card(self, reader: str, number: int) -> None:
        self.send(reader, lambda at_ns: pulses.card(number, "34", at_ns))

    def remote(self, number: int, button: int) -> None:
        self.send("gate-radio", lambda at_ns: pulses.remote(number, button, 36, at_ns))

    def press_exit(self, for_ms: int = 500) -> None:
        """Press and let go of the button of door "four", long enough for the kernel's debounce to see it."""
        at_ns = max(time.monotonic_ns(), self._button_ns)
        self.chip.drive(EXIT, False, at_ns)
        self.chip.drive(EXIT, True, at_ns + for_ms * MS)
        self._button_ns = at_ns + (for_ms + 60) * MS
        self.chip.settle(self._button_ns)

    def osdp_card(self, number: int) -> bool:
        return self.reader.present_card(*card_format.encode(number, "34"))


class AtWork:
    """An agent, its task, its hardware, and its clock."""

    def __init__(
        self, box: Box, agent: Agent, hardware: Hardware, clock: DrivenClock, running: "asyncio.Task[None]"
    ) -> None:
        self.box, self.agent, self.hardware, self.clock, self.running = box, agent, hardware, clock, running
        self.seen = 0
        self.may_end = False  # a test that breaks it on purpose says so

    async def settle(self) -> None:
        """All that happened so far is decided and performed; where the agent has ended instead, what ended it."""
        settling = asyncio.ensure_future(self.agent.settle())
        await asyncio.wait({settling, self.running}, return_when=asyncio.FIRST_COMPLETED)
        if self.running.done():
            settling.cancel()
            self.running.result()

    async def until(self, condition: Callable[[], object], what: str, within_s: float = DEADLINE_S) -> None:
        await until(condition, what, within_s)

    async def ask(self, op: str, **arguments: object) -> dict[str, Any]:
        """The local API, as anybody asks it."""
        return await asyncio.to_thread(call, self.box.api, op, 20.0, **arguments)

    async def events(self) -> list[dict[str, Any]]:
        """What was recorded since this was asked last."""
        await self.settle()
        found = (await self.ask("events", after_seq=self.seen, limit=5000))["events"]
        self.seen = max([self.seen, *(event["seq"] for event in found)])
        return found

    async def decided(self, count: int, act: Callable[[], object]) -> list[tuple[str, str, str]]:
        """Do something after which `count` credentials are decided: (door, result, reason) of each."""
        await self.events()
        before = self.agent.decisions
        act()
        await until(lambda: self.agent.decisions >= before + count, f"{count} decisions")
        events = await self.events()
        passages = [event for event in events if event["medium"] and event["result"] in ("open", "denied")]
        return [(event["door"], event["result"], event["reason"]) for event in passages]

    async def pass_time(self, ms: int) -> None:
        """Move the agent's clock on, and let it do what fell due."""
        self.clock.move_by(ms)
        self.agent.submit(model.Tick())
        await self.settle()

    async def pulses_over(self) -> None:
        """Every pulse is over and every relay has fallen."""
        await self.pass_time(UNLOCK_MS)
        await until(lambda: not self.hardware.unlocked(), f"all locked: {self.hardware.unlocked()}")


async def until(condition: Callable[[], object], what: str, within_s: float = DEADLINE_S) -> None:
    """Wait until a condition is true; fail where it never is."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.004)


@contextlib.asynccontextmanager
async def started(box: Box, hardware: Hardware, clock: DrivenClock | None = None) -> AsyncIterator[AtWork]:
    """The agent in this process, at work until the end of the block; what broke it is raised."""
    clock = clock or DrivenClock(max(NOW_MS, BUILD_MS))
    config = load(box.config)
    agent = await Agent.start(config, keyring.load(config), clock, hardware.chip.request_lines)
    running = asyncio.create_task(agent.run())
    try:
        await until(lambda: running.done() or len(hardware.chip.requests) >= len(RELAYS), "its lines are claimed")
        if running.done():
            running.result()
        work = AtWork(box, agent, hardware, clock, running)
        await work.settle()
        yield work
        if running.done() and not work.may_end:
            running.result()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@contextlib.asynccontextmanager
async def at_work(box: Box, timer: str = "flash", waits: bool = True) -> AsyncIterator[AtWork]:
    """Hardware and agent; with `waits` every line is there before the block begins."""
    hardware = Hardware(box, timer)
    await hardware.start()
    try:
        async with started(box, hardware) as work:
            if waits:
                await all_there(work)
            yield work
    finally:
        await hardware.stop()


async def all_there(work: AtWork) -> None:
    """Every line is served: reader, modem, relay board, simulated board."""
    hardware = work.agent.hardware

    def are_there() -> bool:
        status = hardware.status()
        served = [*status["readers"], *status["modems"]]
        boards = [*status["modbus"], status["board"]]
        return all(line["ready"] for line in served) and all(board["is_connected"] for board in boards)

    await until(are_there, "every line is there")
    await work.settle()


def callee(does: str, after_ms: int = 50, keys: str = "") -> Callee:
    """Somebody who is called."""
    return Callee(does, after_ms, keys, 100)
