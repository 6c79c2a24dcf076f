"""Committed .po texts, read without the gettext programs: .mo bytes, and a catalogue made of them.

Format: GNU gettext manual, "The Format of GNU MO Files" (little-endian, no hash table).
"""

import ast
import gettext
import io
import struct
from collections.abc import Iterable
from pathlib import Path

_MAGIC = 0x950412DE


def catalogue(path: Path) -> gettext.GNUTranslations:
    """The translations of one .po file. OSError where it cannot be read."""
    return gettext.GNUTranslations(io.BytesIO(pack(parse(path.read_text("utf-8")))))


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
