"""What the uplink's tests share: fixed keys, addresses and events of a residence. Nothing here is random by itself."""

import random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.decision import chain, rows
from edge.decision.model import Event
from edge.uplink import sealing, signing

DEVICE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MANAGER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(64, 96)))
SITE_UID = bytes.fromhex("00112233445566778899aabbccddeeff")
LOG_ID = bytes.fromhex("0f0e0d0c0b0a09080706050403020100")
EPOCH = 3
DEVICE = signing.public_bytes(DEVICE_KEY)
MANAGER = signing.public_bytes(MANAGER_KEY)

SEAL_KEY = bytes(range(96, 128))  # the manager's, private
DEVICE_UNSEAL = sealing.device_seal_private(DEVICE_KEY.private_bytes_raw())

EDGE_TRUST = signing.Trust(
    SITE_UID, signing.fingerprint(DEVICE), EPOCH, MANAGER, sealing.seal_public(SEAL_KEY), DEVICE_UNSEAL
)
CLOUD_TRUST = EDGE_TRUST._replace(public_key=DEVICE, seal_to=sealing.device_seal_public(DEVICE), unseal=SEAL_KEY)

HELLO = signing.Hello(
    7, bytes(range(32)), LOG_ID, 1234, 1200, "b7d1", "vantail 0.1.0", bytes(range(32, 64)), (1001, bytes(80)),
    b"session1", 5,
)  # fmt: skip

POLICY_ROWS = [
    rows.pack(rows.Site(SITE_UID, "Les Tilleuls", False, 12)),
    rows.pack(rows.Door("hall", "Hall", ("strike",), 5000, 15000, 30, 1, False, False, True, "", "", (), 1)),
    rows.pack(rows.Group(1, "Residents", (("hall", "", 62, 15, 0),))),
    rows.pack(rows.Credential(1, 4640123456, 1, 0, 0, 0, 0, "", "B. Martin")),
    rows.pack(rows.Credential(1, 4640123457, 1, 0, 1893456000, 0, 0, "", "É. Noël")),
]

FEW_EVENTS = (
    (41, False, 7, Event(1763800000123, True, "hall", "hall-in", "badge", 4640123456, "open", "", "strike", "")),
    (42, False, 7, Event(1763800001456, True, "hall", "", "", None, "info", "door-opened", "", "")),
    (43, True, 7, Event(1763799000000, False, "hall", "hall-in", "code", 2**64 - 1, "denied", "unknown", "", "é")),
    (44, False, 8, Event(-5, False, "", "", "", 0, "alarm", "clock", "", "wall clock stepped")),
)

# As the log gives them: the chain begins before 41; 42 was marked late afterwards, 43 lost its person.
FEW_CHAINED = chain.Stretch(
    (*FEW_EVENTS[:2], (43, True, 7, chain.without_person(FEW_EVENTS[2][3])), FEW_EVENTS[3]),
    ("boot-1", "boot-1", "boot-2", "boot-2"),
    (b"", b"", bytes(range(16)), bytes(range(32))),
    (chain.Note(40, chain.BEGIN, 41, 0), chain.Note(42, chain.LATE, 42, 42), chain.Note(43, chain.DROPPED, 0, 3)),
    ((41, bytes(range(64, 96))),),
    (chain.Start(41, bytes(range(96, 128)), bytes(range(80))),),
    (bytes(32), bytes(32), bytes(32), bytes(range(128, 160))),
)
FEW_PLAIN = chain.plain(FEW_EVENTS)

NOTICE = signing.Notice(LOG_ID, 44, FEW_EVENTS[2][3])
COMMAND = signing.Command(b"request1", bytes(range(16)), "open", "hall", 0, "B. Martin", 4640123456)
REPLY = signing.Reply(b"request1", b"", "denied", "no-access", "")


def credentials(count, seed=1):
    """Packed credential rows as a large residence has them."""
    chance = random.Random(seed)
    numbers = chance.sample(range(10**9, 5 * 10**9), count)
    return [
        rows.pack(
            rows.Credential(1, number, chance.randrange(1, 9), 0, 0, 0, 0, "", f"Flat {i % 120} {chance.random():.6f}")
        )
        for i, number in enumerate(numbers)
    ]


def day_of_events(count, seed=1, residents=300):
    """LoggedTuples from seq 1 on as a residence makes them: most passages by a few keen people, doors that open and
    close after them, exit buttons, refusals, and now and then a code that nobody has."""
    chance = random.Random(seed)
    passes = [chance.randrange(10**9, 5 * 10**9) for _ in range(residents)]
    places = [("hall", "hall-in"), ("garage", "garage-in"), ("bikes", "bikes-in"), ("gate", "gate-radio")]
    events, at_ms = [], 1763800000000
    while len(events) < count:
        at_ms += int(chance.expovariate(1 / 90_000))
        door, reader = chance.choices(places, (6, 3, 1, 2))[0]
        medium = "remote" if door == "gate" else "badge"
        number = passes[min(residents - 1, int(chance.expovariate(1 / 80)))]
        kind = chance.random()
        if kind < 0.75:
            events.append(Event(at_ms, True, door, reader, medium, number, "open", "", "strike", ""))
            if door != "gate":
                at_ms += chance.randrange(600, 2500)
                events.append(Event(at_ms, True, door, "", "", None, "info", "door-opened", "", ""))
                at_ms += chance.randrange(3000, 9000)
                events.append(Event(at_ms, True, door, "", "", None, "info", "door-closed", "", ""))
        elif kind < 0.88:
            events.append(Event(at_ms, True, door, "", "exit", None, "open", "", "exit", ""))
        elif kind < 0.9:
            number = chance.randrange(1 << 64)
            events.append(Event(at_ms, True, door, reader, "code", number, "denied", "unknown", "", ""))
        else:
            reason = chance.choice(("expired", "no-access", "outside-schedule", "unknown"))
            events.append(Event(at_ms, True, door, reader, medium, number, "denied", reason, "", ""))
    return [(i + 1, False, 7, event) for i, event in enumerate(events[:count])]
