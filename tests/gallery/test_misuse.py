"""Wrong use and data that cannot be kept are told as such: only damage is called damage."""

import threading

import numpy as np
import pytest

from reid_attn.errors import DamagedError, DataError, UsageError
from reid_attn.gallery import Gallery

DIMENSION = 8


def told_by(act):
    """The error that `act` raises in another thread."""
    found = []

    def run():
        try:
            act()
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


MISUSES = [lambda g: g.rows(), lambda g: g.search(np.ones(DIMENSION), 1), lambda g: g.remove([1])]


@pytest.mark.parametrize("act", MISUSES)
def test_a_closed_gallery_is_wrong_use_and_no_damage(folder, add_random, act):
    add_random(folder, 3)
    with Gallery.open(folder) as gallery:
        pass
    with pytest.raises(UsageError, match="use it until it is closed"):
        act(gallery)


@pytest.mark.parametrize("act", [*MISUSES, lambda g: g.close()])
def test_another_thread_is_wrong_use_and_no_damage(folder, add_random, act):
    add_random(folder, 3)
    with Gallery.open(folder) as gallery:
        gallery.rows()
        error = told_by(lambda: act(gallery))
        assert isinstance(error, UsageError), error
        assert "one gallery per process and thread" in str(error)
        assert gallery.verify() == 3


@pytest.mark.parametrize(
    "act",
    [
        lambda store: store.relabel({1: ("a\udc80", "")}, "rename"),
        lambda store: store.relabel({1: ("a\ud800", "")}, "rename"),
        lambda store: store._connection.execute("INSERT INTO refused VALUES (NULL, ?)", (b"",)),
        lambda store: store._connection.execute("UPDATE people SET camera = 'one'"),
    ],
)
def test_what_the_database_cannot_hold_is_bad_data_and_no_damage(folder, add_random, act):
    add_random(folder, 3)
    with Gallery.open(folder) as gallery:
        explained = gallery.store._connection.explained
        with pytest.raises(DataError, match="cannot hold this"), explained():
            act(gallery.store)
        assert gallery.verify() == 3


def test_numbers_given_twice_are_damage(folder, add_random):
    add_random(folder, 3)
    with Gallery.open(folder) as gallery:
        link = gallery.store._connection
        with link.transaction("IMMEDIATE"):
            link.execute("UPDATE sqlite_sequence SET seq = 1")
        with pytest.raises(DamagedError, match="UNIQUE constraint failed"):
            gallery.add_vectors(np.ones((1, DIMENSION)), ["a"], [1], ["a"], [bytes(32)])


NO_NUMBERS = {
    "texts": np.array(["x"] * DIMENSION),
    "texts of numbers": np.array(["1"] * DIMENSION),
    "bytes": np.array([b"1"] * DIMENSION),
    "complex": np.ones(DIMENSION) * 1j,
    "nothing": [None, {}, *range(DIMENSION - 2)],
    "uneven": [[1.0] * 3, [1.0] * 4, *range(DIMENSION - 2)],
    "moments": np.array(["2026-01-01"] * DIMENSION, "datetime64[D]"),
    "too large": [10**400] * DIMENSION,
}


@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_vectors_that_are_no_numbers_are_bad_data(folder, add_random, kind):
    add_random(folder, 3)
    with Gallery.open(folder) as gallery:
        with pytest.raises(DataError, match="vectors must be rows of real numbers"):
            gallery.add_vectors([NO_NUMBERS[kind]], ["a"], [1], ["a"], [bytes(32)])
        with pytest.raises(DataError, match="vectors must be rows of real numbers"):
            gallery.search(NO_NUMBERS[kind], 1)
        assert gallery.verify() == 3


@pytest.mark.parametrize("type_", [np.float16, np.float64, np.int8, np.uint64, bool, object, list])
def test_any_type_of_real_numbers_is_taken(folder, type_):
    numbers = [1, 0, 1, 1, 0, 1, 0, 0]
    vector = numbers if type_ is list else np.array(numbers, type_)
    with Gallery.open(folder) as gallery:
        assert gallery.add_vectors([vector], ["a"], [1], ["a"], [bytes(32)]) == 1
        assert gallery.search(vector, 1)[0].score == pytest.approx(1)
