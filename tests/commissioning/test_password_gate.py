"""The controller's password: kept as a salted hash, drawn at random, never too easy."""

import pytest

from edge.commissioning import password, refusals
from edge.decision import model


def at(mono_ms: int) -> model.Moment:
    return model.Moment(mono_ms, 1_795_388_400_000 + mono_ms, True, 0)


def test_a_password_is_known_again_and_never_kept() -> None:
    """Right, wrong, longer, empty; neither file nor repr holds it; two of the same differ."""
    made = password.make("274951", 3)
    assert made.matches("274951")
    for wrong in ("274952", "27495", "2749511", "", "274951" * 4):
        assert not made.matches(wrong)
    assert "274951" not in made.toml()
    assert made.hash.hex() not in repr(made)
    assert password.make("274951", 3).hash != made.hash


def test_the_file_gives_the_same_password() -> None:
    made = password.make("274951", 3)
    again = password.parse(made.toml())
    assert again == made
    assert again.epoch == 3


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cost = 16384", "cost = 16385"), ("cost = 16384", "cost = 1"),
        ("cost = 16384", "cost = 1099511627776"), ("block = 8", "block = 800"),
        ("lanes = 1", "lanes = 0"), ("salt", "sand"), ("epoch = 3", 'epoch = "3"'), ("lanes = 1", "lanes = true"),
        ('hash = "', 'hash = "00'), ("# The", "The"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_said_to_be_so(old: str, new: str) -> None:
    """No file makes the controller work for minutes, take gigabytes, or fail with another error."""
    text = password.make("274951", 3).toml()
    assert old in text
    with pytest.raises(password.PasswordError, match=r"password\.toml: .*vantail init --password"):
        password.parse(text.replace(old, new))


@pytest.mark.parametrize("weak", ["", "12345", "1234567890123456789", "abcdef", "111111", "123456", "987654", "890123"])
def test_easy_ones_are_refused(weak: str) -> None:
    """Too short, too long, letters (a terminal has none), repeats and rows."""
    assert password.weakness(weak) == refusals.WEAK_PASSWORD
    with pytest.raises(ValueError, match="weak"):
        password.make(weak, 1)


def test_arabic_digits_are_no_digits_of_a_terminal() -> None:
    assert password.weakness("٢٧٤٩٥١") == refusals.WEAK_PASSWORD


def test_a_drawn_password_is_another_each_time() -> None:
    """No default: eight digits, usable, no two alike among many."""
    drawn = {password.draw() for _ in range(200)}
    assert len(drawn) > 195
    assert all(len(one) == 8 and password.weakness(one) == "" for one in drawn)


def test_one_try_at_a_time() -> None:
    """Many at once would be looked at before the first wrong one counts."""
    gate = password.Gate(b"", at(0))
    assert gate.begin(at(0)) == ""
    assert gate.begin(at(0)) == refusals.BUSY
    assert gate.end(False, at(0))[0] == refusals.WRONG_PASSWORD
    assert gate.begin(at(1)) == ""
    with pytest.raises(ValueError, match="no try"):
        password.Gate(b"", at(0)).end(True, at(0))


def test_the_lock_doubles_to_fifteen_minutes() -> None:
    """30, 60, 120, 240, 480 s, never above 900: the rule of the keypads (requirements, D5). Meanwhile the count falls
    by one every 10 min, which holds who tries at each end of a lock at 480."""
    gate = password.Gate(b"", at(0))
    locks, now = [], 0
    for _ in range(12):
        assert gate.begin(at(now)) == ""
        gate.end(False, at(now))
        left_ms = gate.left_ms(at(now))
        locks.append(left_ms // 1000)
        if left_ms:
            assert gate.begin(at(now + left_ms - 1)) == refusals.LOCKED
        now += left_ms
    assert locks[:9] == [0, 0, 0, 0, 30, 60, 120, 240, 480]
    assert set(locks[8:]) <= {480, 900}


def test_a_lock_outlives_a_restart() -> None:
    """Off and on shortens nothing, where the clock cannot tell how long it was off."""
    gate = password.Gate(b"", at(0))
    for _ in range(5):
        gate.begin(at(0))
        kept = gate.end(False, at(0))[2]
    again = password.Gate(kept, model.Moment(5_000, 0, False, 0))
    assert again.left_ms(model.Moment(5_000, 0, False, 0)) == 30_000
