"""A large residence: reading and compiling grow with its size, not faster."""

from pathlib import Path
from time import process_time

from residence_folders import TODAY, copy_example

from edge.decision import rows
from edge.residence.compile import policy_rows
from edge.residence.reading import read

RESIDENTS = "block;flat;name;display;call_code;phone1;phone2;phone3;door_code\n"
PASSES = "number;type;block;flat;from;to;state\n"


def _enlarge(folder: Path, flats: int) -> Path:
    """The example's site with that many flats of three telephones and a code, and six passes each."""
    homes, passes = [], []
    for i in range(flats):
        block, phone = "ab"[i % 2], 33_610_000_000 + 3 * i
        homes.append(f"{block};{i};Name {i};Name {i};{i};00{phone};00{phone + 1};00{phone + 2};{4_000_000 + 37 * i}\n")
        for k in range(6):
            passes.append(f"{1_000_000_000 + 6 * i + k};badge;{block};{i};2026-01-01;2027-12-31;active\n")
    (folder / "residents.csv").write_text(RESIDENTS + "".join(homes))
    (folder / "passes.csv").write_text(PASSES + "".join(passes))
    return folder


def _seconds(folder: Path, flats: int) -> float:
    best_s = float("inf")
    for _ in range(2):
        start_s = process_time()
        residence, problems = read(folder, TODAY)
        assert residence is not None, problems[:3]
        packed = policy_rows(residence, "hall-a", b"u" * 16, b"k" * 32, (2025, 2037))
        best_s = min(best_s, process_time() - start_s)
    assert sum(row[0] == rows.CREDENTIAL for row in packed) == 10 * flats + 5  # and the provider's
    return best_s


def test_time_grows_with_size(tmp_path: Path) -> None:
    """2,000 flats with 12,000 passes take at most 8 times the processor time of a quarter of them (4 is linear)."""
    quarter_s = _seconds(_enlarge(copy_example(tmp_path / "quarter"), 500), 500)
    whole_s = _seconds(_enlarge(copy_example(tmp_path / "whole"), 2000), 2000)
    print(f"500 flats: {quarter_s:.2f} s, 2,000 flats: {whole_s:.2f} s, ratio {whole_s / quarter_s:.1f}")
    assert whole_s <= 8 * quarter_s
