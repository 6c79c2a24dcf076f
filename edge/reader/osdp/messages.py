"""OSDP commands and replies, declared: code, value type, fields. One packer and one unpacker read the tables.

Portable: runs on CPython and MicroPython. Source: SIA OSDP 2.2, section 6 (commands) and 7 (replies); numbers of
more than one byte are little-endian there. Times called `_100ms` count tenths of a second.
"""

import struct
from collections import namedtuple

# Field kinds: struct's letters for numbers and fixed bytes, and
U8 = "B"
U16 = "H"
U32 = "I"
REST = "*"  # bytes to the end
COUNTED = "+"  # bytes behind a one-byte count
BITS = "#"  # a two-byte count of bits, then as many bytes as hold them (section 7.10)


class MessageError(ValueError):
    """Data that is no such message. The message names the code and what is wrong."""


def _message(name, fields):
    return namedtuple(name, fields)


# --- commands, section 6 ----------------------------------------------------------------------------------------

Poll = _message("Poll", ())
AskId = _message("AskId", ("kind",))
AskCapabilities = _message("AskCapabilities", ("kind",))
AskLocalStatus = _message("AskLocalStatus", ())
AskInputs = _message("AskInputs", ())
AskOutputs = _message("AskOutputs", ())
AskReaders = _message("AskReaders", ())
Output = _message("Output", ("output", "control", "timer_100ms"))
Led = _message(
    "Led",
    (
        "reader", "led", "passing", "on_100ms", "off_100ms", "on_color", "off_color", "timer_100ms",
        "lasting", "lasting_on_100ms", "lasting_off_100ms", "lasting_on_color", "lasting_off_color",
    ),
)  # fmt: skip
Buzzer = _message("Buzzer", ("reader", "tone", "on_100ms", "off_100ms", "count"))
Text = _message("Text", ("reader", "control", "seconds", "row", "column", "text"))
SetCommunication = _message("SetCommunication", ("address", "baud"))
SetKey = _message("SetKey", ("kind", "key"))
Challenge = _message("Challenge", ("random",))
ServerCryptogram = _message("ServerCryptogram", ("cryptogram",))

# --- replies, section 7 -----------------------------------------------------------------------------------------

Ack = _message("Ack", ())
Nak = _message("Nak", ("kind", "detail"))
Identity = _message("Identity", ("vendor", "model", "version", "serial", "firmware"))
Capabilities = _message("Capabilities", ("raw",))
LocalStatus = _message("LocalStatus", ("tamper", "power"))
Inputs = _message("Inputs", ("states",))
Outputs = _message("Outputs", ("states",))
Readers = _message("Readers", ("states",))
Raw = _message("Raw", ("reader", "format", "bits", "data"))
Formatted = _message("Formatted", ("reader", "direction", "text"))
Keypad = _message("Keypad", ("reader", "keys"))
Communication = _message("Communication", ("address", "baud"))
ClientCryptogram = _message("ClientCryptogram", ("client_id", "random", "cryptogram"))
InitialMac = _message("InitialMac", ("mac",))
Busy = _message("Busy", ())

COMMANDS = {
    0x60: (Poll, ()),
    0x61: (AskId, (U8,)),
    0x62: (AskCapabilities, (U8,)),
    0x64: (AskLocalStatus, ()),
    0x65: (AskInputs, ()),
    0x66: (AskOutputs, ()),
    0x67: (AskReaders, ()),
    0x68: (Output, (U8, U8, U16)),
    0x69: (Led, (U8, U8, U8, U8, U8, U8, U8, U16, U8, U8, U8, U8, U8)),
    0x6A: (Buzzer, (U8, U8, U8, U8, U8)),
    0x6B: (Text, (U8, U8, U8, U8, U8, COUNTED)),
    0x6E: (SetCommunication, (U8, U32)),
    0x75: (SetKey, (U8, COUNTED)),
    0x76: (Challenge, ("8s",)),
    0x77: (ServerCryptogram, ("16s",)),
}
REPLIES = {
    0x40: (Ack, ()),
    0x41: (Nak, (U8, REST)),
    0x45: (Identity, ("3s", U8, U8, U32, "3s")),
    0x46: (Capabilities, (REST,)),
    0x48: (LocalStatus, (U8, U8)),
    0x49: (Inputs, (REST,)),
    0x4A: (Outputs, (REST,)),
    0x4B: (Readers, (REST,)),
    0x50: (Raw, (U8, U8, BITS)),
    0x51: (Formatted, (U8, U8, COUNTED)),
    0x53: (Keypad, (U8, COUNTED)),
    0x54: (Communication, (U8, U32)),
    0x76: (ClientCryptogram, ("8s", "8s", "16s")),
    0x78: (InitialMac, ("16s",)),
    0x79: (Busy, ()),
}
POLL, ID, CAP, LSTAT, ISTAT, COMSET, CHLNG, SCRYPT, KEYSET = (
    0x60, 0x61, 0x62, 0x64, 0x65, 0x6E, 0x76, 0x77, 0x75,
)  # fmt: skip
ACK, NAK, CCRYPT, RMAC_I, BUSY = 0x40, 0x41, 0x76, 0x78, 0x79

