"""`vantail-sim fleet`: many controllers in one process, with real messages, to see what a broker and a cloud carry."""

import argparse
import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from firmware_sim.demo import free_port
from firmware_sim.fleet_controller import FleetController
from firmware_sim.fleet_figures import Bar, Figures, dump, told
from firmware_sim.fleet_sites import FleetError, set_up
from firmware_sim.processes import Process, python

CONNECT_S = 60.0
DRAIN_S = 60.0
AT_ONCE = 50  # connections that are begun in a row, before the loop goes on with others
STEP_S = 0.01
EXAMPLES = """examples:
  vantail-sim fleet --controllers 100 --events-per-s 50             with a broker and a cloud of its own
  vantail-sim fleet --controllers 1000 --events-per-s 200 --broker mqtt://n1:1883 --data cloud --json
                                                                    with those that run; --data: the cloud's folder,
                                                                    $VANTAIL_DATABASE: its database, where it has one
exit 0 only if every event was acknowledged"""


def add(commands: Any) -> None:
    """The options of `vantail-sim fleet`."""
    parser = commands.add_parser(
        "fleet", help="many controllers that report to a cloud", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--controllers", type=_count, default=100, metavar="N", help="default %(default)s")
    parser.add_argument(
        "--events-per-s", type=_rate, default=50.0, metavar="R", help="of all together (default %(default)s)"
    )
    parser.add_argument("--seconds", type=_rate, default=30.0, metavar="S", help="for so long (default %(default)s)")
    parser.add_argument("--broker", default="", metavar="URL", help="mqtt://HOST:PORT (default: one of its own)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the cloud's data folder; needed with --broker")
    parser.add_argument("--dir", type=Path, default=Path(".fleet"), help="sites and keys (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="who comes when (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=run)


async def run(options: argparse.Namespace) -> int:
    """Set up, connect, let things happen, wait for the acknowledgements, report."""
    if bool(options.broker) != bool(options.data):
        raise FleetError("--broker and --data belong together: the cloud whose data that is answers on that broker")
    folder, bar = options.dir.resolve(), Bar()
    folder.mkdir(parents=True, exist_ok=True)
    data = (options.data or folder / "cloud").resolve()
    bar.show("setting up", 0, 1, f"{options.controllers} controllers")
    keys = await set_up(folder, options.controllers, data)
    async with _servers(options.broker, folder, data) as broker:
        report = await load(keys, broker, options.events_per_s, options.seconds, options.seed, bar)
    bar.end()
    print(dump(report) if options.json else told(report), flush=True)
    return 0 if report["ok"] else 1


async def load(
    keys: list[Path], broker: str, events_per_s: float, seconds: float, seed: int, bar: Bar
) -> dict[str, object]:
    """Have the controllers with these keys folders report; the report."""
    figures, chance = Figures(len(keys)), random.Random(seed)  # noqa: S311 (who comes when is no secret)
    fleet = [FleetController(each, broker, figures, chance) for each in keys]
    try:
        await _connect(fleet, bar)
        started_s = time.monotonic()
        await _live(fleet, figures, events_per_s, seconds, chance, bar)
        await _until(
            lambda: not any(each.pending for each in fleet), DRAIN_S,
            lambda: bar.show("draining", figures.acked, figures.events, f"{figures.acked} of {figures.events}"),
        )  # fmt: skip
        figures.seconds = time.monotonic() - started_s
    finally:
        for each in fleet:
            each.close()
    return figures.report()


async def _connect(fleet: list[FleetController], bar: Bar) -> None:
    for number, each in enumerate(fleet):
        each.connect()
        if number % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(STEP_S)
    up = 0

    def look() -> None:
        nonlocal up
        up = sum(each.is_up for each in fleet)
        bar.show("connecting", up, len(fleet), f"{up} of {len(fleet)}")

    if not await _until(lambda: all(each.is_up for each in fleet), CONNECT_S, look):
        raise FleetError(f"{up} of {len(fleet)} controllers are connected after {CONNECT_S:.0f} s; check --broker")


async def _live(
    fleet: list[FleetController], figures: Figures, events_per_s: float, seconds: float, chance: random.Random, bar: Bar
) -> None:
    """Somebody comes to one of the doors, at moments that know nothing of each other."""
    started_s = time.monotonic()
    due_s = started_s + chance.expovariate(events_per_s)
    while (now_s := time.monotonic()) < started_s + seconds:
        while due_s <= now_s:
            chance.choice(fleet).happen()
            due_s += chance.expovariate(events_per_s)
        bar.show("events", now_s - started_s, seconds, f"{figures.events} sent, {figures.acked} acknowledged")
        await asyncio.sleep(STEP_S)


async def _until(is_so: Callable[[], bool], seconds: float, meanwhile: Callable[[], None]) -> bool:
    """Whether it became so in time."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        meanwhile()
        await asyncio.sleep(0.05)
    return True


@contextlib.asynccontextmanager
async def _servers(broker: str, folder: Path, data: Path) -> AsyncIterator[str]:
    """The broker that was named, or one of our own, with a cloud that answers on it."""
    if broker:
        yield broker
        return
    port = free_port()
    own = f"mqtt://127.0.0.1:{port}"
    ingest = ["--data", str(data), "ingest", "--broker", own, "--until-stdin-closes"]
    commands = {
        "broker": python("firmware_sim.broker_process", str(port)), "cloud": python("cloud_stub.cli", *ingest)
    }  # fmt: skip
    processes = [
        Process(name, lambda words=words: words, folder / f"{name}.log", Path.cwd())  # type: ignore[misc]
        for name, words in commands.items()
    ]
    try:
        for process in processes:
            await process.start()
        yield own
    finally:
        for process in reversed(processes):
            await process.end()


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text}: write 1 to 100000")
    return int(text)


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text}: write a number above 0")
    return value
