"""The OSDP secure channel: session keys, cryptograms, rolling MAC, encrypted data.

Portable: runs on CPython and MicroPython. AES is passed in: `aes(key)` gives two functions, each from a multiple
of 16 bytes to as many, AES-128 in ECB mode: (encrypt, decrypt). So are random bytes.
Source: SIA OSDP 2.2, annex D; worked example in annex E.
"""

from . import frame

SCS_11, SCS_12, SCS_13, SCS_14 = (
    0x11,
    0x12,
    0x13,
    0x14,
)  # challenge, client cryptogram, server cryptogram, RMAC-I
SCS_15, SCS_16 = 0x15, 0x16  # command, reply: MAC, nothing to encrypt
SCS_17, SCS_18 = 0x17, 0x18  # command, reply: MAC and encrypted data
KEY_IS_DEFAULT, KEY_IS_OURS = 0, 1  # block data of SCS_11 to SCS_13: the published default key, or SCBK
SUCCESS = 1  # block data of SCS_14

SCBK_D = bytes(range(0x30, 0x40))  # the key that is printed in the specification
_FEWEST_VALUES = 6  # fewer different bytes than this do not happen in 16 random ones (1 in 10^27)
_BLOCK = 16
_END = b"\x80"
_ALL_ONES = (1 << 128) - 1


class SecureError(ValueError):
    """The other side did not prove that it has the key. The message says by what, in one of a few fixed ways (what
    it sent does not get into it); never any key."""


def weakness(key):
    """Why a base key must not be used, in a few words, or "" where nothing speaks against it."""
    if len(key) != _BLOCK:
        return "it has %d bytes, not 16" % len(key)
    if bytes(key) == SCBK_D:
        return "it is the default key printed in the specification"
    step = (key[1] - key[0]) & 0xFF
    if all((key[i + 1] - key[i]) & 0xFF == step for i in range(_BLOCK - 1)):
        return "its bytes are all the same" if step == 0 else "its bytes rise or fall by a fixed step"
    if len(set(key)) < _FEWEST_VALUES:
        return "it has too few different bytes"
    return ""


def is_equal(left, right):
    """Whether two byte strings are equal, in a time that does not tell where they differ."""
    if len(left) != len(right):
        return False
    difference = 0
    for i in range(len(left)):
        difference |= left[i] ^ right[i]
    return difference == 0