# Reasons of a NAK (section 7).
(
    NAK_CHECK,
    NAK_LENGTH,
    NAK_UNKNOWN,
    NAK_SEQUENCE,
    NAK_SECURITY_BLOCK,
    NAK_SECURITY,
    NAK_BIO,
    NAK_BIO_FORMAT,
    NAK_RECORD,
) = range(1, 10)
NAK_WORDS = {
    NAK_CHECK: "check characters wrong", NAK_LENGTH: "command length wrong", NAK_UNKNOWN: "command unknown",
    NAK_SEQUENCE: "sequence number wrong", NAK_SECURITY_BLOCK: "security block not supported",
    NAK_SECURITY: "secure channel needed", NAK_BIO: "biometric type unknown",
    NAK_BIO_FORMAT: "biometric format unknown", NAK_RECORD: "command cannot be carried out",
}  # fmt: skip

# Function codes of a capabilities reply (annex B).
CAP_INPUTS, CAP_LED, CAP_SOUND, CAP_SECURITY = 1, 4, 5, 9

KEY_IS_SCBK = 1  # kind of a KEYSET (section 6)

# Control codes of the commands that move something (section 6).
OUTPUT_OFF, OUTPUT_ON, OUTPUT_TIMED = 1, 2, 5  # 1, 2 end a running timer; 5 switches on for a time
LED_KEEP, LED_CANCEL, LED_PASSING, LED_LASTING = 0, 1, 2, 1
TONE_OFF, TONE = 1, 2
TEXT_LASTING, TEXT_PASSING = 1, 3  # without wrapping

# Keys of a keypad reply that are no digits (section 7).
KEY_CLEAR = 0x7F  # printed *
KEY_ENTER = 0x0D  # printed #

_COMMAND_CODE = {COMMANDS[code][0]: code for code in COMMANDS}
_REPLY_CODE = {REPLIES[code][0]: code for code in REPLIES}


def pack_command(message):
    """(code, data) of a command's value. MessageError where a field does not fit."""
    code = _COMMAND_CODE[type(message)]
    return code, _pack(code, COMMANDS[code][1], message)


def pack_reply(message):
    """(code, data) of a reply's value. MessageError where a field does not fit."""
    code = _REPLY_CODE[type(message)]
    return code, _pack(code, REPLIES[code][1], message)


def unpack_command(code, data):
    """The value of a command. MessageError where it is none of COMMANDS, or not exactly one."""
    return _unpack(COMMANDS, code, data)


def unpack_reply(code, data):
    """The value of a reply. MessageError where it is none of REPLIES, or not exactly one."""
    return _unpack(REPLIES, code, data)


def capability(capabilities, function):
    """(compliance level, number of items) of a function of a Capabilities reply, or None (annex B)."""
    raw = capabilities.raw
    for at in range(0, len(raw) - 2, 3):
        if raw[at] == function:
            return raw[at + 1], raw[at + 2]
    return None


def _pack(code, kinds, message):
    out = bytearray()
    at = 0
    for kind in kinds:
        value = message[at]
        if kind == BITS:
            out.extend(struct.pack("<H", value))
            at += 1
            value = message[at]
            if len(value) != (message[at - 1] + 7) // 8:
                raise MessageError("message 0x%02x: %d bytes for %d bits" % (code, len(value), message[at - 1]))
            out.extend(value)
        elif kind == COUNTED:
            if len(value) > 255:
                raise MessageError("message 0x%02x: %d bytes are too many" % (code, len(value)))
            out.append(len(value))
            out.extend(value)
        elif kind == REST:
            out.extend(value)
        else:
            out.extend(_pack_fixed(code, kind, value))
        at += 1
    return bytes(out)


def _pack_fixed(code, kind, value):
    size = struct.calcsize("<" + kind)
    if kind in (U8, U16, U32):
        if not 0 <= value < 1 << (8 * size):
            raise MessageError("message 0x%02x: %d does not fit in %d bytes" % (code, value, size))
    elif len(value) != size:
        raise MessageError("message 0x%02x: %d bytes where %d belong" % (code, len(value), size))
    return struct.pack("<" + kind, value)


def _unpack(table, code, data):
    if code not in table:
        raise MessageError("message 0x%02x is not known" % code)
    message, kinds = table[code]
    values = []
    at = 0
    for kind in kinds:
        if kind == REST:
            values.append(bytes(data[at:]))
            at = len(data)
        else:
            at = _unpack_field(code, kind, data, at, values)
    if at != len(data):
        raise MessageError("message 0x%02x has %d bytes too many" % (code, len(data) - at))
    return message(*values)


def _unpack_field(code, kind, data, at, values):
    letter = U8 if kind == COUNTED else U16 if kind == BITS else kind
    size = struct.calcsize("<" + letter)
    if at + size > len(data):
        raise MessageError("message 0x%02x is cut short" % code)
    value = struct.unpack_from("<" + letter, data, at)[0]
    at += size
    if kind not in (COUNTED, BITS):
        values.append(value)
        return at
    size = value if kind == COUNTED else (value + 7) // 8
    if at + size > len(data):
        raise MessageError("message 0x%02x is cut short" % code)
    if kind == BITS:
        values.append(value)
    values.append(bytes(data[at : at + size]))
    return at + size
