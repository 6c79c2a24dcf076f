"""Numbers, telephones, codes and names as people write them, checked and brought to one form."""

import re

import phonenumbers

from edge.residence.problems import TextError

MIN_NUMBER_DIGITS = 10
MAX_NUMBER = (1 << 64) - 1
MAX_CODE_DIGITS = 12
MAX_NAME_CHARS = 80
MAX_NOTES_CHARS = 160

_SCIENTIFIC = re.compile(r"\d+(?:[.,]\d+)?[eE][+-]?\d+", re.ASCII)
_TELEPHONE = re.compile(r"\+?[0-9][0-9 ().\-/\u00a0\u202f]*", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}", re.ASCII)
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)


def parse_number(text: str) -> str:
    """A pass number as written: decimal digits, at least 10, at most 64 bits. TextError with advice otherwise."""
    _refuse_scientific(text)
    if not (text.isascii() and text.isdigit()):
        raise TextError(f"{text!r} is no pass number: write its decimal digits only, leading zeros kept")
    if len(text) < MIN_NUMBER_DIGITS:
        raise TextError(
            f"{text!r} has {len(text)} digits: write at least {MIN_NUMBER_DIGITS}, with leading zeros as in "
            f"{text.zfill(MIN_NUMBER_DIGITS)}"
        )
    if len(text) > 40 or int(text) > MAX_NUMBER:
        raise TextError(f"{text[:40]!r} is above 64 bits: no card has such a number")
    return text


def parse_telephone(text: str, country: str) -> int:
    """The E.164 digits of a telephone number, national numbers read as of `country`. TextError otherwise."""
    _refuse_scientific(text)
    if not _TELEPHONE.fullmatch(text):
        raise TextError(f"{text!r} is no telephone number: write digits, as in 0033612345678 or +33612345678")
    digits = "+" + text[2:] if text.startswith("00") else text
    if not digits.startswith("+") and not country:
        raise TextError(f"{text!r} is a national number but the site has no country: write it as 00… or +…")
    try:
        number = phonenumbers.parse(digits, country or None)
    except phonenumbers.NumberParseException:
        raise TextError(f"{text!r} is no telephone number of any country: check it") from None
    if not phonenumbers.is_possible_number(number):
        raise TextError(f"{text!r} is no possible telephone number: it has too few or too many digits")
    return int(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:])


def parse_code(text: str) -> str:
    """A keypad code. The message never repeats it: it is a secret."""
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_CODE_DIGITS):
        raise TextError(f"a code has 1 to {MAX_CODE_DIGITS} digits and nothing else (what was written is not shown)")
    return text


def parse_name(text: str) -> str:
    """A name for people: one printable line of at most 80 characters."""
    if len(text) > MAX_NAME_CHARS:
        raise TextError(f"has {len(text)} characters, at most {MAX_NAME_CHARS} are allowed")
    if not text.isprintable():
        raise TextError(f"{text!r} has a character that cannot be printed: remove it")
    return text


def parse_notes(text: str) -> str:
    """Notes: at most 160 characters; lines may break."""
    if len(text) > MAX_NOTES_CHARS:
        raise TextError(f"has {len(text)} characters, at most {MAX_NOTES_CHARS} are allowed")
    if not all(line.replace("\t", " ").isprintable() for line in text.splitlines()):
        raise TextError("has a character that cannot be printed: remove it")
    return text


def parse_email(text: str) -> str:
    """An e-mail address, looked at only for the plainest mistakes."""
    name, at, host = text.rpartition("@")
    if not (at and name and host) or " " in text or not text.isprintable() or len(text) > 254:
        raise TextError(f"{text!r} is no e-mail address")
    return text


def parse_id(text: str) -> str:
    """An id of a door, a reader, an output: letters, digits, `_`, `.` and `-`."""
    if not _ID.fullmatch(text):
        raise TextError(
            f"{text!r} is no id: up to 40 letters, digits, '_', '.' or '-', beginning with a letter or digit"
        )
    return text


def parse_slug(text: str) -> str:
    """An id that is part of addresses: small letters, digits and `-`."""
    if not _SLUG.fullmatch(text):
        raise TextError(f"{text!r} is no short name: up to 40 small letters a-z, digits or '-'")
    return text


def _refuse_scientific(text: str) -> None:
    if _SCIENTIFIC.fullmatch(text):
        raise TextError(
            f"{text!r} is a number that a spreadsheet has rounded, its digits are lost: "
            "format the column as text, enter the number again, export again"
        )
