"""What a released output does, read from a machine's /sys and /proc as Raspberry Pis have them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge.lines.gpio import GpioLine, line_at
from edge.lines.released import released_outputs, resting_trouble

ROOT = Path(__file__).resolve().parents[2]
PI_4 = b"raspberrypi,4-model-b\0brcm,bcm2711\0"
PI_5 = b"raspberrypi,5-model-b\0brcm,bcm2712\0"


def machine(root: Path, compatible: bytes, **parameters: str) -> Path:
    """A root with a device tree and drivers' parameters, `driver__parameter="Y"`."""
    (root / "proc/device-tree").mkdir(parents=True)
    (root / "proc/device-tree/compatible").write_bytes(compatible)
    for name, value in parameters.items():
        driver, _, parameter = name.partition("__")
        folder = root / "sys/module" / driver / "parameters"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / parameter).write_text(value + "\n")
    return root


@pytest.mark.parametrize(
    ("compatible", "parameters", "is_kept"),
    [
        (PI_4, {"pinctrl_bcm2835__persist_gpio_outputs": "Y"}, True),
        (PI_4, {"pinctrl_bcm2835__persist_gpio_outputs": "N"}, False),
        (PI_5, {"pinctrl_rp1__persist_gpio_outputs": "N", "pinctrl_bcm2835__persist_gpio_outputs": "Y"}, False),
        (PI_5, {"pinctrl_rp1__persist_gpio_outputs": "Y", "pinctrl_bcm2835__persist_gpio_outputs": "N"}, True),
        (PI_4, {"pinctrl_bcm2835__strict_gpiod": "Y"}, False),
        (PI_4, {"pinctrl_bcm2835__strict_gpiod": "N"}, True),
        (PI_4, {}, None),
        (b"vendor,board\0", {"pinctrl_bcm2835__persist_gpio_outputs": "N"}, None),
    ],
)
def test_each_kind_of_machine(
    tmp_path: Path, compatible: bytes, parameters: dict[str, str], is_kept: bool | None
) -> None:
    """A Pi 4 and a Pi 5 with and without strict_gpiod, an old kernel, another board."""
    found = released_outputs(machine(tmp_path, compatible, **parameters))
    assert found.is_kept is is_kept
    assert (found.advice == "") is (is_kept is False)
    assert "\n" not in found.found + found.advice
    if is_kept:
        assert "dtparam=strict_gpiod" in found.advice
        assert "/boot/firmware/config.txt" in found.advice


def test_a_machine_without_device_tree(tmp_path: Path) -> None:
    """Nothing is claimed of a machine that is no Raspberry Pi."""
    assert released_outputs(tmp_path).is_kept is None


@pytest.mark.parametrize(
    ("number", "active_low", "fail_safe", "is_fine"),
    [
        ("17", False, False, True), ("17", True, False, False), ("GPIO17", True, False, False),
        ("4", True, False, True), ("4", False, False, False), ("8", False, False, False), ("9", False, False, True),
        ("17", True, True, True), ("relay-1", True, False, True),
    ],
)  # fmt: skip
def test_where_a_relay_rests(number: str, active_low: bool, fail_safe: bool, is_fine: bool) -> None:
    """A relay that the line's own pull energises would unlock whenever the agent does not run."""
    trouble = resting_trouble(GpioLine("gpiochip0", number, active_low), fail_safe)
    assert (trouble == "") is is_fine
    if not is_fine:
        assert "config.txt" in trouble


@pytest.mark.parametrize("target", ["gpio:gpiochip0", "gpio::17", "gpio:gpiochip0:", "osdp:r:1", "simulated", ""])
def test_what_is_no_line(target: str) -> None:
    """A target that names no chip or no line."""
    with pytest.raises(ValueError):
        line_at(target)


def test_how_a_line_is_written() -> None:
    """By offset, by name, with a chip's path or label."""
    assert line_at("gpio:gpiochip0:17") == ("gpiochip0", "17")
    assert line_at("gpio:pinctrl-rp1:GPIO17") == ("pinctrl-rp1", "GPIO17")
    assert line_at("gpio:/dev/gpiochip4:17") == ("/dev/gpiochip4", "17")


def test_gpiod_is_needed_only_for_a_line() -> None:
    """Without the package everything imports; the first line that is claimed says what to install."""
    program = (
        "import sys; sys.modules['gpiod'] = None\n"
        "from edge.lines import gpio, lights, pulse_lines, relays, released, switches\n"
        "try: gpio.claim_output(gpio.GpioLine('gpiochip0', '17'), False)\n"
        "except gpio.GpioError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout == "GPIO gpiochip0:17: needs the package gpiod; install vantail[pi]\n", done.stderr


def test_one_file_names_gpiod() -> None:
    """In edge/ nothing but edge/lines/gpio.py imports it."""
    naming = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "edge").rglob("*.py")
        if re.search(r"^\s*(import|from) gpiod", path.read_text(), re.MULTILINE)
    ]
    assert naming == ["edge/lines/gpio.py"]
