"""GPIO lines of the kernel: the only file that names gpiod (2.x), and it imports it when a line is claimed, so only a
controller that uses GPIO needs it.

A line is claimed with all its settings at once, an output with its value, so nothing clicks at a start. What stands in
where there is no GPIO does so for `gpiod.request_lines` and the LineRequest that it returns.
"""

import errno
import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import gpiod
    from gpiod.line import Value

CONSUMER = "vantail"
BIASES = ("as-is", "pull-up", "pull-down", "disabled")
# Events that the kernel keeps while this process is busy. Its own choice, 16 a line, is less than one 48-bit card.
SWITCH_EVENTS = 256
PULSE_EVENTS = 1024

_ADVICE = {
    errno.EBUSY: "is in use; `gpioinfo` names the program (or the kernel's own driver) that has it",
    errno.EACCES: "may not be used: add this user to the group gpio and start again",
    errno.EPERM: "may not be used: add this user to the group gpio and start again",
    errno.ENODEV: "is on no GPIO chip; `gpiodetect` lists the chips",
    errno.ENOTTY: "is on no GPIO chip; `gpiodetect` lists the chips",
    errno.EINVAL: "cannot do what the configuration asks: check its bias and debounce_ms, and that it exists",
    errno.EOPNOTSUPP: "cannot do what the configuration asks: check its bias and debounce_ms",
    errno.ENXIO: "cannot tell when it changes: its chip has no interrupt; use another line for inputs",
}


class GpioError(Exception):
    """A line that cannot be had or used. One line: what was seen and what to do."""


@dataclass(frozen=True, slots=True)
class GpioLine:
    """A line: its chip ("gpiochip0", a path, or a label such as "pinctrl-rp1"), its offset or name ("17", "GPIO17").

    active_low: it is active when low. bias: one of BIASES. debounce_ms: of inputs, for how long a level must last.
    """

    chip: str
    line: str
    active_low: bool = False
    bias: str = "as-is"
    debounce_ms: int = 0

    def __str__(self) -> str:
        return f"{self.chip}:{self.line}"


class Edge(NamedTuple):
    """A line became active or inactive. `line`: which of the claimed ones, from 0. `at_ns`: the kernel's stamp, on
    the monotonic clock. `has_gap`: edges of this line before it were lost."""

    line: int
    is_active: bool
    at_ns: int
    has_gap: bool


class LineRequest(Protocol):
    """What is used of gpiod.LineRequest."""

    @property
    def fd(self) -> int: ...
    @property
    def offsets(self) -> list[int]: ...
    def get_values(self, lines: Iterable[int | str] | None = None) -> "list[Value]": ...
    def set_values(self, values: "dict[int | str, Value]") -> None: ...
    def wait_edge_events(self, timeout: timedelta | float | None = None) -> bool: ...
    def read_edge_events(self, max_events: int | None = None) -> "list[gpiod.EdgeEvent]": ...
    def release(self) -> None: ...


class RequestLines(Protocol):
    """gpiod.request_lines."""

    def __call__(
        self,
        path: str,
        config: "dict[Iterable[int | str] | int | str, gpiod.LineSettings | None]",
        consumer: str | None = None,
        event_buffer_size: int | None = None,
    ) -> LineRequest: ...


class Claim:
    """Lines that are ours until `release`. GpioError where the chip does not do what it is asked."""

    def __init__(self, lines: Sequence[GpioLine], request: LineRequest) -> None:
        self._lines = lines
        self._request = request
        self._offsets = list(request.offsets)
        self._seen: dict[int, int] = {}
        self.fd = request.fd  # readable when there are edges

    def is_active(self) -> bool:
        """The first line's level now, debounced."""
        try:
            return bool(self._request.get_values(self._offsets[:1])[0])
        except OSError as error:
            raise _unusable(self._lines[0], error) from error

    def set_active(self, is_active: bool) -> None:
        """Drive the first line."""
        from gpiod.line import Value

        try:
            self._request.set_values({self._offsets[0]: Value(int(is_active))})
        except OSError as error:
            raise _unusable(self._lines[0], error) from error

    def edges(self) -> list[Edge]:
        """Edges not read so far, oldest first on each line, at most 64; none if there are none, without waiting."""
        try:
            events = self._request.read_edge_events() if self._request.wait_edge_events(0) else []
        except OSError as error:
            raise _unusable(self._lines[0], error) from error
        return [self._edge(event) for event in events]

    def release(self) -> None:
        self._request.release()

    def _edge(self, event: "gpiod.EdgeEvent") -> Edge:
        line = self._offsets.index(event.line_offset)
        has_gap = event.line_seqno != self._seen.get(line, 0) + 1  # the kernel drops the oldest when it has no room
        self._seen[line] = event.line_seqno
        return Edge(line, event.event_type is event.Type.RISING_EDGE, event.timestamp_ns, has_gap)


