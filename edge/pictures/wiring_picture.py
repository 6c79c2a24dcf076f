"""`vantail doctor --wiring`: how a controller is wired, drawn from agent.toml as one SVG. Pure: values in, text out."""

from collections.abc import Callable
from html import escape

from edge.config import Bus, Config, ModbusBoard, Modem, Radio, Wiegand
from edge.lines.gpio import line_at
from edge.lines.modbus import coil_at
from edge.pictures.header_pins import PIN_OF, described
from edge.pictures.wiring_doors import door_height, draw_door
from edge.pictures.wiring_symbols import (
    A_WIRE,
    B_WIRE,
    BOX,
    CARD,
    DEVICE,
    EDGE,
    GROUND,
    INK,
    PAPER,
    PLUS,
    SIGNAL,
    SOFT,
    WARN,
    WARN_INK,
    Point,
    antenna,
    box,
    joint,
    labelled_box,
    resistor,
    wire,
    words,
)  # fmt: skip
from edge.wiring import is_modbus, is_osdp, osdp_line

WIDTH = 1240
_MARGIN = 24
_TITLE = 44  # of a card, above its drawing
_A_ROW = 5  # readers beside one another
_READER_WIDTH, _READER_STEP, _READER_HEIGHT = 150, 172, 76
_ROW = 212  # from one row of readers to the next
_FIRST_X = 312  # of a row's leftmost reader
_WIRES = (A_WIRE, B_WIRE, GROUND)

Draw = Callable[[float], str]
Card = tuple[str, str, float, Draw]  # title, remark, height of the drawing, what draws it from y down


def draw(config: Config) -> str:
    """The whole picture: power, each line, each door, and the rules that keep people alive."""
    cards = [_power(config)]
    cards += [_bus(config, bus) for bus in config.bus]
    for door in config.door:
        remark = "power locks, all that takes it away unlocks" if door.fail == "safe" else "power unlocks"
        title = f"Door {door.id}: fail-{door.fail}"
        cards.append((title, remark, door_height(door), lambda y, door=door: draw_door(config, door, y)))  # type: ignore[misc]
    cards += [_wired(reader) for reader in config.wiegand] + [_wired(receiver) for receiver in config.radio]
    cards += [_relay_board(config, board) for board in config.modbus]
    cards += [_modem(modem) for modem in config.modem]
    cards.append(_rules())
    return _page(config.controller, cards)


def _page(controller: str, cards: list[Card]) -> str:
    parts, y = [], 104.0
    for title, remark, height, drawing in cards:
        parts.append(f'<g transform="translate({_MARGIN} {y:g})">')
        parts.append(box(0, 0, WIDTH - 2 * _MARGIN, _TITLE + height, CARD, EDGE, 10))
        parts.append(words(16, 29, title, 17, "bold"))
        parts.append(words(WIDTH - 2 * _MARGIN - 16, 29, remark, 12, "", SOFT, "end"))
        parts.append(drawing(_TITLE) + "</g>")
        y += _TITLE + height + 18
    name = escape(controller, quote=False)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 6:g}" viewBox="0 0 {WIDTH} {y + 6:g}" '
        "font-family=\"'DejaVu Sans', 'Liberation Sans', Helvetica, Arial, sans-serif\">"
        f"<title>Wiring of controller {name}</title>"
        "<desc>Drawn from agent.toml: serial lines with their readers, each door's strike circuit and switches.</desc>"
        f'<rect width="100%" height="100%" fill="{PAPER}"/>'
    )
    return "\n".join([head, _headline(controller), *parts, "</svg>", ""])


