"""The clock: its floor, what vouches for wall time, and how long to wait."""

import pytest

from edge import clock as clocks
from edge.clock import BUILD_MS, SystemClock, boot_id, ntp_synchronised
from edge.decision.model import Moment

YEAR_MS = 365 * 86_400_000


class WallDouble:
    """A double of the machine's clocks and of the kernel's word on NTP."""

    def __init__(self, monkeypatch, wall_ms, is_synchronised=False):
        self.wall_ms, self.mono_s, self.is_synchronised, self.asked = wall_ms, 100.0, is_synchronised, 0
        monkeypatch.setattr(clocks.time, "time_ns", lambda: self.wall_ms * 1_000_000)
        monkeypatch.setattr(clocks.time, "monotonic_ns", lambda: int(self.mono_s * 1e9))
        monkeypatch.setattr(clocks.time, "monotonic", lambda: self.mono_s)
        monkeypatch.setattr(clocks, "ntp_synchronised", self._answer)

    def _answer(self):
        self.asked += 1
        return self.is_synchronised

    def advance(self, seconds):
        self.wall_ms += int(seconds * 1000)
        self.mono_s += seconds


@pytest.fixture
def world(monkeypatch):
    """A machine whose clock is right, with nobody who vouches for it."""
    return WallDouble(monkeypatch, BUILD_MS + YEAR_MS)


def test_without_a_source_wall_time_is_not_trusted(world):
    """It is shown all the same, with the floor beside it."""
    assert SystemClock(has_rtc=False).moment() == Moment(100_000, BUILD_MS + YEAR_MS, False, BUILD_MS)


def test_declared_rtc_is_a_source(world):
    """`rtc = true` vouches from the first moment on."""
    assert SystemClock(has_rtc=True).moment().trusted


def test_ntp_is_a_source_once_the_kernel_says_so(world):
    """Asked again until then, not more often than once a second, and never again afterwards."""
    clock = SystemClock(has_rtc=False)
    assert not clock.moment().trusted
    world.is_synchronised = True
    assert not clock.moment().trusted
    assert world.asked == 1
    world.advance(1.5)
    assert clock.moment().trusted
    world.is_synchronised = False
    world.advance(1000)
    assert clock.moment().trusted  # NTP may be away for months: trust lasts as long as the machine runs
    assert world.asked == 2


def test_wall_time_never_runs_below_the_floor(world):
    """A dead battery's 1970 shows the floor, and is not trusted whatever vouches for it."""
    world.wall_ms = 0
    clock = SystemClock(has_rtc=True)
    assert clock.moment() == Moment(100_000, BUILD_MS, False, BUILD_MS)
    clock.raise_floor(BUILD_MS + 5)
    assert clock.moment().utc_ms == BUILD_MS + 5


def test_floor_only_rises(world):
    """An older event lowers nothing."""
    clock = SystemClock(has_rtc=True)
    clock.raise_floor(BUILD_MS + 100)
    clock.raise_floor(BUILD_MS + 50)
    assert clock.moment().floor_ms == BUILD_MS + 100


def test_clock_stepped_back_far_is_trusted_no_longer(world):
    """One wild source: a year back is below what was recorded, so schedules follow the site's rule."""
    clock = SystemClock(has_rtc=True)
    clock.raise_floor(world.wall_ms)
    assert clock.moment().trusted
    world.wall_ms -= YEAR_MS
    moment = clock.moment()
    assert not moment.trusted
    assert moment.utc_ms == moment.floor_ms


def test_small_correction_backwards_stands_still_and_stays_trusted(world):
    """NTP takes a second back: time stands at the floor for it and is believed."""
    clock = SystemClock(has_rtc=True)
    at_ms = world.wall_ms
    clock.raise_floor(at_ms)
    world.wall_ms -= 1000
    moment = clock.moment()
    assert moment.trusted
    assert moment.utc_ms == at_ms


def test_monotonic_time_knows_nothing_of_wall_time(world):
    """Durations follow it: ten years on the wall move it not at all."""
    clock = SystemClock(has_rtc=True)
    before = clock.moment().mono_ms
    for step in (10 * YEAR_MS, -20 * YEAR_MS):
        world.wall_ms += step
        assert clock.moment().mono_ms == before


def test_waiting_is_bounded(world):
    """Until the deadline, not beyond half a minute (wall time may be stepped), and never less than nothing."""
    clock = SystemClock(has_rtc=True)
    assert clock.wait_s(None) == SystemClock.LONGEST_WAIT_S
    assert clock.wait_s(102_000) == pytest.approx(2.0)
    assert clock.wait_s(99_000) == 0
    assert clock.wait_s(10_000_000) == SystemClock.LONGEST_WAIT_S


def test_the_kernel_can_be_asked():
    """The real one answers yes or no, and says which boot this is."""
    assert ntp_synchronised() in (True, False)
    assert len(boot_id()) == 36
