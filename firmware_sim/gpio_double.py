"""A double of a GPIO chip at the boundary of gpiod: it stands in for `gpiod.request_lines` and the LineRequest that it
returns, where there is no GPIO.

What it copies of Linux's GPIO character device (uAPI v2): exclusive lines; logical levels after active_low; an output
driven with the claim; edges with stamps and a sequence number for each line; a buffer of the size asked for, 16 a line
otherwise, that drops its oldest edge when full; software debounce (a level counts once it lasted); a file descriptor
that is readable while there are edges. Times are the caller's: nanoseconds, never falling.
"""

import contextlib
import errno
import os
from collections import deque
from collections.abc import Callable, Iterable
from datetime import timedelta

from gpiod import EdgeEvent, LineSettings
from gpiod.line import Bias, Direction, Edge, Value

EVENTS_A_LINE = 16
MOST_READ = 64


class ChipDouble:
    """A chip of `lines` lines whose `request_lines` takes the place of gpiod's.

    keeps_released: a released output stays as driven, as Raspberry Pi kernels do without strict_gpiod; else it goes
    back to its pull: `pulled_up`, for all lines alike. `on_put(line, level)`: is told of each change of a driven line.

    Faults on demand: is_denied, is_gone (the chip), `break_line` / `mend_line`, `stuck_line`, `bounce`, `noise`.
    """

    def __init__(self, name: str = "gpiochip0", lines: int = 54, keeps_released: bool = True) -> None:
        self.path = f"/dev/{name}"
        self.keeps_released = keeps_released
        self.pulled_up = False
        self.is_denied = False
        self.is_gone = False
        self.requests: dict[int, RequestDouble] = {}
        self.history: list[tuple[int, bool]] = []  # (line, level) of each change of a driven line
        self.outputs: dict[int, bool] = {}  # physical levels of lines that are driven, or were
        self.on_put: Callable[[int, bool], None] | None = None
        self._inputs = [True] * lines  # physical levels from outside
        self._broken: set[int] = set()
        self._stuck: dict[int, bool] = {}  # line → where its outside would be
        self._lines = lines

    def request_lines(
        self,
        path: str,
        config: dict[Iterable[int | str] | int | str, LineSettings | None],
        consumer: str | None = None,
        event_buffer_size: int | None = None,
    ) -> "RequestDouble":
        """As gpiod's, with the errors that Linux gives."""
        if path != self.path:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if self.is_denied:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        settings: dict[int, LineSettings] = {}
        for names, wanted in config.items():
            for name in (names,) if isinstance(names, int | str) else names:
                settings[self._offset(name)] = wanted or LineSettings()
        if any(offset in self.requests for offset in settings):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        request = RequestDouble(self, settings, event_buffer_size)
        self.requests.update(dict.fromkeys(settings, request))
        return request

    def level(self, offset: int) -> bool:
        """The physical level of a line now."""
        return self.outputs.get(offset, self._inputs[offset])

    def drive(self, offset: int, level: bool, at_ns: int) -> None:
        """What is wired to an input takes a level."""
        self.settle(at_ns)
        if offset in self._stuck:
            self._stuck[offset] = level
        elif self._inputs[offset] != level:
            self._inputs[offset] = level
            if offset in self.requests:
                self.requests[offset]._changed(offset, level, at_ns)

    def pulse(self, offset: int, at_ns: int, width_ns: int) -> None:
        """The line falls and rises again."""
        self.drive(offset, False, at_ns)
        self.drive(offset, True, at_ns + width_ns)

    # --- faults on demand: times in nanoseconds --------------------------------------------------------------

    def break_line(self, offset: int) -> None:
        """Each use of this line fails (EIO), as of an expander that is gone from its bus, and whoever waits for its
        edges is woken. Its output stays."""
        self._broken.add(offset)
        request = self.requests.get(offset)
        if request is not None and not request._events:
            os.eventfd_write(request.fd, 1)

    def mend_line(self, offset: int) -> None:
        self._broken.discard(offset)
        request = self.requests.get(offset)
        if request is not None and not request._events:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(request.fd)

    def stuck_line(self, offset: int, level: bool | None, at_ns: int) -> None:
        """Hold an input at a level, whatever is wired to it does; None: it follows again."""
        if level is None:
            if offset in self._stuck:
                self.drive(offset, self._stuck.pop(offset), at_ns)
            return
        outside = self._stuck.pop(offset, self._inputs[offset])
        self.drive(offset, level, at_ns)
        self._stuck[offset] = outside

    def bounce(self, offset: int, level: bool, at_ns: int, times: int = 5, every_ns: int = 1_000_000) -> None:
        """A switch takes a level and bounces off it `times` times, for twice `every_ns` each."""
        for turn in range(times):
            self.drive(offset, level, at_ns + 2 * turn * every_ns)
            self.drive(offset, not level, at_ns + (2 * turn + 1) * every_ns)
        self.drive(offset, level, at_ns + 2 * times * every_ns)

    def noise(self, offset: int, at_ns: int, times: int = 10, width_ns: int = 20_000) -> None:
        """A motor beside the cable: `times` spikes of `width_ns`, a millisecond apart."""
        level = self._inputs[offset]
        for turn in range(times):
            self.drive(offset, not level, at_ns + turn * 1_000_000)
            self.drive(offset, level, at_ns + turn * 1_000_000 + width_ns)

    def settle(self, now_ns: int) -> None:
        """Time passes: debounced levels that lasted count."""
        for request in set(self.requests.values()):
            request._settle(now_ns)

    def end_of_process(self) -> None:
        """The process that has lines dies: the kernel releases them."""
        for request in list(self.requests.values()):
            request.release()

    def _put(self, offset: int, level: bool) -> None:
        if self.outputs.get(offset) != level:
            self.outputs[offset] = level
            self.history.append((offset, level))
            if self.on_put is not None:
                self.on_put(offset, level)

    def _offset(self, name: int | str) -> int:
        if isinstance(name, str):
            if not name.startswith("GPIO"):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            name = int(name.removeprefix("GPIO"))
        if name >= self._lines:
            raise ValueError("line offset of out range")
        return name


