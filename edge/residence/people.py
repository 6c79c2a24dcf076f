"""residents.csv: the flats and who lives there; and passes.csv: badges and remotes."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from edge.residence import texts, times
from edge.residence.problems import Findings, Place, TextError
from edge.residence.registry import Registry
from edge.residence.spreadsheet import Column, Row, read_rows, words_of
from edge.residence.values import ALWAYS, NEVER, Flat, Panel, Pass, Phone

DEFAULT_DELAY_S = 20
MAX_DELAY_S = 300
MAX_CALL_CODE_CHARS = 16

RESIDENT_COLUMNS = (
    Column("block", ("bloc", "bâtiment"), is_required=True),
    Column("flat", ("appartement", "logement", "lot"), is_required=True),
    Column("name", ("nom", "résident")),
    Column("floor", ("étage",)),
    Column("display", ("affichage", "nom affiché")),
    Column("call_code", ("code d'appel", "code appel")),
    Column("phone1", ("téléphone 1", "téléphone1", "tél 1", "téléphone")),
    Column("phone2", ("téléphone 2", "téléphone2", "tél 2")),
    Column("phone3", ("téléphone 3", "téléphone3", "tél 3")),
    Column("delay1_s", ("délai 1", "délai1", "délai 1 (s)")),
    Column("delay2_s", ("délai 2", "délai2", "délai 2 (s)")),
    Column("delay3_s", ("délai 3", "délai3", "délai 3 (s)")),
    Column("auto_open", ("ouverture automatique", "ouverture auto")),
    Column("door_code", ("code porte", "code d'accès")),
    Column("aux1_code", ("code aux1", "code aux 1", "code relais 1")),
    Column("aux2_code", ("code aux2", "code aux 2", "code relais 2")),
    Column("duress_code", ("code contrainte", "code sous contrainte")),
    Column("email", ("e-mail", "mail", "courriel", "adresse e-mail")),
    Column("notes", ("note", "remarques")),
)

PASS_COLUMNS = (
    Column("number", ("numéro", "numéro de passe"), is_required=True),
    Column("radio_number", ("numéro radio", "numéro de télécommande")),
    Column("type", ("genre",), is_required=True),
    Column("colour", ("couleur", "color")),
    Column("block", ("bloc", "bâtiment")),
    Column("flat", ("appartement", "logement", "lot")),
    Column("profile", ("profil", "profil d'accès")),
    Column("from", ("du", "à partir du", "début")),
    Column("to", ("au", "jusqu'au", "fin")),
    Column("state", ("état", "statut"), is_required=True),
    Column("notes", ("note", "remarques")),
)

_KINDS = words_of(
    {"badge": (), "remote": ("télécommande",), "dual": ("bi-technologie", "bitechnologie", "double", "dual badge")}
)
_STATES = words_of(
    {
        "active": ("actif",),
        "lost": ("perdu", "perdue"),
        "disabled": ("désactivé", "désactivée"),
        "stock": ("en stock",),
    }
)
_FRENCH_WEEK_TYPES = {"Toujours": ALWAYS, "Jamais": NEVER}


Flats = set[tuple[str, str]] | None  # (block, flat) of every row


@dataclass(frozen=True)
class Context:
    """What rows refer to."""

    zone: ZoneInfo
    country: str
    week_types: tuple[str, ...]
    blocks: tuple[str, ...]
    profiles: tuple[str, ...]
    panels: tuple[Panel, ...]
    registry: Registry


def read_residents(path: Path, context: Context, findings: Findings) -> tuple[tuple[Flat, ...], Flats]:
    """The flats without errors, and (block, flat) of all rows, so that a pass may name a flat whose row has one; None
    where the file could not be read as a whole."""
    seen: dict[tuple[str, str], Place] = {}
    calls: dict[tuple[str, str], Place] = {}
    pairs = []
    for row in read_rows(path, RESIDENT_COLUMNS, findings):
        phones = _read_phones(row, context.country)
        flat = _read_flat(row, context, tuple(phones.values()))
        key = (row.text("block"), row.text("flat"))
        first = seen.setdefault(key, row.place("flat"))
        if first != row.place("flat"):
            row.report("flat", f"flat {'/'.join(key)} is already at {first}: keep one row a flat")
        _register(row, flat, phones, context.registry)
        _check_call_code(row, flat, context.panels, calls)
        pairs.append((row, flat))
    context.registry.check_duress()
    known = None if any(one.file == path.name for one in findings.whole) else set(seen)
    return tuple(flat for row, flat in pairs if not row.is_bad), known


def _read_flat(row: Row, context: Context, phones: tuple[Phone, ...]) -> Flat:
    for name in ("block", "flat"):
        if not row.text(name) and name in row.headings:
            row.report(name, "must not be empty")
    return Flat(
        block=row.one_of("block", context.blocks),
        flat=row.parsed("flat", texts.parse_name),
        name=row.parsed("name", texts.parse_name),
        floor=row.parsed("floor", texts.parse_name),
        display=row.parsed("display", texts.parse_name),
        call_code=row.parsed("call_code", _parse_call_code),
        phones=phones,
        auto_open=_read_week_type(row, context.week_types),
        door_code=row.parsed("door_code", texts.parse_code),
        aux1_code=row.parsed("aux1_code", texts.parse_code),
        aux2_code=row.parsed("aux2_code", texts.parse_code),
        duress_code=row.parsed("duress_code", texts.parse_code),
        email=row.parsed("email", texts.parse_email),
        notes=row.parsed("notes", texts.parse_notes),
    )


def _parse_call_code(text: str) -> str:
    if len(text) > MAX_CALL_CODE_CHARS or not text.isprintable():
        raise TextError(f"{text!r} is no call code: at most {MAX_CALL_CODE_CHARS} letters or digits")
    return text


def _parse_delay(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_DELAY_S):
        raise TextError(f"{text!r} is no delay: write whole seconds from 1 to {MAX_DELAY_S}")
    return int(text)


def _read_phones(row: Row, country: str) -> dict[str, Phone]:
    """Telephones by column, in the order in which they are called."""
    phones = {}
    for i in (1, 2, 3):
        number = row.parsed(f"phone{i}", lambda text: texts.parse_telephone(text, country), None)
        delay_s = row.parsed(f"delay{i}_s", _parse_delay, DEFAULT_DELAY_S)
        if number is not None:
            phones[f"phone{i}"] = Phone(number, delay_s)
    return phones


def _read_week_type(row: Row, week_types: tuple[str, ...]) -> str:
    text = row.text("auto_open")
    if text in _FRENCH_WEEK_TYPES and text not in week_types:
        return _FRENCH_WEEK_TYPES[text]
    return row.one_of("auto_open", week_types) or NEVER


def _register(row: Row, flat: Flat, phones: dict[str, Phone], registry: Registry) -> None:
    """Telephones count where the flat has a display; codes are compared in any case, for the day it gets one."""
    is_in_use = bool(flat.display)
    if is_in_use:
        for name, phone in phones.items():
            registry.take_credential("phone", phone.number, row.place(name), row.reporter(name))
    for name in ("door_code", "aux1_code", "aux2_code", "duress_code"):
        digits = getattr(flat, name)
        if digits:
            registry.take_code(digits, is_in_use, row.place(name), row.reporter(name))
    if flat.duress_code:
        registry.take_duress(flat.duress_code, row.reporter("duress_code"))


def _check_call_code(row: Row, flat: Flat, panels: Iterable[Panel], calls: dict[tuple[str, str], Place]) -> None:
    for panel in panels:
        if flat.block not in panel.blocks or not flat.display:
            continue
        if not flat.call_code:
            if not row.text("call_code"):
                row.warn("call_code", f"nobody can call this flat at panel {panel.id}: give it a call code")
            continue
        first = calls.setdefault((panel.id, flat.call_code), row.place("call_code"))
        if first != row.place("call_code"):
            row.report("call_code", f"{flat.call_code!r} is already at {first}: panel {panel.id} shows both")


def read_passes(path: Path, context: Context, flats: Flats, findings: Findings) -> tuple[Pass, ...]:
    """The passes without errors."""
    pairs = [(row, _read_pass(row, context, flats)) for row in read_rows(path, PASS_COLUMNS, findings)]
    return tuple(one for row, one in pairs if not row.is_bad)


def _read_pass(row: Row, context: Context, flats: Flats) -> Pass:
    from_s = row.parsed("from", lambda text: times.parse_from(text, context.zone, row.is_french("from")), 0)
    to_s = row.parsed("to", lambda text: times.parse_to(text, context.zone, row.is_french("to")), 0)
    if from_s and to_s and to_s <= from_s:
        row.report("to", "ends before it begins")
    one = Pass(
        number=row.parsed("number", texts.parse_number),
        radio_number=row.parsed("radio_number", texts.parse_number),
        kind=row.choice("type", _KINDS),
        colour=row.parsed("colour", texts.parse_name),
        block=row.one_of("block", context.blocks),
        flat=row.parsed("flat", texts.parse_name),
        profile=row.one_of("profile", context.profiles),
        from_s=from_s,
        to_s=to_s,
        state=row.choice("state", _STATES),
        notes=row.parsed("notes", texts.parse_notes),
    )
    if one.flat and not row.text("block"):
        row.report("flat", "a flat needs its block")
    elif one.flat and one.block and flats is not None and (one.block, one.flat) not in flats:
        row.report("flat", f"flat {one.block}/{one.flat} is not in residents.csv")
    if one.state == "active" and not (row.text("block") or row.text("profile")):
        row.warn("profile", "neither block nor profile: this pass opens nothing")
    _take_numbers(row, one, context.registry)
    return one


def _take_numbers(row: Row, one: Pass, registry: Registry) -> None:
    """A dual pass is a badge and a remote; any other has one number, in `number`."""
    if not row.text("number"):
        row.report("number", "must not be empty")
    if one.kind == "dual" and not row.text("radio_number"):
        row.report("radio_number", "a dual pass needs the number of its remote too")
    elif one.kind in ("badge", "remote") and row.text("radio_number"):
        row.report("radio_number", f"only a dual pass has one: a {one.kind}'s number stands in number")
    if one.number and one.kind:
        medium = "remote" if one.kind == "remote" else "badge"
        registry.take_credential(medium, int(one.number), row.place("number"), row.reporter("number"))
    if one.radio_number and one.kind == "dual":
        registry.take_credential(
            "remote", int(one.radio_number), row.place("radio_number"), row.reporter("radio_number")
        )
