"""Folds: every training person tested once, nobody of the test touched, tables that load."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from reid_attn import storage
from reid_attn.ablation.folds import divide, make_folds
from reid_attn.data import Dataset, Picture, load
from reid_attn.errors import UsageError


def written(source: str, count: int, folder: Path, seed: int = 0) -> list[Dataset]:
    datasets = []
    for fold in make_folds(source, "", count, seed, folder):
        storage.write_text(folder / f"{fold.name}.csv", fold.table)
        datasets.append(load(fold.source))
    return datasets


def test_every_training_person_is_tested_once(sample: Path, tmp_path: Path) -> None:
    whole = load(f"market1501:{sample}")
    folds = written(f"market1501:{sample}", 3, tmp_path)
    tested = Counter(
        fold.describe(person) for fold in folds for person in {p.person for p in fold.query}
    )
    assert tested == Counter(str(person) for person in whole.labels())
    for fold in folds:
        pictures = {picture.path for picture in fold.train + fold.query + fold.gallery}
        assert pictures == {picture.path.absolute() for picture in whole.train}
        assert not fold.problems()
        asked = Counter((picture.person, picture.camera) for picture in fold.query)
        assert set(asked.values()) == {1}


def test_folds_are_seeded(sample: Path, tmp_path: Path) -> None:
    source = f"market1501:{sample}"
    again, other = (make_folds(source, "", 2, seed, tmp_path) for seed in (0, 1))
    assert again == make_folds(source, "", 2, 0, tmp_path)
    assert again != other


@pytest.mark.parametrize(
    ("cameras", "queries"),
    [([1, 1, 1], 0), ([1, 2], 1), ([1, 1, 2], 1), ([1, 1, 2, 2, 3], 2)],
)
def test_a_match_in_another_camera_is_left(cameras: list[int], queries: int) -> None:
    pictures = tuple(
        Picture(Path(f"{person}_{i}"), person, camera)
        for person in (1, 2, 3, 4)
        for i, camera in enumerate(cameras)
    )
    for splits in divide(Dataset("x", pictures, (), ()), 2, seed=0):
        asked = [picture for picture, split in splits.items() if split == "query"]
        assert len(asked) == 2 * queries
        for query in asked:
            assert any(
                split == "gallery" and p.person == query.person and p.camera != query.camera
                for p, split in splits.items()
            )


def test_folds_that_are_given_are_taken_in_order(sample: Path, tmp_path: Path) -> None:
    for name in ("fold0", "fold2", "fold10", "notes"):
        shutil.copytree(sample, tmp_path / name)
    folds = make_folds(f"market1501:{tmp_path}", "", 3, 0, tmp_path)
    assert [fold.source for fold in folds] == [
        f"market1501:{tmp_path / name}" for name in ("fold0", "fold2", "fold10")
    ]
    with pytest.raises(UsageError, match="holds 3 folds"):
        make_folds(f"market1501:{tmp_path}", "", 4, 0, tmp_path)


@pytest.mark.parametrize(("count", "complaint"), [(1, "nobody to train with"), (4, "--folds 3")])
def test_a_count_that_cannot_be(sample: Path, tmp_path: Path, count: int, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        make_folds(f"market1501:{sample}", "", count, 0, tmp_path)
