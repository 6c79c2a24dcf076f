"""What modems say differently, as data. The rest is TS 27.007 and TS 27.005, which all of them speak.

Sources: SIM800 Series AT Command Manual V1.09 and SIM7500/SIM7600 Series AT Command Manual (DDET, SPIC); Quectel
EC2x&EG2x AT Commands Manual (QTONEDET, QPINC); TS 27.007 for the generic set.
"""

from dataclasses import dataclass

KEYS = "0123456789*#ABCD"


@dataclass(frozen=True, slots=True)
class Dialect:
    """`makers`: words of the answer to +CGMI that name it, in lower case. `listen`: makes tones of the other side
    known. `key_lines`: prefix → whether the key comes as its ASCII code in decimal. `tries`: asks how often the SIM's
    PIN may still be tried; `tries_prefix` and `tries_field` say where the answer stands."""

    name: str
    makers: tuple[str, ...]
    listen: tuple[str, ...]
    key_lines: tuple[tuple[str, bool], ...]
    tries: str
    tries_prefix: str
    tries_field: int


SIMCOM = Dialect(
    "simcom", ("simcom",), ("AT+DDET=1",), (("+DTMF:", False), ("+RXDTMF:", False)), "AT+SPIC", "+SPIC:", 0
)
QUECTEL = Dialect(
    "quectel", ("quectel",), ("AT+QTONEDET=1",), (("+QTONEDET:", True),), 'AT+QPINC="SC"', '+QPINC: "SC"', 1
)
GENERIC = Dialect(
    "generic", (), ("AT+DDET=1",), (("+DTMF:", False), ("+RXDTMF:", False)), 'AT+CPINR="SIM PIN"', "+CPINR: SIM PIN", 1
)
DIALECTS = (SIMCOM, QUECTEL)

# In turn until one is taken: TS 27.007, 6.5 (+CHUP); ATH for modems without it, which +CVHU=0 (6.20) makes obey.
HANG_UP = ("AT+CHUP", "ATH")
TURN_AWAY = "AT+CHLD=0"  # a waiting call is told that the subscriber is busy (TS 27.007, 7.13; TS 22.030, 6.5.5.1)

# Lines that say: something happened to a call, go and look. What they say differs, +CLCC is the judge.
CALL_HINTS = ("NO CARRIER", "NO ANSWER", "VOICE CALL", "MO RING", "MO CONNECTED", "CONNECT", "MISSED_CALL", "+CCWA:")
# Lines of a modem that has just started: what it was told is gone.
START_LINES = ("RDY", "^SYSSTART", "+CFUN: 1", "NORMAL POWER DOWN", "POWERED DOWN", "UNDER-VOLTAGE POWER DOWN")


def dialect_of(maker_lines: list[str]) -> Dialect:
    """The dialect of a modem whose +CGMI answers so; GENERIC where nothing is known of it."""
    said = " ".join(maker_lines).lower()
    for dialect in DIALECTS:
        if any(maker in said for maker in dialect.makers):
            return dialect
    return GENERIC


def key_of(dialect: Dialect, prefix: str, value: str) -> str | None:
    """The key of a line that begins with `prefix`: one of KEYS, or None where it is none."""
    for known, is_code in dialect.key_lines:
        if known == prefix:
            if is_code:
                value = chr(int(value)) if value.isascii() and value.isdecimal() and len(value) <= 3 else ""
            return value if len(value) == 1 and value in KEYS else None
    return None
