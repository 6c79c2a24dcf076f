"""The policy image: what is found and what is not, what is refused, and what damage is seen."""

import random
import time
import zlib
from dataclasses import replace

import pytest
import site_rows
from oracle import Area, Door, Grant, Pass, Reader, Site, WeekType

from edge.decision import rows
from edge.decision.index import ImageError, Index
from edge.decision.policy import PolicyError

TOP = (1 << 64) - 1


def a_site() -> Site:
    site = Site(week_types={"w": WeekType({0: [(60, 120)]})}, areas={"in": Area("hard")})
    site.doors = {"a": Door(("door", "aux1"), area_in="in")}
    site.readers = {"r": Reader("a")}
    site.profiles = {"p": [Grant("a")], "q": [Grant("a", "aux1", frozenset(("badge",)))]}
    return site


def index_with(numbers: list, medium: int = 1) -> Index:
    """An image of the site with a badge per number; the group tells odd from even."""
    more = [rows.Credential(medium, number, number % 2, 0, 0, 0, 0, "", "") for number in numbers]
    return Index(site_rows.image_of(site_rows.rows_of(a_site()) + more))


def test_the_ends_of_the_numbers_are_found() -> None:
    """0 and 2^64-1, and not their neighbours."""
    index = index_with([0, TOP])
    assert index.entitlement(1, 0)[0] == 0
    assert index.entitlement(1, TOP)[0] == 1
    assert index.entitlement(1, 1) is None
    assert index.entitlement(1, TOP - 1) is None
    assert index.entitlement(2, 0) is None


def test_bytes_that_straddle_two_neighbours_are_no_number() -> None:
    """Every number that is read across two stored ones is absent, wherever the two lie beside each other."""
    rng = random.Random(5)
    for _ in range(200):
        pair = sorted(rng.sample([0x0101010101010101, 0x0100000000000000, 0, 1, 256, 0x0001000000000000, TOP], 3))
        index = index_with(pair)
        for first in pair:
            for second in pair:
                joined = first.to_bytes(8, "big") + second.to_bytes(8, "big")
                for at in range(1, 8):
                    number = int.from_bytes(joined[at : at + 8], "big")
                    found = index.entitlement(1, number)
                    assert (found is not None) == (number in pair), (pair, number)


def test_the_same_number_in_another_medium_is_another_credential() -> None:
    """Known by (medium, number)."""
    more = [rows.Credential(medium, 7, medium % 2, 0, medium, 0, 0, "", "") for medium in range(1, 6)]
    index = Index(site_rows.image_of(site_rows.rows_of(a_site()) + more))
    for medium in range(1, 6):
        assert index.entitlement(medium, 7)[:3] == (medium % 2, 0, medium)


@pytest.mark.parametrize("shape", ["random", "a run", "steps of 256", "steps of 2^32", "low bytes alike"])
def test_a_hundred_thousand_found_and_as_many_absent(shape: str) -> None:
    """10^5 credentials are all found with their own group, and 10^5 others are not."""
    count, rng = 100_000, random.Random(9)
    numbers = {
        "random": lambda: list({rng.randrange(1 << 64) for _ in range(count)}),
        "a run": lambda: list(range(1_111_100_000, 1_111_100_000 + count)),
        "steps of 256": lambda: list(range(7, 7 + 256 * count, 256)),
        "steps of 2^32": lambda: [number << 32 for number in range(count)],
        "low bytes alike": lambda: [(number << 24) + 0x010203 for number in range(count)],
    }[shape]()
    index, known = index_with(numbers), set(numbers)
    assert all(index.entitlement(1, number)[0] == number % 2 for number in numbers)
    absent = 0
    while absent < count:
        number = rng.choice((rng.randrange(1 << 64), rng.choice(numbers) + rng.choice((1, 1 << 8, 1 << 56)))) & TOP
        if number not in known:
            assert index.entitlement(1, number) is None
            absent += 1


