"""Files of checked blocks: every flipped bit is noticed at the first look, and not before."""

import gc
import io
import os
from pathlib import Path

import numpy as np
import pytest

from reid_attn.errors import DamagedError
from reid_attn.neighbours import blocks

BLOCK = 64
ARRAYS = {
    "narrow": np.arange(100, dtype=np.int64),
    "wide": np.random.default_rng(0).random((20, 10), np.float32),  # rows cross blocks
    "nothing": np.empty((0, 5), np.float32),
    "one": np.array([2.5]),
}
FACTS = {"of": "a test", "number": 0.1}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", BLOCK)


def written() -> bytes:
    return b"".join(blocks.pieces(FACTS, ARRAYS))


def front() -> int:
    """Bytes before the arrays."""
    return len(written()) - sum(array.nbytes for array in ARRAYS.values())


def test_what_was_written_is_read() -> None:
    facts, arrays = blocks.read(io.BytesIO(written()))
    assert facts == FACTS
    for name, array in ARRAYS.items():
        assert (len(arrays[name]), arrays[name].shape) == (len(array), array.shape)
        assert arrays[name][:].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name][:], array)


@pytest.mark.parametrize("seed", range(5))
def test_any_part_can_be_looked_at_first(seed: int) -> None:
    draw = np.random.default_rng(seed)
    _, arrays = blocks.read(io.BytesIO(written()))
    for _ in range(30):
        name = str(draw.choice(["narrow", "wide"]))
        start, stop = draw.integers(0, len(ARRAYS[name]) + 1, 2)
        places = draw.integers(0, len(ARRAYS[name]), draw.integers(0, 4))
        for rows in (slice(start, stop), places):
            np.testing.assert_array_equal(arrays[name][rows], ARRAYS[name][rows])


class Watched(io.BytesIO):
    """Remembers which bytes were read."""

    seen: set[int]

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        self.seen |= set(range(self.tell(), self.tell() + len(target)))
        return super().readinto(target)


def test_no_more_is_read_than_is_looked_at() -> None:
    file = Watched(written())
    file.seen = set()
    _, arrays = blocks.read(file)
    assert file.seen == set(range(front()))
    file.seen = set()
    np.testing.assert_array_equal(arrays["narrow"][17:20], [17, 18, 19])
    assert file.seen == set(range(front() + 2 * BLOCK, front() + 3 * BLOCK))
    file.seen = set()
    arrays["narrow"][np.array([16, 99])]
    assert file.seen == set(range(front() + 12 * BLOCK, front() + 800))


def test_a_flipped_bit_in_any_block_is_noticed_when_it_is_looked_at() -> None:
    sound, draw = written(), np.random.default_rng(1)
    start = front()
    for name, array in ARRAYS.items():
        width = array.nbytes // max(1, len(array))
        for offset in range(0, array.nbytes, BLOCK):
            end = min(offset + BLOCK, array.nbytes)
            data = bytearray(sound)
            data[start + draw.integers(offset, end)] ^= 1 << draw.integers(8)
            _, arrays = blocks.read(io.BytesIO(data))
            rows = range(len(array))
            inside = [r for r in rows if r * width < end and (r + 1) * width > offset]
            for row in rows:
                looks = (slice(row, row + 1), np.array([row]))
                for look in looks if row in (0, inside[0], inside[-1], len(array) - 1) else ():
                    if row in inside:
                        with pytest.raises(DamagedError, match="build it again"):
                            arrays[name][look]
                    else:
                        np.testing.assert_array_equal(arrays[name][look], array[look])
        start += array.nbytes


def test_a_flipped_bit_anywhere_in_the_head_is_noticed_at_once() -> None:
    sound, draw = written(), np.random.default_rng(2)
    for place in range(front()):
        data = bytearray(sound)
        data[place] ^= 1 << draw.integers(8)
        with pytest.raises(DamagedError):
            blocks.read(io.BytesIO(data))


def test_another_length_is_noticed_at_once() -> None:
    sound = written()
    for data in (*(sound[:length] for length in range(len(sound))), sound + b"x"):
        with pytest.raises(DamagedError):
            blocks.read(io.BytesIO(data))


def test_a_huge_claim_is_refused_before_memory_is_spent() -> None:
    head = blocks._HEAD.pack(blocks._MAGIC, blocks._FORMAT, 2**62, 2**62)
    with pytest.raises(DamagedError, match="cut short"):
        blocks.read(io.BytesIO(head + bytes(100)))


def test_another_format_is_refused() -> None:
    data = bytearray(written())
    data[8] += 1
    with pytest.raises(DamagedError, match="this version"):
        blocks.read(io.BytesIO(data))


def test_a_disk_that_cannot_be_read_is_told() -> None:
    class Broken(io.BytesIO):
        def readinto(self, target: memoryview) -> int:  # type: ignore[override]
            raise OSError(5, "Input/output error")

    with pytest.raises(DamagedError, match=r"cannot be read \(Input/output error\)"):
        blocks.read(Broken(written()))


def test_what_was_checked_cannot_change_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(written())
    with path.open("rb", buffering=0) as file:
        _, arrays = blocks.read(file)
        arrays["narrow"][:8]
        path.write_bytes(bytes(len(written())))
        np.testing.assert_array_equal(arrays["narrow"][:8], np.arange(8))
        with pytest.raises(DamagedError):
            arrays["narrow"][8:16]
        os.truncate(path, front())
        with pytest.raises(DamagedError, match="cut short"):
            arrays["wide"][:]


def test_the_file_is_closed_when_the_arrays_are_gone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(written())
    file = path.open("rb", buffering=0)
    _, arrays = blocks.read(file)
    array = arrays.pop("wide")
    del arrays
    gc.collect()
    assert not file.closed
    np.testing.assert_array_equal(array[:], ARRAYS["wide"])
    del array
    gc.collect()
    assert file.closed
