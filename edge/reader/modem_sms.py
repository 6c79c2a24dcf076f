"""A short message in PDU form, as +CMGR shows it: TS 23.040, 9.2.2.1 (SMS-DELIVER), TS 23.038 (alphabets).

Only in PDU form: in text form a message's own lines stand between the modem's, and one that holds
`+CLIP: "…",145` on a line of its own would ring like a caller.
"""

MOST_CHARACTERS = 160
_ESCAPE = 0x1B

# TS 23.038, 6.2.1: the default alphabet. The escape is left out when read: what follows it is shown as in this table.
GSM = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)


class PduError(ValueError):
    """Not a received message. The message says what is wrong, never what was read."""


def read(digits: str) -> tuple[str, int, str]:
    """(sender as shown, its <type>, text) of a PDU in hex digits, the service centre before it. PduError."""
    try:
        pdu = bytes.fromhex(digits)
        at = 1 + pdu[0]
        first = pdu[at]
        sender_digits, sender_type = pdu[at + 1], pdu[at + 2]
        sender_end = at + 3 + (sender_digits + 1) // 2
        alphabet = pdu[sender_end + 1]
        length = pdu[sender_end + 9]
        body = pdu[sender_end + 10 :]
    except (ValueError, IndexError):
        raise PduError("a message that is cut short or not in hex digits") from None
    if first & 3 != 0:  # TP-MTI
        raise PduError("a message that was not received: it is of another type")
    sender = _sender(pdu[at + 3 : sender_end], sender_digits, sender_type)
    return sender, sender_type, _printable(_text(body, length, alphabet, has_header=bool(first & 0x40)))


def unpack_septets(data: bytes, count: int) -> bytes:
    """`count` values of 7 bits, the first in the lowest bits of the first byte (TS 23.038, 6.1.2.1.1)."""
    bits = int.from_bytes(data, "little")
    return bytes(bits >> 7 * index & 127 for index in range(count))


def _sender(data: bytes, digits: int, kind: int) -> str:
    if kind >> 4 & 7 == 5:  # letters (TS 23.040, 9.1.2.5)
        return "".join(GSM[value] for value in unpack_septets(data, digits * 4 // 7))
    swapped = "".join(f"{byte & 15:x}{byte >> 4:x}" for byte in data)[:digits]
    return ("+" if kind >> 4 & 7 == 1 else "") + swapped


def _text(body: bytes, length: int, alphabet: int, has_header: bool) -> str:
    """TS 23.038, 4: bits 2-3 of the general groups name the alphabet; a class in the 0xF0 group has it in bit 2."""
    is_class = alphabet & 0xF0 == 0xF0
    kind = alphabet >> 2 & (1 if is_class else 3)
    header = 1 + body[0] if has_header and body else 0
    if kind == 2:
        return body[header:length].decode("utf-16-be", "replace")
    if kind != 0:
        return ""  # bytes for a program
    if length > MOST_CHARACTERS or len(body) < (length * 7 + 7) // 8:
        raise PduError("a message that is shorter than it says")
    values = unpack_septets(body, length)[-(-header * 8 // 7) :]
    return "".join(GSM[value] for value in values if value != _ESCAPE)


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)[:MOST_CHARACTERS]
