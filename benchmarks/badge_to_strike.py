"""Badge to light and badge to strike over a paced serial line (requirements.md, row P2).

Another process plays the readers (`paced_readers`): libosdp's peripheral devices on a pty whose bytes take their
time, 10 bits each. It holds cards up at random moments and measures, on its own clock, until the command that
answers has wholly arrived: an LED command for half of the cards, an output command (the strike) for the others. In
this process one after the other answers each card at once:

- ours: `edge.reader.osdp.bus.Bus`, secure channel;
- libosdp's own Python control panel with its thread, secure channel, as its documentation uses it;
- a bare poller: no OSDP at all, neither crypto nor checks nor decision. It sends frames of the same lengths as ours
  did, two character times after each reply, to a device that answers with frames of the same lengths as libosdp's
  did: what the line alone costs.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import queue
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import osdp
import serial
from paced_readers import Lengths, Run, Task, key_of, play_readers

from edge.decision.indications import GREEN, Signal
from edge.reader.inputs import CardRead
from edge.reader.osdp.bus import Bus, BusReader

LIT = Signal(GREEN, GREEN, 1000, 0, 2000, 0, 0, 0)
STRIKE_MS = 5000
FAST = 115200
GOAL_BARE = 1.5
GOAL_LIBOSDP = 12.0

Answer = Callable[[str, Task, Connection], Run]


# --- the three that answer -----------------------------------------------------------------------------------


def answer_with_ours(path: str, task: Task, pipe: Connection) -> Run:
    """Grant each card as soon as the bus delivers it."""

    async def serve() -> Run:
        def deliver(value: object) -> None:
            if isinstance(value, CardRead):
                if value.data[-1] & 1:
                    bus.indicate(value.reader, LIT)
                else:
                    bus.set_output(value.reader, 0, STRIKE_MS)

        readers = [BusReader(f"reader-{n}", n, key_of(n)) for n in range(task.readers)]
        bus = Bus(path, task.baud, readers, deliver)
        running = asyncio.get_running_loop().create_task(bus.run())
        result = await asyncio.to_thread(pipe.recv)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return result

    return asyncio.run(serve())


class _Port(osdp.Channel):
    def __init__(self, path: str, baud: int) -> None:
        self.serial = serial.Serial(path, baud, timeout=0)

    def read(self, max_bytes: int) -> bytes:
        return self.serial.read(max_bytes)

    def write(self, buf: bytes) -> int:
        return self.serial.write(buf) or 0

    def flush(self) -> None:
        self.serial.reset_input_buffer()


def answer_with_libosdp(path: str, task: Task, pipe: Connection) -> Run:
    """Grant each card as soon as libosdp's panel hands its event out."""
    port = _Port(path, task.baud)
    flags = [osdp.LibFlag.EnforceSecure]
    infos = [osdp.PDInfo(n, port, scbk=key_of(n), flags=flags) for n in range(task.readers)]
    read: queue.SimpleQueue[tuple[int, dict[str, Any]]] = queue.SimpleQueue()

    def take(reader: int, event: dict[str, Any]) -> int:  # a command from within would deadlock its thread
        read.put((reader, event))
        return 0

    panel = osdp.ControlPanel(
        infos,
        log_level=osdp.LogLevel.Emergency,
        event_handler=take,
    )
    panel.start()
    led = {"command": osdp.Command.LED, "reader": 0, "led_number": 0, "temporary": True, "control_code": 2}
    led |= {"on_count": 10, "off_count": 0, "on_color": GREEN, "off_color": GREEN, "timer_count": 20}
    output = {"command": osdp.Command.Output, "output_no": 0, "control_code": 5, "timer_count": 50}
    while not pipe.poll():
        try:
            address, event = read.get(timeout=0.2)
        except queue.Empty:
            continue
        panel.submit_command(address, led if event["data"][-1] & 1 else output)
    result = pipe.recv()
    panel.teardown()
    port.serial.close()
    return result


def answer_barely(lengths: Lengths, path: str, task: Task, pipe: Connection) -> Run:
    """Poll, and send a command right after a card: bytes of the right number, nothing else."""
    port = os.open(path, os.O_RDWR | os.O_NOCTTY)
    silence_s = 2 * 10 / task.baud  # two characters between frames
    polls = [bytes([lengths.poll, n]) + bytes(lengths.poll - 2) for n in range(task.readers)]
    turn = 0
    while not pipe.poll():
        turn = (turn + 1) % task.readers
        card = _exchange(port, polls[turn], lengths)
        time.sleep(silence_s)
        if card:
            _exchange(port, bytes([lengths.command, turn, card]) + bytes(lengths.command - 3), lengths)
            time.sleep(silence_s)
    os.close(port)
    return pipe.recv()


def _exchange(port: int, frame: bytes, lengths: Lengths) -> int:
    os.write(port, frame)
    reply = os.read(port, 100)
    while len(reply) < (lengths.card if reply[0] else lengths.ack):
        reply += os.read(port, 100)
    return reply[0]


