"""The same promise with each broker, and row Y1: broker and agent are killed, messages are lost, repeated and late, and
the cloud has every event once. What the broker lost on the way is counted and printed; the ends lost nothing. Rows Y6
and Y7: rows that somebody changed, or brought back from before, are found at the next start and repaired."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from broker_scene import BROKERS, UP, Ends, play, prepare
from stories import drifting, kills, short_story

SEED = 20261122
DRIFTED = "policy.db: its rows were changed; a snapshot is needed"
SAME = ("clock_trusted", "door", "reader", "medium", "credential", "result", "reason", "output")


def lost_or_doubled(ends: Ends, events: int) -> list[str]:
    """Everything that must not be, by its name."""
    log = {(event["log"], event["seq"]): event for event in ends.log}
    cloud = [(event["log"], event["seq"]) for event in ends.cloud]
    wrong = []
    if len(log) < events or [seq for _, seq in log] != list(range(1, len(log) + 1)):
        wrong.append(f"the log holds {len(log)} events, not one after the other")
    if len(cloud) != len(set(cloud)):
        wrong.append(f"{len(cloud) - len(set(cloud))} twice in the cloud")
    if missing := set(log) - set(cloud):
        wrong.append(f"{len(missing)} not in the cloud, of them {sorted(missing)[0]}")
    if more := set(cloud) - set(log):
        wrong.append(f"{len(more)} in the cloud that nobody recorded")
    wrong += [
        f"event {event['seq']} has another {name}"
        for event in ends.cloud
        for name in SAME
        if (event["log"], event["seq"]) in log and event[name] != log[event["log"], event["seq"]][name]
    ]
    return wrong


def doubts(ends: Ends) -> list[str]:
    """What the cloud says of the controller's log, but that it is whole."""
    [said] = [each for each in ends.summary["controllers"] if each["logs"]]
    chains = [f"chain {log['chain']}" for log in said["logs"] if log["chain"] != "proven"]
    return chains + [alarm["kind"] for alarm in ends.summary["alarms"]]


def report(kind: str, ends: Ends) -> None:
    up, down = ends.lost[UP], ends.lost["down"]
    print(f"{kind}: {len(ends.cloud)} events in the cloud, each once. With PUBACK and not handed on: {up} of "
          f"{ends.said[UP]} up, {down} of {ends.said['down']} down. Line: {dict(ends.counts)}, "
          f"resends {ends.status['uplink']['resends']}")  # fmt: skip


@pytest.fixture(scope="module")
def place():
    """A folder whose Unix sockets have short paths, with what every scene begins from."""
    folder = Path(tempfile.mkdtemp(prefix="vf", dir="/tmp"))
    (folder / "0").mkdir()
    prepare(folder / "0")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def played(place: Path, *stories: tuple[str, str, object, int, float]) -> dict[str, Ends]:
    """(name, broker, story, events, events a second) each, all at the same time; what came of it by its name."""

    async def all_at_once() -> list[Ends]:
        return await asyncio.gather(
            *(play(kind, folder_of(place, i), story, seed=SEED + i, events=events, per_s=per_s)
              for i, (_, kind, story, events, per_s) in enumerate(stories))
        )  # fmt: skip

    print(f"seeds from {SEED} on")
    return dict(zip([story[0] for story in stories], asyncio.run(all_at_once()), strict=True))


def folder_of(place: Path, number: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=str(number), dir=place))
    shutil.copytree(place / "0", folder, dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def rows_seen() -> dict[str, tuple[tuple[int, int], list[bytes], bool]]:
    """What the store held as the story of drift went on: (version, rows, whether they are those that were stored)."""
    return {}


@pytest.fixture(scope="module")
def quick(place, rows_seen) -> dict[str, Ends]:
    """Row Y1 in its quick size, a short story with each other broker, and one of drift, at the same time."""
    return played(
        place,
        ("iotcore", "iotcore", short_story, 500, 100),
        ("mosquitto", "mosquitto", kills(10), 5_000, 500),  # starts at once: so the story is not all waiting
        ("mosquitto-recommended", "mosquitto-recommended", short_story, 500, 100),
        ("drift", "iotcore", drifting(rows_seen), 20, 50),
    )


@pytest.mark.parametrize(
    ("kind", "events"), [("iotcore", 500), ("mosquitto", 5_000), ("mosquitto-recommended", 500), ("drift", 20)]
)
def test_whatever_a_broker_loses_the_ends_lose_nothing(quick, kind, events):
    """Every event is in the cloud once and as recorded, its chain is proven, and nobody raised an alarm about it."""
    ends = quick[kind]
    report(kind, ends)
    assert lost_or_doubled(ends, events) == []
    assert doubts(ends) == []


def test_a_single_breach_is_seen(quick):
    """Negative control: one event taken from, doubled in or changed in what the cloud has is a breach."""
    ends = quick["iotcore"]
    one = ends.cloud[77]
    for spoiled in (
        [each for each in ends.cloud if each is not one],
        [*ends.cloud, one],
        [{**each, "reason": "x"} if each is one else each for each in ends.cloud],
    ):
        assert lost_or_doubled(ends._replace(cloud=spoiled), 500)


def alarms(ends: Ends) -> list[str]:
    return [event["detail"] for event in ends.log if event["result"] == "alarm"]


def test_one_row_that_drifted_is_found_and_repaired(quick, rows_seen):
    """Row Y6: the manager sends everything under a higher revision, and the row is the old one again."""
    seen, ends = rows_seen, quick["drift"]
    version, rows, is_whole = seen["spoiled"]
    assert (version, is_whole) == (seen["before"][0], False)
    assert len(set(rows) ^ set(seen["before"][1])) == 2
    version, rows, is_whole = seen["repaired"]
    assert is_whole
    assert version > seen["before"][0]
    assert rows == seen["before"][1]
    assert DRIFTED in alarms(ends)


def test_an_older_policy_that_is_brought_back_does_not_stay(quick, rows_seen):
    """Row Y7: a copy from before a lockdown is put in the policy's place: an alarm, and the newer one again."""
    seen, ends = rows_seen, quick["drift"]
    assert seen["brought back"][0] == seen["repaired"][0] < seen["changed"][0]
    version, rows, is_whole = seen["in the end"]
    assert is_whole
    assert version >= seen["changed"][0]
    assert rows == seen["changed"][1]
    assert any("policy.db has lost policy" in said for said in alarms(ends))


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", BROKERS)
def test_killed_two_hundred_times_each_nothing_is_lost(place, kind):
    """Row Y1, full: over 100,000 events broker and agent are killed 200 times each."""
    [ends] = played(place, (kind, kind, kills(200), 100_000, 500)).values()
    report(kind, ends)
    assert lost_or_doubled(ends, 100_000) == []
    assert doubts(ends) == []
