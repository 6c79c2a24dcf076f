"""What happened at a step of a day, in the words of `expect` (examples/README.md, "day.csv")."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from edge.decision import model


class Happened(Protocol):
    """What is read of an event."""

    @property
    def door(self) -> str: ...
    @property
    def result(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def output(self) -> str: ...


def word_of(event: Happened, first_output: Callable[[str], str]) -> str:
    """The word that an event adds, "" for one that adds none. `first_output(door)`: the name of its main strike."""
    if event.result == model.OPEN:
        return "open" if event.output == first_output(event.door) else f"open:{event.output}"
    if event.result in (model.DENIED, model.ALARM):
        return f"{event.result}:{event.reason}"
    return ""


def words_of(events: Iterable[Happened], first_output: Callable[[str], str]) -> list[str]:
    """The words of all events, in their order."""
    return [word for word in (word_of(event, first_output) for event in events) if word]


def of_all(by_controller: Iterable[list[str]]) -> list[str]:
    """The words of several controllers as one: what happens to each alike (a clock that is lost) is said once."""
    merged: Counter[str] = Counter()
    for words in by_controller:
        merged |= Counter(words)
    return list(merged.elements())


def is_as_expected(got: Iterable[str], expect: Iterable[str]) -> bool:
    """Whether exactly what was expected happened, in whatever order."""
    return sorted(got) == sorted(word for word in expect if word != "none")