# --- the rows ------------------------------------------------------------------------------------------------


def measure(task: Task, answer: Answer) -> Run:
    """Run one process of readers beside `answer` in this one."""
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line"
        process = context.Process(target=play_readers, args=(path, far, task), daemon=True)
        process.start()
        far.close()
        assert near.recv() == "ready"
        run = answer(str(path), task, near)
        near.send("done")
        process.join()
    return run


def lengths_of(exchanges: Counter[tuple[int, int]]) -> Lengths:
    """Read the frames' lengths off the exchanges of a run: a poll and its acknowledgement are the shortest."""
    poll = min(to for to, _ in exchanges)
    ack = min(back for to, back in exchanges if to == poll)
    cards = Counter({back: count for (to, back), count in exchanges.items() if to == poll and back > ack})
    commands = Counter({to: count for (to, back), count in exchanges.items() if to > poll})
    return Lengths(poll, ack, cards.most_common(1)[0][0], commands.most_common(1)[0][0])


def wire_ms(lengths: Lengths, task: Task) -> float:
    """Return the byte times from a card to its answer, each reply followed by two characters of silence: half a
    round of polling until the reader's poll has arrived, the card's reply, the command."""
    round_characters = task.readers * (lengths.poll + lengths.ack + 2)
    return (round_characters / 2 + lengths.card + 2 + lengths.command) * 10 / task.baud * 1000


def _percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[-(-len(ordered) * percent // 100) - 1]


def _row(case: str, ours: float, other: float, other_name: str, goal: float | None, ahead: bool) -> dict[str, Any]:
    ratio = other / ours if ahead else ours / other
    met = goal is None or (ratio >= goal if ahead else ratio <= goal)
    words = "times ahead, at least" if ahead else "times as long, at most"
    row = {"row": "P2", "case": f"{case}; {words}", "ours": round(ours, 3), "other": round(other, 3)}
    return row | {"other_name": other_name, "unit": "ms", "ratio": round(ratio, 2), "goal": goal, "ok": met}


def rows_of(task: Task, ours: Run, bare: Run, libosdp: Run, lengths: Lengths) -> list[dict[str, Any]]:
    """Compare one line's runs: medians have goals, p99 is shown beside them."""
    rows = []
    for what, field in (("LED", "led_ms"), ("strike", "strike_ms")):
        mine = getattr(ours, field)
        median = statistics.median(mine)
        case = f"badge to {what}, {task.baud} baud, {task.readers} reader{'s' * (task.readers > 1)}"
        for name, run, ahead, goal in (
            ("bare poller, same lengths", bare, False, GOAL_BARE),
            ("libosdp ControlPanel", libosdp, True, GOAL_LIBOSDP if task.baud == FAST else None),
        ):
            other = getattr(run, field)
            rows.append(_row(f"{case}, p50", median, statistics.median(other), name, goal, ahead))
            p99 = (_percentile(mine, 99), _percentile(other, 99))
            rows.append(_row(f"{case}, p99 of {len(mine)}", *p99, name, None, ahead))
        rows.append(_row(f"{case}, p50", median, wire_ms(lengths, task), "byte times alone", GOAL_BARE, False))
    return rows


def compare(tasks: list[Task]) -> list[dict[str, Any]]:
    """Measure all three on each line, ours first: the bare poller sends what it sent. libosdp gets half the cards."""
    rows = []
    for task in tasks:
        ours = measure(task, answer_with_ours)
        lengths = lengths_of(ours.exchanges)
        bare = measure(task._replace(dumb=lengths), partial(answer_barely, lengths))
        libosdp = measure(task._replace(cards=task.cards // 2), answer_with_libosdp)
        rows += rows_of(task, ours, bare, libosdp, lengths)
    return rows


def machine() -> str:
    """Name the processor, the cores and the Python that these figures are from."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"


def print_table(rows: list[dict[str, Any]]) -> None:
    print(machine())
    for row in rows:
        goal = "" if row["goal"] is None else f"{row['goal']:g} {'met' if row['ok'] else 'NOT MET'}"
        case, _, words = row["case"].partition("; ")
        print(
            f"{case:52} ours {row['ours']:8.2f} ms  {row['other_name']:26} {row['other']:8.2f} ms"
            f"  {row['ratio']:6.2f} {words.partition(',')[0]:14} {goal}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="badge to light and strike over a paced serial line (row P2)")
    parser.add_argument("--quick", action="store_true", help="one reader at 9,600 and 115,200 baud, fewer cards")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    arguments = parser.parse_args()
    if arguments.quick:
        tasks = [Task(1, 9600, 80), Task(1, FAST, 80)]
    else:
        tasks = [Task(1, 9600, 400), Task(1, 38400, 400), Task(1, FAST, 400), Task(16, FAST, 200)]
    rows = compare(tasks)
    if arguments.json:
        print(json.dumps({"benchmark": "badge_to_strike", "machine": machine(), "rows": rows}))
    else:
        print_table(rows)
    return 0 if all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
