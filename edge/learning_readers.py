"""The readers where badges are read, as commissioning sees them: who is on line, what each shows, and one of them taken
out of use."""

import time
from collections.abc import Callable
from typing import Any

from edge.config import Config
from edge.decision import model
from edge.decision.controller import Controller
from edge.decision.indications import TABLE
from edge.hardware import Hardware

BADGE_KINDS = ("osdp", "wiegand")


class LearningReaders:
    """Also those that no policy knows yet: then nobody but this tells them what to show. submit: takes inputs of the
    core, and Indicate, which is shown when its turn comes."""

    def __init__(
        self, config: Config, controller: Controller, hardware: Hardware, submit: Callable[[object], None]
    ) -> None:
        self._config, self._controller, self._hardware, self._submit = config, controller, hardware, submit
        self._held: dict[str, str] = {}  # reader → what it shows while it learns
        self._passing: dict[str, tuple[str, float]] = {}  # reader → its last answer, until monotonic s

    def hold(self, reader: str, outcome: str) -> None:
        """It opens nothing and shows `outcome`, a lasting one."""
        self._held[reader] = outcome
        self._tell(reader, outcome, outcome)

    def free(self, reader: str, outcome: str) -> None:
        """It works again, after `outcome`, a passing one."""
        self._held.pop(reader, None)
        self._tell(reader, "", "idle")
        self._submit(model.Indicate(reader, outcome))
        self._passing[reader] = outcome, time.monotonic() + TABLE[outcome].total_ms / 1000

    def _tell(self, reader: str, outcome: str, lasting: str) -> None:
        self._submit(model.LearningReader(reader, outcome))
        if self._row(reader) is None:
            self._submit(model.Indicate(reader, lasting))

    def seen(self) -> list[dict[str, Any]]:
        """[{id, door, online, light}]: door "" where no policy knows it; light: an outcome of indications.TABLE."""
        return [
            {"id": reader, "door": self.door_of(reader), "online": online, "light": self._light(reader, online)}
            for reader, online in sorted(self._online().items())
        ]

    def door_of(self, reader: str) -> str:
        """The door of a reader, as the policy says; "" where it does not."""
        row = self._row(reader)
        return row.door if row is not None else ""

    def _online(self) -> dict[str, bool]:
        found = {reader.id: True for reader in self._config.wiegand}
        found |= {line["reader"]: bool(line["ready"]) for bus in self._hardware.buses for line in bus.status()}
        board, index = self._hardware.simulated, self._controller.index
        if board is not None and index is not None:
            is_there = bool(board.status()["is_connected"])
            rows = [row for row in index.readers.values() if row.kind in BADGE_KINDS and row.id not in found]
            found |= {row.id: is_there for row in rows}
        return found

    def _light(self, reader: str, online: bool) -> str:
        if not online:
            return "offline"
        passing, until_s = self._passing.get(reader, ("", 0.0))
        if passing and time.monotonic() < until_s:
            return passing
        return self._held.get(reader) or str(self._controller.shown(reader))

    def _row(self, reader: str) -> Any:
        index = self._controller.index
        return index.readers.get(reader) if index is not None else None
