"""Frozen dataclasses ↔ what JSON can say. What is read comes from another manager: every type is checked."""

import dataclasses
import types
import typing
from datetime import date
from functools import cache
from typing import Any

_MOST = (1 << 63) - 1  # of a database's integers


class PlainError(ValueError):
    """A value of another form than its field's: one line that names the field."""


def to_plain(value: Any) -> Any:
    """Dataclasses become lists of their fields' values, tuples lists, days texts."""
    if dataclasses.is_dataclass(value):
        return [to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, tuple):
        return [to_plain(each) for each in value]
    return value.isoformat() if isinstance(value, date) else value


def from_plain(kind: Any, found: Any, where: str = "it") -> Any:
    """The value of `kind` again: a dataclass, tuple[X, ...], date, str, int, bool, or one of the last with None.
    PlainError."""
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        return tuple(from_plain(inner, each, where) for each in _of(list, found, where))
    if dataclasses.is_dataclass(kind):
        fields = _fields(typing.cast(type, kind))
        if len(_of(list, found, where)) != len(fields):
            raise PlainError(f"{where} has not the fields of this release")
        values = {name: from_plain(each, one, name) for (name, each), one in zip(fields, found, strict=True)}
        return kind(**values)  # type: ignore[operator]
    if typing.get_origin(kind) is types.UnionType:
        return None if found is None else from_plain(typing.get_args(kind)[0], found, where)
    if kind is date:
        return _day(_of(str, found, where), where)
    if kind is int and abs(_of(int, found, where)) > _MOST:
        raise PlainError(f"{where} is too large a number")
    return _of(kind, found, where)


@cache
def _fields(kind: type) -> tuple[tuple[str, Any], ...]:
    hints = typing.get_type_hints(kind)
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(kind))


def _of(kind: type, found: Any, where: str) -> Any:
    if type(found) is not kind or (isinstance(found, str) and "\0" in found):
        raise PlainError(f"{where} is not what the field stands for")
    return found


def _day(text: str, where: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise PlainError(f"{where} is no day") from None
