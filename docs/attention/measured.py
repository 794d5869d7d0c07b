"""Write under each block's page what it did for re-identification, from the table of results.

.venv/bin/python docs/attention/measured.py
"""

import re
from pathlib import Path

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parent / "results/attention_ablation.md"
BEGIN = "**Measured.**"
SOURCE = "([half trained, one fold](../results/attention_ablation.md))"
PLACES = ("in its place", "after each stage")  # the two tables, in their order


def paragraph(name: str) -> str:
    """What the tables say about mAP."""
    tables = RESULTS.read_text(encoding="utf-8").split("\n## ")[1:]
    found = [
        f"{effect} {place}"
        for place, table in zip(PLACES, tables, strict=True)
        if (effect := _effect(name, table))
    ]
    if not found:
        return f"{BEGIN} Not yet.\n"
    return f"{BEGIN} mAP against no block, in points {SOURCE}: {'; '.join(found)}.\n"


def _effect(name: str, table: str) -> str:
    """`+8.3 (+1.5 to +14.8)`, or nothing where the block was not run."""
    row = re.search(rf"^\| {name} \(.*$", table, re.M)
    return row[0].split(" | ")[4].replace("*", "") if row else ""


def main() -> None:
    """Put the paragraph at the end of each page."""
    for page in FOLDER.glob("*.md"):
        text = page.read_text(encoding="utf-8").partition(f"\n{BEGIN}")[0]
        page.write_text(f"{text}\n{paragraph(page.stem)}", encoding="utf-8")


if __name__ == "__main__":
    main()
