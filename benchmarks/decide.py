"""One whole decision beside what a user would pick instead (requirements.md, rows P1, P3 and P8).

Ours is `authorize` with all that it checks: the ladder, lockdown and lockout, validity, the grants of a group, week
types over midnight, holidays, badge and code, passback. Beside it, for the same people at the same doors
(`decide_residence`), in the same run on the same machine:

- a plain `dict` get with its tuple unpacked, and one indexed SQLite query: both find a credential and decide nothing;
- pycasbin, cedarpy and oso, each in an environment of its own: they decide on the same rules, and their answers are
  compared with ours, one by one. They keep no list, but cedarpy: a dict of the application's finds the credential.

Means come from plain loops, p50 and p99 from calls timed one by one, less the timer's own time; of several passes the
quietest counts, on every side.
"""

import argparse
import gc
import sys

from decide_here import code_row, furnish, rows_of_size
from decide_peers import rows_of_peers
from decide_small import rows_of_micropython
from decide_start import rows_of_image, rows_of_start
from decide_timing import Timing
from report import Row, as_much, print_rows

GOAL_FLAT = 1.5


def compare(sizes: list[int], quick: bool, install: bool) -> list[Row]:
    """Measure everything. `sizes`: credentials, rising; the peers run at the first alone in the quick form."""
    asks, passes = (10_000, 5) if quick else (40_000, 9)
    rows: list[Row] = []
    ours: dict[int, Timing] = {}
    ends = []
    for size in sizes:
        place = furnish(size, asks)
        gc.collect()
        gc.freeze()  # the agent keeps no such heap beside the image: do not let the collector walk it
        ours[size], found = rows_of_size(place, passes)
        rows += found
        if size == sizes[0] or not quick:
            rows += rows_of_peers(place, ours[size], 200 if quick else 1000, 2 if quick else 3, install)
        if size == sizes[-1]:
            rows.append(code_row(place, passes))
        rows += rows_of_image(place)
        if size in (sizes[0], sizes[-1]):
            ends.append(place)
        gc.unfreeze()
    most, least = sizes[-1], sizes[0]
    case = f"{most:,} credentials beside {least:,}, mean in a loop"
    rows.append(as_much("P1", case, ours[most].loop_us, ours[least].loop_us, f"ours at {least:,}", "us", GOAL_FLAT))
    rows += rows_of_start(ends, 5 if quick else 15)
    rows += rows_of_micropython(ends[0], 20_000 if quick else 2000)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description="one decision beside dict, SQLite and policy engines (P1, P3, P8)")
    parser.add_argument("--quick", action="store_true", help="1,000 and 100,000 credentials, fewer passes")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--sizes", help="credentials, rising, with commas between: instead of the form's own")
    parser.add_argument("--no-install", action="store_true", help="measure only the peers that are installed already")
    arguments = parser.parse_args()
    sizes = [1000, 100_000] if arguments.quick else [1000, 10_000, 100_000, 1_000_000]
    if arguments.sizes:
        sizes = [int(word) for word in arguments.sizes.split(",")]
    rows = compare(sizes, arguments.quick, not arguments.no_install)
    print_rows("decide", rows, arguments.json)
    return 0 if all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