class Session:
    """The keys and the rolling state of one secure channel, of either end.

    `open` and `seal` go by the direction of the frame, so the control panel seals commands and opens replies; a
    test's reader does the reverse with the same class. Nothing is secured before `start`.
    """

    def __init__(self, aes, scbk, cp_random, crc=frame.crc16):
        """Derives the session keys (annex D) from the base key and the challenge's 8 bytes."""
        why = weakness(scbk)
        if why:
            raise SecureError("the base key is refused: " + why)
        self._setup(aes, scbk, cp_random, crc)

    def _setup(self, aes, scbk, cp_random, crc):
        base = aes(scbk)[0]
        tail = cp_random[:6] + bytes(8)
        self._encrypt, self._decrypt = aes(base(b"\x01\x82" + tail))
        self._mac1 = aes(base(b"\x01\x01" + tail))[0]
        self._mac2 = aes(base(b"\x01\x02" + tail))[0]
        self._cp_random = bytes(cp_random)
        self._crc = crc
        self._last_mac = {False: None, True: None}  # of a command, of a reply; 16 bytes each

    def client_cryptogram(self, pd_random):
        """What the reader must answer to the challenge (annex D): 16 bytes."""
        return self._encrypt(self._cp_random + pd_random)

    def server_cryptogram(self, pd_random):
        """What we answer to that (annex D): 16 bytes."""
        return self._encrypt(pd_random + self._cp_random)

    def start(self, server_cryptogram):
        """The reader's first MAC, RMAC-I (annex D): 16 bytes; from here on frames can be sealed and opened."""
        mac = self._mac2(self._mac1(server_cryptogram))
        self._last_mac[True] = mac
        return mac

    def seal(self, address, sequence, code, data=b"", is_reply=False):
        """The bytes of a secured frame (annex D): data encrypted, MAC appended."""
        previous = self._previous(is_reply)
        if data:
            block = SCS_18 if is_reply else SCS_17
            data = self._encrypt_data(data, previous)
        else:
            block = SCS_16 if is_reply else SCS_15
        out = frame.begin(address, sequence, bytes((block,)), code, data, frame.MAC_SIZE, is_reply)
        mac = self._mac(out, previous)
        self._last_mac[is_reply] = mac
        out.extend(mac[: frame.MAC_SIZE])
        return frame.finish(out, self._crc)

    def open(self, received):
        """(code, data) of a secured frame. SecureError where it is not one of this session, in this order."""
        is_reply = received.is_reply
        previous = self._previous(is_reply)
        block = received.security[0] if received.security else 0
        if block not in ((SCS_16, SCS_18) if is_reply else (SCS_15, SCS_17)):
            raise SecureError("another security block where a secured frame belongs")
        if len(received.data) < frame.MAC_SIZE:
            raise SecureError("no room for a MAC")
        end = len(received.raw) - (2 if received.uses_crc else 1) - frame.MAC_SIZE
        mac = self._mac(received.raw[:end], previous)
        if not is_equal(mac[: frame.MAC_SIZE], received.raw[end : end + frame.MAC_SIZE]):
            raise SecureError("wrong MAC")
        data = received.data[: -frame.MAC_SIZE]
        if block in (SCS_17, SCS_18):
            data = self._decrypt_data(data, previous)
        self._last_mac[is_reply] = mac
        return received.code, data

    def _previous(self, is_reply):
        """The other side's last MAC, which every MAC and encryption starts from."""
        previous = self._last_mac[not is_reply]
        if previous is None:
            raise SecureError("the session has not begun")
        return previous

    def _mac(self, message, previous):
        """Annex D: CBC with S-MAC1, the last block with S-MAC2, started from the other side's last MAC."""
        message = bytes(message)
        if len(message) % _BLOCK:
            message += _END + bytes(_BLOCK - 1 - len(message) % _BLOCK)
        chain = previous
        last = len(message) - _BLOCK
        for at in range(0, last, _BLOCK):
            chain = self._mac1(_xor(chain, message[at : at + _BLOCK]))
        return self._mac2(_xor(chain, message[last:]))

    def _encrypt_data(self, data, previous):
        """Annex D: CBC with S-ENC from the complement of the other side's last MAC; padded always."""
        data = data + _END + bytes(_BLOCK - 1 - len(data) % _BLOCK)
        chain = _complement(previous)
        out = bytearray()
        for at in range(0, len(data), _BLOCK):
            chain = self._encrypt(_xor(chain, data[at : at + _BLOCK]))
            out.extend(chain)
        return bytes(out)

    def _decrypt_data(self, data, previous):
        if not data or len(data) % _BLOCK:
            raise SecureError("encrypted data of no whole blocks")
        plain = self._decrypt(data)
        chain = _complement(previous) + data[:-_BLOCK]
        plain = _xor(plain, chain)
        end = len(plain) - 1
        while end > len(plain) - _BLOCK and plain[end] == 0:
            end -= 1
        if plain[end] != _END[0]:
            raise SecureError("wrong padding")
        return plain[:end]


class DefaultKeySession(Session):
    """A session under the published default key (annex D.1). It proves nothing about the reader: only a pairing
    window, opened at the site for one reader, makes one, to send KEYSET and nothing else."""

    def __init__(self, aes, cp_random, crc=frame.crc16):
        self._setup(aes, SCBK_D, cp_random, crc)


def _xor(left, right):
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(len(left), "big")


def _complement(block):
    return (int.from_bytes(block, "big") ^ _ALL_ONES).to_bytes(_BLOCK, "big")
