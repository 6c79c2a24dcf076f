"""A whole residence as values: doors, week types, profiles, people and passes. They know nothing of files.

Times are utc seconds, 0 for open; validity is [from_s, to_s). Week types, profiles, doors and the like are named by
their id or name; "" is "none" or, for an output, the door's first. Lists keep the order in which they were written.
"""

from dataclasses import dataclass, field
from datetime import date

ALWAYS = "Always"
NEVER = "Never"

PASS_KINDS = ("badge", "remote", "dual")
PASS_STATES = ("active", "lost", "disabled", "stock")


@dataclass(frozen=True)
class Interval:
    """[start_min, end_min) in local minutes of the day on which it starts; end < start runs over midnight.
    row: 0 Monday to 6 Sunday, 7 for a holiday."""

    row: int
    start_min: int
    end_min: int


@dataclass(frozen=True)
class WeekType:
    """When something is allowed."""

    name: str
    intervals: tuple[Interval, ...]


@dataclass(frozen=True)
class Holiday:
    """A day of the site's own that counts as a holiday, or with `is_open` one that does not."""

    day: date
    name: str
    every_year: bool
    is_open: bool


@dataclass(frozen=True)
class Block:
    """A part of the building; `profile` is what its flats get."""

    id: str
    name: str
    profile: str


@dataclass(frozen=True)
class Reader:
    """kind: osdp, wiegand, radio or gsm. direction: in or out. format: a card format's name, "" for the kind's own."""

    id: str
    door: str
    kind: str
    direction: str
    output: str
    keypad: bool
    format: str
    address: int | None
    baud: int | None
    bits: int | None


@dataclass(frozen=True)
class Door:
    """outputs: the main strike first. auto_open, badge_and_code: week types. interlock: doors that must be closed."""

    id: str
    name: str
    outputs: tuple[str, ...]
    unlock_ms: int
    extended_ms: int
    held_open_s: int
    auto_open: str
    first_card_unlock: bool
    deny_on_log_failure: bool
    relock_on_open: bool
    area_in: str
    area_out: str
    interlock: tuple[str, ...]
    badge_and_code: str
    readers: tuple[Reader, ...]


@dataclass(frozen=True)
class Controller:
    """One box and its doors."""

    id: str
    name: str
    is_mini: bool
    doors: tuple[Door, ...]


@dataclass(frozen=True)
class Panel:
    """Where visitors call the residents of `blocks`. modem: the gsm reader that dials."""

    id: str
    door: str
    modem: str
    blocks: tuple[str, ...]
    open_key: str


@dataclass(frozen=True)
class Area:
    """An anti-passback area. passback: hard, soft or timed."""

    id: str
    passback: str
    timed_min: int


@dataclass(frozen=True)
class Grant:
    """media: words of edge.decision.model.MEDIUM_WORDS. buttons: 1 to 4, of a remote."""

    door: str
    output: str
    week_type: str
    media: tuple[str, ...]
    buttons: tuple[int, ...]


@dataclass(frozen=True)
class Profile:
    """A named set of rights."""

    name: str
    grants: tuple[Grant, ...]


@dataclass(frozen=True)
class Company:
    """A management or service company."""

    name: str
    person_in_charge: str


@dataclass(frozen=True)
class Provider:
    """A service provider's person. phone: E.164 digits. Numbers are as written, "" for none."""

    name: str
    company: str
    from_s: int
    to_s: int
    is_permanent: bool
    phone: int | None
    pass_number: str
    radio_number: str
    door_code: str = field(repr=False)
    relay1_code: str = field(repr=False)
    relay2_code: str = field(repr=False)


@dataclass(frozen=True)
class Task:
    """What a provider may do here, during `week_type`."""

    name: str
    provider: str
    week_type: str
    access: tuple[Grant, ...]


@dataclass(frozen=True)
class Phone:
    """number: E.164 digits. delay_s: how long it rings before the next one is tried."""

    number: int
    delay_s: int


@dataclass(frozen=True)
class Flat:
    """A flat and its resident. Without `display` its codes and telephones count for nothing at the door."""

    block: str
    flat: str
    name: str
    floor: str
    display: str
    call_code: str
    phones: tuple[Phone, ...]
    auto_open: str
    door_code: str = field(repr=False)
    aux1_code: str = field(repr=False)
    aux2_code: str = field(repr=False)
    duress_code: str = field(repr=False)
    email: str
    notes: str


@dataclass(frozen=True)
class Pass:
    """A badge, a remote or both in one. Numbers as written, leading zeros kept, "" for none."""

    number: str
    radio_number: str
    kind: str
    colour: str
    block: str
    flat: str
    profile: str
    from_s: int
    to_s: int
    state: str
    notes: str


@dataclass(frozen=True)
class Residence:
    """Everything that a site's controllers are told."""

    slug: str
    name: str
    time_zone: str
    country: str
    subdivision: str
    manager: int
    untrusted_allow: bool
    short_codes: bool
    names_persons: bool
    week_types: tuple[WeekType, ...]
    holidays: tuple[Holiday, ...]
    blocks: tuple[Block, ...]
    controllers: tuple[Controller, ...]
    panels: tuple[Panel, ...]
    areas: tuple[Area, ...]
    profiles: tuple[Profile, ...]
    companies: tuple[Company, ...]
    providers: tuple[Provider, ...]
    tasks: tuple[Task, ...]
    flats: tuple[Flat, ...]
    passes: tuple[Pass, ...]

    def controller(self, controller_id: str) -> Controller:
        """The controller of that id. KeyError where there is none."""
        for controller in self.controllers:
            if controller.id == controller_id:
                return controller
        raise KeyError(controller_id)

    def controller_of_door(self, door_id: str) -> Controller:
        """The controller that moves a door. KeyError where there is none."""
        for controller in self.controllers:
            if any(door.id == door_id for door in controller.doors):
                return controller
        raise KeyError(door_id)

    def door(self, door_id: str) -> Door:
        """The door of that id. KeyError where there is none."""
        for door in self.controller_of_door(door_id).doors:
            if door.id == door_id:
                return door
        raise KeyError(door_id)

    def reader(self, reader_id: str) -> Reader:
        """The reader of that id. KeyError where there is none."""
        for controller in self.controllers:
            for door in controller.doors:
                for reader in door.readers:
                    if reader.id == reader_id:
                        return reader
        raise KeyError(reader_id)
