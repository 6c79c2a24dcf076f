"""A caller's number as the network shows it, to E.164 digits: plain rules, one row a country that differs.

TS 24.008, 10.5.4.7 (type of number), ITU-T E.164, 6.2 (at most 15 digits) and E.123 (prefixes are not part of it).
"""

import re

INTERNATIONAL, NATIONAL, UNKNOWN = 1, 2, 0  # type of number: bits 5-7 of <type>; 145 is international, 129 unknown
_MOST_DIGITS = 15
_LEAST_DIGITS = 8  # less is a service's short code, which nobody is known by
_DIGITS = re.compile(r"\+?[0-9]{1,20}", re.ASCII)

# Country code → (what a caller dials before a number of his own country, before one of another). Others: "0", "00".
_PREFIXES = {
    "1": ("1", "011"), "7": ("8", "810"), "30": ("", "00"), "34": ("", "00"), "36": ("06", "00"), "39": ("", "00"),
    "45": ("", "00"), "47": ("", "00"), "48": ("", "00"), "52": ("", "00"), "61": ("0", "0011"), "65": ("", "000"),
    "81": ("0", "010"), "351": ("", "00"), "352": ("", "00"), "354": ("", "00"), "356": ("", "00"), "371": ("", "00"),
    "372": ("", "00"), "376": ("", "00"), "377": ("", "00"), "378": ("", "00"), "379": ("", "00"), "420": ("", "00"),
    "852": ("", "001"),
}  # fmt: skip


def e164(shown: str, kind: int, country_code: str) -> int | None:
    """The number's E.164 digits, or None where it is no subscriber's number (short codes, letters, empty).

    `kind`: <type> of +CLIP, 129 to 255. `country_code`: the calling code of the country that the SIM is of, "33".
    """
    if not _DIGITS.fullmatch(shown):
        return None
    type_of_number = kind >> 4 & 7
    trunk, foreign = _PREFIXES.get(country_code, ("0", "00"))
    digits = shown.removeprefix("+")
    if shown.startswith("+") or type_of_number == INTERNATIONAL:
        digits = digits.removeprefix("00")
    elif type_of_number not in (UNKNOWN, NATIONAL):
        return None
    elif type_of_number == UNKNOWN and digits.startswith(foreign):
        digits = digits[len(foreign) :]
    else:
        digits = country_code + digits.removeprefix(trunk)
    usable = _LEAST_DIGITS <= len(digits) <= _MOST_DIGITS and not digits.startswith("0")
    return int(digits) if usable else None


def check_country_code(country_code: str) -> str:
    """The code itself. ValueError where it is none: 1 to 3 digits, the first not 0 (E.164, 6.2.1)."""
    if not re.fullmatch(r"[1-9][0-9]{0,2}", country_code, re.ASCII):
        raise ValueError(f"country code {country_code[:8]!r} is none: write the calling code's digits, such as '33'")
    return country_code
