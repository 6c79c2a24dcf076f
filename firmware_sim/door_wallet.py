"""What the people of a residence carry: badges, remotes, telephones; and whose a credential is."""

from dataclasses import dataclass
from typing import Any

from edge.residence import values

SHOWN = 24  # entries of one answer: a page shows some and searches the rest
STRANGER = "9999999999"
KINDS = ("badge", "remote", "phone", "visit")


@dataclass(frozen=True)
class Carried:
    """One thing. kind: badge, remote, phone or visit (a resident's entry of the call panel). value: its number, or the
    call code. note: flat or company. colour and state: a pass's, as in its file. block: "" for a provider's."""

    kind: str
    value: str
    name: str
    note: str = ""
    colour: str = ""
    state: str = ""
    block: str = ""


class Wallet:
    """`things` in the order in which they are shown."""

    def __init__(self, things: list[Carried]) -> None:
        self._things = things
        self._names = {(thing.kind, _digits(thing.value)): thing.name for thing in things if thing.kind != "visit"}

    def find(self, kind: str, text: str = "", blocks: tuple[str, ...] = ()) -> dict[str, Any]:
        """Up to SHOWN things of a kind whose name, number or note contains `text`, and how many there are in all.
        `blocks`: only of these parts of the building."""
        wanted = text.casefold().strip()
        found = [
            thing
            for thing in self._things
            if thing.kind == kind
            and (not blocks or thing.block in blocks)
            and wanted in f"{thing.name} {thing.value} {thing.note}".casefold()
        ]
        shown = [
            {"value": each.value, "name": each.name, "note": each.note, "colour": each.colour, "state": each.state}
            for each in found[:SHOWN]
        ]
        return {"things": shown, "total": len(found)}

    def name_of(self, medium: str, credential: str) -> str:
        """Whose it is, "" where nobody knows. A code's number says nobody's name."""
        kind = "phone" if medium in ("phone", "call") else medium
        return self._names.get((kind, _digits(credential)), "") if credential.isdecimal() else ""


def of_residence(residence: values.Residence) -> Wallet:
    """What people of this residence carry; a provider's things after the residents'."""
    flats = {(flat.block, flat.flat): flat for flat in residence.flats}
    things: list[Carried] = []
    for each in residence.passes:
        flat = flats.get((each.block, each.flat))
        name = flat.name if flat is not None else each.notes or "–"
        where = f"{each.block.upper()} {each.flat}".strip()
        own = "remote" if each.kind == "remote" else "badge"
        for kind, number in ((own, each.number), ("remote", each.radio_number)):
            if number:
                things.append(Carried(kind, number, name, where, each.colour, each.state, each.block))
    for flat in residence.flats:
        where = f"{flat.block.upper()} {flat.flat}"
        for phone in flat.phones:
            things.append(Carried("phone", f"00{phone.number}", flat.name, where, block=flat.block))
        if flat.display and flat.call_code:
            things.append(Carried("visit", flat.call_code, flat.display, where, block=flat.block))
    for person in residence.providers:
        if person.pass_number:
            things.append(Carried("badge", person.pass_number, person.name, person.company))
        if person.radio_number:
            things.append(Carried("remote", person.radio_number, person.name, person.company))
        if person.phone is not None:
            things.append(Carried("phone", f"00{person.phone}", person.name, person.company))
    return Wallet(things)


def _digits(value: str) -> int:
    return int(value) if value.isdecimal() else -1