def _headline(controller: str) -> str:
    said = "Drawn from agent.toml by `vantail doctor --wiring`. Contacts are at rest; each device's own manual counts."
    parts = [
        words(_MARGIN, 44, f"Wiring of controller {controller}", 26, "bold"),
        words(_MARGIN, 70, said, 12.5, "", SOFT),
    ]
    x = 780
    for color, name in ((A_WIRE, "A"), (B_WIRE, "B"), (GROUND, "0 V"), (PLUS, "+ supply"), (SIGNAL, "signal")):
        parts.append(wire([(x, 38), (x + 26, 38)], color, width=4) + words(x + 32, 42, name, 12))
        x += 54 + 8 * len(name) + 10
    return "".join(parts)


# --- power -----------------------------------------------------------------------------------------------------------


def _power(config: Config) -> Card:
    serial = [f"{bus.port}: OSDP, {bus.baud} baud" for bus in config.bus]
    serial += [f"{board.port}: Modbus, {board.baud} baud" for board in config.modbus]
    serial += [f"{modem.port}: modem" for modem in config.modem]
    controller = [f"controller {config.controller}", *(serial[:6] or ["no serial line"])]
    strikes = ["12 or 24 V supply", "strikes and readers", "with a battery"]
    alarm = [
        "fire alarm panel",
        "its contacts cut the strikes'",
        "power by themselves: no wire",
        "of it ends at the controller",
    ]

    def drawing(y: float) -> str:
        return (
            labelled_box(16, y + 30, 144, 48, ["mains 230 V", "by an electrician"])
            + wire([(160, y + 54), (188, y + 54), (188, y + 22), (216, y + 22)])
            + wire([(188, y + 54), (188, y + 104), (216, y + 104)])
            + joint(188, y + 54)
            + labelled_box(216, y, 250, 48, ["5 V supply", "the Pi's own: 3 A, Pi 5: 5 A"], CARD, INK)
            + labelled_box(216, y + 70, 250, 64, strikes, CARD, INK)
            + wire([(466, y + 16), (560, y + 16)], PLUS)
            + wire([(466, y + 34), (560, y + 34)], GROUND)
            + wire([(466, y + 86), (520, y + 86), (520, y + 34)], GROUND)
            + joint(520, y + 34, GROUND)
            + words(474, y + 80, "one 0 V", 11, "", SOFT)
            + wire([(466, y + 118), (548, y + 118)], PLUS)
            + words(474, y + 136, "to strikes", 11, "", SOFT)
            + words(474, y + 150, "and readers", 11, "", SOFT)
            + labelled_box(560, y, 330, 134, controller, DEVICE)
            + labelled_box(930, y, 246, 134, alarm, WARN, WARN_INK)
        )

    return "Power", "strikes never take their power from the Pi", 162, drawing


# --- an RS-485 line --------------------------------------------------------------------------------------------------


