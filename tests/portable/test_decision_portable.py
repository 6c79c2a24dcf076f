"""D8: the decision core on the real MicroPython: the same image, decisions, schedules and day as on CPython."""

import functools

import pytest
from both_interpreters import by_first_word, needs_micropython, on_cpython, on_micropython

CHECKS = "decision_portable_checks.py"


@functools.cache
def here() -> dict[str, str]:
    return by_first_word(on_cpython(CHECKS))


@functools.cache
def there() -> dict[str, str]:
    return by_first_word(on_micropython(CHECKS))


def test_the_checks_hold_on_cpython() -> None:
    """The checks themselves are right here, and there are many."""
    assert int(here()["ok"]) > 5000


@needs_micropython
@pytest.mark.parametrize("what", ["image", "decisions", "schedules", "day", "kept", "ok"])
def test_micropython_gives_the_same(what: str) -> None:
    """Compiled, decided and played there from the same seeds: the same bytes and the same digests."""
    assert there()[what] == here()[what]
