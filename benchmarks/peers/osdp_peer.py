"""PyPI's osdp, a control panel in Python, on a port: answers each card at once, until it is ended.

osdp_peer.py PORT BAUD READERS MASTER_KEY_HEX; an empty key: without secure channel.
"""

import logging
import queue
import sys

import osdp

GREEN = osdp.LedColor.Green


class Panel(osdp.ControlPanel):
    """Hands cards to a queue: a command from within its polling thread would wait for itself."""

    def __init__(self, master_key: bytes) -> None:
        super().__init__(master_key=master_key or None)
        self.cards: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()

    def on_raw_card_data_reply_received(self, address: int, raw_card_data: osdp.RawCardData) -> None:
        self.cards.put((address, bytes(raw_card_data.data)))


def green(address: int) -> osdp.Command:
    """The light: green for two seconds."""
    control = osdp.ReaderLedControl(
        0,
        0,
        osdp.TemporaryReaderControlCode.SetTemporaryAndStartTimer,
        10,
        0,
        GREEN,
        GREEN,
        20,
        osdp.PermanentReaderControlCode.Nop,
        0,
        0,
        GREEN,
        GREEN,
    )
    return osdp.ReaderLedControlCommand(address, osdp.ReaderLedControls([control]))


def strike(address: int) -> osdp.Command:
    """The strike: the first output for five seconds."""
    timed = osdp.OutputControlCode.TemporaryStateOnResumePermanentState
    return osdp.OutputControlCommand(address, osdp.OutputControls([osdp.OutputControl(0, timed, 50)]))


def main() -> None:
    port, baud, readers, key = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), bytes.fromhex(sys.argv[4])
    logging.getLogger("osdp").setLevel(logging.CRITICAL)
    panel = Panel(key)
    bus = panel.start_connection(osdp.SerialPortOsdpConnection(port, baud))
    for address in range(readers):
        panel.add_device(bus, address, True, bool(key))
    buses = panel._buses  # its send_command waits for the reply; what is measured is until it was sent
    while True:
        address, data = panel.cards.get()
        buses[bus].send_command(green(address) if data[-1] & 1 else strike(address))


if __name__ == "__main__":
    main()
