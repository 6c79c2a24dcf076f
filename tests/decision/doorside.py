"""A controller with its strikes, lights, log and clock in memory: moves time, runs every deadline, performs outputs."""

from datetime import UTC, datetime

import oracle
import site_rows

from edge.decision import model
from edge.decision.controller import Controller

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)  # a Monday, 10:00 in Paris


class Doorside:
    """`strikes`: {(door, output): "locked", "held" or the mono_ms at which its pulse should end}."""

    def __init__(
        self, site: oracle.Site, start: datetime = START, contacts: set | None = None, kept: dict | None = None
    ):
        self.site = site
        self.contacts = set(site.doors) if contacts is None else contacts
        self.mono_ms = 1_000_000
        self.utc_ms = site_rows.ms_of(start)
        self.trusted = True
        self.kept: dict = {}
        self.index = site_rows.index_of(site)
        self._boot()

    def _boot(self) -> None:
        self.controller = Controller(self.contacts)
        self.strikes = {(door, output): "locked" for door, row in self.site.doors.items() for output in row.outputs}
        self.lights: dict = {}
        self.dialled: list = []
        self.events: list = []
        self.outputs: list = []
        self.take(model.PolicyReplaced(self.index))
        self.take(model.Started(dict(self.kept), "test"))

    def restart(self, off_ms: int = 0) -> None:
        """Power off and on: what was kept is kept, the monotonic clock starts anew."""
        self.utc_ms += off_ms
        self.mono_ms = 5_000
        self._boot()

    @property
    def moment(self) -> model.Moment:
        return model.Moment(self.mono_ms, self.utc_ms, self.trusted, 1_790_000_000_000)

    def take(self, happened: tuple) -> list:
        """One input; performs its outputs. Returns the events that it made."""
        before = len(self.events)
        for output in self.controller.handle(happened, self.moment):
            self.outputs.append(output)
            name = type(output).__name__
            if name == "Record":
                self.events.append(output.event)
            elif name == "Strike":
                state = {model.LOCK: "locked", model.HOLD: "held"}.get(output.ms, self.mono_ms + output.ms)
                self.strikes[(output.door, output.output)] = state
            elif name == "Indicate":
                self.lights[output.reader] = output.outcome
            elif name == "Dial":
                self.dialled.append((output.number, output.delay_s))
            elif name == "Keep":
                if output.value:
                    self.kept[output.name] = output.value
                else:
                    self.kept.pop(output.name, None)
        return self.events[before:]

    def run(self, ms: int) -> list:
        """Let `ms` pass; every deadline between is run at its time."""
        before, end = len(self.events), self.mono_ms + ms
        while True:
            due = self.controller.next_deadline(self.moment)
            if due is None or due > end:
                break
            self._go(max(due, self.mono_ms))
            self.take(model.Tick())
            again = self.controller.next_deadline(self.moment)
            assert again is None or again > due or due < self.mono_ms, "a deadline that does not pass"
        self._go(end)
        return self.events[before:]

    def _go(self, mono_ms: int) -> None:
        self.utc_ms += mono_ms - self.mono_ms
        self.mono_ms = mono_ms

    def step_clock(self, ms: int) -> None:
        """Somebody sets the wall clock; the monotonic one knows nothing of it."""
        self.utc_ms += ms

    def present(self, reader: str, medium: str, number: int | None, button: int = 0, secure: bool = True) -> str:
        """What a day file would expect: "open", "open:aux1", "denied:lost", each with "+alarm:…"."""
        door = self.site.readers[reader].door
        ask = oracle.Ask(door, reader, medium, number, button, secure)
        return self.said(self.take(site_rows.presented_of(ask)))

    def said(self, events: list) -> str:
        words = []
        for event in events:
            if event.result == model.OPEN:
                first = self.site.doors[event.door].outputs[0]
                words.append("open" if event.output == first else "open:" + event.output)
            elif event.result in (model.DENIED, model.ALARM):
                words.append(event.result + ":" + event.reason)
        return "+".join(words) or "none"

    def exit(self, door: str) -> str:
        return self.said(self.take(model.ExitPressed(door)))

    def leaf(self, door: str, is_open: bool) -> str:
        return self.said(self.take(model.Contact(door, is_open)))

    def command(self, action: str, door: str = "", hold_ms: int = 0) -> str:
        return self.said(self.take(model.Command(action, door, self.utc_ms + hold_ms, "manager")))

    def is_unlocked(self, door: str, output: str = "door") -> bool:
        return self.strikes[(door, output)] != "locked"
