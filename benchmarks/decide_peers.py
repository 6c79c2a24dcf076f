"""The policy engines beside which `decide` is measured: each in an environment of its own, made on demand.

An engine's environment lies in `.venv-bench/` (oso pins an old cffi; none of them belongs in ours). One that cannot
be installed, or does not end in time, gives a row that says so.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from decide_here import Place, answers, rows_of_side
from decide_timing import Timing
from peer_environments import ROOT, UnavailableError, interpreter
from report import Row, missing

PEERS = Path(__file__).with_name("peers")
RUN_S = 600

sys.path.append(str(PEERS))
import scene  # noqa: E402


class Peer(NamedTuple):
    """`goals`: the beginning of a side's name and how many times ahead of it ours must be (None: a figure)."""

    name: str
    requirement: str
    goals: dict[str, float | None]


ALL = (
    Peer(
        "pycasbin", "pycasbin>=2.8,<3", {"pycasbin fast, rules in the model": 50.0, "pycasbin fast, one function": None}
    ),
    Peer("cedarpy", "cedarpy>=4.12,<5", {"cedarpy, one door's policies": 20.0, "cedarpy, all": None}),
    Peer("oso", "oso>=0.27.3,<0.28", {"oso": 40.0}),
)


def rows_of_peers(place: Place, ours: Timing, asks: int, passes: int, install: bool) -> list[Row]:
    """Measure every peer at one size, ours having been measured."""
    count = f"{len(place.residence.credentials):,} credentials"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene"
        scene.write(path, place.residence.small, place.credentials(), place.asks)
        rows = []
        for peer in ALL:
            try:
                measured = _run(interpreter(peer.name, peer.requirement, install), peer, path, asks, passes)
            except UnavailableError as reason:
                rows += [
                    missing("P1", f"{count}, {side}", f"not measured: {reason}", "us", goal)
                    for side, goal in peer.goals.items()
                ]
                continue
            step = max(1, len(place.asks) // asks)
            expected = answers(place, place.asks[::step][:asks])
            for side, found in measured.items():
                rows += _rows_of_side(count, side, found, expected, ours, _goal(peer, side))
        return rows


def _goal(peer: Peer, side: str) -> float | None:
    return next(goal for beginning, goal in peer.goals.items() if side.startswith(beginning))


def _rows_of_side(count: str, side: str, found: dict, expected: str, ours: Timing, goal: float | None) -> list[Row]:
    """Other answers than ours fail the row that has the goal: it would compare different work."""
    timing = Timing(found["loop_us"], found["p50_us"], found["p99_us"])
    rows = rows_of_side(count, side, timing, ours, goal)
    different = sum(a != b for a, b in zip(expected, found["answers"], strict=True))
    if different:
        rows[0]["case"] = f"{different} of {len(expected)} answers differ: {rows[0]['case']}"
        rows[0]["ok"] = False
    return rows


def _run(python: Path, peer: Peer, path: Path, asks: int, passes: int) -> dict[str, dict]:
    program = [str(python), str(PEERS / f"{peer.name}_peer.py"), str(path), str(asks), str(passes)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    try:
        done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=RUN_S, check=True)
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"did not end within {RUN_S} s") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or [f"exit {error.returncode}"])[-1]
        raise UnavailableError(f"it failed: {last[:120]}") from None
    return json.loads(done.stdout)
