"""Talking to the demo's parts: an agent's control socket, its local API, and the cloud's pages."""

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

from edge.console.api import ApiError, call

LINE_BYTES = 1024 * 1024


class Control:
    """The control socket of one driven agent; reconnects by itself when the agent was started again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, verb: str, value: object, timeout_s: float) -> dict[str, Any]:
        """One question. ConnectionError while the agent is away, TimeoutError where it does not answer in time."""
        if self._streams is None:
            try:
                self._streams = await asyncio.open_unix_connection(self._path, limit=LINE_BYTES)
            except OSError as error:
                raise ConnectionError(f"{self._path}: no agent ({error.strerror})") from None
        reader, writer = self._streams
        try:
            writer.write(json.dumps({verb: value}).encode() + b"\n")
            async with asyncio.timeout(timeout_s):
                line = await reader.readline()
        except (OSError, TimeoutError):
            self.drop()
            raise
        if not line:
            self.drop()
            raise ConnectionError(f"{self._path}: the agent went away")
        return dict(json.loads(line))

    def drop(self) -> None:
        """Forget the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def ask_agent(path: Path, op: str, **arguments: object) -> dict[str, Any]:
    """An agent's local API. ConnectionError where it does not answer."""
    try:
        return await asyncio.to_thread(call, path, op, 30.0, **arguments)
    except ApiError as error:
        raise ConnectionError(str(error)) from None


async def all_events(path: Path) -> list[dict[str, Any]]:
    """Every event of an agent's log."""
    events: list[dict[str, Any]] = []
    while True:
        after = events[-1]["seq"] if events else 0
        answer = await ask_agent(path, "events", after_seq=after, limit=1000)
        if not answer["events"]:
            return events
        events += [{**event, "log": answer["log"]} for event in answer["events"]]


async def ask_cloud(address: str, path: str) -> bytes:
    """A page of the cloud. OSError where it does not answer."""

    def fetch() -> bytes:
        with urllib.request.urlopen(address.rstrip("/") + path, timeout=20) as answer:  # noqa: S310 (loopback, ours)
            return bytes(answer.read())

    return await asyncio.to_thread(fetch)


async def cloud_events(address: str) -> list[dict[str, Any]]:
    """Every event that the cloud has."""
    events: list[dict[str, Any]] = []
    while True:
        after = events[-1]["id"] if events else 0
        lines = (await ask_cloud(address, f"/api/events.ndjson?after={after}")).decode().splitlines()
        if not lines:
            return events
        events += [json.loads(line) for line in lines]
