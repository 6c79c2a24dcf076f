"""A controller's folder as an installer leaves it: agent.toml, keys, a policy compiled from the example residence."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from edge.console.api import ApiError, call
from edge.decision.policy import VerifiedDelta
from edge.residence.compile import policy_digest, policy_rows, years_around
from edge.residence.reading import read
from edge.storage.policy_store import PolicyStore
from edge.uplink import signing
from firmware_sim.osdp_reader import OsdpReader

EXAMPLE = Path(__file__).parents[2] / "examples" / "clos-des-dunes"
NOW_MS = 1_795_417_080_000  # 2026-11-23T07:58 in Paris, a Monday
DEADLINE_S = 30  # against hanging, not a measure
EPOCH = 1
RESIDENT_B = "4640800090"  # a badge of hall B; unknown to nobody, valid always
STRANGER = "9999999999"
NEVER_AUTO = ('auto_open = "Day hall"', 'auto_open = "Never"')
DENY = ('outputs = ["door", "aux1"]', 'on_log_failure = "deny"\n  outputs = ["door", "aux1"]')  # the parking's door

BARE = """\
controller = "{controller}"
api = "api"

[simulated]
board = "board"

"""
DOORS = {
    "hall-b": '[[door]]\nid = "hall-b"\noutputs = { door = "simulated" }\ncontact = "simulated"\n',
    "parking": '[[door]]\nid = "parking"\noutputs = { door = "simulated", aux1 = "simulated" }\n',
    "hall-a": (
        '[[door]]\nid = "hall-a"\noutputs = { door = "simulated", aux1 = "simulated", aux2 = "simulated" }\n'
        '[[door]]\nid = "cellar"\noutputs = { door = "simulated" }\n'
        '[[bus]]\nport = "bus0"\nbaud = 115200\nreaders = [{ id = "hall-a-in", address = 0 }]\n'
        '[[bus]]\nport = "bus1"\nbaud = 115200\nreaders = [{ id = "cellar-in", address = 1 }]\n'
    ),
}
READERS = {"hall-a": {"hall-a-in": 0, "cellar-in": 1}}


@dataclass
class Made:
    """One controller's folder."""

    folder: Path
    controller: str
    reader_keys: dict[str, bytes]

    @property
    def config(self) -> Path:
        return self.folder / "agent.toml"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def api(self) -> Path:
        return self.folder / "api"

    @property
    def board(self) -> Path:
        return self.folder / "board"

    def reader(self, name: str) -> OsdpReader:
        """That reader's hardware, with the key that the controller has of it."""
        return OsdpReader(name, READERS[self.controller][name], self.reader_keys[name])

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A `vantail` command to its end."""
        return vantail(*arguments)


def vantail(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A `vantail` command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "edge.cli", *map(str, arguments)],
        capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def make(folder: Path, controller: str = "hall-b", broker: str = "", changes: tuple[tuple[str, str], ...] = ()) -> Made:
    """Write everything; `changes`: (old, new) in the example's site.toml."""
    made = Made(folder, controller, {name: os.urandom(16) for name in READERS.get(controller, {})})
    uplink = f'[uplink]\nbroker = "{broker}"\n\n' if broker else ""
    made.config.write_text(BARE.format(controller=controller) + uplink + DOORS[controller])
    manager = write_keys(made)
    store_policy(made, manager, changes)
    return made


def write_keys(made: Made) -> signing.ManagerTrust:
    made.keys.mkdir(mode=0o700)
    key, manager_key = signing.generate_key(), signing.generate_key()
    signing.write_private_key(made.keys / "device.key", key)
    signing.write_public_key(made.keys / "device.pub", signing.public_bytes(key))
    manager = signing.ManagerTrust(
        os.urandom(16),
        "clos-des-dunes",
        made.controller,
        signing.public_bytes(manager_key),
        EPOCH,
        4711,
        os.urandom(32),
        signing.seal_public(os.urandom(32)),
    )
    signing.write_manager(made.keys / "manager.toml", manager)
    if made.reader_keys:
        path = made.keys / "osdp.toml"
        path.touch(0o600)
        path.write_text("".join(f'{name} = "{key.hex()}"\n' for name, key in made.reader_keys.items()))
    return manager


def store_policy(made: Made, manager: signing.ManagerTrust, changes: tuple[tuple[str, str], ...]) -> None:
    """Apply revision 1 as the uplink would have."""
    site = made.folder / "site"
    shutil.copytree(EXAMPLE, site)
    text = (site / "site.toml").read_text("utf-8")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (site / "site.toml").write_text(text, "utf-8")
    residence, problems = read(site, date(2026, 11, 23))
    assert residence is not None, problems
    rows = policy_rows(residence, made.controller, manager.site_uid, manager.code_key, years_around(NOW_MS / 1000))
    (made.folder / "data").mkdir(mode=0o700)
    store = PolicyStore.open(made.folder / "data" / "policy.db")
    device = signing.fingerprint(signing.load_public_key(made.keys / "device.pub"))
    store.apply(VerifiedDelta(manager.site_uid, device, EPOCH, 0, 1, tuple(rows), (), policy_digest(rows))).result(
        DEADLINE_S
    )
    store.close()


@contextlib.asynccontextmanager
async def running(made: Made) -> AsyncIterator[asyncio.subprocess.Process]:
    """`vantail run` as a process, answering inside the block, ended by SIGTERM after it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge.cli", "run", "--config", str(made.config),
        stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        await until(lambda: answers(made) or process.returncode is not None, "the agent answers")
        assert process.returncode is None, (await process.stderr.read()).decode()
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), DEADLINE_S)
            except TimeoutError:
                process.kill()
                await process.wait()


def answers(made: Made) -> bool:
    try:
        call(made.api, "ping", timeout_s=5)
    except ApiError:
        return False
    return True


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition is true; fail where it never is."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"not within {DEADLINE_S} s: {what}"
        await asyncio.sleep(0.01)


async def ask(made: Made, op: str, **arguments: object) -> dict:
    """The agent's local API, without holding up the loop."""
    return await asyncio.to_thread(call, made.api, op, 20.0, **arguments)
