"""MATLAB's files of level 5: what scipy writes is read back, and nothing else gets through."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from reid_attn.data.matlab import read_numbers, read_texts, whole_column
from reid_attn.errors import DataError

TEXTS = ["1_001_1_01.png", "é李😀", "", "a" * 300]


def saved(values: dict[str, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, values, **options)
    return buffer.getvalue()


def cells(texts: list[str], shape: tuple[int, int]) -> np.ndarray:
    array = np.empty(len(texts), object)
    array[:] = texts
    return array.reshape(shape, order="F")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("shape", [(4, 1), (1, 4), (2, 2)])
def test_cells_of_text(tmp_path: Path, shape: tuple[int, int], compressed: bool) -> None:
    values = {"before": [1, 2], "filelist": cells(TEXTS, shape), "after": cells(["x"], (1, 1))}
    (tmp_path / "f.mat").write_bytes(saved(values, do_compression=compressed))
    found = read_texts(tmp_path / "f.mat", ["filelist", "after"])
    assert found == {"filelist": TEXTS, "after": ["x"]}
    assert read_numbers(tmp_path / "f.mat", ["before"])["before"].tolist() == [[1, 2]]


@pytest.mark.parametrize(
    "value", [np.ones(3), "text", cells(["a"], (1, 1))[0, 0], np.array(["a", 1], object)]
)
def test_what_is_no_cell_of_text(tmp_path: Path, value: Any) -> None:
    (tmp_path / "f.mat").write_bytes(saved({"filelist": value}))
    with pytest.raises(DataError, match=r"f\.mat: filelist must be cells of text"):
        read_texts(tmp_path / "f.mat", ["filelist"])


def test_a_missing_name_lists_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "f.mat").write_bytes(saved({"a": 1, "b": 2}))
    with pytest.raises(DataError, match=r"lacks c, d; it has a, b$"):
        read_numbers(tmp_path / "f.mat", ["a", "c", "d"])


@pytest.mark.parametrize("compressed", [False, True])
def test_a_wrong_bit_is_read_or_refused(tmp_path: Path, compressed: bool) -> None:
    whole = saved({"filelist": cells(TEXTS, (4, 1))}, do_compression=compressed)
    generator = np.random.default_rng(0)
    refused = 0
    for place in generator.integers(128, len(whole), 300):
        changed = bytearray(whole)
        changed[place] ^= 1 << generator.integers(8)
        (tmp_path / "f.mat").write_bytes(changed)
        try:
            assert len(read_texts(tmp_path / "f.mat", ["filelist"])["filelist"]) <= len(whole)
        except DataError:
            refused += 1
    assert refused > 20


@given(st.lists(st.integers(-(2**53) + 1, 2**53 - 1), min_size=1, max_size=9))
def test_whole_doubles_become_integers(numbers: list[int]) -> None:
    for shape in ((-1, 1), (1, -1)):
        column = whole_column(np.array(numbers, float).reshape(shape), "labels", Path("f.mat"))
        assert column.dtype == np.int64
        assert column.tolist() == numbers