def _bus(config: Config, bus: Bus) -> Card:
    rows = -(-len(bus.readers) // _A_ROW)
    title = f"OSDP line {bus.port}"
    remark = f"{bus.baud} baud, 8N1; one cable from reader to reader, 120 Ω at its two ends only"
    return title, remark, _ROW * rows + 4, lambda y: _draw_bus(config, bus, y)


def _draw_bus(config: Config, bus: Bus, y: float) -> str:
    parts = [labelled_box(16, y + 12, 200, 92, _adapter(bus.port), DEVICE)]
    rows = -(-len(bus.readers) // _A_ROW)
    wires = [("A", A_WIRE), ("B", B_WIRE), ("GND", GROUND)]
    for number, (name, color) in enumerate(wires):
        parts.append(words(222, y + 24 + 30 * number, name, 11, "bold", color))
    parts.append(resistor(262, y + 28, y + 58, "120 Ω"))
    for row in range(rows):
        parts += _draw_row(config, bus, y + row * _ROW, row, row == rows - 1)
    return "".join(parts)


def _heights(y: float, row: int) -> list[float]:
    """Of A, B and GND in a row: the line turns back after each row, so their order does too."""
    steps = (28, 58, 88)
    return [y + step for step in (steps if row % 2 == 0 else reversed(steps))]


def _draw_row(config: Config, bus: Bus, y: float, row: int, is_last: bool) -> list[str]:
    readers = bus.readers[row * _A_ROW : (row + 1) * _A_ROW]
    heights, is_backwards = _heights(y, row), row % 2 == 1
    places = [_FIRST_X + _READER_STEP * (_A_ROW - 1 - at if is_backwards else at) for at in range(len(readers))]
    end = places[-1] - 34 if is_backwards else places[-1] + _READER_WIDTH + 34
    parts: list[str] = []
    for number, (color, height) in enumerate(zip(_WIRES, heights, strict=True)):
        start = 216 if row == 0 else _turn(row - 1, number)
        points: list[Point] = [(start, height)]
        if is_last:
            points.append((end, height))
        else:
            points += [(_turn(row, number), height), (_turn(row, number), _heights(y + _ROW, row + 1)[number])]
        parts.append(wire(points, color))
    if is_last:
        top, bottom = sorted(heights[:2])
        parts.append(resistor(end, top, bottom, "120 Ω"))
    for reader, x in zip(readers, places, strict=True):
        for number, (color, height) in enumerate(zip(_WIRES, heights, strict=True)):
            tap = x + 30 + 30 * number
            parts.append(wire([(tap, height), (tap, y + 116)], color) + joint(tap, height, color))
        parts.append(_reader(config, reader.id, reader.address, x, y + 116))
    return parts


def _turn(row: int, number: int) -> float:
    """Where a wire turns down to the next row: the upper one outside, so that none crosses another."""
    return 1164 + 9 * (2 - number) if row % 2 == 0 else 250 - 9 * number


def _reader(config: Config, name: str, address: int, x: float, y: float) -> str:
    used = []
    for door in config.door:
        used += [f"out {osdp_line(target).number}: {door.id}/{output}" for output, target in door.outputs.items()
                 if is_osdp(target) and osdp_line(target).reader == name]  # fmt: skip
        for kind in ("contact", "exit", "tamper"):
            target = getattr(door, kind)
            if is_osdp(target) and osdp_line(target).reader == name:
                used.append(f"in {osdp_line(target).number}: {door.id} {kind}")
    lines = [name, f"address {address}", *(used[:2] or ["and + 12 V"])]
    return labelled_box(x, y, _READER_WIDTH, _READER_HEIGHT, lines)


def _adapter(port: str) -> list[str]:
    """What sits between a serial port and a line."""
    name = port.rpartition("/")[2]
    if name.startswith(("ttyAMA", "ttyS", "serial")):
        return ["RS-485 hat", port, f"TXD header pin {PIN_OF[14]}, RXD {PIN_OF[15]}", "direction by itself"]
    return ["USB to RS-485", port, "isolated is better", "direction by itself"]


# --- wired readers ---------------------------------------------------------------------------------------------------


def _wired(reader: Wiegand | Radio) -> Card:
    lines = [("D0", reader.d0, SIGNAL), ("D1", reader.d1, SOFT)]
    kind = "Radio receiver"
    if isinstance(reader, Wiegand):
        kind = "Wiegand reader"
        named = (("green", reader.green), ("red", reader.red), ("buzzer", reader.buzzer))
        lines += [(name, target, A_WIRE) for name, target in named if target]
    remark = "5 V pulses: never straight to the Pi, which stands 3.3 V"
    return f"{kind} {reader.id}", remark, 34 * (len(lines) + 1) + 34, lambda y: _draw_wired(kind, reader, lines, y)


def _draw_wired(kind: str, reader: Wiegand | Radio, lines: list[tuple[str, str, str]], y: float) -> str:
    height = 34 * (len(lines) + 1) + 14
    shifter = ["optocoupler", "inverted = true"] if reader.inverted else ["level shifter", "3.3 V side | 5 V side"]
    parts = [
        labelled_box(470, y, 180, height, shifter),
        labelled_box(900, y, 250, height, [kind.lower(), reader.id, "+ 12 V from the supply"]),
    ]
    for number, (name, target, color) in enumerate([*lines, ("0 V", "", GROUND)]):
        at = y + 22 + 34 * number
        parts.append(box(16, at - 14, 300, 28, DEVICE))
        parts.append(words(24, at + 4, name, 12.5, "bold") + words(84, at + 4, _place(target), 11.5, "", SOFT))
        parts.append(wire([(316, at), (470, at)], color) + wire([(650, at), (900, at)], color))
        parts.append(words(892, at - 5, name, 11, "bold", color, "end"))
    return "".join(parts)


def _place(target: str) -> str:
    if not target:
        return "a GND pin of the header"
    chip, line = line_at(target)
    pin = described(chip, line).replace("header pin", "pin")
    return f"{chip}:{line}, {pin}" if pin else f"{chip}:{line}"


# --- other devices ---------------------------------------------------------------------------------------------------


def _relay_board(config: Config, board: ModbusBoard) -> Card:
    relays = [
        f"relay {coil_at(target)[1]}: {door.id}/{output}"
        for door in config.door
        for output, target in door.outputs.items()
        if is_modbus(target) and coil_at(target)[0] == board.id
    ]

    def drawing(y: float) -> str:
        parts = [labelled_box(16, y + 6, 200, 92, _adapter(board.port), DEVICE)]
        for number, (name, color) in enumerate((("A", A_WIRE), ("B", B_WIRE), ("GND", GROUND))):
            at = y + 22 + 30 * number
            parts.append(wire([(216, at), (560, at)], color) + words(222, at - 4, name, 11, "bold", color))
        parts += [resistor(270, y + 22, y + 52, "120 Ω"), resistor(490, y + 22, y + 52, "120 Ω")]
        timer = "no pulse timer of its own" if board.timer == "none" else f"own pulse timer: {board.timer}"
        lines = [f"relay board {board.id}", f"unit {board.unit}; {timer}", "+ 12 V from the supply"]
        parts.append(labelled_box(560, y, 280, 104, lines, BOX))
        parts += [words(860, y + 18 + 17 * number, text, 12) for number, text in enumerate(relays[:6])]
        return "".join(parts)

    return (
        f"Relay board {board.id} on {board.port}",
        f"Modbus RTU, {board.baud} baud, 8N1; alone on its line",
        122,
        drawing,
    )


def _modem(modem: Modem) -> Card:
    def drawing(y: float) -> str:
        return (
            labelled_box(16, y + 6, 236, 58, [modem.port, "USB, or a serial port at 3.3 V"], DEVICE)
            + wire([(252, y + 35), (470, y + 35)], SIGNAL)
            + words(262, y + 28, f"AT commands, {modem.baud} baud", 11, "", SOFT)
            + labelled_box(
                470, y, 250, 70, [f"modem {modem.id}", "SIM, without or with PIN", "own supply: 2 A for moments"]
            )
            + wire([(720, y + 35), (770, y + 35), (770, y + 30)])
            + antenna(770, y + 42)
            + words(790, y + 34, "antenna outside the metal cabinet", 11.5, "", SOFT)
        )

    return f"GSM modem {modem.id}", f"country code {modem.country_code}", 90, drawing


def _rules() -> Card:
    said = (
        "The fire alarm's contact cuts each strike's supply by itself. Try it with the controller switched off: "
        "every escape door must open.",
        "The exit button is wired twice: to the controller, which records it, and into the strike's circuit, "
        "which needs no software.",
        "A diode (DC) or varistor (AC) at every strike and magnet, at the device itself: "
        "else its spike resets the controller.",
        "Cables that leave the building get a surge protector at each end: A, B and 0 V, and the supply.",
        "Screens are earthed at one end. The 0 V of controller, readers, boards and strikes is joined at one point.",
    )

    def drawing(y: float) -> str:
        return "".join(words(20, y + 14 + 22 * number, f"• {line}", 12.5) for number, line in enumerate(said))

    return "Before anybody relies on it", "", 22 * len(said) + 12, drawing