class RequestDouble:
    """A double of gpiod.LineRequest."""

    def __init__(self, chip: ChipDouble, settings: dict[int, LineSettings], event_buffer_size: int | None) -> None:
        self._chip = chip
        self._settings = settings
        self._events: deque[EdgeEvent] = deque(maxlen=event_buffer_size or EVENTS_A_LINE * len(settings))
        self._sequence = dict.fromkeys(settings, 0)
        self._pending: dict[int, int] = {}  # line: when its level will have lasted
        self._debounced = {offset: chip.level(offset) for offset in settings}
        self.fd = os.eventfd(0, os.EFD_NONBLOCK)
        for offset, wanted in settings.items():
            if wanted.direction is Direction.OUTPUT:
                chip._put(offset, bool(wanted.output_value) != wanted.active_low)

    @property
    def offsets(self) -> list[int]:
        return list(self._settings)

    def get_values(self, lines: Iterable[int | str] | None = None) -> list[Value]:
        self._check()
        offsets = self.offsets if lines is None else [self._chip._offset(line) for line in lines]
        return [Value(int(self._level(offset) != self._settings[offset].active_low)) for offset in offsets]

    def set_values(self, values: dict[int | str, Value]) -> None:
        self._check()
        for line, value in values.items():
            offset = self._chip._offset(line)
            if self._settings[offset].direction is not Direction.OUTPUT:
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
            self._chip._put(offset, bool(value) != self._settings[offset].active_low)

    def wait_edge_events(self, timeout: timedelta | float | None = None) -> bool:
        self._check()
        return bool(self._events)

    def read_edge_events(self, max_events: int | None = None) -> list[EdgeEvent]:
        self._check()
        assert self._events, "the real one would wait for ever"
        count = min(len(self._events), max_events or MOST_READ)
        events = [self._events.popleft() for _ in range(count)]
        if not self._events:
            os.eventfd_read(self.fd)
        return events

    def release(self) -> None:
        if self._chip.requests.get(self.offsets[0]) is not self:
            return
        for offset, wanted in self._settings.items():
            del self._chip.requests[offset]
            if wanted.direction is Direction.OUTPUT and not self._chip.keeps_released:
                pulls = {Bias.PULL_UP: True, Bias.PULL_DOWN: False}
                self._chip._put(offset, pulls.get(wanted.bias, self._chip.pulled_up))
        os.close(self.fd)

    def _check(self) -> None:
        if self._chip.is_gone:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        if not self._chip._broken.isdisjoint(self._settings):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def _level(self, offset: int) -> bool:
        return self._debounced[offset] if self._settings[offset].debounce_period else self._chip.level(offset)

    def _changed(self, offset: int, level: bool, at_ns: int) -> None:
        period = self._settings[offset].debounce_period
        if period:
            self._pending[offset] = at_ns + period // timedelta(microseconds=1) * 1000
        else:
            self._emit(offset, level, at_ns)

    def _settle(self, now_ns: int) -> None:
        for offset, due_ns in list(self._pending.items()):
            if due_ns <= now_ns:
                del self._pending[offset]
                level = self._chip.level(offset)
                if level != self._debounced[offset]:
                    self._debounced[offset] = level
                    self._emit(offset, level, due_ns)

    def _emit(self, offset: int, level: bool, at_ns: int) -> None:
        is_rising = level != self._settings[offset].active_low
        wanted = self._settings[offset].edge_detection
        if wanted is not Edge.BOTH and wanted is not (Edge.RISING if is_rising else Edge.FALLING):
            return
        kind = EdgeEvent.Type.RISING_EDGE if is_rising else EdgeEvent.Type.FALLING_EDGE
        self._sequence[offset] += 1
        total = sum(self._sequence.values())
        self._events.append(EdgeEvent(kind.value, at_ns, offset, total, self._sequence[offset]))
        if len(self._events) == 1 or self._events.maxlen == 1:
            os.eventfd_write(self.fd, 1)
