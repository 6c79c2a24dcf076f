"""A real agent, `vantail-sim door` beside it as its hardware, and one headless Chromium that looks at its page."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "edge"))
import edge_controller

DEADLINE_S = 30  # against hanging, not a measure
UNLOCK_MS = 2000
OF_HALL_A = 'unlock_ms = {}\n  held_open_s = 30\n  auto_open = "Never"'
SHORTER = ((OF_HALL_A.format(5000), OF_HALL_A.format(UNLOCK_MS)),)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
CHROMIUM = "/usr/bin/chromium"


def make_controller(folder: Path) -> edge_controller.Made:
    """Hall A with a contact at its door, and unlocked for less time than in the example."""
    made = edge_controller.make(folder, "hall-a", changes=SHORTER)
    outputs = 'outputs = { door = "simulated", aux1 = "simulated", aux2 = "simulated" }\n'
    text = made.config.read_text()
    assert text.count(outputs) == 1
    made.config.write_text(text.replace(outputs, outputs + 'contact = "simulated"\n'))
    return made


@contextlib.contextmanager
def process(*command: object, **options: Any) -> Iterator[subprocess.Popen]:
    """A process of its own session, ended after the block."""
    child = subprocess.Popen(
        [sys.executable, "-m", *map(str, command)],
        stdin=subprocess.DEVNULL, text=True, start_new_session=True, **options,
    )  # fmt: skip
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition is true; fail where it never is."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"not within {DEADLINE_S} s: {what}"
        time.sleep(0.02)


@dataclass
class Stage:
    """The page's address, and its API."""

    url: str
    made: edge_controller.Made

    def state(self, door: str = "hall-a") -> dict[str, Any]:
        with urllib.request.urlopen(self.url + "api/state", timeout=10) as answer:
            found = json.load(answer)
        return next(each["seen"] for each in found["doors"] if each["place"]["id"] == door)

    def act(self, do: str, **arguments: object) -> tuple[int, dict[str, Any]]:
        return self.post(json.dumps({"do": do, **arguments}).encode(), {"Content-Type": "application/json"})

    def post(self, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(self.url + "api/act", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def is_ready(self) -> bool:
        """Locked, and the reader secure and showing its lasting light: clock-untrusted or idle, both red."""
        seen = self.state()
        reader = seen["readers"]["hall-a-in"]
        locked = seen["is_connected"] and not any(seen["outputs"].values())
        return locked and reader["link"] == "secure" and reader["color"] == 1

    def is_at_rest(self) -> bool:
        """Ready, and the leaf shut."""
        return self.is_ready() and not self.state()["leaf"]["is_open"]


@contextlib.contextmanager
def staged(*arguments: str) -> Iterator[Stage]:
    """Everything at work. The folder is outside pytest's: a socket's path may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="door-") as folder, contextlib.ExitStack() as stack:
        made = make_controller(Path(folder))
        log = stack.enter_context(open(Path(folder) / "log", "w+"))
        stack.enter_context(process("edge.cli", "run", "--config", made.config, stderr=log))
        door = stack.enter_context(
            process("firmware_sim.cli", "door", "--config", made.config, "--json", *arguments, stdout=subprocess.PIPE)
        )
        url = json.loads(door.stdout.readline())["page"]
        stage = Stage(url, made)
        until(stage.is_at_rest, "the reader is secure and shows that nobody is there")
        yield stage


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """One Chromium. Nothing else of this thread may run an event loop meanwhile."""
    from playwright.sync_api import sync_playwright

    if not os.path.exists(CHROMIUM):
        pytest.fail("the tests of pages need Chromium: apt install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield opened
        opened.close()
