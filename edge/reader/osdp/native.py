"""The functions that link, session and framer take as arguments, in C."""

import binascii
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def aes_ecb(key: bytes) -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    """AES-128-ECB as (encrypt, decrypt). The contexts are kept: making one costs four times using it."""
    cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 (chained by hand, annex D)
    return cipher.encryptor().update, cipher.decryptor().update


def crc16(data: bytes) -> int:
    """`frame.crc16`, in C."""
    return binascii.crc_hqx(data, 0x1D0F)
