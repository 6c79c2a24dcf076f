"""How a keypad code becomes a credential number: digits are never stored, sent to the door, or logged."""

import hashlib
import hmac


def code_number(code_key: bytes, digits: str) -> int:
    """The CODE number of keyed digits: the first 8 bytes, big-endian, of HMAC-SHA256 under the controller's key."""
    return int.from_bytes(hmac.digest(code_key, digits.encode("ascii"), hashlib.sha256)[:8], "big")
