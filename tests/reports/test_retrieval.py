"""One-shot retrieval: which answers are left out, and what is written."""

import os
from pathlib import Path

import numpy as np

from reid_attn.features import Features
from reid_attn.reports.retrieval import rank


def features(names: list[Path]) -> Features:
    """One feature a name, the first most like itself and then each less than the one before."""
    angles = np.linspace(0, 1, len(names), dtype=np.float32)
    unknown = np.full(len(names), -1)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Features(vectors, unknown, unknown, tuple(map(str, names)))


def test_links_to_the_query_leave_no_answer_out(tmp_path: Path) -> None:
    me, others = tmp_path / "me.jpg", [tmp_path / f"{number}.jpg" for number in range(20)]
    links = [tmp_path / f"link{number}.jpg" for number in range(5)]
    me.touch()
    for link in links:
        os.symlink(me, link)
    found = rank(features([me]), features([me, *links, *others]), 10)
    assert [hit.picture for hit in found[0].hits] == others[:10]
    found = rank(features([me]), features([me, *links, *others[:7]]), 10)
    assert [hit.picture for hit in found[0].hits] == others[:7]
