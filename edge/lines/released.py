"""What a GPIO output does when nobody drives it: after the agent's end, and before its start.

Raspberry Pi's kernels keep a released output as it was driven last, so a strike that was unlocked when the agent died
would stay so, until they are told otherwise (`dtparam=strict_gpiod`, raspberrypi/linux pull requests 6117 and 6150,
from May 2024). Then it becomes an input again, and its pull decides.
"""

from pathlib import Path
from typing import NamedTuple

from edge.lines.gpio import GpioLine

_CONFIG = "write the line `dtparam=strict_gpiod` under [all] in /boot/firmware/config.txt, then: sudo reboot"
_TIMER = "or use a relay board with a pulse timer of its own"
_PULLED_UP = range(9)  # GPIO 0 to 8 of a Raspberry Pi's header are pulled up from power-on, the others down


class Released(NamedTuple):
    """`is_kept`: a released output stays as driven; None where that cannot be told. `advice` "" where all is well."""

    is_kept: bool | None
    found: str
    advice: str


def released_outputs(root: Path = Path("/")) -> Released:
    """Find out what this machine's kernel does with a released output. `root`: of /sys and /proc."""
    compatible = _read(root / "proc/device-tree/compatible")
    if "raspberrypi," not in compatible:
        found = "not a Raspberry Pi: what a released output does here is not known"
        return Released(None, found, f"kill the agent during a pulse and look at the relay, {_TIMER}")
    # The header of a Pi 5 is on the RP1; earlier ones have it on the main chip.
    driver = "pinctrl_rp1" if "brcm,bcm2712" in compatible else "pinctrl_bcm2835"
    parameters = root / "sys/module" / driver / "parameters"
    kept = _read(parameters / "persist_gpio_outputs").strip()
    if not kept:  # April 2024 had it the other way round
        kept = {"Y": "N", "N": "Y"}.get(_read(parameters / "strict_gpiod").strip(), "")
    if kept == "N":
        return Released(False, "a released output goes back to its pull (strict_gpiod)", "")
    if kept == "Y":
        found = "a released output stays driven: a strike would stay unlocked if the agent died during a pulse"
        return Released(True, found, f"{_CONFIG}, {_TIMER}")
    found = f"this kernel's {driver} does not say what a released output does"
    return Released(None, found, f"update the system, then {_CONFIG}, {_TIMER}")


def resting_trouble(line: GpioLine, fail_safe: bool) -> str:
    """What is wrong with a Raspberry Pi's line for a relay while nobody drives it (power-on, the agent's end), "" if
    nothing. Only lines given by offset, or by a name such as GPIO17, can be judged."""
    number = line.line.removeprefix("GPIO")
    if fail_safe or not number.isdecimal() or int(number) > 27:
        return ""
    is_high = int(number) in _PULLED_UP
    if is_high == line.active_low:
        return ""
    level, others = ("high", "9 to 27") if is_high else ("low", "0 to 8")
    return (
        f"GPIO {line} rests {level}, which energises its relay and unlocks while the agent does not run: "
        f"use GPIO {others}, or set its pull in config.txt (gpio={number}={'pd' if is_high else 'pu'})"
    )


def _read(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode("ascii", "replace")
    except OSError:
        return ""
