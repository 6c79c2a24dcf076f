"""The event log's chain on the real MicroPython: the same heads and keys as on CPython."""

from both_interpreters import by_first_word, needs_micropython, on_cpython, on_micropython

CHECKS = "chain_portable_checks.py"


def test_the_checks_hold_on_cpython() -> None:
    """They are right here, and there are some."""
    assert int(by_first_word(on_cpython(CHECKS))["ok"]) > 15


@needs_micropython
def test_micropython_follows_the_same_chain() -> None:
    """Recorded, cut and followed there: the same head, the same next key."""
    assert on_micropython(CHECKS) == on_cpython(CHECKS)
