"""The design of the screening is balanced, and its effects are the ones that were put in."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.screening import TRAININGS, design, helpful, rows, table
from reid_attn import storage
from reid_attn.ablation.folds import Fold

FACTORS = {name: (f"data.{name}=1",) for name in "abcdefg"}
FOLDS = [Fold(f"fold{number}-innerfold0", "") for number in range(2)]


@pytest.mark.parametrize("index", [0, 1])
def test_each_pair_of_ingredients_is_together_as_often_as_apart(index: int) -> None:
    signs = np.where(design(index), 1, -1)
    assert signs.shape == (TRAININGS, len(FACTORS))
    assert np.array_equal(signs.T @ signs, TRAININGS * np.eye(len(FACTORS)))
    assert not signs.sum(axis=0).any()


def test_a_second_fold_sees_through_pairs() -> None:
    both = np.concatenate([np.where(design(index), 1, -1) for index in (0, 1)])
    for first in range(len(FACTORS)):
        for second in range(first):
            assert not (both.T @ (both[:, first] * both[:, second])).any()


def test_a_training_has_the_settings_of_its_ingredients() -> None:
    for row, chosen in zip(rows(Path("x.yaml"), FACTORS, 0), design(0), strict=True):
        expected = [words[0] for words, isin in zip(FACTORS.values(), chosen, strict=True) if isin]
        assert list(row.overrides) == expected


def test_effects_are_found(tmp_path: Path) -> None:
    effects = np.array([0.08, -0.04, 0.02, -0.01, -0.01, -0.01, 0.16])
    for index, fold in enumerate(FOLDS):
        for number, chosen in enumerate(design(index)):
            score = 0.5 + effects @ np.where(chosen, 0.5, -0.5)
            numbers = {
                "persons": [1, 2],
                "rank1_of_queries": [1.0, 0.0],
                "AP_of_queries": [score + 0.1, score - 0.1],
            }
            storage.write_json(tmp_path / f"training{number}-{fold.name}.json", numbers)
    lines = table(FACTORS, FOLDS, tmp_path).splitlines()[2:]
    for line, effect in zip(lines, effects, strict=True):
        assert line.count(f"{100 * effect:+.1f}") >= len(FOLDS)
    assert helpful(FACTORS, FOLDS[1], 1, tmp_path) == ["a", "c", "g"]
    (tmp_path / f"training3-{FOLDS[1].name}.json").unlink()
    assert helpful(FACTORS, FOLDS[1], 1, tmp_path) is None
    lines = table(FACTORS, FOLDS, tmp_path).splitlines()[2:]
    assert all(line.endswith("*not run* |") and "+0.0 (" in line for line in lines)
