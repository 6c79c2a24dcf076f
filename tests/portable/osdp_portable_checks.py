"""The OSDP codec's checks that also run on MicroPython: no pytest, no typing, one line a check.

Run as a script with the project's root as its argument; prints "ok" and the number of checks.
"""
# ruff: noqa: UP031

import sys

sys.path.insert(0, sys.argv[1])

from edge.reader.osdp import facts, frame, key_change, link, messages, secure

try:
    import cryptolib

    def aes(key):
        return cryptolib.aes(key, 1).encrypt, cryptolib.aes(key, 1).decrypt
except ImportError:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    def aes(key):
        cipher = Cipher(algorithms.AES(key), modes.ECB())
        return cipher.encryptor().update, cipher.decryptor().update


SCBK = b"\x3f\x0a\x51\xc7\xe2\x88\x6d\x14\x9b\x2e\xf5\xa0\x77\x46\xd9\x13"
CARD = messages.Raw(0, 1, 26, b"\x12\x34\x56\x40")
checks = 0


def check(holds, what):
    global checks
    checks += 1
    if not holds:
        raise AssertionError(what)


def from_hex(text):
    return bytes(int(text[at : at + 2], 16) for at in range(0, len(text), 2))


def only(data):
    frames = frame.Framer().feed(data)
    check(len(frames) == 1, "one frame")
    return frames[0]


def check_frames():
    """Annex E, one byte at a time, noise, and a wrong bit."""
    check(frame.encode(0x7F, 0, 0x6E, from_hex("0080250000")) == from_hex("537f0d00046e00802500006e38"), "CRC")
    check(frame.encode(0, 0, 0x61, b"\x00", b"", False, False) == from_hex("5300080000610044"), "checksum")
    ack = from_hex("53e508000640b0f0")
    framer = frame.Framer()
    found = []
    for byte in b"\x00\x53\xff" + ack + ack:
        found.extend(framer.feed(bytes((byte,))))
    check([each.raw for each in found] == [ack, ack], "in single bytes, after noise")
    check(frame.Framer().feed(ack[:-1] + b"\xf1") == [], "wrong CRC")


def check_messages():
    """Literals both ways, and what does not fit."""
    code, data = messages.pack_command(messages.Led(0, 0, 2, 10, 0, 2, 0, 20, 0, 0, 0, 0, 0))
    check((code, data) == (0x69, from_hex("0000020a00020014000000000000")), "LED")
    check(messages.unpack_reply(0x50, from_hex("00011a0012345640")) == CARD, "card")
    for code, data in ((0x50, b"\x00\x01\x1a\x00\x12"), (0x99, b""), (0x40, b"\x00")):
        try:
            messages.unpack_reply(code, data)
            check(False, "wrong data was read")
        except messages.MessageError:
            check(True, "")


def check_annex_e():
    session = secure.Session(aes, SCBK, from_hex("b0b1b2b3b4b5b6b7"))
    session._setup(aes, secure.SCBK_D, from_hex("b0b1b2b3b4b5b6b7"), frame.crc16)
    random = from_hex("a0a1a2a3a4a5a6a7")
    check(session.client_cryptogram(random) == from_hex("fde5d2f428ec16312471ea3c02bd7796"), "client cryptogram")
    cryptogram = session.server_cryptogram(random)
    check(cryptogram == from_hex("26d3356e07762d262801fc8e6665a891"), "server cryptogram")
    check(session.start(cryptogram) == from_hex("b2a30057eb98ba2229ec1f875662b524"), "RMAC-I")


def check_sealed_frame():
    """The bytes that CPython makes are the bytes that MicroPython makes, and they open."""
    ends = []
    for _ in range(2):
        session = secure.Session(aes, SCBK, b"12345678")
        session.start(session.server_cryptogram(b"87654321"))
        ends.append(session)
    sealed = ends[0].seal(1, 2, 0x69, b"hello, reader, hello")
    print("sealed", "".join("%02x" % byte for byte in sealed))
    check(ends[1].open(only(sealed)) == (0x69, b"hello, reader, hello"), "opens")
    check(ends[0].open(only(ends[1].seal(1, 2, 0x40, b"", True))) == (0x40, b""), "the answer opens")
    for key in (secure.SCBK_D, bytes(16), bytes(range(16))):
        check(secure.weakness(key) != "", "weak key")
    check(secure.weakness(SCBK) == "", "good key")