def line_at(target: str) -> tuple[str, str]:
    """(chip, line) of "gpio:CHIP:LINE". ValueError for anything else."""
    kind, _, rest = target.partition(":")
    chip, _, line = rest.rpartition(":")
    if kind != "gpio" or not chip or not line:
        raise ValueError(target)
    return chip, line


def claim_output(line: GpioLine, is_active: bool, request_lines: RequestLines | None = None) -> Claim:
    """Claim and drive a line, from the first moment as `is_active` says. GpioError."""
    _need_gpiod(line)
    from gpiod import LineSettings
    from gpiod.line import Direction, Value

    settings = LineSettings(direction=Direction.OUTPUT, output_value=Value(int(is_active)))
    return _claim([line], settings, request_lines, None)


def claim_switch(line: GpioLine, request_lines: RequestLines | None = None) -> Claim:
    """Claim an input and hear of both its edges, debounced by the kernel. GpioError."""
    _need_gpiod(line)
    from gpiod import LineSettings
    from gpiod.line import Direction
    from gpiod.line import Edge as EdgeKind

    settings = LineSettings(
        direction=Direction.INPUT,
        edge_detection=EdgeKind.BOTH,
        debounce_period=timedelta(milliseconds=line.debounce_ms),
    )
    return _claim([line], settings, request_lines, SWITCH_EVENTS)


def claim_pulses(lines: Sequence[GpioLine], request_lines: RequestLines | None = None) -> Claim:
    """Claim lines of one chip and hear when they become active. GpioError.

    Not of both edges: the kernel tells which it was by the line's level when it gets round to it, and a Wiegand pulse
    of 50 µs may be over by then."""
    _need_gpiod(lines[0])
    from gpiod import LineSettings
    from gpiod.line import Direction
    from gpiod.line import Edge as EdgeKind

    if any(line.chip != lines[0].chip for line in lines):
        raise GpioError(f"GPIO {' and '.join(map(str, lines))}: a reader's lines must be on one chip")
    settings = LineSettings(direction=Direction.INPUT, edge_detection=EdgeKind.RISING)
    return _claim(lines, settings, request_lines, PULSE_EVENTS)


def _claim(
    lines: Sequence[GpioLine],
    settings: "gpiod.LineSettings",
    request_lines: RequestLines | None,
    events: int | None,
) -> Claim:
    import gpiod
    from gpiod.line import Bias

    settings.active_low = lines[0].active_low
    settings.bias = Bias[lines[0].bias.upper().replace("-", "_")]
    names: list[int | str] = [int(line.line) if line.line.isdecimal() else line.line for line in lines]
    config: dict[Iterable[int | str] | int | str, gpiod.LineSettings | None] = {tuple(names): settings}
    request: RequestLines = gpiod.request_lines if request_lines is None else request_lines
    path = _chip_path(lines[0]) if request_lines is None else f"/dev/{lines[0].chip}"
    try:
        return Claim(lines, request(path, config, CONSUMER, events))
    except FileNotFoundError as error:
        raise GpioError(_not_found(lines, path)) from error
    except OSError as error:
        raise _unusable(lines[0], error) from error
    except ValueError as error:  # gpiod's word for an offset beyond the chip, and for one that is named twice
        raise GpioError(f"GPIO {' and '.join(map(str, lines))}: {error}; `gpioinfo` lists the chip's lines") from error


def _need_gpiod(line: GpioLine) -> None:
    try:
        import gpiod
    except ImportError:
        raise GpioError(f"GPIO {line}: needs the package gpiod; install vantail[pi]") from None
    if not hasattr(gpiod, "request_lines"):
        raise GpioError(f"GPIO {line}: needs gpiod 2, and an older one is installed; 64-bit systems get it")


def _chip_path(line: GpioLine) -> str:
    """A chip may be named by its label: numbers have changed between kernels, labels have not."""
    if line.chip.startswith("/"):
        return line.chip
    path = f"/dev/{line.chip}"
    if Path(path).exists() or line.chip.startswith("gpiochip"):
        return path
    import gpiod

    for candidate in sorted(glob.glob("/dev/gpiochip*")):
        try:
            with gpiod.Chip(candidate) as chip:
                if chip.get_info().label == line.chip:
                    return candidate
        except OSError as error:
            raise _unusable(line, error) from error
    return path


def _not_found(lines: Sequence[GpioLine], path: str) -> str:
    said = " and ".join(map(str, lines))
    if Path(path).exists():
        return f"GPIO {said}: the chip has no line of that name; `gpioinfo` lists them"
    return f"GPIO {said}: there is no chip {lines[0].chip}; `gpiodetect` lists the chips"


def _unusable(line: GpioLine, error: OSError) -> GpioError:
    return GpioError(f"GPIO {line}: {_ADVICE.get(error.errno or 0, f'does not work ({error.strerror or error})')}")
