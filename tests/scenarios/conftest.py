"""One demo of the second residence for all tests that only look at it, talk to it, or mend what they broke."""

import pytest
import scenario_storm
from scenario_demo import Playing
from scenario_processes import short_folder


@pytest.fixture(scope="session")
def playing():
    """Broker, cloud, two agents and their hardware at work."""
    with short_folder() as folder:
        building, day = scenario_storm.write_building(folder)
        with Playing(building, day, folder) as demo:
            yield demo
