"""Spoiled files of every kind: problems, never exceptions, and nothing that the core would not take."""

import random
import zlib
from pathlib import Path

from residence_folders import TODAY, copy_example, read_whole

from edge.decision import policy
from edge.residence.compile import policy_digest, policy_rows
from edge.residence.day import read_day
from edge.residence.reading import read

SEED = 5
FILES = ("site.toml", "residents.csv", "passes.csv", "day.csv")
ALPHABET = b"0123456789abz\";,[]{}=\n-.:#'\x00\xff+ "


def _mutate(raw: bytes, chance: random.Random) -> bytes:
    out = bytearray(raw)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at, kind = chance.randrange(len(out)), chance.randrange(4)
        if kind == 0:
            out[at] = chance.choice(ALPHABET)
        elif kind == 1:
            out[at : at + chance.choice((1, 1, 5, 30))] = b""
        elif kind == 2:
            out[at:at] = bytes(chance.choice(ALPHABET) for _ in range(chance.randrange(1, 4)))
        else:
            source = chance.randrange(len(out))
            out[at:at] = out[source : source + 40]
    return bytes(out)


def test_mutated_files_give_problems_or_a_policy(tmp_path: Path) -> None:
    """300 mutations: either problems, or a residence that compiles for every controller into an image."""
    print("seed", SEED)
    chance = random.Random(SEED)
    folder = copy_example(tmp_path)
    residence = read_whole(folder)
    originals = {name: (folder / name).read_bytes() for name in FILES}
    refused = taken = 0
    for _ in range(300):
        name = chance.choice(FILES)
        (folder / name).write_bytes(_mutate(originals[name], chance))
        if name == "day.csv":
            read_day(folder / name, residence)
        else:
            found, problems = read(folder, TODAY, partial=chance.random() < 0.5)
            assert found is not None or problems
            refused, taken = refused + (found is None), taken + (found is not None)
            for controller in found.controllers if found else ():
                packed = policy_rows(found, controller.id, b"u" * 16, b"k" * 32, (2026, 2026))
                policy.compile_image(packed, (1, 1), policy_digest(packed), zlib.crc32)
        (folder / name).write_bytes(originals[name])
    assert refused > 30
    assert taken > 30
