"""A poller without OSDP: neither crypto nor checks nor decision. It sends frames of given lengths, two character times
after each reply, to `paced_readers.DumbReaders`: what the line alone costs."""

import os
import time
from multiprocessing.connection import Connection

from paced_readers import DUMB_MARKS, KINDS, Lengths, Task

READ_BYTES = 100


def serve_barely(path: str, task: Task, pipe: Connection) -> None:
    """Poll for ever, and send a command right after a card: bytes of the right number, nothing else."""
    assert task.lengths is not None
    lengths = task.lengths
    port = os.open(path, os.O_RDWR | os.O_NOCTTY)
    silence_s = 2 * 10 / task.baud  # two characters between frames
    sizes = {DUMB_MARKS[kind]: size for kind, size in zip(KINDS, (lengths.output, lengths.led), strict=True)}
    polls = [_frame(lengths.poll, address, 0) for address in range(task.readers)]
    address = 0
    while True:
        address = (address + 1) % task.readers
        card = _exchange(port, polls[address], lengths)
        time.sleep(silence_s)
        if card:
            _exchange(port, _frame(sizes[card], address, card), lengths)
            time.sleep(silence_s)


def _frame(size: int, address: int, mark: int) -> bytes:
    return bytes([size, address, mark]) + bytes(size - 3)


def _exchange(port: int, frame: bytes, lengths: Lengths) -> int:
    os.write(port, frame)
    reply = os.read(port, READ_BYTES)
    while len(reply) < (lengths.card if reply[0] else lengths.ack):
        reply += os.read(port, READ_BYTES)
    return reply[0]
