"""Exit buttons, door contacts and tamper switches on the inputs of OSDP readers."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from edge.config import DoorLines
from edge.decision import model
from edge.reader.inputs import InputsSeen
from edge.wiring import is_osdp, osdp_line

# An input is active while its circuit is closed. A contact and a tamper loop are closed while all is well, so that a
# cut wire tells; a button closes its circuit.
_ACTIVE_WHEN = {"contact": False, "exit": True, "tamper": False}


class _Switch(NamedTuple):
    number: int
    kind: str
    door: str
    active_when: bool


class ReaderSwitches:
    """Makes inputs of the decision core of what readers tell about their own inputs. A button that is held when the
    reader's session begins counts when it is pressed again: a start opens nothing."""

    def __init__(self, doors: Sequence[DoorLines]) -> None:
        self._switches: dict[str, list[_Switch]] = {}
        self._levels: dict[tuple[str, int], bool] = {}
        for door in doors:
            for kind in _ACTIVE_WHEN:
                target = getattr(door, kind)
                if is_osdp(target):
                    line = osdp_line(target)
                    active_when = _ACTIVE_WHEN[kind] != (kind in door.inverted)
                    switch = _Switch(line.number, kind, door.id, active_when)
                    self._switches.setdefault(line.reader, []).append(switch)

    def line_down(self, reader: str) -> None:
        """What its switches do from now on is not known: they are new to us when it is back. A tamper that was told is
        told again only after it was over."""
        for switch in self._switches.get(reader, ()):
            if switch.kind != "tamper":
                self._levels.pop((reader, switch.number), None)

    def inputs(self, seen: InputsSeen) -> list[object]:
        """What the readers' inputs mean, each change once."""
        return [told for switch in self._switches.get(seen.reader, ()) for told in self._told(switch, seen)]

    def _told(self, switch: _Switch, seen: InputsSeen) -> Iterator[object]:
        where = seen.reader, switch.number
        if switch.number >= len(seen.states):
            if where not in self._levels:
                self._levels[where] = False
                said = f"{seen.reader} has {len(seen.states)} inputs, agent.toml asks for input {switch.number}"
                yield model.LineAlarm(switch.door, said)
            return
        is_active = seen.states[switch.number] == switch.active_when
        before = self._levels.get(where)
        self._levels[where] = is_active
        if before == is_active:
            return
        if switch.kind == "contact":
            yield model.Contact(switch.door, is_active)
        elif switch.kind == "exit" and is_active and before is not None:
            yield model.ExitPressed(switch.door)
        elif switch.kind == "tamper" and (is_active or before is not None):
            yield model.Tamper("", switch.door, is_active)
