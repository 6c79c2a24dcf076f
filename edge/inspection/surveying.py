"""A look at an OSDP line that nobody serves: who answers, where, at which speed, and whether it has our key.

First everybody in reach is asked who they are (edge.reader.osdp.scan); then the line is served for a moment with the
controller's own keys, as the agent would, but what the readers report goes nowhere; at last, where a reader is
missing, other speeds are tried.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from edge import config
from edge.inspection.reader_advice import Scanned
from edge.reader.osdp.bus import Bus, BusError, BusReader
from edge.reader.osdp.key_file import KeyPair
from edge.reader.osdp.scan import BAUDS, Found, Progress, scan
from edge.reader.osdp.secure import SecureError
from edge.reader.serial_line import LineError

NEAR = range(16)  # the addresses that installers use; `vantail reader scan` looks at all 127
LOOK_S = 2.0  # in which a reader that is there has its session
TROUBLED_S = 0.6  # after which what is wrong with a reader is not the end of its last session
COUNT_S = 0.5  # for the poll rate
NO_KEYS = KeyPair(None, None)


class Surveyed(NamedTuple):
    """`trouble`: why the line could not be looked at, "" where it was. `readers`: as Bus.status() has them;
    `polls_s`: reader → polls a second; `scanned`: who answered."""

    trouble: str
    readers: list[dict[str, Any]]
    polls_s: dict[str, float]
    scanned: Scanned


async def survey(
    line: config.Bus,
    keys: Mapping[str, KeyPair],
    progress: Callable[[str, Progress], None] | None = None,
    look_s: float = LOOK_S,
) -> Surveyed:
    """Look at one line for some seconds. `progress(port, how far)`. Never raises for what is wrong with the line."""
    garbled: set[tuple[int, int]] = set()
    found: list[Found] = []

    async def ask(bauds: Sequence[int], addresses: Sequence[int]) -> None:
        def tell(how_far: Progress) -> None:
            if progress is not None:
                progress(line.port, how_far)

        found.extend(
            await scan(
                line.port, bauds, addresses, tell, asks_for_key=True,
                garbled=lambda baud, address: garbled.add((baud, address)),
            )
        )  # fmt: skip

    ours = [reader.address for reader in line.readers]
    try:
        bus = Bus(line.port, line.baud, [_with_keys(reader, keys) for reader in line.readers], lambda happened: None)
        await ask((line.baud,), sorted({*NEAR, *ours}))
        missing = sorted(set(ours) - {one.address for one in found})
        polls_s = await _serve(bus, look_s) if len(missing) < len(ours) else {}
        if missing:
            await ask([baud for baud in BAUDS if baud != line.baud], missing)
    except (LineError, BusError, SecureError) as error:
        return Surveyed(str(error), [], {}, Scanned((), frozenset(), (), len(ours)))
    lost = len(set(missing) - {one.address for one in found})
    strangers = sorted({one.address for one in found if one.baud == line.baud} - set(ours))
    return Surveyed("", bus.status(), polls_s, Scanned(found, frozenset(garbled), strangers, lost))


def _with_keys(reader: config.BusReader, keys: Mapping[str, KeyPair]) -> BusReader:
    return BusReader(reader.id, reader.address, *keys.get(reader.id, NO_KEYS))


async def _serve(bus: Bus, look_s: float) -> dict[str, float]:
    """Serve the line until every reader has its session, or `look_s` is over; then count polls for a moment."""
    serving = asyncio.create_task(bus.run())
    try:
        begun_s = time.monotonic()
        while (took_s := time.monotonic() - begun_s) < look_s:
            if all(_is_settled(reader, took_s) for reader in bus.status()):
                break
            await asyncio.sleep(0.05)
        before, since_s = bus.status(), time.monotonic()
        await asyncio.sleep(COUNT_S)
        return rates(before, bus.status(), time.monotonic() - since_s)
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


def _is_settled(reader: Mapping[str, Any], took_s: float) -> bool:
    return bool(reader["ready"] or reader["port_trouble"] or (reader["trouble"] and took_s > TROUBLED_S))


def rates(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], took_s: float) -> dict[str, float]:
    """Reader → polls a second, of two status lists that are `took_s` apart."""
    polls = {reader["reader"]: reader["polls"] for reader in before}
    return {
        reader["reader"]: round((reader["polls"] - polls[reader["reader"]]) / took_s, 1)
        for reader in after
        if reader["reader"] in polls and took_s > 0
    }
