"""`vantail run CONFIG` with short waits on site, where a test has no time for ten seconds of countdown."""

import sys
from pathlib import Path

from edge import onsite
from edge.commissioning import learning
from edge.service import serve

COUNTDOWN_S = 3

if __name__ == "__main__":
    learning.SHORTEST_S = COUNTDOWN_S
    onsite.GREEN_S = 1.0
    sys.exit(serve(Path(sys.argv[1])))
