"""Writes tests/vectors/wire again, after a deliberate change of the wire: python tests/uplink/make_wire_vectors.py"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
import uplink_world as world  # noqa: E402
import wire_cases  # noqa: E402

from edge.uplink import messages, signing, wire  # noqa: E402

FOLDER = ROOT / "tests" / "vectors" / "wire"


def accepted():
    """One message of each kind, and the columns with a chain: {name: hex}. Sealed ones with a key that is fixed."""
    edge, cloud = world.EDGE_TRUST, world.CLOUD_TRUST
    device, manager = world.DEVICE_KEY, world.MANAGER_KEY

    def up(kind, body):
        return wire_cases.message(kind, wire.encode(body), edge, device)

    events, chained = (signing.events_body(world.LOG_ID, some) for some in (world.FEW_PLAIN, world.FEW_CHAINED))
    made = {
        "hello": signing.encode_hello(world.HELLO, edge, device),
        "events": up("events", events),
        "chained": up("events", chained),
        "policy": wire_cases.policy(),
        "ack": signing.encode_ack(world.LOG_ID, 44, cloud, manager, bytes(range(32))),
        "notice": up("notice", messages.notice_body(world.NOTICE)),
        "challenge": signing.encode_challenge(world.COMMAND.request, cloud, manager),
        "command": wire_cases.message("command", wire.encode(messages.command_body(world.COMMAND))),
        "reply": up("reply", messages.reply_body(world.REPLY)),
    }
    return {name: raw.hex() for name, raw in made.items()}


def keys():
    """What another implementation needs to read and to make them: {name: hex}."""
    return {
        "device private key (Ed25519)": world.DEVICE_KEY.private_bytes_raw().hex(),
        "manager private key (Ed25519)": world.MANAGER_KEY.private_bytes_raw().hex(),
        "manager private seal key (X25519)": world.SEAL_KEY.hex(),
        "device public seal key (X25519)": world.CLOUD_TRUST.seal_to.hex(),
        "private key of each seal (X25519)": wire_cases.ONCE.private_bytes_raw().hex(),
        "site": world.SITE_UID.hex(),
        "log": world.LOG_ID.hex(),
    }


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "keys.json").write_text(json.dumps(keys(), indent=1) + "\n")
    (FOLDER / "accepted.json").write_text(json.dumps(accepted(), indent=1) + "\n")
    refused = [{**case._asdict(), "raw": case.raw.hex()} for case in wire_cases.small_cases()]
    (FOLDER / "refused.json").write_text(json.dumps(refused, indent=1) + "\n")


if __name__ == "__main__":
    main()
