"""A real agent in this process, with a manager in the place of its broker, and badges whose strikes are timed.

Everything is as `vantail run` has it but two ends: a badge enters as the core's input instead of by a reader's line,
and the strike counts when the agent hands it to its line. The manager answers as the cloud does, 20 ms later.
"""

import asyncio
import gc
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from decide_residence import Residence, build

from edge import synchronising
from edge.agent import Agent
from edge.clock import SystemClock
from edge.config import Config, load
from edge.decision import model, rows
from edge.decision.policy import VerifiedDelta
from edge.keyring import Keyring
from edge.storage.policy_store import PolicyStore
from edge.uplink import signing
from edge.uplink.sync import DOWN_ACK, DOWN_POLICY, UP_EVENTS

_encode_events = signing.encode_events
AWAY_S = 0.02  # there and back to the manager
WAIT_S = 60  # against hanging
DOORS = ("hall-a", "hall-b", "garage", "bikes", "bins", "gym", "roof", "side")
_SETTINGS = 'controller = "bench"\napi = "api"\nkeep_events = 1000\n[clock]\nrtc = true\n'
_UPLINK = '[uplink]\nbroker = "mqtt://127.0.0.1"\n[simulated]\nboard = "board"\n'
_DOOR = '[[door]]\nid = "{0}"\noutputs = {{ door = "simulated", aux1 = "simulated" }}\n'


class Manager:
    """The other end: makes deltas, acknowledges events. It stands in for edge.uplink.mqtt.Connection."""

    def __init__(self, residence: Residence, code_key: bytes) -> None:
        self.key = signing.generate_key()
        self.device = signing.generate_key()
        public = signing.public_bytes(self.key)
        seal_key = signing.seal_public(bytes(range(32)))
        self.trust = signing.ManagerTrust(bytes(16), "bench", "bench", public, 1, 1, code_key, seal_key)
        seal_to = signing.device_seal_public(signing.public_bytes(self.device))
        self._down = self.trust.trust(self.device)._replace(seal_to=seal_to)
        self._held = {rows.key_of(packed): packed for packed in residence.packed()}
        self._residence = residence
        self._sent: dict[bytes, tuple[bytes, int, bytes]] = {}
        self.revision = 1
        self.acknowledges = False
        self._received: Callable[[str, bytes], None] = lambda suffix, payload: None

    def snapshot(self) -> VerifiedDelta:
        """Revision 1, as the store takes it."""
        packed = tuple(self._held.values())
        return VerifiedDelta(bytes(16), self._down.controller, 1, 0, 1, packed, (), signing.policy_digest(packed))

    def delta_parts(self, count: int) -> Sequence[bytes]:
        """The signed parts of the next revision: `count` credentials with another end."""
        first = self._residence.credentials[:count]
        changed = [rows.pack(one._replace(holder=f"{one.holder} {self.revision}")) for one in first]
        self._held.update({rows.key_of(packed): packed for packed in changed})
        self.revision += 1
        digest = signing.policy_digest(self._held.values())
        return signing.encode_policy_parts(
            changed, self.revision, self._down, self.key, from_revision=self.revision - 1, digest=digest
        )

    def hand_down(self, parts: Sequence[bytes]) -> None:
        """Let the agent receive the parts of a policy, each as a message of its own."""
        for part in parts:
            asyncio.get_running_loop().call_soon(self._received, DOWN_POLICY, part)

    # --- as a Connection --------------------------------------------------------------------------------------

    is_connected = True  # so that each passage goes out as a notice, too

    def __call__(self, *_: Any, connected: Any, received: Any, **__: Any) -> "Manager":
        self._received = received
        asyncio.get_running_loop().call_soon(connected)
        return self

    def start(self) -> None:
        """It is there from the beginning."""

    def stop(self) -> None:
        """It keeps nothing."""

    def status(self) -> dict[str, object]:
        return {}

    def publish(self, suffix: str, payload: bytes, qos: int = 1) -> None:
        if suffix != UP_EVENTS:
            return
        log_id, up_to, head = self._sent.pop(payload)
        if self.acknowledges:
            ack = signing.encode_ack(log_id, up_to, self._down, self.key, head)
            asyncio.get_running_loop().call_later(AWAY_S, self._received, DOWN_ACK, ack)

    def encode_events(self, log_id: bytes, events: Any, trust: Any, key: Any) -> tuple[bytes, int]:
        """In the place of signing.encode_events, which does the work. What the manager would do to a batch is another
        processor's: here it is told what is in it."""
        raw, count = _encode_events(log_id, events, trust, key)
        self._sent[raw] = (log_id, events.events[count - 1][0], events.heads[count - 1])
        return raw, count


