"""Where a GPIO line is on the 40-pin header of a Raspberry Pi (Raspberry Pi documentation, "GPIO and the 40-pin
header"): the same on every model from the B+ on."""

PIN_OF = {
    2: 3, 3: 5, 4: 7, 14: 8, 15: 10, 17: 11, 18: 12, 27: 13, 22: 15, 23: 16, 24: 18, 10: 19, 9: 21, 25: 22,
    11: 23, 8: 24, 7: 26, 0: 27, 1: 28, 5: 29, 6: 31, 12: 32, 13: 33, 19: 35, 16: 36, 26: 37, 20: 38, 21: 40,
}  # fmt: skip
GROUND = (6, 9, 14, 20, 25, 30, 34, 39)
# The header's chip by number (first, but for the kernels of a Pi 5 before 2024, where it is gpiochip4) and by label.
_CHIPS = ("gpiochip0", "/dev/gpiochip0", "pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1")


def number_of(chip: str, line: str) -> int | None:
    """The BCM number of a line of the header's chip, by offset or by name ("GPIO17"); None for any other."""
    digits = line.removeprefix("GPIO")
    if chip not in _CHIPS or not digits.isdecimal() or int(digits) not in PIN_OF:
        return None
    return int(digits)


def described(chip: str, line: str) -> str:
    """ "GPIO 17, header pin 11", or "" where that is not known."""
    number = number_of(chip, line)
    return "" if number is None else f"GPIO {number}, header pin {PIN_OF[number]}"
