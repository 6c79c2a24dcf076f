"""The words between a line board and its agent, and what the board keeps of them.

Each message is one JSON object on one line with one key, the word: {"strike": {"door": "hall", "output":
"door", "ms": 5000}}. A barrier's value is its number. Nothing is optional and nothing is extra, so that a
mistake on either side is seen at once.
"""

import json
from dataclasses import dataclass
from typing import Any

LINE_BYTES = 4096
TEXT_CHARACTERS = 200
LONGEST_PULSE_MS = 24 * 3600 * 1000

# A strike's `ms` that is not a pulse, as in edge.decision.model.
LOCK = 0
HOLD = -1

_SHOWN_CHARACTERS = 60

# What an agent may say: word -> {field: types}.
AGENT_WORDS: dict[str, dict[str, tuple[type, ...]]] = {
    "strike": {"door": (str,), "output": (str,), "ms": (int,)},
    "indicate": {"reader": (str,), "outcome": (str,)},
    "dial": {"door": (str,), "panel": (str,), "number": (str,), "delay_s": (int, float)},
    "hang_up": {"door": (str,), "panel": (str,)},
    "barrier": {"number": (int,)},
}


@dataclass(frozen=True)
class StrikeSeen:
    """A strike command. `at_ns`: time.perf_counter_ns of arrival. `ms`: a pulse, LOCK (0) or HOLD (-1)."""

    at_ns: int
    door: str
    output: str
    ms: int


@dataclass(frozen=True)
class RelayChange:
    """A relay moved. `cause`: "pulse", "hold", "lock", "timer" (its pulse ended) or "connection lost"."""

    at_ns: int
    door: str
    output: str
    is_unlocked: bool
    cause: str


@dataclass(frozen=True)
class Indicated:
    """An outcome to show at a reader of the value boundary."""

    at_ns: int
    reader: str
    outcome: str


@dataclass(frozen=True)
class Dialled:
    """The panel's modem shall call `number` for at most `delay_s`."""

    at_ns: int
    door: str
    panel: str
    number: str
    delay_s: float


@dataclass(frozen=True)
class HungUp:
    """The panel's modem shall end its call."""

    at_ns: int
    door: str
    panel: str


Change = StrikeSeen | RelayChange | Indicated | Dialled | HungUp


class BoardError(ValueError):
    """A line that the board cannot take; the message says what was seen and what it takes."""


def pack(message: dict[str, Any]) -> bytes:
    """Return `message` as one line."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def unpack(line: bytes) -> tuple[str, dict[str, Any]]:
    """Return (word, fields) of an agent's line. Raises BoardError."""
    if len(line) > LINE_BYTES:
        raise BoardError(f"a line of more than {LINE_BYTES} bytes was dropped; send shorter ones")
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BoardError(f"not one JSON object on a line: {_shown(line)}") from error
    if not isinstance(message, dict) or len(message) != 1:
        raise BoardError(f"a message is an object with one key, its word; seen: {_shown(line)}")
    [(word, fields)] = message.items()
    if word not in AGENT_WORDS:
        raise BoardError(f"unknown word {_shown(word)}; the board knows {', '.join(AGENT_WORDS)}")
    if word == "barrier":
        fields = {"number": fields}
    _check(word, fields)
    return word, fields


def _check(word: str, fields: object) -> None:
    expected = AGENT_WORDS[word]
    if not isinstance(fields, dict) or fields.keys() != expected.keys():
        raise BoardError(f"{word} takes {', '.join(expected)}; seen: {_shown(fields)}")
    for name, types in expected.items():
        value = fields[name]
        if type(value) not in types:
            raise BoardError(f"{word}: {name} must be {types[0].__name__}; seen: {_shown(value)}")
        if isinstance(value, str) and len(value) > TEXT_CHARACTERS:
            raise BoardError(f"{word}: {name} is longer than {TEXT_CHARACTERS} characters")
    if word == "strike" and not HOLD <= fields["ms"] <= LONGEST_PULSE_MS:
        raise BoardError(f"strike: ms must be -1 (hold), 0 (lock) or a pulse up to a day; seen: {fields['ms']}")


def _shown(seen: object) -> str:
    text = repr(seen)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
