"""kill -9 of agents, cloud and broker while badges are presented: no recorded passage lost, none twice in the cloud,
and no strike without its record."""

import dataclasses
from collections import Counter

import pytest
import scenario_storm
from scenario_demo import Playing
from scenario_processes import short_folder

SEED = 20261122


def storm_of(passages, kills_each, seed):
    """One storm over a demo of its own."""
    print(f"seed {seed}, {passages} passages, each of {scenario_storm.TARGETS} killed {kills_each} times")
    with short_folder() as folder:
        building, day = scenario_storm.write_building(folder)
        with Playing(building, day, folder) as playing:
            return scenario_storm.rage(playing, passages, kills_each, seed)


@pytest.fixture(scope="module")
def storm():
    """The quick size: sixty passages, each process killed three times."""
    return storm_of(60, 3, SEED)


def breaches(storm):
    """Everything that must not be, by name."""
    return {
        "lost from a log": scenario_storm.lost_from_logs(storm),
        "holes in a log": scenario_storm.holes(storm),
        "lost on the way": scenario_storm.lost_on_the_way(storm),
        "twice in the cloud": scenario_storm.twice_in_cloud(storm),
        "strikes without a record": scenario_storm.unrecorded_pulses(storm),
    }


def none_of(storm):
    return {name: [] for name in breaches(storm)}


def test_no_recorded_passage_is_lost_and_none_is_twice(storm):
    """Each process was killed three times in the middle of passages; logs, relays and cloud agree."""
    assert storm.kills == Counter(dict.fromkeys(scenario_storm.TARGETS, 3))
    assert breaches(storm) == none_of(storm)


def test_the_storm_is_no_calm(storm):
    """Most passages were decided and recorded all the same, relays moved, and agents started more than once."""
    decided = [passage for passage in storm.passages if passage.events]
    assert len(decided) > len(storm.passages) * 0.8
    assert sum(len(passage.pulses) for passage in storm.passages) > len(storm.passages) * 0.4
    starts = Counter(key[0] for key, event in storm.logs.items() if event["reason"] == "started")
    assert min(starts.values()) >= 4
    assert len({key[1] for key in storm.logs}) == 2  # each controller keeps one log through all of it


def test_undisturbed_passages_give_the_same_each_time(storm):
    """What was presented while nothing was killed was granted or denied as ever."""
    results: dict[int, set] = {}
    for number, passage in enumerate(storm.passages):
        if not passage.killed:
            said = [
                (event["result"], event["reason"], event["output"])
                for event in passage.events
                if event["medium"] in ("badge", "remote")
            ]
            assert len(said) == 1, (number, passage)
            results.setdefault(number % len(scenario_storm.PRESENTED), set()).update(said)
    assert all(len(said) == 1 for said in results.values()), results


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("lost on the way", lambda storm, key: {"cloud": [one for one in storm.cloud if one != key]}),
        ("twice in the cloud", lambda storm, key: {"cloud": [*storm.cloud, key]}),
        ("holes in a log", lambda storm, key: {"logs": {one: storm.logs[one] for one in storm.logs if one != key}}),
        ("lost from a log", lambda storm, key: {"logs": {**storm.logs, key: {**storm.logs[key], "result": "x"}}}),
    ],
)
def test_a_single_breach_is_seen(storm, name, spoil):
    """Negative control: one event taken from, doubled in or changed in what was found is a breach of that name."""
    key = sorted(storm.logs)[len(storm.logs) // 2]
    assert breaches(dataclasses.replace(storm, **spoil(storm, key)))[name]


def test_a_strike_without_its_event_is_seen(storm):
    """Negative control: with its opening taken from the record, a relay's movement is a breach."""
    number = next(i for i, passage in enumerate(storm.passages) if passage.pulses)
    silent = dataclasses.replace(storm.passages[number], events=[])
    passages = [*storm.passages[:number], silent, *storm.passages[number + 1 :]]
    assert breaches(dataclasses.replace(storm, passages=passages))["strikes without a record"]


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_a_long_storm_loses_nothing():
    """A thousand passages, each process killed twenty times."""
    storm = storm_of(1000, 20, SEED + 1)
    assert storm.kills == Counter(dict.fromkeys(scenario_storm.TARGETS, 20))
    assert breaches(storm) == none_of(storm)
