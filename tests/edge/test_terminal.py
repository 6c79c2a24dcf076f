"""`vantail terminal`: the document's steps with arrow keys and digits, driven by Textual, at a real agent."""

import asyncio
from datetime import UTC
from functools import partial
from pathlib import Path

import pytest
import textual.app
import textual.pilot
from edge_controller import DEADLINE_S
from onsite_controller import HALL, KEY, NUMBER, PASSWORD, Commissioned
from textual.widgets import Static

from edge import onsite
from edge.commands.terminal import FRENCH
from edge.config import load
from edge.console.api import call
from edge.console.terminal import Terminal
from edge.translations import catalogue


async def soon(*_, **__):
    await asyncio.sleep(0.01)


@pytest.fixture
def at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Commissioned:
    monkeypatch.setattr(onsite, "GREEN_S", 0.01)
    for part in (textual.app, textual.pilot):  # each key would wait a second for this process to be idle
        monkeypatch.setattr(part, "wait_for_idle", soon)
    return Commissioned(folder)


class Panel:
    """The terminal's display, and its keys."""

    def __init__(self, terminal, pilot):
        self._terminal, self._pilot = terminal, pilot

    def text(self):
        parts = [self._terminal.query_one(f"#{name}", Static) for name in ("title", "lines", "hint")]
        return "\n".join(str(part.render()) for part in parts)

    def light(self):
        light = self._terminal.query_one("#light", Static)
        return str(light.styles.color.rgb) if light.display else ""

    async def press(self, *keys, wanted):
        """Press, and wait until `wanted` is to be read."""
        await self._pilot.press(*keys)
        async with asyncio.timeout(DEADLINE_S):
            while wanted not in self.text():
                await self._pilot.pause(0.02)


def with_panel(at, play, language="en"):
    """Run `play(hall, panel)` with an agent and a terminal of 80 by 24."""

    async def run():
        async with at.running() as hall:
            ask = partial(call, Path(load(at.made.config).api), timeout_s=DEADLINE_S)
            texts = catalogue(FRENCH).gettext if language == "fr" else str
            terminal = Terminal(ask, texts, UTC)
            async with terminal.run_test(size=(80, 24)) as pilot:
                await play(hall, Panel(terminal, pilot))

    asyncio.run(run())


async def to_the_reader(hall, panel):
    """From the first key to the list of readers."""
    assert await hall.deposit(hall.at.handover()) == ""
    await panel.press("x", wanted="CONTROLLER PASSWORD")
    await panel.press(*PASSWORD, "right", wanted="1 CONTROLLER MAINTENANCE")
    await panel.press("1", wanted="1 Site commissioning")
    await panel.press("right", wanted="MANAGER NUMBER")
    await panel.press(*str(NUMBER), "right", wanted=f"1 {HALL}")


def test_the_documents_steps_by_keys(at):
    """Password, maintenance, site commissioning, number, reader, countdown longer by a key, key held, done."""

    async def play(hall, panel):
        await to_the_reader(hall, panel)
        await panel.press("right", wanted="1:30")
        await panel.press("up", wanted="1:40")
        assert "Go to the reader" in panel.text()
        assert panel.light()
        await hall.wait(100_000)
        await panel.press(wanted="Hold the key there")
        assert not await hall.opens("badge", KEY, HALL)
        await hall.wait(2_000)
        await panel.press(wanted="Done: this controller obeys the new manager.")

    with_panel(at, play)


def test_what_goes_wrong_is_said_with_a_way_on(at):
    """A wrong password, a wrong number, a wrong key: each its own words, and the way back in."""

    async def play(hall, panel):
        await panel.press("x", wanted="CONTROLLER PASSWORD")
        await panel.press(*"111222", "right", wanted="That is not the controller's password.")
        await panel.press("left", wanted="Press any key")
        await to_the_reader(hall, panel)
        await panel.press("left", wanted="MANAGER NUMBER")
        await panel.press(*"78", "right", wanted=f"1 {HALL}")
        await panel.press("1", wanted="not for the manager with that number")
        await panel.press("left", wanted="MANAGER NUMBER")
        await panel.press(*str(NUMBER), "right", wanted=f"1 {HALL}")
        await panel.press("1", wanted="1:30")
        await hall.wait(90_000)
        await panel.press(wanted="Hold the key there")
        assert not await hall.opens("badge", KEY + 1, HALL)
        await panel.press(wanted="That is not the commissioning key of this hand-over.")
        assert "start the learning reader again" in panel.text()
        await panel.press("right", wanted="1 Site commissioning")

    with_panel(at, play)


def test_cancelling_and_the_time_out_of_a_session(at):
    """Left cancels a countdown; after a quarter of an hour the password is asked for again, before anything else."""

    async def play(hall, panel):
        await to_the_reader(hall, panel)
        await panel.press("right", wanted="1:30")
        await panel.press("left", wanted="It was cancelled.")
        await panel.press("right", wanted="1 Site commissioning")
        hall.at.clock.move_by(901_000)
        await panel.press("1", wanted="MANAGER NUMBER")
        await panel.press(*str(NUMBER), "right", wanted=f"1 {HALL}")
        await panel.press("1", wanted="CONTROLLER PASSWORD")
        assert "The controller's password is needed first." in panel.text()

    with_panel(at, play)


def test_in_french(at):
    """The words of the manufacturer's document."""

    async def play(hall, panel):
        await panel.press("x", wanted="MOT DE PASSE DE LA CENTRALE")
        await panel.press(*"111222", "right", wanted="Ce n’est pas le mot de passe de la centrale.")
        await panel.press(*PASSWORD, "right", wanted="1 MAINTENANCE DE LA CENTRALE")
        await panel.press("1", wanted="1 Mise en service du site")
        await panel.press("1", wanted="GESTIONNAIRE NUMÉRO")

    with_panel(at, play, "fr")


def test_a_new_password_is_typed_twice(at):
    """Two that differ change nothing; the same twice is the controller's from then on."""

    async def play(hall, panel):
        await panel.press("x", wanted="CONTROLLER PASSWORD")
        await panel.press(*PASSWORD, "right", wanted="1 CONTROLLER MAINTENANCE")
        await panel.press("1", "3", wanted="NEW PASSWORD")
        await panel.press(*"805213", "right", wanted="NEW PASSWORD, AGAIN")
        await panel.press(*"805214", "right", wanted="The two are not the same")
        assert await hall.login("805213") == "wrong-password"
        await panel.press(*"805213", "right", wanted="NEW PASSWORD, AGAIN")
        await panel.press(*"805213", "right", wanted="Done.")
        assert await hall.login("805213") == ""

    with_panel(at, play)
