"""What differs between makers of modems: how one names itself, which commands it knows, how it tells a key."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Maker:
    """`says`: its answer to +CGMI. `listen`: the command that makes it tell keys, `key` how it tells one. `tries`: the
    command for the PIN's tries left, `tells_tries` its answer. `has_chup`: AT+CHUP exists; else ATH ends voice calls.
    `tells_voice_call`: it says when a voice call begins and ends."""

    says: str
    listen: str
    key: Callable[[str], str]
    tries: str
    tells_tries: Callable[[int], str]
    has_chup: bool = True
    tells_voice_call: bool = False


MAKERS = {
    "sim800": Maker(
        "SIMCOM_Ltd",
        "+DDET=1",
        lambda key: f"+DTMF: {key}",
        "+SPIC",
        lambda left: f"+SPIC: {left},3,10,10",
        has_chup=False,
    ),
    "sim7600": Maker(
        "SIMCOM INCORPORATED",
        "+DDET=1",
        lambda key: f"+RXDTMF: {key}",
        "+SPIC",
        lambda left: f"+SPIC: {left},3,10,10",
        tells_voice_call=True,
    ),
    "ec25": Maker(
        "Quectel",
        "+QTONEDET=1",
        lambda key: f"+QTONEDET: {ord(key)}",
        '+QPINC="SC"',
        lambda left: f'+QPINC: "SC",{left},10',
    ),
    "other": Maker(
        "Acme", "+DDET=1", lambda key: f"+DTMF:{key}", '+CPINR="SIM PIN"', lambda left: f"+CPINR: SIM PIN,{left},3"
    ),
}
