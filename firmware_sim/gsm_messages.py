"""Short messages as a modem's store shows them: TS 23.040, 9.2.2.1 (SMS-DELIVER), TS 23.038 (alphabets)."""

_SERVICE_CENTRE = bytes.fromhex("07913396050066f0")
_RECEIVED = bytes.fromhex("62113251804000")  # 2026-11-23 15:08:04
# Characters whose code in the 7-bit default alphabet is their ASCII code; a text with others goes in 16 bits.
_SAME_CODE = set(
    "\n\r !\"#%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)  # fmt: skip


def deliver_pdu(sender: str, text: str) -> str:
    """A received message in hex digits. `sender`: "+…", or national digits."""
    digits = sender.removeprefix("+")
    kind = 0x91 if sender.startswith("+") else 0x81
    padded = digits + "f" * (len(digits) % 2)
    address = bytes.fromhex("".join(padded[at + 1] + padded[at] for at in range(0, len(padded), 2)))
    if _SAME_CODE.issuperset(text):
        alphabet, body, length = 0, _pack_septets(text.encode("ascii")), len(text)
    else:
        body = text.encode("utf-16-be")
        alphabet, length = 8, len(body)
    head = bytes((0x04, len(digits), kind)) + address + bytes((0, alphabet)) + _RECEIVED + bytes((length,))
    return (_SERVICE_CENTRE + head + body).hex().upper()


def _pack_septets(codes: bytes) -> bytes:
    """The first in the lowest bits of the first byte (TS 23.038, 6.1.2.1.1)."""
    bits = sum(code << 7 * at for at, code in enumerate(codes))
    return bits.to_bytes((len(codes) * 7 + 7) // 8, "little")
