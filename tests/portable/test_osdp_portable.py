"""The OSDP codec and link on the real MicroPython, with the same checks and the same bytes as on CPython."""

from both_interpreters import needs_micropython, on_cpython, on_micropython

CHECKS = "osdp_portable_checks.py"


def test_the_checks_hold_on_cpython() -> None:
    """The checks themselves are right here."""
    assert on_cpython(CHECKS)[-1].startswith("ok")


@needs_micropython
def test_micropython_does_the_same() -> None:
    """Every check holds on MicroPython, as many as on CPython, and a sealed frame has the same bytes."""
    assert on_micropython(CHECKS) == on_cpython(CHECKS)
