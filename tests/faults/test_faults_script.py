"""`scripts/faults` runs what it says: `--full` the large counts too."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def collected(*words: str) -> tuple[int, int]:
    """How many tests are chosen, of how many."""
    command = ["scripts/faults", *words, "--collect-only", "-q", "-p", "no:cacheprovider"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = re.search(r"(?:(\d+)/)?(\d+) tests collected", told)
    assert found, told
    return int(found[1] or found[2]), int(found[2])


def test_full_leaves_nothing_out() -> None:
    few, all_of_them = collected()
    assert 0 < few < all_of_them
    assert collected("--full") == (all_of_them, all_of_them)
