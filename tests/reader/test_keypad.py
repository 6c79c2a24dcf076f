"""Keys to codes."""

from edge.reader.keypad import BETWEEN_KEYS_MS, OVERLONG, Keypad


def test_the_end_key_makes_a_code() -> None:
    """Digits in one piece or one by one; several codes in one piece; the end key alone is nothing."""
    keypad = Keypad()
    assert keypad.feed("4711#", 0) == ["4711"]
    assert [code for key in "0815\r" for code in keypad.feed(key, 10)] == ["0815"]
    assert keypad.feed("1#2#", 20) == ["1", "2"]
    assert keypad.feed("##", 30) == []


def test_the_clear_key_starts_over() -> None:
    """What was keyed in before * is forgotten; letters are nothing."""
    assert Keypad().feed("99*12#", 0) == ["12"]
    assert Keypad().feed("99\x7f12#", 0) == ["12"]
    assert Keypad().feed("1A2#", 0) == ["12"]


def test_a_pause_starts_over() -> None:
    """Ten seconds between two keys are allowed, a millisecond more is not."""
    keypad = Keypad()
    keypad.feed("12", 1000)
    assert keypad.feed("34#", 1000 + BETWEEN_KEYS_MS) == ["1234"]
    keypad.feed("12", 20000)
    assert keypad.feed("34#", 20001 + BETWEEN_KEYS_MS) == ["34"]


def test_too_many_digits_are_a_wrong_entry() -> None:
    """12 digits are a code; 13 or 10,000 are an overlong entry, kept in bounded memory, and the next is new."""
    keypad = Keypad()
    assert keypad.feed("1" * 12 + "#", 0) == ["1" * 12]
    assert keypad.feed("1" * 13 + "#", 0) == [OVERLONG]
    assert keypad.feed("1" * 10_000, 0) == []
    assert len(keypad._digits) == 13
    assert keypad.feed("#55#", 0) == [OVERLONG, "55"]
