"""Which doors there are, and what is mounted at each: what a page needs to know to draw them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edge.residence import values

CARD_KINDS = ("osdp", "wiegand")
SIMULATED = "simulated"


@dataclass(frozen=True)
class ReaderPlace:
    """A reader at a door. kind: osdp, wiegand, radio or gsm. direction: in or out. format: a card format's name, "" for
    the kind's own. output: which of the door's outputs it opens, "" for the first."""

    id: str
    kind: str
    direction: str = "in"
    output: str = ""
    has_keypad: bool = False
    format: str = ""


@dataclass(frozen=True)
class PanelPlace:
    """Where visitors call residents. open_key: what a resident presses on the telephone."""

    id: str
    open_key: str
    blocks: tuple[str, ...] = ()


@dataclass(frozen=True)
class DoorPlace:
    """A door. outputs: name → "simulated", "osdp:READER:NUMBER", or a line that only the box sees; the main strike
    first. has_contact, has_exit: whether the simulated board reports its leaf, and its exit button."""

    id: str
    name: str
    outputs: Mapping[str, str]
    readers: tuple[ReaderPlace, ...] = ()
    has_contact: bool = True
    has_exit: bool = True
    panel: PanelPlace | None = None

    def with_readers(self, readers: tuple[ReaderPlace, ...], has_exit: bool) -> "DoorPlace":
        """This door with other readers."""
        return replace(self, readers=readers, has_exit=has_exit)


def of_residence(
    residence: values.Residence,
    controller: str,
    targets: Mapping[str, Mapping[str, str]] | None = None,
    contacts: frozenset[str] | None = None,
) -> list[DoorPlace]:
    """A controller's doors as its residence describes them. `targets`: door → its outputs' lines; None: all are of the
    simulated board. `contacts`: doors whose leaf the board reports; None: every one. KeyError: no such controller."""
    panels = {panel.door: PanelPlace(panel.id, panel.open_key, panel.blocks) for panel in residence.panels}
    places = []
    for door in residence.controller(controller).doors:
        lines = dict.fromkeys(door.outputs, SIMULATED) if targets is None else dict(targets.get(door.id, {}))
        outputs = {name: lines.get(name, "") for name in door.outputs}
        has_contact = contacts is None or door.id in contacts
        readers = tuple(
            ReaderPlace(each.id, each.kind, each.direction, each.output, each.keypad, each.format)
            for each in door.readers
        )
        places.append(DoorPlace(door.id, door.name, outputs, readers, has_contact, True, panels.get(door.id)))
    return places


def door_of_reader(reader: str, doors: list[str]) -> str:
    """Where a reader most likely is, by its name: the longest door id that it begins with, else the first."""
    return max((door for door in doors if reader.startswith(door)), key=len, default=doors[0])
