"""Folding of texts, so that a search finds "Élise" when asked for "elise", and a telephone number in any form."""

import re
import unicodedata


def fold(text: str) -> str:
    """`text` in lower case without accents, blanks made single."""
    if text.isascii():
        return " ".join(text.lower().split())
    plain = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(char for char in plain if not unicodedata.combining(char)).split())


def fold_query(text: str) -> str:
    """Like fold, and a telephone number written +44 7546 288399 or 0044 7546 288399 becomes its digits."""
    folded = fold(text)
    digits = re.sub(r"[ ().-]", "", folded)
    if re.fullmatch(r"(\+|00)\d{6,15}", digits):
        return digits.removeprefix("+").removeprefix("00")
    return folded
