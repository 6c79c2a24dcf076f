"""The north wing of the second residence as the tests use it: its readers, and showing a badge to one of them."""

import dataclasses
from typing import Any

import scenario_storm
from scenario_demo import Playing

from edge.reader import card_format
from firmware_sim.control import ask_agent
from firmware_sim.player import Played

GOOD = 500001
STRANGER = 999999
TRIES = 3
LOST = ("alarm", "reader")


class Wing:
    """Each badge is shown eight seconds of the building's time after the one before."""

    shown = 0

    def __init__(self, playing: Playing) -> None:
        self.playing = playing
        self.hardware = playing.demo.hardware["north"]

    def reader(self, name: str) -> Any:
        return self.hardware.readers[name]

    def line_of(self, name: str) -> Any:
        return next(line for line in self.hardware.lines if self.reader(name) in line.readers)

    def status_of(self, name: str) -> dict[str, Any]:
        return next(line for line in self.playing.status("north")["readers"] if line["reader"] == name)

    def await_ready(self) -> None:
        """Every reader takes what is shown to it."""

        async def are_ready() -> bool:
            return all(line["ready"] for line in (await ask_agent(self.hardware.api, "status"))["readers"])

        self.playing.until_async(are_ready, "every reader is ready")

    def show(self, door: str, reader: str, number: int) -> str:
        """Present a badge as a person does, who waits for the light; what it gave, in the words of `expect`.

        On a busy machine a reader's process may answer too late and lose its line for a moment: that is no word about
        the badge (see `events_since`), and where the badge was lost with it, a person shows it again."""
        for _ in range(TRIES):
            self.await_ready_of(reader)
            played = self._played(door, reader, number)
            lost = {event["reader"] for event in played.seen if (event["result"], event["reason"]) == LOST}
            words = [word for word in played.got.split("+") if word != ":".join(LOST)]
            if words or reader not in lost:
                break
        return "+".join(words) or "none"

    def _played(self, door: str, reader: str, number: int) -> Played:
        Wing.shown += 1
        step = scenario_storm.step_of(Wing.shown)
        step = dataclasses.replace(step, door=door, reader=reader, medium="badge", number=number)
        self.playing.run(self.playing.demo.stations["north"].new_events())  # what was before is not of this
        return self.playing.play(step)

    def await_ready_of(self, reader: str) -> None:
        """That one takes what is shown to it."""
        self.playing.until_async(lambda: self._is_ready(reader), f"{reader} is ready")

    async def _is_ready(self, reader: str) -> bool:
        readers = (await ask_agent(self.hardware.api, "status"))["readers"]
        return all(line["ready"] for line in readers if line["reader"] == reader)

    def hold_card(self, reader: str, number: int) -> bool:
        """Hold a card to a reader, whatever its state; whether the reader itself took it."""
        return bool(self.playing.call(self.reader(reader).present_card, *card_format.encode(number)))

    def events_since(self, seq: int) -> list[dict[str, Any]]:
        return [event for event in self.playing.events("north") if event["seq"] > seq]
