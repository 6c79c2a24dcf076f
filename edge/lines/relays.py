"""Strike relays on GPIO lines."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge.decision.model import HOLD, LOCK, LineAlarm
from edge.lines.gpio import Claim, GpioError, GpioLine, RequestLines, claim_output

LOCK_AGAIN_S = 0.25


@dataclass(frozen=True, slots=True)
class GpioOutput:
    """A relay. fail_safe False: energised it unlocks (a fail-secure strike, or a magnet on the normally closed
    contact). True: energised it locks, and all that takes its power away unlocks, the end of this program too."""

    line: GpioLine
    fail_safe: bool = False


class GpioOutputs:
    """One controller's relays, (door, output) → relay. `claim` first, then `strike`, in a running loop.

    request_lines: a double of gpiod's, where there is no GPIO. deliver: gets a LineAlarm when a relay cannot be
    driven, once until it can be again."""

    def __init__(
        self,
        outputs: Mapping[tuple[str, str], GpioOutput],
        request_lines: RequestLines | None = None,
        deliver: Callable[[object], None] = lambda alarm: None,
    ) -> None:
        self._outputs = dict(outputs)
        self._request_lines = request_lines
        self._deliver = deliver
        self._failing: set[tuple[str, str]] = set()
        self._claims: dict[tuple[str, str], Claim] = {}
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._unlocked: set[tuple[str, str]] = set()
        self.failed_writes = 0
        self.last_error = ""

    def claim(self) -> None:
        """Take every line, locked. GpioError where one cannot be had: then none is kept."""
        try:
            for key, output in self._outputs.items():
                self._claims[key] = claim_output(output.line, output.fail_safe, self._request_lines)
        except GpioError:
            self.release()
            raise

    def strike(self, door: str, output: str, ms: int) -> bool:
        """Unlock for `ms`, or model.LOCK or model.HOLD. False, and counted, if the line could not be set. A pulse
        ends here too, should the core's LOCK not come. KeyError: no such output."""
        key = (door, output)
        self._stop_timer(key)
        if ms == LOCK:
            return self._lock(key)
        if ms != HOLD:
            self._timers[key] = asyncio.get_running_loop().call_later(ms / 1000, self._lock, key)
        return self._set(key, True)

    def release(self) -> None:
        """Lock everything and give the lines back. What they do then is up to the kernel: edge.lines.released."""
        for key in list(self._timers):
            self._stop_timer(key)
        for key, claim in self._claims.items():
            self._set(key, False)
            claim.release()
        self._claims.clear()

    def status(self) -> dict[str, Any]:
        """For people: plain values."""
        return {
            "kind": "gpio",
            "outputs": [
                {"door": key[0], "output": key[1], "line": str(output.line), "is_unlocked": key in self._unlocked}
                for key, output in self._outputs.items()
            ],
            "failed_writes": self.failed_writes,
            "last_error": self.last_error,
        }

    def _lock(self, key: tuple[str, str]) -> bool:
        self._timers.pop(key, None)
        if self._set(key, False):
            return True
        if key in self._claims:  # nobody else would try again
            self._timers[key] = asyncio.get_running_loop().call_later(LOCK_AGAIN_S, self._lock, key)
        return False

    def _set(self, key: tuple[str, str], is_unlocked: bool) -> bool:
        is_energised = is_unlocked != self._outputs[key].fail_safe
        if key not in self._claims:
            self.failed_writes += 1
            return False
        try:
            self._claims[key].set_active(is_energised)
        except GpioError as error:
            self.failed_writes += 1
            self.last_error = str(error)
            if key not in self._failing:
                self._failing.add(key)
                self._deliver(LineAlarm(key[0], f"output {key[1]}: {error}"))
            return False
        self._failing.discard(key)
        (self._unlocked.add if is_unlocked else self._unlocked.discard)(key)
        return True

    def _stop_timer(self, key: tuple[str, str]) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
