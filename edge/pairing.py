"""Key changes of OSDP readers, asked for on site through the local API: pairing in a window, and rekeying.

A new key is on the disk before it is sent, and takes the old one's place there once the reader has proved it.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from edge.console.api import BadRequestError
from edge.decision import model
from edge.reader.inputs import NotPaired, Paired
from edge.reader.osdp import key_file
from edge.reader.osdp.bus import Bus
from edge.reader.osdp.key_change import LONGEST_WINDOW_MS, PairingError
from edge.reader.osdp.key_file import ReaderKeyError
from edge.reader.osdp.secure import SecureError

SHORTEST_WINDOW_S = 5
LONGEST_WINDOW_S = LONGEST_WINDOW_MS // 1000


class Pairing:
    """The key changes of one controller. `bus_of`: reader → its line. `submit`: takes what shall be recorded.
    `answers`: the operations of the local API."""

    def __init__(self, path: Path, bus_of: Mapping[str, Bus], submit: Callable[[object], None]) -> None:
        self._path = path
        self._bus_of = bus_of
        self._submit = submit
        self._file = asyncio.Lock()
        self._writing: set[asyncio.Task[None]] = set()
        self._outcomes: dict[str, str] = {}
        self.answers = {
            "pair": self._answer_pair,
            "rekey": self._answer_rekey,
            "pair-close": self._answer_close,
            "pairing": self._answer_progress,
        }

    def news(self, told: Paired | NotPaired) -> None:
        """A reader's key change is over."""
        if isinstance(told, Paired):
            self._outcomes[told.reader] = "paired"
            self._submit(model.Noted("reader-paired", "", told.reader, ""))
            change = key_file.settle
        else:
            self._outcomes[told.reader] = f"not paired: {told.detail}"
            self._submit(model.Noted("reader-not-paired", "", told.reader, told.detail))
            change = key_file.give_up
        writing = self._write_down(partial(change, self._path, told.reader), told.reader)
        task = asyncio.get_running_loop().create_task(writing)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def finish(self) -> None:
        """Wait for what is being written."""
        if self._writing:
            await asyncio.wait(self._writing)

    # --- the local API -----------------------------------------------------------------------------------------

    async def _answer_pair(self, request: Any) -> dict[str, Any]:
        window_s = int(request.get("window_s") or LONGEST_WINDOW_S)
        if not SHORTEST_WINDOW_S <= window_s <= LONGEST_WINDOW_S:
            raise BadRequestError(f"a window of {window_s} s: give {SHORTEST_WINDOW_S} to {LONGEST_WINDOW_S} s")
        reader, bus = self._reader_of(request)
        await self._change(reader, lambda key: bus.open_pairing(reader, key, window_s * 1000))
        self._submit(model.Noted("pairing-opened", "", reader, f"for {window_s} s"))
        return {"reader": reader, "window_s": window_s}

    async def _answer_rekey(self, request: Any) -> dict[str, Any]:
        reader, bus = self._reader_of(request)
        await self._change(reader, lambda key: bus.rekey(reader, key))
        self._submit(model.Noted("rekey-begun", "", reader, ""))
        return {"reader": reader}

    async def _answer_close(self, request: Any) -> dict[str, Any]:
        reader, bus = self._reader_of(request)
        bus.close_pairing(reader)
        return {"reader": reader}

    async def _answer_progress(self, request: Any) -> dict[str, Any]:
        reader, bus = self._reader_of(request)
        status = next(line for line in bus.status() if line["reader"] == reader)
        await self.finish()
        return {
            "reader": reader,
            "stage": status["key_change"],
            "window_left_s": status["window_left_s"],
            "outcome": self._outcomes.get(reader, ""),
        }

    # --- the change --------------------------------------------------------------------------------------------

    def _reader_of(self, request: Any) -> tuple[str, Bus]:
        reader = str(request.get("reader"))
        if reader not in self._bus_of:
            known = ", ".join(sorted(self._bus_of)) or "none"
            raise BadRequestError(f"there is no OSDP reader '{reader}'; known are {known}")
        return reader, self._bus_of[reader]

    async def _change(self, reader: str, begin: Callable[[bytes], None]) -> None:
        """Write a new key down, then begin; where it cannot begin, strike it out again."""
        key = key_file.new_key()
        async with self._file:
            open_for = next((bus.pairing for bus in self._bus_of.values() if bus.pairing), "")
            if open_for:
                raise BadRequestError(f"a pairing window is open for reader {open_for}: one at a time")
            await self._propose(reader, key)
            try:
                begin(key)
            except (PairingError, SecureError) as error:
                await asyncio.to_thread(key_file.give_up, self._path, reader)
                raise BadRequestError(f"reader {reader}: {error}") from None
        self._outcomes.pop(reader, None)

    async def _propose(self, reader: str, key: bytes) -> None:
        pair = (await self._read()).get(reader)
        if pair is not None and pair.candidate is not None:
            # Only where the bus has none under way either: what was sent before a restart may yet be proved.
            status = next(line for line in self._bus_of[reader].status() if line["reader"] == reader)
            if status["key_change"] is not None:
                raise BadRequestError(f"a key change of reader {reader} is under way: wait for its end")
        try:
            await asyncio.to_thread(key_file.propose, self._path, reader, key)
        except (ReaderKeyError, OSError) as error:
            raise BadRequestError(f"the new key cannot be written down, nothing was sent: {error}") from None

    async def _read(self) -> dict[str, key_file.KeyPair]:
        try:
            return await asyncio.to_thread(key_file.read_keys, self._path)
        except ReaderKeyError as error:
            raise BadRequestError(str(error)) from None

    async def _write_down(self, change: Callable[[], None], reader: str) -> None:
        async with self._file:
            try:
                await asyncio.to_thread(change)
            except (ReaderKeyError, OSError) as error:
                said = f"the key cannot be written down: {error}"
                self._outcomes[reader] = said
                self._submit(model.ReaderAlarm(reader, said))
