"""Compiles the committed .po files to the .mo files that gettext reads, without the gettext programs.

Format: GNU gettext manual, "The Format of GNU MO Files" (little-endian, no hash table).
"""

import ast
import os
import struct
from collections.abc import Iterable
from pathlib import Path

SOURCE = Path(__file__).parent / "locale"
_MAGIC = 0x950412DE


def compile_all(target: Path) -> None:
    """Compile every SOURCE/<language>/LC_MESSAGES/*.po below `target`, where the result differs."""
    for source in sorted(SOURCE.glob("*/LC_MESSAGES/*.po")):
        compiled = pack(parse(source.read_text("utf-8")))
        path = target / source.relative_to(SOURCE).with_suffix(".mo")
        if not path.exists() or path.read_bytes() != compiled:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".new")
            draft.write_bytes(compiled)
            os.replace(draft, path)


def parse(text: str) -> dict[str, str]:
    """Key → translation of a .po text. A key is context EOT msgid, plural forms are joined by NUL.

    Fuzzy and untranslated entries are left out, so the original text shows.
    """
    entries: dict[str, str] = {}
    for block in text.split("\n\n"):
        lines = block.splitlines()
        fields = _fields(line for line in lines if not line.startswith("#"))
        fuzzy = any(line.startswith("#,") and "fuzzy" in line for line in lines)
        translation = "\0".join(value for name, value in fields.items() if name.startswith("msgstr"))
        if "msgid" not in fields or fuzzy or not translation.strip("\0"):
            continue
        key = fields["msgid"]
        if "msgid_plural" in fields:
            key += "\0" + fields["msgid_plural"]
        if "msgctxt" in fields:
            key = fields["msgctxt"] + "\4" + key
        entries[key] = translation
    return entries


def pack(entries: dict[str, str]) -> bytes:
    """The .mo file's bytes: header, two tables of (length, offset), then the texts, each ended by NUL."""
    pairs = sorted((key.encode(), value.encode()) for key, value in entries.items())
    count = len(pairs)
    offset = 28 + 16 * count
    tables, texts = b"", b""
    for column in (0, 1):
        for pair in pairs:
            tables += struct.pack("<II", len(pair[column]), offset + len(texts))
            texts += pair[column] + b"\0"
    return struct.pack("<7I", _MAGIC, 0, count, 28, 28 + 8 * count, 0, 28 + 16 * count) + tables + texts


def _fields(lines: Iterable[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in lines:
        if not line.startswith('"'):
            name, _, line = line.partition(" ")
            fields[name] = ""
        fields[name] += ast.literal_eval(line)
    return fields
