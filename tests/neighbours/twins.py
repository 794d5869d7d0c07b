"""Vectors, and the twin that every index is compared with."""

import numpy as np


def rows_of(count: int, dimension: int, seed: int = 0) -> np.ndarray:
    """Unit rows in all directions."""
    rows = np.random.default_rng(seed).standard_normal((count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clouds(count: int, dimension: int, seed: int = 0) -> np.ndarray:
    """Unit rows in clouds of some ten."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((max(1, count // 10), dimension))
    rows = centres[generator.integers(0, len(centres), count)]
    rows = rows + 0.5 * generator.standard_normal(rows.shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def twin(rows: dict[int, np.ndarray], query: np.ndarray, k: int) -> list[tuple[float, int]]:
    """The `k` best (score, id) of plain products, equal scores by id."""
    exact = query.astype(float)
    pairs = [(np.float32((row.astype(float) * exact).sum()), id_) for id_, row in rows.items()]
    return sorted(pairs, key=lambda pair: (-pair[0], pair[1]))[:k]
