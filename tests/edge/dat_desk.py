"""An agent's side of DAT files with its log and its policy, without doors; and its manager, who has all keys."""

import asyncio
import base64
import contextlib
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from edge_controller import EPOCH, NOW_MS

from edge.closed_logs import ClosedLogs
from edge.decision import rows
from edge.decision.model import BADGE, Event, PolicyReplaced
from edge.keyring import Keyring
from edge.policies import Policies
from edge.policy_care import PolicyCare
from edge.storage.event_log import EventLog
from edge.storage.policy_store import PolicyStore
from edge.transferring import Transferring
from edge.uplink import sealing, signing, wire
from edge.uplink.transfer_file import CONTROLLER, Header, Item, save
from firmware_sim.driven_clock import DrivenClock

SITE, NAME = "les-tilleuls", "north"
DEADLINE_S = 30  # against hanging, not a measure


@contextlib.contextmanager
def memory_folder() -> Iterator[Path]:
    """Empty, gone afterwards; in memory where that can be. A killed process leaves what it wrote to the kernel, flushed
    or not; and of a hundred small files a disk would take seconds."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="vk", dir=memory if os.access(memory, os.W_OK) else "/tmp"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def policy_rows(revision: int, count: int = 20) -> list[bytes]:
    """Rows each of which says which revision it is of: a mixture of two would be seen."""
    chance = random.Random(7)
    numbers = chance.sample(range(10**9, 4 * 10**9), count)
    return [
        rows.pack(rows.Site(bytes(16), f"Tilleuls {revision}", False, 12)),
        rows.pack(
            rows.Door("hall", f"Hall {revision}", ("strike",), 5000, 15000, 30, 0, False, False, True, "", "", (), 0)
        ),
        rows.pack(rows.Group(1, f"Residents {revision}", (("hall", "", 62, 15, 0),))),
        *(
            rows.pack(rows.Credential(BADGE, number, 1, 0, 0, rows.ACTIVE, 0, "", f"of {revision}"))
            for number in numbers
        ),
    ]


def event(number: int) -> Event:
    """One passage."""
    at_ms = NOW_MS + 25_000 * number
    return Event(at_ms, True, "hall", "hall-in", "badge", 10**9 + number % 300, "open", "", "strike", "")


class Correspondents:
    """Both ends' keys, the same for the same seed. `edge`: how the controller trusts; `cloud`: how the manager does."""

    def __init__(self, seed: bytes = b"") -> None:
        keys = [sha256(name + seed).digest() if seed else os.urandom(32) for name in (b"device", b"manager", b"seal")]
        self.device_key, self.manager_key = map(Ed25519PrivateKey.from_private_bytes, keys[:2])
        self.seal_key = keys[2]
        public = signing.public_bytes(self.device_key)
        self.manager = signing.ManagerTrust(
            bytes(range(16)), SITE, NAME, signing.public_bytes(self.manager_key), EPOCH, 12, bytes(32),
            signing.seal_public(self.seal_key),
        )  # fmt: skip
        self.edge = self.manager.trust(self.device_key)
        self.cloud = self.edge._replace(
            public_key=public, seal_to=sealing.device_seal_public(public), unseal=self.seal_key
        )
        self.keyring = Keyring(self.device_key, public, self.manager, {}, {})

    def policy(self, packed: list[bytes], revision: int, **changes: object) -> list[Item]:
        """A snapshot's messages. changes: of `cloud`."""
        parts = signing.encode_policy_parts(packed, revision, self.cloud._replace(**changes), self.manager_key)
        return [Item(wire.POLICY, part) for part in parts]

    def ack(self, log_id: bytes, up_to: int, head: bytes = b"") -> Item:
        return Item(wire.ACK, signing.encode_ack(log_id, up_to, self.cloud, self.manager_key, head))


def write_file(path: Path, items: list[Item], site: str = SITE, controller: str = NAME) -> Path:
    """A file for a controller."""
    save(path, Header(CONTROLLER, site, controller, "now"), items)
    return path


async def no_handover(raw: bytes) -> str:
    raise AssertionError("nobody hands over here")


class Desk:
    """In `folder`, opened anew each time, as after a start of the agent. To be made in a running loop."""

    def __init__(self, folder: Path, ends: Correspondents) -> None:
        self.ends = ends
        self.clock = DrivenClock(NOW_MS)
        self.log = EventLog.open(folder / "events.db", boot_id="boot", keys=ends.keyring.log_keys)
        self.store = PolicyStore.open(folder / "policy.db")
        self.policies = Policies(self.store)
        self.said: list[object] = []
        self.care = PolicyCare(self.policies, self.said.append, lambda: None)
        self.alarms: list[str] = []
        self.closed = ClosedLogs(folder, lambda: 0, self.alarms.append)
        self.transferring = Transferring(
            ends.keyring, self.clock, self.log, self.closed, self.care, lambda: None, no_handover, folder
        )

    async def ask(self, op: str, **request: object) -> dict:
        """As over the local API."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.transferring.answers[op](request)

    async def take(self, items: list[Item], transfer: str = "t") -> dict | None:
        """Take messages one after the other; the first refusal."""
        for item in items:
            message = base64.b64encode(item.message).decode()
            refused = (await self.ask("dat-take", transfer=transfer, kind=item.kind, message=message))["refused"]
            if refused:
                return dict(refused)
        return None

    async def apply(self, items: list[Item]) -> dict:
        """Take them and settle."""
        assert await self.take(items) is None
        return await self.ask("dat-settle", transfer="t")

    async def collect(self) -> list[Item]:
        """All messages, as `vantail dat collect` asks for them."""
        found = []
        for log in (await self.ask("dat-logs"))["logs"]:
            after = None
            while after is None or after < log["last"]:
                answer = await self.ask("dat-collect", log=log["log"], after=after)
                found += [Item(kind, base64.b64decode(text)) for kind, text in answer["messages"]]
                assert after is None or answer["after"] > after
                after = answer["after"]
        return found

    def record(self, count: int) -> None:
        """So many events more."""
        first = self.log.last_seq
        for start in range(0, count, 500):
            some = [event(first + start + i) for i in range(min(500, count - start))]
            self.log.record(some, 1).result(DEADLINE_S)

    def refusals(self) -> list[str]:
        """What was written down as refused."""
        return [noted.detail for noted in self.said if not isinstance(noted, PolicyReplaced)]

    def close(self) -> None:
        self.log.close()
        self.policies.close()
