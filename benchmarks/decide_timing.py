"""How `decide` takes the time of one decision. No imports but Python's own: the peers' environments use it too.

A machine does other things meanwhile, so everything is done in several passes. Of a loop, cut in blocks, each block
counts with its quietest pass; of calls timed one by one, each ask with the median of its passes.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

BLOCK = 500


class Timing(NamedTuple):
    """Microseconds a decision: the mean in a plain loop, and the median and p99 of calls timed one by one."""

    loop_us: float
    p50_us: float
    p99_us: float


class Side(NamedTuple):
    """What is measured. `run` decides on all asks that it is given, in a plain loop; `one` on one."""

    run: Callable[[Sequence[Any]], None]
    one: Callable[[Any], object]
    asks: Sequence[Any]


def take_turns(sides: dict[str, Side], passes: int) -> dict[str, Timing]:
    """Measure all sides, block by block in turn, another one first in each pass. The first pass is a warm-up."""
    loops_us = time_loops(sides, passes)
    timings = {}
    for name, side in sides.items():
        p50_us, p99_us = time_each(side, passes)
        timings[name] = Timing(loops_us[name], p50_us, p99_us)
    return timings


def time_loops(sides: dict[str, Side], passes: int) -> dict[str, float]:
    """Return each side's microseconds an ask in a plain loop."""
    names = list(sides)
    count = {name: len(sides[name].asks) for name in names}
    quietest: dict[tuple[str, int], int] = {}
    for turn in range(passes + 1):
        for start in range(0, max(count.values()), BLOCK):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                block = sides[name].asks[start : start + BLOCK]
                started_ns = time.perf_counter_ns()
                sides[name].run(block)
                spent_ns = time.perf_counter_ns() - started_ns
                if turn:
                    quietest[name, start] = min(spent_ns, quietest.get((name, start), spent_ns))
    return {name: sum(ns for (of, _), ns in quietest.items() if of == name) / count[name] / 1000 for name in names}


def time_each(side: Side, passes: int) -> tuple[float, float]:
    """Return the median and p99 in microseconds, less what timing a call that does nothing takes."""
    nothing = sorted(_durations(lambda _: None, side.asks))[len(side.asks) // 2]
    taken = sorted(sorted(of_ask)[passes // 2] for of_ask in zip(*_passes(side, passes), strict=True))
    p50, p99 = (max(taken[len(taken) * part // 100] - nothing, 1) / 1000 for part in (50, 99))
    return p50, p99


def _passes(side: Side, passes: int) -> list[list[int]]:
    return [_durations(side.one, side.asks) for _ in range(passes)]


def _durations(decide: Callable[[Any], object], asks: Sequence[Any]) -> list[int]:
    clock = time.perf_counter_ns
    taken = []
    for ask in asks:
        started_ns = clock()
        decide(ask)
        taken.append(clock() - started_ns)
    return taken


def measure(decide: Callable[[Any], object], asks: Sequence[Any], passes: int) -> Timing:
    """Measure one side that costs far more than a call."""

    def run(asks: Sequence[Any]) -> None:
        for ask in asks:
            decide(ask)

    return take_turns({"": Side(run, decide, asks)}, passes)[""]