NEW_KEY = b"\xc3\x51\x9a\x07\xe8\x64\x2f\xbd\x10\x95\x3e\xcc\x77\xa4\x08\x1f"


class Reader:
    """The other end of a link, for a handshake, a card, and a new key. scbk None: in install mode."""

    def __init__(self, scbk):
        self.queue = [messages.Ack(), CARD]
        self.session = None
        self.scbk = scbk

    def answer(self, command):
        asked = only(command)
        mark = bytes((0 if self.scbk is None else 1,))
        if asked.code == messages.CHLNG:
            self.session = secure.Session(aes, SCBK, asked.data)
            self.session._setup(aes, self.scbk or secure.SCBK_D, asked.data, frame.crc16)
            value = messages.ClientCryptogram(bytes(8), b"87654321", self.session.client_cryptogram(b"87654321"))
            return self._plain(asked, value, bytes((secure.SCS_12,)) + mark)
        if asked.code == messages.SCRYPT:
            return self._plain(asked, messages.InitialMac(self.session.start(asked.data)), bytes((secure.SCS_14, 1)))
        if asked.code == messages.ID:
            return self._plain(asked, messages.Identity(b"\xca\xfe\x00", 2, 1, 1, b"\x01\x02\x03"), b"")
        if asked.code == messages.CAP:
            return self._plain(asked, messages.Capabilities(b"\x09\x01\x00"), b"")
        code, data = self.session.open(asked)
        value = messages.LocalStatus(0, 0)
        if code == messages.KEYSET:
            self.scbk, value = data[2:], messages.Ack()
        elif code == messages.POLL:
            value = self.queue.pop(0) if self.queue else messages.Ack()
        code, data = messages.pack_reply(value)
        return self.session.seal(1, asked.sequence, code, data, True)

    def _plain(self, asked, value, security):
        code, data = messages.pack_reply(value)
        return frame.encode(1, asked.sequence, code, data, security, True)


def check_link():
    """From nothing to a secure card; then silence."""
    panel = link.Link(1, SCBK, aes, lambda count: b"12345678"[:count])
    reader = Reader(SCBK)
    happened = []
    for step in range(7):
        happened.extend(panel.received(only(reader.answer(panel.next_command(step))), step))
    check(panel.is_secure, "secure")
    check(happened == [facts.Online("vendor cafe00 model 2.1 firmware 1.2.3"), facts.Card(26, CARD.data, True)], "card")
    for _ in range(4):
        panel.next_command(10)
        happened = panel.timed_out(10)
    check(happened == (facts.Offline("no answer"),), "silence")


def check_key_change():
    """A pairing in its window, a rekey, and a window that closes."""
    panel = link.Link(1, None, aes, lambda count: b"12345678"[:count])
    reader = Reader(None)
    panel.open_pairing(SCBK, 60000, 0)
    check(converse(panel, reader, 0) == ["Paired", "Online", "Card"], "paired")
    panel.rekey(NEW_KEY)
    check(converse(panel, reader, 1000) == ["Paired", "Online"], "new key")
    check(reader.scbk == NEW_KEY and panel.keys.ours == (NEW_KEY,), "the key on both ends")
    for key in (secure.SCBK_D, NEW_KEY):
        try:
            panel.rekey(key)
            check(False, "a key that must not be was taken")
        except (secure.SecureError, key_change.PairingError):
            check(True, "")
    panel = link.Link(1, None, aes, lambda count: b"12345678"[:count])
    panel.open_pairing(SCBK, 100, 0)
    check([type(each).__name__ for each in panel.expire(100)] == ["NotPaired"], "the window closes")


def converse(panel, reader, now_ms):
    happened = []
    for step in range(now_ms, now_ms + 24):
        command = panel.next_command(step)
        if command is not None:
            happened.extend(panel.received(only(reader.answer(command)), step))
    return [type(each).__name__ for each in happened]


check_frames()
check_messages()
check_annex_e()
check_sealed_frame()
check_link()
check_key_change()
print("ok", checks)
