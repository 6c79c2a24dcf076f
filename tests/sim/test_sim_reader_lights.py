"""What a simulated reader shows, sounds and switches, as functions of time."""

from edge.decision import indications
from firmware_sim.reader_lights import Buzzer, Light, Output


def led(temporary: bool, control_code: int, on: int, off: int, on_count: int, off_count: int, timer: int) -> dict:
    command = {"temporary": temporary, "control_code": control_code, "on_color": on, "off_color": off}
    return {**command, "on_count": on_count, "off_count": off_count, "timer_count": timer}


def test_light_is_dark_at_first() -> None:
    """A reader that was told nothing is dark."""
    assert Light().color(0) == indications.BLACK


def test_temporary_light_hides_the_permanent_one_for_its_time() -> None:
    """A temporary blink shows for its time and then the permanent colour is back, changed meanwhile or not."""
    light = Light()
    light.command(led(False, 1, indications.RED, indications.RED, 1, 0, 0), 0)
    assert light.color(999) == indications.RED
    light.command(led(True, 2, indications.GREEN, indications.BLACK, 2, 3, 10), 1000)
    seen = [light.color(at_ms) for at_ms in (1000, 1199, 1200, 1499, 1500, 1999, 2000)]
    green, black, red = indications.GREEN, indications.BLACK, indications.RED
    assert seen == [green, green, black, black, green, black, red]
    light.command(led(False, 1, indications.AMBER, indications.AMBER, 1, 0, 0), 1500)
    assert light.color(1550) == green
    assert light.color(2000) == indications.AMBER


def test_temporary_light_is_cancelled() -> None:
    """Cancelled, a temporary light shows the permanent one at once."""
    light = Light()
    light.command(led(False, 1, indications.RED, indications.RED, 1, 0, 0), 0)
    light.command(led(True, 2, indications.GREEN, indications.GREEN, 1, 0, 100), 0)
    light.command(led(True, 1, 0, 0, 0, 0, 0), 500)
    assert light.color(500) == indications.RED


def test_buzzer_sounds_so_many_times() -> None:
    """Three tones of 100 ms, 200 ms apart, then silence; with 0 times it goes on until silenced."""
    buzzer = Buzzer()
    buzzer.command({"control_code": 2, "on_count": 1, "off_count": 2, "rep_count": 3}, 0)
    assert [buzzer.is_sounding(at_ms) for at_ms in (0, 99, 100, 300, 600, 699, 700, 900)] == [
        True, True, False, True, True, True, False, False,
    ]  # fmt: skip
    buzzer.command({"control_code": 2, "on_count": 1, "off_count": 2, "rep_count": 0}, 0)
    assert buzzer.is_sounding(300_000)
    buzzer.command({"control_code": 1, "on_count": 0, "off_count": 0, "rep_count": 0}, 300_000)
    assert not buzzer.is_sounding(300_000)


def test_output_returns_after_its_timer() -> None:
    """A timed output returns to its lasting state; code 2 ends a timer, code 4 waits for its end."""
    output = Output()
    output.command({"control_code": 5, "timer_count": 50}, 0)
    assert [output.is_on(at_ms) for at_ms in (0, 4999, 5000)] == [True, True, False]
    output.command({"control_code": 6, "timer_count": 10}, 6000)
    output.command({"control_code": 4, "timer_count": 0}, 6000)
    assert [output.is_on(at_ms) for at_ms in (6000, 6999, 7000)] == [False, False, True]
    output.command({"control_code": 6, "timer_count": 10}, 8000)
    output.command({"control_code": 2, "timer_count": 0}, 8100)
    assert output.is_on(8100)
