"""The OSDP lines of a controller, seen: out of the running agent's status, or by a look of our own where none runs."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge import config
from edge.console.api import ApiError, call
from edge.inspection.line_table import LastCard, LineSeen, ReaderSeen
from edge.inspection.reader_advice import judge
from edge.inspection.surveying import COUNT_S, rates, survey
from edge.reader.osdp.key_file import KeyPair, ReaderKeyError, read_keys
from edge.reader.osdp.scan import Progress


def asked_lines(settings: config.Config, status: Mapping[str, Any]) -> list[LineSeen]:
    """Every line as the agent sees it; asks it once more, a moment later, for the poll rates."""
    socket, since_s = Path(settings.api), time.monotonic()
    readers, polls_s = status["readers"], {}
    if readers:
        time.sleep(COUNT_S)
        try:
            later = call(socket, "status", timeout_s=3.0)["readers"]
            polls_s = rates(readers, later, time.monotonic() - since_s)
            readers = later
        except ApiError:  # it ended meanwhile: what it said holds
            pass
    return [
        LineSeen(
            line.port,
            line.baud,
            "",
            [
                ReaderSeen(one, judge(one, line.baud), polls_s.get(one["reader"]), _last_card(socket, one, status))
                for one in readers
                if one["port"] == line.port
            ],
            (),
        )
        for line in settings.bus
    ]


async def looked_at(
    line: config.Bus, settings: config.Config, progress: Callable[[str, Progress], None] | None = None
) -> LineSeen:
    """A line that no agent serves. What is wrong with the key file is the check of the keys' to say."""
    keys: dict[str, KeyPair] = {}
    try:
        keys = read_keys(Path(settings.keys) / "osdp.toml")
    except ReaderKeyError:
        pass
    seen = await survey(line, keys, progress)
    readers = [
        ReaderSeen(one, judge(one, line.baud, seen.scanned), seen.polls_s.get(one["reader"]), _own_card(one))
        for one in seen.readers
    ]
    strangers = [one for one in seen.scanned.found if one.baud == line.baud and one.address in seen.scanned.strangers]
    if len(strangers) == seen.scanned.missing == 1:
        strangers = []  # the missing reader, says its verdict
    return LineSeen(line.port, line.baud, seen.trouble, readers, strangers)


def _last_card(socket: Path, reader: Mapping[str, Any], status: Mapping[str, Any]) -> LastCard | None:
    """The newest badge in the log: when, and its last four digits."""
    try:
        events = call(socket, "events", limit=1, reader=reader["reader"], medium="badge")["events"]
    except ApiError:
        events = []
    if not events:
        return _own_card(reader)
    return LastCard((status["clock"]["utc_ms"] - events[0]["at_ms"]) / 1000, events[0]["credential"][-4:])


def _own_card(reader: Mapping[str, Any]) -> LastCard | None:
    """What the line itself remembers of it: when."""
    return None if reader["last_card_s"] is None else LastCard(reader["last_card_s"], "")
