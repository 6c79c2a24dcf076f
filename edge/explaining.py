"""`vantail explain`: from a question in a person's words to decision.explain and back."""

import os
import zlib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from edge.codes import code_number
from edge.decision import model
from edge.decision.authorize import QUIET, Situation
from edge.decision.explain import Explanation, explain
from edge.decision.index import Index
from edge.decision.policy import compile_image
from edge.failures import CommandError
from edge.residence import values
from edge.residence.compile import policy_digest, policy_rows, years_around
from edge.residence.problems import first_error
from edge.residence.reading import read

_CODE_KEY = bytes(32)
_SITE_UID = bytes(16)
_KINDS = {"badge": ("osdp", "wiegand"), "code": ("osdp", "wiegand"), "phone": ("gsm",), "remote": ("radio",)}


def read_files(folder: Path) -> values.Residence:
    """A residence's files. CommandError with the first problem where they have errors."""
    if not folder.is_dir():
        raise CommandError(f"{folder}: no such folder", os.EX_NOINPUT)
    residence, problems = read(folder, date.today())
    if residence is None:
        raise CommandError(first_error(folder, problems), os.EX_DATAERR)
    return residence


def explain_in_files(
    folder: Path, *, door: str, medium: str, value: str, button: int, reader: str, at_ms: int
) -> dict[str, Any]:
    """Answer from a residence's files: a quiet door, a trusted clock."""
    residence = read_files(folder)
    try:
        controller = residence.controller_of_door(door)
    except KeyError:
        known = ", ".join(each.id for box in residence.controllers for each in box.doors)
        raise CommandError(f"there is no door {door}; known are {known}", os.EX_USAGE) from None
    packed = policy_rows(residence, controller.id, _SITE_UID, _CODE_KEY, years_around(at_ms / 1000))
    index = Index(compile_image(packed, (1, 1), policy_digest(packed), zlib.crc32))
    try:
        presented = presented_of(index, _CODE_KEY, door, medium, value, button, reader)
    except ValueError as error:
        raise CommandError(str(error), os.EX_USAGE) from None
    return answer(index, presented, QUIET, model.Moment(0, at_ms, True, 0), value)


def presented_of(
    index: Index | None, code_key: bytes, door: str, medium: str, value: str, button: int, reader: str
) -> model.Presented:
    """The input that a question means. ValueError where it means none."""
    if index is None:
        raise ValueError("no policy is in force yet")
    if door not in index.doors:
        raise ValueError(f"there is no door {door} here; known are {', '.join(sorted(index.doors))}")
    if medium not in model.MEDIUM_OF_WORD:
        raise ValueError(f"'{medium}' is no medium; known are {', '.join(model.MEDIUM_OF_WORD)}")
    kinds = _KINDS.get(medium, ())
    at_door = [row.id for row in index.readers.values() if row.door == door and row.kind in kinds]
    if reader and reader not in index.readers:
        raise ValueError(f"there is no reader {reader} here; known are {', '.join(sorted(index.readers))}")
    digits = value.removeprefix("+").removeprefix("00") if medium == "phone" else value
    if not (digits.isascii() and digits.isdecimal()):
        raise ValueError(f"a {medium} is written in digits")
    if medium != "code" and int(digits[:21]) >= 1 << 64:
        raise ValueError(f"no {medium} has so large a number; check its digits")
    number = code_number(code_key, digits) if medium == "code" else int(digits)
    chosen = reader or (at_door[0] if at_door else "")
    return model.Presented(chosen, door, model.MEDIUM_OF_WORD[medium], number, button, True)


def answer(
    index: Index, presented: model.Presented, situation: Situation, moment: model.Moment, value: str
) -> dict[str, Any]:
    """The explanation as `--json` prints it; times are ISO 8601 in UTC."""
    found: Explanation = explain(index, presented, situation, moment)
    decision = found.decision
    return {
        "door": decision.door,
        "reader": presented.reader,
        "medium": model.MEDIUM_WORDS[presented.medium],
        "value": "•" * len(value) if presented.medium == model.CODE else value,
        "at": _iso(moment.utc_ms // 1000),
        "granted": decision.granted,
        "reason": decision.reason,
        "output": decision.output,
        "rule": _rule(found),
        "passed": list(found.passed),
        "change": found.change,
        "next_open": _iso(found.next_open_s) if found.next_open_s is not None else None,
    }


def _rule(found: Explanation) -> str:
    """What decided, in words."""
    if not found.group:
        return "no row of the policy"
    words = [f"group '{found.group}'"]
    if any(found.valid):
        words.append(
            "valid "
            + " ".join(f"{name} {_iso(at)}" for name, at in zip(("from", "until"), found.valid, strict=True) if at)
        )
    words += [f"{output} by week type '{schedule}'" for output, schedule in found.grants] or ["no grant here"]
    return ", ".join(words)


def explanation_lines(explained: dict[str, Any]) -> list[str]:
    """The explanation as a person reads it."""
    said = f"opens {explained['output']}" if explained["granted"] else f"refused: {explained['reason']}"
    lines = [
        f"{explained['medium']} {explained['value']} at {explained['door']}, {explained['at']}: {said}",
        f"  because     {explained['rule']}",
        f"  passed      {', '.join(explained['passed']) or 'nothing'}",
    ]
    if not explained["granted"]:
        lines.append(f"  would need  {explained['change']}")
        lines.append(f"  next opens  {explained['next_open'] or 'not by the clock alone'}")
    return lines


def _iso(utc_s: int) -> str:
    return datetime.fromtimestamp(utc_s, UTC).isoformat()
