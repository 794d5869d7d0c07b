import numpy as np
import pytest

from reid_attn.errors import DataError
from reid_attn.neighbours import unit_rows


@pytest.mark.parametrize("value", [0, np.nan, np.inf])
def test_a_row_without_direction_is_named(value: float) -> None:
    vectors = np.ones((3, 2), np.float32)
    vectors[1] = value
    with pytest.raises(DataError, match=r"b\.jpg"):
        unit_rows(vectors, ["a.jpg", "b.jpg", "c.jpg"])


def test_lengths_are_one_where_squares_leave_float32() -> None:
    vectors = np.array([[3e30, 4e30], [3e-30, 4e-30]], np.float32)
    np.testing.assert_allclose(unit_rows(vectors), [[0.6, 0.8]] * 2, rtol=1e-6)