class Badges:
    """People who come in, one after the other. `strike_us`: microseconds from each badge to its strike."""

    def __init__(self, agent: Agent, residence: Residence, seed: int) -> None:
        self._agent = agent
        self._chance = random.Random(seed)
        self._struck: asyncio.Future[None] | None = None
        self._may = _who_may(agent, residence)
        self.strike_us: list[float] = []
        self._perform = agent.actuators.strike
        agent.actuators.strike = self._strike  # type: ignore[method-assign]

    def _strike(self, strike: model.Strike, ticket: int | None = None) -> None:
        self._perform(strike, ticket)
        if strike.ms != model.LOCK and self._struck is not None and not self._struck.done():
            self._struck.set_result(None)

    async def come(self, until: Callable[[], bool]) -> list[float]:
        """One badge after the other, a few milliseconds between them, as long as `until` says no."""
        taken = []
        while not until():
            await asyncio.sleep(self._chance.uniform(0.002, 0.012))
            presented = self._chance.choice(self._may)
            self._struck = asyncio.get_running_loop().create_future()
            started = time.perf_counter_ns()
            self._agent.submit(presented)
            async with asyncio.timeout(WAIT_S):
                await self._struck
            taken.append((time.perf_counter_ns() - started) / 1000)
        return taken


def _who_may(agent: Agent, residence: Residence) -> list[model.Presented]:
    """Badges that open a door at any time."""
    groups = {row.id: row for row in residence.small if isinstance(row, rows.Group)}
    found = []
    for one in residence.credentials:
        if one.medium != model.BADGE or one.state != rows.ACTIVE or one.from_s or one.to_s or one.flags:
            continue
        doors = {grant[0] for grant in groups[one.group].grants if grant[4] == rows.ALWAYS} - {"roof", "bikes"}
        found += [model.Presented(f"{door}-osdp", door, model.BADGE, one.number, 0, True) for door in sorted(doors)]
    return found


@asynccontextmanager
async def at_work(folder: Path, credentials: int) -> AsyncIterator[tuple[Agent, Manager, Residence]]:
    """An agent with that many credentials, its policy in force, its manager silent."""
    residence = build(credentials)
    manager = Manager(residence, os.urandom(32))
    gc.freeze()  # what the manager holds is in another process's memory: here no collection looks through it
    (folder / "agent.toml").write_text(_SETTINGS + _UPLINK + "".join(_DOOR.format(door) for door in DOORS))
    config = load(folder / "agent.toml")
    _store(config, manager)
    keys = Keyring(manager.device, signing.public_bytes(manager.device), manager.trust, {}, {})
    real, synchronising.Connection = synchronising.Connection, manager  # type: ignore[misc, assignment]
    signing.encode_events = manager.encode_events
    try:
        agent = await Agent.start(config, keys, SystemClock(has_rtc=True))
        running = asyncio.ensure_future(agent.run())
        try:
            await agent.settle()
            yield agent, manager, residence
        finally:
            running.cancel()
            await asyncio.wait([running])
    finally:
        synchronising.Connection = real  # type: ignore[misc]
        signing.encode_events = _encode_events


def _store(config: Config, manager: Manager) -> None:
    Path(config.data).mkdir(mode=0o700)
    store = PolicyStore.open(Path(config.data) / "policy.db")
    store.apply(manager.snapshot()).result()
    store.close()
