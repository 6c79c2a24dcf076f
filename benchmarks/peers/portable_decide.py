"""Decisions on a microcontroller's Python: runs unchanged on MicroPython and CPython, started by `decide_small`.

Arguments: the project's root, an image, a file of asks, how many passes; or the root, "dict" and a list, to see how
much of it a dict takes before memory ends. Prints numbers on one line.
"""

import gc
import struct
import sys
import time

root, what, path = sys.argv[1:4]
FEW = 50
sys.path.insert(0, root)

_RECORD = ">BQHqqBB"  # medium, number, group, from_s, to_s, state, flags
_SIZE = struct.calcsize(_RECORD)


def ticks_us():
    return time.ticks_us() if hasattr(time, "ticks_us") else time.perf_counter_ns() // 1000


def used():
    gc.collect()
    return gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0


def read_asks(file, count):
    """The next `count` asks of an open file, or what is left."""
    from edge.decision import model
    from edge.decision.authorize import Situation

    asks = []
    while len(asks) < count:
        field = file.readline().rstrip("\n").split("\t")
        if len(field) == 1:
            break
        asks.append(
            (
                model.Presented(field[0], field[1], int(field[2]), int(field[3]), int(field[4]), field[5] == "1"),
                Situation(False, field[6] == "1", field[7] == "1", field[8] == "1", field[9] == "1", None),
                model.Moment(0, int(field[10]), field[11] == "1", int(field[12])),
            )
        )
    return asks


def decide(image_path, asks_path, passes):
    """Print decisions a second, how many opened, the heap that the open image takes, and microseconds to open it.
    People come a few at a time: a heap full of asks would slow each allocation on MicroPython. Its garbage
    collector runs when it will, and counts."""
    from edge.decision.authorize import authorize
    from edge.decision.index import Index

    before = used()
    with open(image_path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        started = ticks_us()
        index = Index(file.read(size))
    opened_us = ticks_us() - started
    taken = used() - before
    best_us, opened, decided = 0, 0, 0
    for _ in range(passes):
        opened, decided, spent_us = 0, 0, 0
        with open(asks_path) as file:
            asks = read_asks(file, FEW)
            while asks:
                started = ticks_us()
                for presented, situation, moment in asks:
                    if authorize(index, presented, situation, moment).granted:
                        opened += 1
                spent_us += ticks_us() - started
                decided += len(asks)
                asks = read_asks(file, FEW)
        best_us = min(best_us or spent_us, spent_us)
    print(decided * 1000000 // max(best_us, 1), opened, taken, opened_us)


def fill(list_path):
    """Print how many credentials a dict held when memory ended, or all. Kind to it: the key is one small integer
    where it fits, and equal values are one tuple."""
    table, shared, count = {}, {}, 0
    try:
        with open(list_path, "rb") as file:
            while True:
                record = file.read(_SIZE)
                if len(record) < _SIZE:
                    break
                medium, number, group, from_s, to_s, state, flags = struct.unpack(_RECORD, record)
                value = (group, from_s, to_s, state, flags)
                value = shared.setdefault(value, value)
                table[number << 3 | medium] = value
                count = len(table)
                if not count % 256:
                    gc.collect()  # or garbage spreads what stays over the heap and a table finds no room to grow
    except MemoryError:
        table = shared = None
    print(count)


if what == "dict":
    fill(path)
else:
    decide(what, path, int(sys.argv[4]))