def test_no_bucket_grows_with_the_shape_of_the_numbers() -> None:
    """Numbers in even steps are found as fast as others: a batch from a maker must not fall into one bucket."""

    def seconds(numbers: list) -> float:
        index, asked = index_with(numbers), numbers[:: len(numbers) // 500]
        best = 1e9
        for _ in range(5):
            start = time.perf_counter()
            for number in asked:
                index.entitlement(1, number)
            best = min(best, time.perf_counter() - start)
        return best

    rng = random.Random(3)
    other = seconds([rng.randrange(1 << 64) for _ in range(20_000)])
    for step in (256, 1 << 11, 1 << 16, 1 << 32, 1 << 40):
        assert seconds([number * step for number in range(20_000)]) < 5 * other, step


BASE = site_rows.rows_of(a_site())
SITE_ROW = BASE[0]
DOOR = next(row for row in BASE if type(row).__name__ == "Door")
CREDENTIAL = rows.Credential(1, 7, 0, 0, 0, 0, 0, "", "")


def door(**changes: object) -> rows.Door:
    names = "id name outputs unlock_ms extended_ms held_open_s auto_open first_card deny_on_log_failure relock_on_open"
    fields = dict(zip((*names.split(), "area_in", "area_out", "interlock", "badge_and_code"), DOOR, strict=True))
    return rows.Door(*{**fields, **changes}.values())


REFUSED = {  # what: (rows to add, words that the message has)
    "an interval that ends when it starts": ([rows.Schedule(9, "x", ((0, 60, 60),))], ("schedule 9", "ends when")),
    "an interval from 0 to 0": ([rows.Schedule(9, "x", ((0, 0, 0),))], ("schedule 9",)),
    "an interval past 24:00": ([rows.Schedule(9, "x", ((0, 60, 1441),))], ("schedule 9",)),
    "a row that is no day": ([rows.Schedule(9, "x", ((8, 60, 90),))], ("schedule 9",)),
    "a schedule with a built-in number": ([rows.Schedule(1, "x", ())], ("schedule 1",)),
    "button 5": ([rows.Group(9, "x", (("a", "", 1 << 2, 16, 0),))], ("group 9", "button")),
    "two outputs for one button": (
        [rows.Group(9, "x", (("a", "", 1 << 2, 1, 0), ("a", "aux1", 1 << 2, 3, 0)))], ("group 9", "button 1"),
    ),
    "a medium that does not exist": ([rows.Group(9, "x", (("a", "", 1 << 6, 15, 0),))], ("group 9", "medium")),
    "a grant at no door": ([rows.Group(9, "x", (("zz", "", 2, 15, 0),))], ("group 9", "zz")),
    "a grant of no output": ([rows.Group(9, "x", (("a", "aux9", 2, 15, 0),))], ("group 9", "aux9")),
    "a grant of no week type": ([rows.Group(9, "x", (("a", "", 2, 15, 77),))], ("group 9", "77")),
    "a reader of no door": ([rows.Reader("r9", "zz", "osdp", 0, "", False, "")], ("reader r9", "zz")),
    "a reader of no output": ([rows.Reader("r9", "a", "osdp", 0, "aux9", False, "")], ("reader r9", "aux9")),
    "a reader of no direction": ([rows.Reader("r9", "a", "osdp", 2, "", False, "")], ("reader r9",)),
    "a credential of no group": ([rows.Credential(1, 7, 99, 0, 0, 0, 0, "", "")], ("99",)),
    "a credential of no medium": ([rows.Credential(6, 7, 0, 0, 0, 0, 0, "", "")], ("credential 6 7",)),
    "a credential of no state": ([rows.Credential(1, 7, 0, 0, 0, 3, 0, "", "")], ("credential 1 7", "state")),
    "a duplicate credential": (
        [CREDENTIAL, rows.Credential(1, 7, 1, 0, 0, 0, 0, "", "")], ("credential 1 7", "twice"),
    ),
    "a holiday twice": ([rows.Holiday(20000, "x"), rows.Holiday(20000, "y")], ("holiday 20000", "twice")),
    "a door twice": ([door(name="other")], ("door a", "twice")),
    "a week type twice": ([rows.Schedule(2, "other", ())], ("schedule 2", "twice")),
    "a group twice": ([rows.Group(0, "other", ())], ("group 0", "twice")),
    "two site rows": ([rows.Site(bytes(16), "there", False, 1)], ("site",)),
    "a door in no area": ([door(id="z", area_in="nowhere")], ("door z", "nowhere")),
    "an area of no mode": ([rows.Area("x", 3, 0)], ("area x", "mode")),
    "a door without outputs": ([door(id="z", outputs=())], ("door z", "output")),
    "an output named twice": ([door(id="z", outputs=("door", "door"))], ("door z",)),
    "a pulse of no length": ([door(id="z", unlock_ms=0)], ("door z", "unlock_ms")),
    "an endless pulse": ([door(id="z", unlock_ms=2**32 - 1, extended_ms=2**32 - 1)], ("door z", "unlock_ms")),
    "an interlock with itself": ([door(id="z", interlock=("z",))], ("door z",)),
    "an interlock with no door": ([door(id="z", interlock=("zz",))], ("door z", "zz")),
    "an auto-open of no week type": ([door(id="z", auto_open=77)], ("door z", "77")),
    "badge and code by no week type": ([door(id="z", badge_and_code=77)], ("door z", "77")),
    "a panel at no door": ([rows.Panel("p", "zz", "r", "1")], ("panel p", "zz")),
    "two panels at one door": ([rows.Panel("p", "a", "r", "1"), rows.Panel("q", "a", "r", "1")], ("panel", "a")),
    "a display of no panel": ([rows.Display("p", "A1", "x", 1, ())], ("display p A1",)),
    "a display with four numbers": (
        [rows.Panel("p", "a", "r", "1"), rows.Display("p", "A1", "x", 1, ((1, 1),) * 4)], ("display p A1", "three"),
    ),
    "a display of no week type": ([rows.Panel("p", "a", "r", "1"), rows.Display("p", "A1", "x", 77, ())], ("77",)),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_policy_that_no_image_can_hold_is_refused(what: str) -> None:
    """PolicyError in one line, with the row and the reason."""
    more, words = REFUSED[what]
    with pytest.raises((PolicyError, rows.RowError)) as caught:
        site_rows.image_of([*BASE, *more])
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_no_site_row_is_refused_and_the_base_is_not() -> None:
    """Negative control: the rows to which each case adds compile."""
    site_rows.image_of([*BASE, CREDENTIAL])
    with pytest.raises(PolicyError, match="one site row"):
        site_rows.image_of(BASE[1:])


def test_a_thousand_bit_flips_are_all_seen() -> None:
    """verify() is false for any single bit that is turned in the body; true for none."""
    image = site_rows.image_of([*BASE, *[rows.Credential(1, number, 0, 0, 0, 0, 0, "", "") for number in range(2000)]])
    assert Index(image).verify(zlib.crc32)
    rng = random.Random(11)
    head = len(image) - len(bytes(image)) + 80
    for _ in range(1000):
        damaged = bytearray(image)
        at = rng.randrange(head, len(image))
        damaged[at] ^= 1 << rng.randrange(8)
        try:
            seen = not Index(bytes(damaged)).verify(zlib.crc32)
        except Exception:
            seen = True  # damage that keeps the image from being opened at all
        assert seen, at


def test_damage_that_keeps_an_image_from_opening_is_an_image_error() -> None:
    """Whatever bit is turned, opening works or says ImageError: a caller that rebuilds needs one kind to catch."""
    image = site_rows.image_of([*BASE, CREDENTIAL])
    rng, kinds = random.Random(12), set()
    for _ in range(1000):
        damaged = bytearray(image)
        damaged[rng.randrange(len(image))] ^= 1 << rng.randrange(8)
        try:
            Index(bytes(damaged))
        except Exception as error:
            kinds.add(type(error).__name__)
    assert kinds <= {"ImageError"}, kinds


def test_truncated_and_foreign_files_are_refused() -> None:
    """Every shorter file, a longer one, nothing, and another kind of file."""
    image = site_rows.image_of([*BASE, CREDENTIAL])
    for length in range(len(image)):
        with pytest.raises(ImageError):
            Index(image[:length])
    for foreign in (b"", b"VNTL", b"SQLite format 3\0" + bytes(500), image + b"\0", b"X" + image[1:]):
        with pytest.raises(ImageError):
            Index(foreign)


def test_the_image_names_its_version_and_digest() -> None:
    """(epoch, revision), and the digest that was given."""
    index = Index(site_rows.image_of(BASE, (3, 99)))
    assert index.version == (3, 99)
    assert len(index.digest) == 32


def test_the_order_of_rows_changes_no_answer() -> None:
    """A set of rows has no order: any permutation is asked alike."""
    site = a_site()
    site.passes = {("badge", number): Pass("pq"[number % 2]) for number in range(50)}
    site.passes[("badge", 3)] = replace(site.passes[("badge", 3)], state="lost")
    packed = site_rows.rows_of(site)
    for seed in range(5):
        random.Random(seed).shuffle(packed)
        index = Index(site_rows.image_of(packed))
        assert [index.entitlement(1, number)[0] for number in range(50)] == [number % 2 for number in range(50)]
        assert index.entitlement(1, 3)[3] == rows.STATE_LOST


def test_a_checked_key_is_that_of_a_row_that_unpacks():
    """20,000 seeded rows of credentials, whole and damaged: the quick look agrees with unpacking, each time."""
    print("seed 20261122")
    chance = random.Random(20261122)
    agreed = {True: 0, False: 0}
    for _ in range(20_000):
        holder = "".join(chance.choice("aéß€🚪 Z") for _ in range(chance.randrange(12)))
        packed = bytearray(
            rows.pack(rows.Credential(1, chance.getrandbits(60), 3, 0, 0, 0, 0, "x" * chance.randrange(4), holder))
        )
        for _ in range(chance.randrange(3)):
            at = chance.randrange(len(packed))
            packed[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        try:
            rows.unpack(bytes(packed))
            wanted = rows.key_of(bytes(packed))
        except rows.RowError:
            wanted = None
        try:
            found = rows.checked_key(bytes(packed))
        except rows.RowError:
            found = None
        assert found == wanted, packed.hex()
        agreed[found is not None] += 1
    assert min(agreed.values()) > 1_000
