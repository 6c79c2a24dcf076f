"""Writes tests/vectors/wire again, after a deliberate change of the wire: python tests/uplink/make_wire_vectors.py"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
import uplink_world as world  # noqa: E402
import wire_cases  # noqa: E402

from edge.uplink import signing  # noqa: E402

FOLDER = ROOT / "tests" / "vectors" / "wire"


def accepted():
    """One message of each kind: {name: hex}."""
    edge, device, manager = world.EDGE_TRUST, world.DEVICE_KEY, world.MANAGER_KEY
    return {
        "hello": signing.encode_hello(world.HELLO, edge, device).hex(),
        "events": signing.encode_events(world.LOG_ID, world.FEW_EVENTS, edge, device)[0].hex(),
        "chained": signing.encode_events(world.LOG_ID, world.FEW_CHAINED, edge, device)[0].hex(),
        "policy": wire_cases.policy().hex(),
        "ack": signing.encode_ack(world.LOG_ID, 44, edge, manager, bytes(range(32))).hex(),
    }


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "accepted.json").write_text(json.dumps(accepted(), indent=1) + "\n")
    refused = [{**case._asdict(), "raw": case.raw.hex()} for case in wire_cases.small_cases()]
    (FOLDER / "refused.json").write_text(json.dumps(refused, indent=1) + "\n")


if __name__ == "__main__":
    main()
