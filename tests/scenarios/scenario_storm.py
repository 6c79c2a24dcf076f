"""Badges presented while processes are killed: what was done, and what the logs, the relays and the cloud say of it."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import scenario_residence
from scenario_demo import Playing

from edge.decision.model import LOCK
from edge.residence.day import Step
from firmware_sim.control import all_events, ask_agent, cloud_events
from firmware_sim.player import insist

FIRST_MS = scenario_residence.FIRST_S * 1000
BETWEEN_MS = 8_000  # so that a long storm ends before the annex stands open at 09:00
LONGEST_DELAY_S = 0.12  # a passage through a real serial line takes about half of it
BACK_S = 60.0

# (door, reader, medium, number, button): what opens, and what does not.
PRESENTED = (
    ("lobby", "lobby-pad", "badge", 500001, ""),
    ("lobby", "lobby-pad", "badge", 999999, ""),
    ("lobby", "lobby-radio", "remote", 600002, "2"),
    ("strongroom", "strong-out", "badge", 500002, ""),
    ("annex", "annex-pad", "badge", 500008, ""),
    ("trap-inner", "trap-inner-in", "badge", 500008, ""),
    ("annex", "annex-pad", "badge", 500001, ""),
)
TARGETS = ("north", "south", "cloud", "broker")

Key = tuple[str, str, int]  # controller, log, seq


@dataclass
class Passage:
    """One presented credential: the pulses that moved (door, output) and the events that were recorded."""

    step: Step
    killed: str
    pulses: list[tuple[str, str]]
    events: list[dict[str, Any]]


@dataclass
class Storm:
    """What a storm left. `seen`: every event that was read from a log at any time; `logs`: the logs at the end."""

    passages: list[Passage] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    seen: dict[Key, dict[str, Any]] = field(default_factory=dict)
    logs: dict[Key, dict[str, Any]] = field(default_factory=dict)
    cloud: list[Key] = field(default_factory=list)


def step_of(number: int) -> Step:
    """The numberth passage of a storm."""
    door, reader, medium, value, button = PRESENTED[number % len(PRESENTED)]
    at_ms = FIRST_MS + number * BETWEEN_MS
    return Step(0, str(number), at_ms, door, reader, medium, f"{value:010d}", value, button, None, ("none",), "")


def write_building(folder: Path) -> tuple[Path, Path]:
    """The second residence with a day of one step, so that the demo knows when to begin."""
    day = scenario_residence.HEADINGS + "2027-06-21T05:59:00;;;network;up;;none;\n"
    return scenario_residence.write(folder / "site", day)


def rage(playing: Playing, passages: int, kills_each: int, seed: int) -> Storm:
    """Present `passages` credentials and kill each process `kills_each` times at seeded moments."""
    draw = random.Random(seed)
    plan = [target for target in TARGETS for _ in range(kills_each)]
    draw.shuffle(plan)
    moments = dict(zip(sorted(draw.sample(range(passages), len(plan))), plan, strict=True))
    storm = Storm()
    for number in range(passages):
        target = moments.get(number, "")
        playing.run(_pass(playing, storm, number, target, draw.uniform(0, LONGEST_DELAY_S)), 2 * BACK_S)
    playing.run(_compare(playing, storm), 3 * BACK_S)
    return storm


async def _pass(playing: Playing, storm: Storm, number: int, target: str, delay_s: float) -> None:
    began_ns = time.perf_counter_ns()
    step = step_of(number)
    killer = asyncio.create_task(_kill(playing, target, delay_s)) if target else None
    with contextlib.suppress(ConnectionError, TimeoutError):  # nobody was there to answer
        await playing.player.play(step)
    if killer is not None:
        storm.kills[target] += await killer
    await _settle(playing)
    events = await _new_events(playing, storm)
    pulses = [
        (strike.door, strike.output)
        for hardware in playing.demo.hardware.values()
        for strike in hardware.board.strikes
        if strike.at_ns >= began_ns and strike.ms != LOCK
    ]
    storm.passages.append(Passage(step, target, pulses, events))


async def _kill(playing: Playing, target: str, delay_s: float) -> bool:
    """Kill it `delay_s` after the passage began, and see it started again."""
    demo = playing.demo
    process = demo.agents.get(target) or {"cloud": demo.cloud, "broker": demo.broker}[target]
    async with asyncio.timeout(BACK_S):
        while not process.pid:
            await asyncio.sleep(0.01)
    starts = process.starts
    await asyncio.sleep(delay_s)
    process.kill()
    async with asyncio.timeout(BACK_S):
        while process.starts == starts:
            await asyncio.sleep(0.01)
    return True


async def _settle(playing: Playing) -> None:
    """Everything presented so far is decided and performed, every agent is back, every reader online."""
    for station in playing.demo.stations.values():
        async with asyncio.timeout(BACK_S):
            while not await _is_settled(station):
                await asyncio.sleep(0.02)


async def _is_settled(station: Any) -> bool:
    board = station.hardware.board
    try:
        status = await ask_agent(station.hardware.api, "status")
        is_ready = all(reader["ready"] for reader in status["readers"])
        if not (status["policy"]["in_force"] and is_ready and board.is_connected):
            return False
        await board.barrier(BACK_S)
        await station.control.ask("settle", True, BACK_S)
    except (ConnectionError, TimeoutError):
        return False
    return True


async def _new_events(playing: Playing, storm: Storm) -> list[dict[str, Any]]:
    """What the logs hold now that was not seen before."""
    new = []
    for name, station in playing.demo.stations.items():
        events = await insist(lambda api=station.hardware.api: _whole_log(api))  # type: ignore[misc]
        for event in events["all"]:
            key = (name, event["log"], event["seq"])
            if key not in storm.seen:
                storm.seen[key] = event
                new.append(event)
    return new


async def _whole_log(api: Path) -> dict[str, Any]:
    return {"all": await all_events(api)}


async def _compare(playing: Playing, storm: Storm) -> None:
    """Wait until the cloud has what it can have."""
    for name, station in playing.demo.stations.items():
        for event in (await insist(lambda api=station.hardware.api: _whole_log(api)))["all"]:  # type: ignore[misc]
            storm.logs[(name, event["log"], event["seq"])] = event
    end = time.monotonic() + 2 * BACK_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            events = await cloud_events(playing.demo.cloud_address)
            storm.cloud = [(event["controller"], event["log"], event["seq"]) for event in events]
        if set(storm.logs) <= set(storm.cloud):
            return
        await asyncio.sleep(0.1)


# --- what must hold: each returns the breaches ------------------------------------------------------------------


def lost_from_logs(storm: Storm) -> list[Key]:
    """Events that were in a log once and are not, or not the same, at the end."""
    return [key for key, event in storm.seen.items() if storm.logs.get(key) != event]


def holes(storm: Storm) -> list[tuple[str, str, int]]:
    """Numbers that a log skips."""
    seqs: dict[tuple[str, str], set[int]] = {}
    for controller, log, seq in storm.logs:
        seqs.setdefault((controller, log), set()).add(seq)
    return [(*name, seq) for name, found in seqs.items() for seq in range(1, max(found) + 1) if seq not in found]


def lost_on_the_way(storm: Storm) -> list[Key]:
    """Recorded, but not in the cloud."""
    return sorted(set(storm.logs) - set(storm.cloud))


def twice_in_cloud(storm: Storm) -> list[Key]:
    """In the cloud more than once."""
    return [key for key, times in Counter(storm.cloud).items() if times > 1]


def unrecorded_pulses(storm: Storm) -> list[tuple[int, tuple[str, str]]]:
    """Relays that moved although no opening of the presented credential is on record for it."""
    found = []
    for number, passage in enumerate(storm.passages):
        opens = Counter(
            (event["door"], event["output"])
            for event in passage.events
            if event["result"] == "open" and int(event["credential"]) == passage.step.number
        )
        for pulse, times in Counter(passage.pulses).items():
            if times > opens[pulse]:
                found.append((number, pulse))
    return found
