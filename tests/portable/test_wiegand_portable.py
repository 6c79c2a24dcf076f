"""The Wiegand decoder and the wired keypads on CPython and on the real MicroPython, with the same checks."""

from both_interpreters import needs_micropython, on_cpython, on_micropython

CHECKS = "wiegand_portable_checks.py"


def test_the_checks_hold_on_cpython() -> None:
    """Words, faults and keys, literally."""
    assert on_cpython(CHECKS)[0].startswith("ok")


@needs_micropython
def test_micropython_does_the_same() -> None:
    """Every check holds on MicroPython, as many as on CPython."""
    assert on_micropython(CHECKS) == on_cpython(CHECKS)
