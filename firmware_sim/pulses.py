"""What Wiegand readers, keypads and radio receivers put on their two lines: pulses as (line, when it begins).

Times are nanoseconds. Faults are made here too: what a bad cable, a motor beside it or a cheap reader does.
"""

from collections.abc import Sequence
from random import Random

from edge.reader import card_format

Pulse = tuple[int, int]  # (line 0 or 1, the moment at which it begins)

PERIOD_NS = 2_000_000  # what most readers keep; the standard allows 200 µs to 20 ms
WIDTH_NS = 50_000
_KEYS = "0123456789*#"


def word(bits: int, value: int, at_ns: int, period_ns: int = PERIOD_NS) -> list[Pulse]:
    """`bits` bits of `value`, the highest first."""
    return [(value >> (bits - 1 - at) & 1, at_ns + at * period_ns) for at in range(bits)]


def card(number: int, format_name: str, at_ns: int, period_ns: int = PERIOD_NS) -> list[Pulse]:
    """A card as its reader sends it. ValueError: the number does not fit the format."""
    bits, data = card_format.encode(number, format_name)
    return word(bits, int.from_bytes(data, "big") >> (-bits % 8), at_ns, period_ns)


def key(pressed: str, keypad: str, at_ns: int) -> list[Pulse]:
    """One key (a digit, "*" or "#") of a "4" or "8" bit keypad."""
    nibble = _KEYS.index(pressed)
    return word(4, nibble, at_ns) if keypad == "4" else word(8, (nibble ^ 15) << 4 | nibble, at_ns)


def code(digits: str, keypad: str, facility: int, at_ns: int) -> list[Pulse]:
    """A whole code of a buffered keypad: "26-binary" with its facility, or "26-bcd" with six digits."""
    number = int(digits, 16) if keypad == "26-bcd" else facility << 16 | int(digits)
    return card(number, "26", at_ns)


def remote(number: int, button: int, bits: int, at_ns: int) -> list[Pulse]:
    """A transmission with four button bits before the number ("36" or "44" bits)."""
    return word(bits, 1 << (bits - button) | number, at_ns)


def held(number: int, button: int, bits: int, at_ns: int, for_ms: int, every_ms: int = 150) -> list[list[Pulse]]:
    """The transmissions of a button that is held."""
    starts = range(at_ns, at_ns + for_ms * 1_000_000, every_ms * 1_000_000)
    return [remote(number, button, bits, start_ns) for start_ns in starts]


# --- faults -----------------------------------------------------------------------------------------------------------


def with_glitch(pulses: Sequence[Pulse], chance: Random) -> list[Pulse]:
    """An edge on either line that a pulse's neighbourhood makes: within 90 µs of one, at times in the same moment."""
    _, at_ns = chance.choice(pulses)
    glitch = (chance.randrange(2), at_ns + chance.choice((0, chance.randrange(-90_000, 90_000))))
    return sorted([*pulses, glitch], key=lambda pulse: pulse[1])


def with_gap(pulses: Sequence[Pulse], gap_ns: int, chance: Random) -> list[Pulse]:
    """One pulse comes `gap_ns` after the one before it, and the rest with it."""
    at = chance.randrange(1, len(pulses))
    late_ns = pulses[at - 1][1] + gap_ns - pulses[at][1]
    return [*pulses[:at], *((line, at_ns + late_ns) for line, at_ns in pulses[at:])]


def with_flipped_bit(pulses: Sequence[Pulse], chance: Random) -> list[Pulse]:
    """One pulse comes on the other line."""
    at = chance.randrange(len(pulses))
    line, at_ns = pulses[at]
    return [*pulses[:at], (1 - line, at_ns), *pulses[at + 1 :]]


def without_some(pulses: Sequence[Pulse], chance: Random) -> list[Pulse]:
    """One to three pulses are missing."""
    missing = set(chance.sample(range(len(pulses)), min(chance.randrange(1, 4), len(pulses))))
    return [pulse for at, pulse in enumerate(pulses) if at not in missing]


def with_jitter(pulses: Sequence[Pulse], jitter_ns: int, chance: Random) -> list[Pulse]:
    """Stamps up to `jitter_ns` late, as interrupts that are taken late give."""
    return [(line, at_ns + chance.randrange(jitter_ns)) for line, at_ns in pulses]


def noise(count: int, at_ns: int, chance: Random) -> list[Pulse]:
    """`count` edges on either line with anything from 1 µs to 30 ms between them."""
    pulses = []
    for _ in range(count):
        at_ns += round(10 ** chance.uniform(3, 7.477))
        pulses.append((chance.randrange(2), at_ns))
    return pulses
