"""D2: random policies, credentials, doors and moments against the independent oracle."""

import collections
import random

import oracle
import pytest
import random_sites
import site_rows
from core_answers import ask_core

SEED = 20261122
PER_SITE = 200


def differences(questions: int, seed: int) -> tuple[list, collections.Counter]:
    """Every question on which the two differ, as a day line with what the core said; and how often each answer came."""
    found, seen = [], collections.Counter()
    for number in range(questions // PER_SITE):
        rng = random.Random(f"{seed}/{number}")
        site = random_sites.a_site(rng)
        index = site_rows.index_of(site)
        for _ in range(PER_SITE):
            state, ask, now = random_sites.a_question(rng, site)
            wanted = oracle.decide(site, state, ask, now)
            got = ask_core(index, site, state, ask, now)
            seen[wanted.reason or "open"] += 1
            if got != wanted:
                found.append((number, site, state, ask, now, wanted, got))
    return found, seen


def report(found: list) -> str:
    number, site, state, ask, now, wanted, got = found[0]
    day = random_sites.as_day([(site, ask, now, wanted)])
    known = site.passes.get((ask.medium, ask.number))
    return (
        f"{len(found)} differences; the first, site {number} of seed {SEED}: wanted {wanted}, got {got}\n{day}\n"
        f"{ask}\n{now}\n{state}\n{known}\n{known and site.profiles[known.profile]}\n{site.week_types}\n{site.holidays}"
    )


def check(questions: int, seed: int) -> None:
    print(f"seed {seed}, {questions} questions")
    found, seen = differences(questions, seed)
    assert not found, report(found)
    print(dict(seen))
    for reason in ("open", *oracle.LADDER):
        assert seen[reason] >= questions // 2000, f"{reason} came only {seen[reason]} times: the questions are too tame"


def test_the_core_answers_as_the_oracle_quick() -> None:
    """2·10^4 random questions: no difference, and every answer of the ladder occurs."""
    check(20_000, SEED)


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_the_core_answers_as_the_oracle_full() -> None:
    """10^6 random questions: no difference."""
    check(1_000_000, SEED + 1)
