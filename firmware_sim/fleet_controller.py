"""One controller of a fleet: the real uplink state machine and messages; a log in memory, and no doors."""

import asyncio
import os
import random
import time
from collections import deque
from pathlib import Path
from typing import Any

from edge.uplink import signing
from edge.uplink.sync import Acknowledged, NeedEvents, PolicyReady, Publish, Refused, Sync
from firmware_sim.fleet_figures import Figures
from firmware_sim.fleet_line import FleetLine
from firmware_sim.fleet_log import BOOT, FleetLog, passage

SOFTWARE = "vantail fleet"


class FleetController:
    """keys: its folder, with device.key and manager.toml."""

    def __init__(self, keys: Path, broker: str, figures: Figures, chance: random.Random) -> None:
        key = signing.load_private_key(keys / "device.key")
        manager = signing.load_manager(keys / "manager.toml")
        self._door, self._figures, self._chance = manager.controller, figures, chance
        self.log = FleetLog(os.urandom(16), manager.seal_key)
        self._sync = Sync(
            manager.trust(key), key, log_id=self.log.log_id, last_seq=0, acked=0, version=(0, 0), digest=bytes(32),
            boot_id=BOOT, software=SOFTWARE, start=self.log.start, session=os.urandom(8),
        )  # fmt: skip
        self._recorded_s: deque[float] = deque()  # when each event that is not acknowledged happened
        self._sent_s: dict[int, float] = {}  # when the batch that ends there was first sent
        self._due: tuple[int, asyncio.TimerHandle] | None = None
        prefix = f"v1/{manager.site}/{manager.controller}/"
        self._line = FleetLine(broker, prefix, self._connected, self._disconnected, self._received)

    @property
    def is_up(self) -> bool:
        return self._line.is_up

    @property
    def pending(self) -> int:
        """Events that are not acknowledged."""
        return self._sync.pending

    def connect(self) -> None:
        self._line.connect()

    def close(self) -> None:
        """End; what it counted goes to the figures."""
        if self._due:
            self._due[1].cancel()
        self._figures.resends += int(str(self._sync.status()["resends"]))
        self._figures.counts["hellos"] += int(str(self._sync.status()["hellos"]))
        self._figures.connects += self._line.connects
        self._line.close()

    def happen(self) -> None:
        """Somebody comes to the door: an event, and a notice of it."""
        event = passage(self._chance, self._door, int(time.time() * 1000))
        seq = self.log.record(event)
        self._figures.events += 1
        self._recorded_s.append(time.monotonic())
        notice = self._sync.notice(signing.Notice(self.log.log_id, seq, event))
        self._perform([*self._sync.noticed(notice), *self._sync.log_advanced(seq, _now_ms())])

    def _connected(self) -> None:
        self._perform(self._sync.connected(_now_ms()))

    def _disconnected(self) -> None:
        self._perform(self._sync.disconnected(_now_ms()))

    def _received(self, suffix: str, payload: bytes) -> None:
        self._figures.counts["messages_down"] += 1
        self._figures.counts["bytes_down"] += len(payload)
        self._perform(self._sync.received(suffix, payload, _now_ms()))

    def _perform(self, actions: list[Any]) -> None:
        waiting = deque(actions)
        while waiting:
            match waiting.popleft():
                case Publish(suffix, payload, qos):
                    self._publish(suffix, payload, qos)
                case NeedEvents(first_seq, limit):
                    waiting.extend(self._read(first_seq, limit))
                case Acknowledged(up_to):
                    self._acknowledged(up_to)
                case PolicyReady(delta):
                    self._figures.counts["policies"] += 1
                    version = (delta.epoch, delta.to_revision)
                    waiting.extend(self._sync.policy_changed(version, delta.digest, _now_ms()))
                case Refused(times=times):
                    self._figures.counts["refused"] += times
        self._plan()

    def _publish(self, suffix: str, payload: bytes, qos: int) -> None:
        self._line.publish(suffix, payload, qos)
        counts, kind = self._figures.counts, suffix.removeprefix("up/")
        counts["messages_up"] += 1
        counts["bytes_up"] += len(payload)
        if kind == "events":
            counts["batches"] += 1
            counts["bytes_events"] += len(payload)
        elif kind == "notice":
            counts["notices"] += 1

    def _read(self, first_seq: int, limit: int) -> list[Any]:
        encoded = self._sync.encoded(self.log.stretch(first_seq, limit))
        self._sent_s.setdefault(first_seq + encoded.takes - 1, time.monotonic())
        return list(self._sync.events_read(first_seq, encoded, _now_ms()))

    def _acknowledged(self, up_to: int) -> None:
        now_s = time.monotonic()
        for last in [last for last in self._sent_s if last <= up_to]:
            self._figures.batch_ms.append((now_s - self._sent_s.pop(last)) * 1000)
        for _ in range(up_to - self.log.acked):
            self._figures.event_ms.append((now_s - self._recorded_s.popleft()) * 1000)
            self._figures.acked += 1
        self.log.acknowledge(up_to)

    def _plan(self) -> None:
        """Have `tick` called when it is due."""
        due = self._sync.next_deadline()
        if self._due and self._due[0] == due:
            return
        if self._due:
            self._due[1].cancel()
        self._due = None
        if due is not None:
            wait_s = max(0.0, (due - _now_ms()) / 1000)
            self._due = due, asyncio.get_running_loop().call_later(wait_s, self._tick)

    def _tick(self) -> None:
        self._due = None
        self._perform(self._sync.tick(_now_ms()))


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
