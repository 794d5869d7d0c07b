"""What is measured on a set of features, and which answers are shown."""

import json
from pathlib import Path

import numpy as np
import pytest

from reid_attn.commands import main
from reid_attn.features import Features, FeatureSet
from reid_attn.features.file import save_set
from reid_attn.reports import measurements
from reid_attn.reports.answers import SHOWN_HITS, answers, chosen_queries, from_plain, to_plain


def clouds(persons: int = 12, seed: int = 0) -> FeatureSet:
    """Two queries and six gallery pictures of each person at two cameras, and ten distractors."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((persons, 16))

    def side(pictures: int, distractors: int) -> Features:
        ids = np.append(np.repeat(np.arange(1, persons + 1), pictures), np.zeros(distractors, int))
        vectors = generator.standard_normal((len(ids), 16))
        vectors[ids > 0] += 1.5 * centres[ids[ids > 0] - 1]
        cameras = np.arange(len(ids)) % 2 + 1
        names = tuple(
            f"{person:04}_c{camera}.jpg" for person, camera in zip(ids, cameras, strict=True)
        )
        return Features(vectors.astype(np.float32), ids, cameras, names)

    return FeatureSet(side(2, 0), side(6, 10))


def test_everything_is_measured_and_plain() -> None:
    features = clouds()
    found = measurements.further_metrics(features, "cosine")
    assert set(found) == {"sample", "verification", "open_set", "camera_pairs"}
    assert found["sample"] == {"queries": 24, "of": 24}
    assert found["verification"]["genuine"] == 24 * 3
    scores = measurements.query_scores(features.rank(), features)
    assert len(scores["persons"]) == len(scores["names"]) == 24
    assert len(scores["hardest"]) == 12
    json.dumps([found, scores, measurements.feature_map(features, "cosine")], allow_nan=False)


def test_large_sets_are_sampled_by_person(monkeypatch: pytest.MonkeyPatch) -> None:
    features = clouds()
    monkeypatch.setattr(measurements, "PAIRS", 10 * len(features.gallery) + 5)
    found = measurements.further_metrics(features, "cosine")
    assert found["sample"] == {"queries": 10, "of": 24}
    assert found["verification"]["genuine"] == 10 * 3  # whole persons


def test_a_set_too_small_for_an_open_set_goes_without() -> None:
    found = measurements.further_metrics(clouds(persons=2), "cosine")
    assert "open_set" not in found
    assert "verification" in found


def test_other_rankings_stand_beside_the_plain_one() -> None:
    features = clouds()
    plain = features.rank().headline()
    variants = measurements.reranked(features, "cosine") | measurements.expanded(features)
    assert len(variants) == 4
    assert all(set(scores) == set(plain) for scores in variants.values())
    assert all(scores["mAP"] != plain["mAP"] for scores in variants.values())


def test_the_map_holds_whole_persons() -> None:
    found = measurements.feature_map(clouds(persons=20), "euclidean")
    assert found is not None
    assert len(set(found["person"])) == measurements.MAPPED_PERSONS
    assert 0 not in found["person"]
    lengths = {len(found[key]) for key in ("x", "y", "person", "camera", "query")}
    assert lengths == {measurements.MAPPED_PERSONS * 8}
    assert measurements.feature_map(clouds(persons=1), "cosine") is None


def test_answers_show_junk_and_distractors_where_they_stand() -> None:
    features = clouds()
    ranking = features.rank()
    rows = chosen_queries(ranking)
    assert not set(rows["random"]) & {*rows["best"], *rows["worst"]}
    lists = answers(features, ranking, rows, "cosine")
    for name in ("best", "worst", "random"):
        for row, shown in zip(rows[name], lists[name], strict=True):
            assert from_plain(json.loads(json.dumps(to_plain(shown)))) == shown
            kinds = [hit.verdict for hit in shown.hits]
            assert len(kinds) - kinds.count("junk") == SHOWN_HITS
            for hit in shown.hits:
                own = int(hit.person) == features.query.persons[row]
                here = int(hit.camera) == features.query.cameras[row]
                expected = ("junk" if here else "right") if own else "wrong"
                assert hit.verdict == ("distractor" if hit.person == "0" else expected)
            scores = [hit.score for hit in shown.hits]
            assert scores == sorted(scores, reverse=True)


def test_a_features_file_with_every_variant(tmp_path: Path) -> None:
    save_set(tmp_path / "features.npz", clouds())
    command = [
        "evaluate",
        "--features",
        str(tmp_path / "features.npz"),
        "-o",
        str(tmp_path / "out"),
    ]
    assert main([*command, "--rerank", "--expand"]) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert len(metrics["comparisons"]) == 4
    assert "re-ranked (k1 20, k2 6, λ 0.3)" in (tmp_path / "out" / "report.html").read_text()
