"""A failure is only worth printing if it can be played: sites and questions through files, reader and `replay`."""

import random
from datetime import date, timedelta

import building_files
import oracle
import pytest
import random_sites
from oracle import Site

from edge.replay import Replay
from edge.residence.day import read_day
from edge.residence.reading import read

TODAY = date(2026, 11, 23)


def a_quiet_site(rng: random.Random) -> Site:
    """Badges and remotes at doors that remember nothing from one question to the next."""
    site = random_sites.a_site(rng)
    site.lockdown = set()
    site.passes = {key: known for key, known in site.passes.items() if _can_be_written(key, known)}
    for name, door in site.doors.items():
        site.doors[name] = oracle.Door(door.outputs, door.unlock_ms, badge_and_code=door.badge_and_code)
    return site


def _can_be_written(key: tuple, known: oracle.Pass) -> bool:
    days = (known.first_day, known.last_day)
    return key[0] in ("badge", "remote") and key[1] > 0 and (None in days or days[0] <= days[1])


def a_day_of(rng: random.Random, site: Site, count: int) -> list:
    """Playable questions in order, at least a minute apart, so that every pulse is over."""
    steps: list = []
    for _ in range(40 * count):
        state, ask, now = random_sites.a_question(rng, site)
        state = oracle.State()
        if building_files.is_playable(site, state, ask, now):
            steps.append((state, ask, now))
    steps.sort(key=lambda step: step[2].utc)
    apart: list = []
    for step in steps:
        if not apart or step[2].utc - apart[-1][2].utc > timedelta(minutes=1):
            apart.append(step)
    return apart[:count]


@pytest.mark.parametrize("seed", range(25))
def test_a_day_through_files_gives_what_the_oracle_says(seed: int, tmp_path) -> None:
    """The oracle's answers, written as a day file, are what `replay` gives of the same site written as files."""
    rng = random.Random(20261122 + seed)
    site = a_quiet_site(rng)
    day = a_day_of(rng, site, 40)
    answers = [(site, ask, now, oracle.decide(site, state, ask, now)) for state, ask, now in day]
    building_files.write_building(site, tmp_path / "b")
    (tmp_path / "day.csv").write_text(random_sites.as_day(answers) + "\n")
    residence, problems = read(tmp_path / "b", TODAY)
    assert residence is not None, problems
    steps, problems = read_day(tmp_path / "day.csv", residence)
    assert len(steps) == len(day) > 10, problems
    differing = [(one.step.line, one.got, one.step.expect) for one in Replay(residence, steps).run() if not one.is_ok]
    assert not differing


def test_a_wrong_answer_is_seen(tmp_path) -> None:
    """With one answer turned round, replay says which step."""
    rng = random.Random(20261122)
    site = a_quiet_site(rng)
    day = a_day_of(rng, site, 12)
    answers = [(site, ask, now, oracle.decide(site, state, ask, now)) for state, ask, now in day]
    answers[5] = (*answers[5][:3], oracle.Answer("lost" if answers[5][3].reason != "lost" else "expired"))
    building_files.write_building(site, tmp_path / "b")
    (tmp_path / "day.csv").write_text(random_sites.as_day(answers) + "\n")
    residence, _ = read(tmp_path / "b", TODAY)
    steps, _ = read_day(tmp_path / "day.csv", residence)
    assert [one.step.line for one in Replay(residence, steps).run() if not one.is_ok] == [7]
