"""`vantail replay`: a day at a residence, played through the decision core alone, with simulated time.

Nothing is sent and nothing is waited for, so a month of passages takes seconds. Each controller of the residence gets
the policy that the cloud would compile for it, and time moves from step to step with every deadline between run.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edge.codes import code_number
from edge.decision import model
from edge.decision.controller import Controller
from edge.decision.index import Index
from edge.decision.policy import compile_image
from edge.residence import values
from edge.residence.compile import policy_digest, policy_rows, years_around
from edge.residence.day import Step, reader_for
from edge.residence.outcome import is_as_expected, of_all, words_of

_CODE_KEY = bytes(32)  # a replay keeps nothing: any key will do
_SITE_UID = bytes(16)
_DAY_MS = 86_400_000
_MOST_DIALS = 20


@dataclass(frozen=True)
class Replayed:
    """What a step gave."""

    step: Step
    got: str
    is_ok: bool
    reason: str
    output: str
    indicate: str

    def line(self) -> str:
        """For people."""
        step = self.step
        value = "•" * len(step.value) if step.medium == "code" else step.value
        what = f"{step.medium} {value}{' ' + step.button if step.button else ''}"
        wanted = "" if self.is_ok else f"  expected {'+'.join(step.expect)}"
        mark, where = "✓" if self.is_ok else "✗", step.reader or step.door
        return f"{mark} {step.at_text:<25} {where:<15} {what:<24} {self.got}{wanted}"

    def as_object(self) -> dict[str, Any]:
        """The line that `--json` prints."""
        step = self.step
        return {
            "at": step.at_text,
            "door": step.door,
            "medium": step.medium,
            "value": step.value,
            "got": self.got,
            "reason": self.reason,
            "output": self.output,
            "indicate": self.indicate,
        }


class _Station:
    """One controller, its clocks, and what it kept."""

    def __init__(self, residence: values.Residence, controller: values.Controller, utc_ms: int, contacts: set[str]):
        packed = policy_rows(residence, controller.id, _SITE_UID, _CODE_KEY, years_around(utc_ms / 1000))
        self.index = Index(compile_image(packed, (1, 1), policy_digest(packed), zlib.crc32))
        self._contacts = contacts
        self._mono_ms = 0
        self._floor_ms = 0
        self.lived_ms = utc_ms  # the day's time; `utc_ms` is what the clock on the wall shows
        self.utc_ms = utc_ms
        self.trusted = True
        self.kept: dict[str, bytes] = {}
        self.outputs: list[Any] = []
        self.start()

    def start(self) -> None:
        """Power on: what was kept is restored, the rest is forgotten."""
        self.controller = Controller(self._contacts)
        self.take(model.PolicyReplaced(self.index))
        self.take(model.Started(dict(self.kept), "replay"))

    def take(self, happened: object) -> None:
        """One input now; its outputs are added to `outputs`."""
        moment = self._moment()
        outputs = self.controller.handle(happened, moment)
        if moment.trusted and any(isinstance(output, model.Record) for output in outputs):
            self._floor_ms = max(self._floor_ms, moment.utc_ms)
        self.kept.update({output.name: output.value for output in outputs if isinstance(output, model.Keep)})
        self.outputs += outputs

    def move_to(self, day_ms: int) -> None:
        """Time passes to that time of the day file, and what falls due is run."""
        while self.move_to_next(day_ms):
            pass

    def move_to_next(self, day_ms: int) -> bool:
        """Time passes to the next deadline, at most to `day_ms`; whether there was one."""
        deadline_ms = self.controller.next_deadline(self._moment())
        left_ms = max(0, day_ms - self.lived_ms)
        due = deadline_ms is not None and deadline_ms - self._mono_ms <= left_ms
        passed_ms = max(0, deadline_ms - self._mono_ms) if due and deadline_ms is not None else left_ms
        self._mono_ms += passed_ms
        self.lived_ms += passed_ms
        self.utc_ms += passed_ms
        if due:
            self.take(model.Tick())
        return due

    def set_wall(self, utc_ms: int) -> None:
        """Step wall time, as an installer would: the floor may fall."""
        self.utc_ms = utc_ms
        self._floor_ms = min(self._floor_ms, utc_ms)

    def _moment(self) -> model.Moment:
        return model.Moment(self._mono_ms, self.utc_ms, self.trusted, self._floor_ms)


class Replay:
    """A residence in play."""

    def __init__(self, residence: values.Residence, steps: tuple[Step, ...]) -> None:
        self._residence = residence
        self._steps = steps
        utc_ms = steps[0].at_ms if steps else 0
        contacts = {step.door for step in steps if step.medium == "contact"}
        self._first = {door.id: door.outputs[0] for box in residence.controllers for door in box.doors}
        self._of_door = {}
        self._stations = []
        for controller in residence.controllers:
            station = _Station(residence, controller, utc_ms, contacts)
            self._stations.append(station)
            self._of_door.update({door.id: station for door in controller.doors})

    def run(self) -> Iterator[Replayed]:
        """Play every step."""
        for station in self._stations:
            station.outputs = []
        for step in self._steps:
            for station in self._stations:
                station.move_to(step.at_ms)
            self._do(step)
            yield self._told(step)

    def _do(self, step: Step) -> None:
        if step.medium in model.MEDIUM_OF_WORD:
            self._station(step).take(self._presented(step))
        elif step.medium == "call":
            self._call(step)
        elif step.medium != "network":
            for station in self._stations_of(step):
                _act(station, step)

    def _presented(self, step: Step) -> model.Presented:
        number = step.number if step.medium != "code" else code_number(_CODE_KEY, step.value)
        button = int(step.button) if step.button.isdecimal() else 0
        reader = reader_for(self._residence, step)
        return model.Presented(
            reader.id if reader else "", step.door, model.MEDIUM_OF_WORD[step.medium], number, button, True
        )

    def _call(self, step: Step) -> None:
        """Number `button` answers and presses the key, all refuse, or nobody answers."""
        station = self._station(step)
        station.take(model.CallStarted(step.door, step.value))
        panel = station.index.panels.get(step.door)
        for _ in range(_MOST_DIALS):
            if step.door not in station.controller.calls():
                return
            turn = len([output for output in station.outputs if isinstance(output, model.Dial)])
            if step.button == "refused":
                station.take(model.CallProgress(step.door, "refused", ""))
            elif step.button == str(turn) and panel is not None:
                station.take(model.CallProgress(step.door, "answered", ""))
                station.take(model.CallProgress(step.door, "key", panel.open_key))
            else:
                station.move_to_next(step.at_ms + _DAY_MS)

    def _station(self, step: Step) -> _Station:
        door = step.door or (self._residence.reader(step.reader).door if step.reader else "")
        return self._of_door[door] if door else self._stations[0]

    def _stations_of(self, step: Step) -> list[_Station]:
        return [self._station(step)] if step.door or step.reader else self._stations

    def _told(self, step: Step) -> Replayed:
        outputs = [output for station in self._stations for output in station.outputs]
        by_station = [
            [output.event for output in station.outputs if isinstance(output, model.Record)]
            for station in self._stations
        ]
        for station in self._stations:
            station.outputs = []
        events = [event for some in by_station for event in some]
        words = of_all(words_of(some, lambda door: self._first.get(door, "")) for some in by_station)
        denials = [event.reason for event in events if event.result == model.DENIED]
        openings = [event.output for event in events if event.result == model.OPEN]
        lights = [o.outcome for o in outputs if isinstance(o, model.Indicate) and step.reader in ("", o.reader)]
        return Replayed(
            step,
            "+".join(words) or "none",
            is_as_expected(words, step.expect),
            denials[-1] if denials else "",
            openings[-1] if openings else "",
            lights[0] if lights else "",
        )


def _act(station: _Station, step: Step) -> None:
    """What happens at a whole controller, or at a door without a credential."""
    match step.medium:
        case "rex":
            station.take(model.ExitPressed(step.door))
        case "contact":
            station.take(model.Contact(step.door, step.value == "open"))
        case "tamper":
            station.take(model.Tamper(step.reader, step.door, step.value == "on"))
        case "command":
            station.take(model.Command(step.value, step.door, station.utc_ms + _DAY_MS, "day file"))
        case "power":
            station.start()
        case "clock":
            if step.clock_ms is not None:
                station.set_wall(step.clock_ms)
            else:
                station.trusted = step.value == "trusted"
            station.take(model.Tick())
