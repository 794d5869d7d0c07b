"""Numbers, pictures and lists from which the pages of these tests are made."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import PARTS

from reid_attn.data.images import encode_jpeg
from reid_attn.reports.page import Report
from reid_attn.reports.ranked_lists import Failure, Hit, RankedList

METRICS = {
    "mAP": 0.8591,
    "mAP_trapezoid": 0.8472,
    "mINP": 0.6033,
    "rank1": 0.9452,
    "rank5": 0.9711,
    "rank10": 0.9805,
    "rank20": 0.9888,
    "queries": 3368,
    "valid_queries": 3366,
    "gallery": 15913,
    "junk": 3819,
    "cmc": [0.9452, 0.95, 0.96, 0.965, 0.9711, 0.975],
}
CURVES = [
    {"kind": "train", "epoch": 1, "learning_rate": 1e-4, "total": 5.0, "identity": 4.0,
     "triplet": 1.0, "accuracy": 0.1},
    {"kind": "train", "epoch": 2, "learning_rate": 3e-4, "total": 4.0, "identity": 3.5,
     "triplet": 0.5, "accuracy": 0.3},
    {"kind": "evaluation", "epoch": 2, "rank1": 0.41, "mAP": 0.3},
]  # fmt: skip


@pytest.fixture
def metrics() -> dict[str, Any]:
    """The content of a `metrics.json`."""
    return dict(METRICS)


@pytest.fixture
def curves() -> list[dict[str, Any]]:
    """The rows of a `metrics.jsonl`."""
    return list(CURVES)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A small picture that can be read."""
    path = tmp_path / "0001_c1.jpg"
    path.write_bytes(encode_jpeg(np.full((16, 8, 3), 90, np.uint8), quality=90))
    return path


@pytest.fixture
def ranked(picture: Path) -> RankedList:
    """A query with a right, a wrong and a not judged hit."""
    hits = tuple(
        Hit(picture, score, correct, f"person {score}", "c2")
        for score, correct in ((0.91, True), (0.82, False), (0.73, None))
    )
    return RankedList(picture, "anna", "c1", hits, 0.375)


@pytest.fixture
def report(ranked: RankedList) -> Report:
    """A report in which every section has something to show."""
    return Report(
        title="market1501-rga",
        metrics={**METRICS, "comparisons": {"before the neck": {"mAP": 0.8123}}},
        curves=CURVES,
        best=(ranked,),
        worst=(ranked,),
        baselines={"colour histogram": 0.164},
        settings="seed: 0\n",
        provenance={"metric": "cosine", "fingerprint": "9f2c"},
    )


@pytest.fixture
def full(report: Report, ranked: RankedList) -> Report:
    """The report with every part that a page can have."""
    kinds = ("right", "wrong", "junk", "distractor")
    hits = tuple(Hit(None, 0.5, kind == "right", "7", "c2", kind) for kind in kinds)
    return dataclasses.replace(
        report,
        metrics={**report.metrics, **PARTS},
        random=(dataclasses.replace(ranked, hits=hits),),
        failures=(Failure(ranked, 0.00421), Failure(ranked, 0.00123)),
        persons=[
            {"person": f"no. {i}", "queries": 3, "mAP": i / 100, "rank1": 0.5} for i in range(30)
        ],
        embedding={
            "x": [0.0, 1.0, 2.0, 3.0],
            "y": [0.0, 1.0, 0.5, 1.0],
            "person": ["anna", "anna", "ben", "ben"],
            "camera": ["c1", "c2", "c1", "c2"],
            "query": [True, False, False, False],
            "method": "t-SNE",
        },
    )
