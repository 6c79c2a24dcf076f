"""What a site may have only once: credentials and codes; and how well its codes are spread.

Every use is noted with its place, so that a second one names both lines. Codes are kept to compare and never shown.
"""

from collections.abc import Callable

from edge.residence.problems import WARNING, Place

# Row D5: possible codes per issued one, of one length.
WARN_BELOW = 1000
REFUSE_BELOW = 100

Report = Callable[[str, str], None]  # (message, level)


class Registry:
    """The credentials and codes of one site, as they are read."""

    def __init__(self) -> None:
        self.short_codes = False
        self._credentials: dict[tuple[str, int], Place] = {}
        self._codes: dict[str, Place] = {}
        self._issued: dict[int, int] = {}  # codes in use, by length
        self._warned: set[int] = set()
        self._duress: list[tuple[str, Report]] = []

    def take_credential(self, medium: str, number: int, place: Place, report: Report) -> None:
        """Note a badge, remote or telephone; a second one of the same medium and number is an error."""
        first = self._credentials.setdefault((medium, number), place)
        if first is not place:
            report(f"this {medium} {number:010d} is already at {first}: keep one of them", "error")

    def take_code(self, digits: str, is_in_use: bool, place: Place, report: Report) -> None:
        """Note a code; a second one, or one too many of its length, is an error."""
        first = self._codes.setdefault(digits, place)
        if first is not place:
            report(f"the same code is already at {first}: give another one", "error")
        elif is_in_use:
            self._check_space(len(digits), report)

    def take_duress(self, digits: str, report: Report) -> None:
        """Note that a code (taken already) is a duress code, for `check_duress`."""
        self._duress.append((digits, report))

    def check_duress(self) -> None:
        """Once all codes are known: a duress code must be two digits away from every other code."""
        for digits, report in self._duress:
            near = next((self._codes[one] for one in _neighbours(digits) if one in self._codes), None)
            if near is not None:
                report(f"a duress code must differ in two digits from every other code, see {near}", "error")

    def _check_space(self, length: int, report: Report) -> None:
        issued = self._issued.get(length, 0) + 1
        ratio = 10**length // issued
        if ratio < REFUSE_BELOW and not self.short_codes:
            report(
                f"of {length}-digit codes there would be only {ratio} possible ones for each one issued, at least "
                f"{REFUSE_BELOW} are asked: give longer codes, or write short_codes = true in site.toml",
                "error",
            )
            return
        self._issued[length] = issued
        if ratio < WARN_BELOW and length not in self._warned:
            self._warned.add(length)
            report(
                f"from here on, fewer than {WARN_BELOW} {length}-digit codes are possible for each one issued: "
                "longer codes are harder to guess",
                WARNING,
            )


def _neighbours(digits: str) -> list[str]:
    """Every other code that one digit changed, left out or added makes of `digits`, in a fixed order."""
    near: dict[str, None] = {}
    for i in range(len(digits)):
        near.update((digits[:i] + digit + digits[i + 1 :], None) for digit in "0123456789")
        near[digits[:i] + digits[i + 1 :]] = None
    for i in range(len(digits) + 1):
        near.update((digits[:i] + digit + digits[i:], None) for digit in "0123456789")
    near.pop(digits, None)
    return list(near)
