"""The demo's MQTT broker in a process of its own: iotcore, on loopback only, ended with its parent."""

import os
import sys
import threading

from iotcore import Broker

PAYLOAD_BYTES = 262_144  # its default of 20,480 drops the connection of whoever sends more


def main() -> int:
    """`python -m firmware_sim.broker_process PORT`."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    Broker(port=int(sys.argv[1]), listen="127.0.0.1", max_payload_size=PAYLOAD_BYTES).run_forever()
    return 0


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
